"""The guard that waits for the time of the next run: a retry's, or the end of a rate limit.

There is no daemon, so the guard of the run that ended stays for it: asleep in one poll(2), holding nothing
but a lock that says so. One is enough for a board; another that has something to wait for wakes it and goes.
What is further away than `ATTEND_S` is left to the next command that reads runs, or to `worker sweep`.
"""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Mapping
from pathlib import Path

from lattice.commands.board import FOLDER, Board, read_config
from lattice.workers import lease
from lattice.workers.queueing import queue
from lattice.workers.queueing.sight import Memory

ATTEND_S = 900.0
LOOK_S = 60.0
"""The longest sleep: a clock that is set, or a machine that was asleep, shows a minute later at the latest."""


def attend(root: Path, origin: Mapping[str, str], starter: queue.Starter, memory: Memory) -> None:
    """Start the runs whose turn it is, and wait for those whose time comes soon. Raises LatticeError, OSError."""
    if not queue.in_use(root / FOLDER):
        return
    wake = _open(root)
    try:
        while True:
            board = Board(root, read_config(root))  # The limits may have changed while it slept.
            queue.move(board, origin, starter=starter, memory=memory)
            due_ms = queue.next_time_ms(board, memory)
            left_s = (due_ms - board.ledger.source.now_ms()) / 1000 if due_ms is not None else None
            if left_s is None or left_s > ATTEND_S:
                return
            try:
                alone = lease.acquire(root / FOLDER / "runs" / "queue" / "attendant")
            except BlockingIOError:
                _write(wake)  # Who attends read the queue before this run joined it.
                return
            try:
                _sleep(wake, min(max(left_s, 0.0), LOOK_S))
            finally:
                os.close(alone)
            _reap()
    finally:
        os.close(wake)


def _open(root: Path) -> int:
    """The FIFO, open before the lock is tried for: a word that comes in between is kept."""
    path = root / FOLDER / "runs" / "queue" / "wake"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.mkfifo(path, 0o600)
    return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)


def _write(wake: int) -> None:
    with contextlib.suppress(BlockingIOError):  # Full of earlier words: it will wake.
        os.write(wake, b"\n")


def _sleep(wake: int, seconds: float) -> None:
    poller = select.poll()
    poller.register(wake, select.POLLIN)
    if poller.poll(seconds * 1000 + 1):
        with contextlib.suppress(BlockingIOError):
            while os.read(wake, 4096):
                continue


def _reap() -> None:
    """The guards of the runs that were started from here are children of this process."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue
