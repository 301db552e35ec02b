"""The section on workers: how long `worker run` takes to answer, beside `show` and git's own time."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.bench.bench import Bench
from tools.bench.boards import OURS, lattice_command
from tools.bench.measure import Case, Failed, measure, shown
from tools.bench.works import HOT

LIMIT = 3.0
ROUNDS = 15
WORKER = {"name": "Bench", "description": "does nothing", "actor": "agent:bench", "engine": "command",
          "command": ["true"], "timeout_minutes": 5}  # fmt: skip

# Stands before git on the PATH and notes who asked, where and what, one NUL-ended word each.
_LISTENER = """#!/bin/sh
{{ printf '%s\\0' "$PPID" "$PWD" "$@"; printf '\\n'; }} >> {log}
exec {git} "$@"
"""


def worker(bench: Bench) -> None:
    """`worker run` until its answer; the run itself goes on behind it, and is waited for outside the clock."""
    title, target = "worker run until its answer", f"≤ {LIMIT:g}× show + git's own time"
    git = shutil.which("git", path=bench.env["PATH"])
    if git is None:
        bench.missing("worker", title, target, "git is missing")
        return
    root = bench.board(OURS, bench.sizes[0])
    (root / "workers").mkdir()
    (root / "workers" / "bench.json").write_text(json.dumps(WORKER))
    for words in (["init", "--quiet", "--initial-branch", "main"], ["add", "--all"], ["commit", "-qm", "one"],
                  ["commit", "-qm", "two", "--allow-empty"]):  # fmt: skip
        identity = ["-c", "user.name=bench", "-c", "user.email=bench@example.org"]
        _run([git, *identity, *words], root, bench.env)
    env = {**bench.env, "XDG_STATE_HOME": str(bench.home / "state")}
    asked = _asked_of_git(root, env, git, bench.home)

    def settle() -> None:
        newest = _run([lattice_command(), "worker", "ps", "--all", "--limit", "1", "--json"], root, env)
        for run in json.loads(newest)["data"]:
            _run([lattice_command(), "worker", "wait", run["run_id"]], root, env)

    # It opens each round, and what the round before left behind it has ended by then; the run closes the round.
    show = bench.case("show-beside-worker", HOT["show"], OURS, bench.sizes[0], root, prepare=settle)
    if show is None:
        raise AssertionError("our own tool is always there")
    run = Case("worker-run", [lattice_command(), "worker", "run", "Bench", "LAT-1"], cwd=root, env=env)
    gits = [Case(f"git-{number}-{_name(words)}", [git, *words], cwd=Path(cwd), env=env, may_refuse=True)
            for number, (cwd, words) in enumerate(asked, start=1)]  # fmt: skip
    try:
        done = measure([show, *gits, run], min(bench.rounds, ROUNDS))
    finally:
        settle()  # Nothing of a run is left when its board goes.
    bench.keep(done)
    answered = statistics.median(run.seconds.values())
    own = sum(statistics.median(case.seconds.values()) for case in gits)
    against = answered / (statistics.median(show.seconds.values()) + own)
    bench.row("worker", title, target,
              f"{against:.2f}× ({1000 * answered:.0f} ms; git {1000 * own:.0f} ms in {len(gits)} calls)", against,
              met=against <= LIMIT)  # fmt: skip


def _asked_of_git(root: Path, env: Mapping[str, str], git: str, home: Path) -> list[tuple[str, list[str]]]:
    """Where and what one `worker run` asks of git before it answers; what the run asks later is not its own."""
    folder, log = home / "listener", home / "asked-of-git"
    folder.mkdir()
    listener = folder / "git"
    listener.write_text(_LISTENER.format(log=log, git=git))
    listener.chmod(0o755)
    started = subprocess.Popen(
        [lattice_command(), "worker", "run", "Bench", "LAT-1", "--quiet"],
        cwd=root,
        env={**env, "PATH": f"{folder}{os.pathsep}{env['PATH']}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    said, refused = started.communicate()
    if started.returncode:
        raise Failed(f"worker run: {refused.strip()}")
    _run([lattice_command(), "worker", "wait", said.strip()], root, env)
    calls = [line.split("\0")[:-1] for line in log.read_text().splitlines()]
    return [(cwd, words) for ppid, cwd, *words in calls if ppid == str(started.pid)]


def _name(words: Sequence[str]) -> str:
    """git's subcommand in its words."""
    rest = iter(words)
    for word in rest:
        if word == "-c":
            next(rest, None)
        elif not word.startswith("-"):
            return word
    return "git"


def _run(argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> str:
    ran = subprocess.run(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise Failed(f"{shown(argv)} exited with {ran.returncode}\n{ran.stderr.strip()}")
    return ran.stdout
