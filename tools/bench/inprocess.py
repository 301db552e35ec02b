"""Writes inside one process, in turn with the disk's own: run by the bench as a process of its own, prints JSON."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from lattice.commands.board import open_board
from lattice.core.events import CommentAdded
from lattice.ledger import Signature
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
    plain = os.open(root / "plain", os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    sync = getattr(os, "fdatasync", os.fsync)
    for number in range(WARM + ROUNDS):
        before = log.stat().st_size
        took = _timed(lambda: board.ledger.transact(one, lambda _: [said], by))
        data = b"x" * (log.stat().st_size - before)
        bare = _timed(lambda data=data: (os.write(plain, data), sync(plain)))  # type: ignore[misc]  # a default binds
        if number >= WARM:
            events.append(took)
            disk.append(bare)
    for number in range(2 + BATCHES):
        took = _timed(lambda: board.ledger.transact(other, lambda _: [said] * BATCH, by))
        if number >= 2:
            batches.append(took)
    stats = {"event": stat(events), "disk": stat(disk), "batch": stat(batches)}
    print(json.dumps({"stats": {f"in-process/{name}": found for name, found in stats.items()}, "batch_of": BATCH}))


def _timed(act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    act()
    return time.perf_counter() - begun


if __name__ == "__main__":
    main(Path(sys.argv[1]))
