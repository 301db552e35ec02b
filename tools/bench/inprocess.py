"""Writes inside one process, in turn with the disk's own: run by the bench as a process of its own, prints JSON."""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from lattice.commands.board import open_board
from lattice.core.events import CommentAdded
from lattice.ledger import Signature
from tools.bench import floor
from tools.bench.boards import ACTOR
from tools.bench.measure import stat

ROUNDS, BATCHES, WARM, BATCH = 300, 30, 20, 100


def main(root: Path) -> None:
    """Time single events and appends of as many bytes, one after the other, then batches."""
    board = open_board(root, {})
    by = Signature(ACTOR)
    one, other = board.resolve("LAT-4"), board.resolve("LAT-5")
    said = CommentAdded(body="Said while measured, about as long as what people say in a comment.")
    log = root / ".lattice" / "events" / f"{one}.jsonl"
    events: list[float] = []
    disk: list[float] = []
    batches: list[float] = []
    processor: dict[str, list[float]] = {"event": [], "batch": []}
    plain = os.open(root / "plain", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    sync = getattr(os, "fdatasync", os.fsync)
    for number in range(WARM + ROUNDS):
        before = log.stat().st_size
        took, busy = _timed(lambda: board.ledger.transact(one, lambda _: [said], by))
        data = b"x" * (log.stat().st_size - before)
        bare, _ = _timed(lambda data=data: (os.write(plain, data), sync(plain)))  # type: ignore[misc]  # a default binds
        if number >= WARM:
            events.append(took)
            processor["event"].append(busy)
            disk.append(bare)
    for number in range(2 + BATCHES):
        took, busy = _timed(lambda: board.ledger.transact(other, lambda _: [said] * BATCH, by))
        if number >= 2:
            batches.append(took)
            processor["batch"].append(busy / BATCH)
    stats = {"event": stat(events), "disk": stat(disk), "batch": stat(batches)}
    micros = {f"{name}_processor": 1e6 * statistics.median(seconds) for name, seconds in processor.items()}
    line = log.read_bytes().splitlines()[-1]
    snapshot = (root / ".lattice" / "tasks" / f"{one}.json").read_bytes()
    micros |= {"event_text": floor.event_us(line), "texts": floor.texts_us(line, snapshot)}
    micros["calls"] = floor.calls_us(root / ".lattice", one)
    found = {f"in-process/{name}": one_stat for name, one_stat in stats.items()}
    print(json.dumps({"stats": found, "batch_of": BATCH, "micros": micros}))


def _timed(act: Callable[[], object]) -> tuple[float, float]:
    """The seconds on the wall, and those of the processor."""
    begun, busy = time.perf_counter(), time.process_time()
    act()
    return time.perf_counter() - begun, time.process_time() - busy


if __name__ == "__main__":
    main(Path(sys.argv[1]))
