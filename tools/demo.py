"""The product before your eyes: `make demo`, or `.venv/bin/python tools/demo.py`.

In a temporary folder: a clone of this repository, a board on it, a review of each of its last commits by
supervised runs in worktrees of their own; a finding that keeps its task from being done; a team of (fake) agents with
one merged review; then a supervisor is killed, and the board tells the truth.
Every command printed is run, its output is its own, and every line marked `ok` was checked: the exit
status is 1 where one does not hold, 130 after Ctrl-C. Nothing stays behind, unless --keep is given.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP))

from tools import demo_kill, demo_team  # noqa: E402  # a script's own folder is on the path, not the repository's
from tools.demo_repository import PLANTED_BRANCH, Commit, last_commits, plant, prepare  # noqa: E402  # as above
from tools.demo_stage import COMMAND_LIMIT_S, DemoFailed, Stage, run_in  # noqa: E402  # as above

REVIEW_LINES = 44
TO_DONE = ("planned", "review", "done")

NEXT = """
What to try next, in a repository of your own:

  export PATH="{bin}:$PATH" LATTICE_ACTOR=human:you
  cd your/repository
  lattice init --project-code ABC
  lattice create "What my last commit was for"
  lattice worker run DiffCheck ABC-1 --wait
  lattice show ABC-1

  lattice --help            every command; each has --help with examples, and --json
  make test                 the tests of Lattice; `make torture` has their long form
  tools/demo.py --keep      leaves this board for you to look around (with the Python of .venv)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="demo.py", description="Show Lattice at work, in a temporary folder.")
    parser.add_argument(
        "--repository", type=Path, default=TOP, metavar="PATH", help="what to clone (default: this one)"
    )
    parser.add_argument("--keep", action="store_true", help="leave the temporary folder, to look around in it")
    args = parser.parse_args(arguments)
    for signum in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, _interrupted)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    return _guarded(args.repository.resolve(), keep=args.keep)


def _guarded(source: Path, *, keep: bool) -> int:
    """Play, and clear away whatever happens. Returns the exit status."""
    begun = time.monotonic()
    try:
        stage = Stage()
    except DemoFailed as why:
        print(f"demo: {why}", file=sys.stderr)
        return 1
    status = 1
    try:
        play(stage, source)
        status = 0
    except KeyboardInterrupt:
        print("\ndemo: interrupted; stopping what runs", file=sys.stderr)
        status = 130
    except BrokenPipeError:  # `make demo | head`: nobody reads on, and nothing may stay behind all the same
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except DemoFailed as why:
        print(f"\ndemo: {why}", file=sys.stderr)
    finally:
        status = _cleared(stage, status, keep=keep)
    if status == 0:
        left = f"It is left in {stage.folder}." if keep else "Its folder is removed, and no process of it is left."
        print(f"\nThat was the demo, in {time.monotonic() - begun:.0f} s. {left}")
        if keep:
            print(f"  cd {stage.clone}; export XDG_STATE_HOME={stage.environ['XDG_STATE_HOME']}")
        print(NEXT.format(bin=stage.lattice_command.parent), end="", flush=True)
    return status


def _cleared(stage: Stage, status: int, *, keep: bool) -> int:
    try:
        stage.close(keep=keep)
    except (DemoFailed, OSError) as why:
        print(f"demo: not all could be cleared away from {stage.folder}: {why}", file=sys.stderr)
        return status or 1
    return status


def play(stage: Stage, source: Path) -> None:
    """The scenes, in order. Raises DemoFailed at the first claim that does not hold."""
    tasks = make_the_board(stage, source)
    review_all(stage, tasks)
    planted = next(task for task, commit in tasks.items() if commit.ref == PLANTED_BRANCH)
    read_the_review(stage, planted)
    finish_a_task(stage, next(iter(tasks)))
    demo_team.gate_a_task(stage, planted)
    demo_team.review_by_a_team(stage, list(tasks)[1])
    demo_kill.kill_the_supervisor(stage)
    demo_kill.kill_the_guard_too(stage)


def make_the_board(stage: Stage, source: Path) -> dict[str, Commit]:
    """A clone, a board, and a task for each commit; the tasks by their short ids."""
    stage.heading("A board, beside the code")
    if prepare(stage, source):
        stage.say(f"A clone of {source} in {stage.folder}")
    else:
        stage.say(f"{source} is not a git repository with commits (an unpacked archive?), so the demo plays in a")
        stage.say(f"small repository made on the spot, in {stage.folder}")
    commits = [*last_commits(stage), plant(stage)]
    if (stage.clone / ".lattice").exists():
        stage.git("rm", "-r", "--quiet", "--force", "--", ".lattice")
        stage.say("(the board that the repository brings is set aside in the clone)")
    stage.lattice("init", "--project-code", "DEMO", "--actor", "human:you")
    tasks = {}
    for commit in commits:
        # After --, so that a subject that begins with a dash is a title.
        tasks[stage.lattice("create", "--", commit.title).split()[2]] = commit
    stage.lattice("list")
    stage.claim(len(tasks) == len(commits), f"{len(tasks)} tasks: the last commits, and one with planted defects")
    return tasks


def review_all(stage: Stage, tasks: dict[str, Commit]) -> None:
    stage.heading("DiffCheck on each of them, at once, each run supervised in a worktree of its own")
    starters = []
    for task, commit in tasks.items():
        base = ("--base", commit.base) if commit.base else ()
        starters.append(stage.start("worker", "run", "DiffCheck", task, "--commit", commit.ref, *base))
    _watch(stage, starters)
    for starter in starters:
        said, _ = starter.communicate(timeout=COMMAND_LIMIT_S)
        if starter.returncode != 0:
            raise DemoFailed(f"`lattice worker run` exited with {starter.returncode}:\n{said}".rstrip())
        stage.quietly("worker", "wait", run_in(said))
    stage.lattice("worker", "ps", "--all")
    runs = stage.ask("worker", "ps", "--all")
    succeeded = {run["task"] for run in runs if run["state"] == "succeeded"}
    stage.claim(succeeded == tasks.keys(), f"each of the {len(tasks)} runs succeeded: its review is on its task")
    trees = {run["worktree"] for run in runs}
    stage.claim(
        len(trees) == len(tasks) and not any(Path(tree).exists() for tree in trees),
        f"they worked in {len(trees)} worktrees, and none of these is left",
    )


def _watch(stage: Stage, starters: Sequence[subprocess.Popen[str]]) -> None:
    """`worker ps`, again and again, until nothing runs; shown whenever other runs are alive than before."""
    shown: set[tuple[str, ...]] = set()

    def over() -> bool:
        nonlocal shown
        starting = any(starter.poll() is None for starter in starters)
        said = stage.quietly("worker", "ps")
        rows = set(re.findall(r"^(run_\S+) .* (requested|starting|running|stopping) ", said, flags=re.MULTILINE))
        if rows and rows != shown:
            stage.command("lattice worker ps")
            stage.say(said.rstrip("\n"))
            shown = rows
        return not starting and not rows

    stage.until(over, "end of the reviews")


def read_the_review(stage: Stage, task: str) -> None:
    stage.heading("The review of the commit with planted defects")
    stage.lattice("show", task)
    artifacts = {info["title"]: info["id"] for info in stage.ask("show", task)["artifact_info"]}
    payload = Path(".lattice", "artifacts", "payload")
    review = payload / f"{artifacts['DiffCheck: review.md']}.md"
    stage.command(f"cat {review}")
    lines = (stage.clone / review).read_text(encoding="utf-8").splitlines()
    stage.say("\n".join(lines[:REVIEW_LINES]))
    if len(lines) > REVIEW_LINES:
        stage.say(f"... and {len(lines) - REVIEW_LINES} more lines")
    found = json.loads((stage.clone / payload / f"{artifacts['DiffCheck: review.json']}.json").read_bytes())
    files = {Path(finding["file"]).name for finding in found["findings"] if finding["file"]}
    planted = {"prices.py", "total.py", "notes.txt"}
    stage.claim(planted <= files, "all three planted defects are found: a debugger, a syntax error, a conflict")
    stage.claim(found["verdict"] != "ready", f"and its verdict is {found['verdict']!r}")


def finish_a_task(stage: Stage, task: str) -> None:
    stage.heading("A task is done")
    for status in TO_DONE:
        stage.lattice("status", task, status)
    stage.claim(stage.ask("show", task)["status"] == "done", f"{task} is done, each step an event in its history")


def _interrupted(signum: int, _frame: object) -> None:
    raise KeyboardInterrupt(signal.Signals(signum).name)


if __name__ == "__main__":
    sys.exit(main())
