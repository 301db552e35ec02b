"""The section on the queue: 100 runs in 4 slots, beside task-spooler with the same jobs."""

from __future__ import annotations

import json
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tools.bench.bench import Bench
from tools.bench.boards import OURS, lattice_command
from tools.bench.measure import Failed, shown
from tools.bench.peers import INSTALLERS, Missing, cache_folder

RUNS, SLOTS = 100, 4
WITHIN_S = 300.0
_GATE = 'until [ -e "$0" ]; do sleep 0.01; done'
_STAMP = 'date +%s.%N >> "$0"; exec true'


def queue(bench: Bench) -> None:
    """100 runs that wait for 4 slots, from the moment that the slots come free; and the same jobs by task-spooler."""
    ours = _ours(bench)
    title = f"{RUNS} queued runs in {SLOTS} slots"
    bench.row("queue", f"{title}, one run to the next in its slot", "named beside tsp", f"{1000 * ours[1]:.0f} ms",
              1000 * ours[1], met=None)  # fmt: skip
    bench.row("queue", f"{title}, total", "named beside tsp", f"{ours[0]:.2f} s", ours[0], met=None)
    try:
        tsp = INSTALLERS["task-spooler"](cache_folder())
    except Missing as why:
        bench.missing("queue", f"{title}, by tsp", "", f"tsp is missing: {why}")
        return
    theirs = _theirs(bench, tsp)
    bench.row("queue", f"{title}, one job to the next in its slot, by tsp", "", f"{1000 * theirs[1]:.1f} ms",
              1000 * theirs[1], met=None)  # fmt: skip
    bench.row("queue", f"{title}, total, by tsp", "", f"{theirs[0]:.2f} s", theirs[0], met=None)


def _ours(bench: Bench) -> tuple[float, float]:
    """Our total in seconds, and the median from one run to the next in its slot."""
    root = bench.board(OURS, max(bench.sizes[0], RUNS))
    go, stamps = root / "go", root / "stamps"
    _define(root, "Gate", ["sh", "-c", _GATE, str(go)])
    _define(root, "Stamp", ["sh", "-c", _STAMP, str(stamps)])
    config = root / ".lattice" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"worker": {"max_parallel": SLOTS}}))
    run = [lattice_command(), "worker", "run", "--actor", "human:bench", "--quiet"]
    try:
        for number in range(1, SLOTS + 1):
            _run([*run, "Gate", f"LAT-{number}"], root, bench.env)
        for number in range(1, RUNS + 1):
            _run([*run, "Stamp", f"LAT-{number}"], root, bench.env)
        return _drained(go, stamps)
    finally:
        go.touch()
        _until(lambda: not any((root / ".lattice" / "runs" / "open").iterdir()))


def _theirs(bench: Bench, tsp: Sequence[str]) -> tuple[float, float]:
    """The same of task-spooler, with a server of its own."""
    folder = bench.home / "tsp"
    folder.mkdir()
    go, stamps = folder / "go", folder / "stamps"
    env = {**bench.env, "TS_SOCKET": str(folder / "socket"), "TMPDIR": str(folder), "TS_SLOTS": str(SLOTS)}
    try:
        for _ in range(SLOTS):
            _run([*tsp, "-n", "sh", "-c", _GATE, str(go)], folder, env)
        for _ in range(RUNS):
            _run([*tsp, "-n", "sh", "-c", _STAMP, str(stamps)], folder, env)
        return _drained(go, stamps)
    finally:
        go.touch()
        _run([*tsp, "-K"], folder, env)


def _drained(go: Path, stamps: Path) -> tuple[float, float]:
    begun = time.time()
    go.touch()
    _until(lambda: stamps.exists() and stamps.read_bytes().count(b"\n") == RUNS)
    at = sorted(float(text) for text in stamps.read_text().split())
    # The run that has the slot of another is the one that starts as many later as there are slots.
    return at[-1] - begun, statistics.median(at[place] - at[place - SLOTS] for place in range(SLOTS, RUNS))


def _define(root: Path, name: str, command: Sequence[str]) -> None:
    folder = root / "workers"
    folder.mkdir(exist_ok=True)
    shape = {"name": name, "actor": "agent:bench", "engine": "command", "command": command, "worktree": False,
             "timeout_minutes": 10}  # fmt: skip
    (folder / f"{name.lower()}.json").write_text(json.dumps(shape))


def _until(condition: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + WITHIN_S
    while not condition():
        if time.monotonic() > give_up_at:
            raise Failed(f"the queue was not empty after {WITHIN_S:g} s")
        time.sleep(0.01)


def _run(argv: Sequence[str], cwd: Path, env: Mapping[str, str]) -> None:
    ran = subprocess.run(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise Failed(f"{shown(argv)} exited with {ran.returncode}\n{ran.stderr.strip()}")
