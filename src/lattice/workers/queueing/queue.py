"""The queue: which of the runs that wait is next, and who starts it. Who has to wait is `admission.py`.

There is no daemon. Whoever ends a run starts the next: its guard does, when nothing of the run is left. Should
it be killed, the next command that reads runs does it. A run holds its slot by its lease, which the kernel
frees with its supervisor, so that no slot is ever lost; what counts the slots and takes one does both under the
queue's lock, so that there are never too many (`docs/decisions/0011-the-lease-is-the-slot.md`).

    runs/queue/attendant        held by the guard that waits for the time of the next run
    runs/queue/wake             a FIFO: that guard is to look again
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lattice.commands.board import Board
from lattice.core.run import Cancelled, Ending, NotAfforded, SetupFailed
from lattice.errors import LatticeError
from lattice.store.files import disk
from lattice.store.files.locks import WAIT_S, locked
from lattice.workers import lease
from lattice.workers.ends.unstarted import note_end
from lattice.workers.handover import environment_of, start_guard
from lattice.workers.processes.marks import RUN_MARK
from lattice.workers.queueing.admission import chosen, lock, paused, pauses, until
from lattice.workers.queueing.purse import Purse
from lattice.workers.queueing.sight import Memory
from lattice.workers.queueing.turns import Waiting, limited_with
from lattice.workers.reconcile import mend
from lattice.workers.runs import RunFolder, open_runs
from lattice.workers.spec import RunSpec

Starter = Callable[[Board, RunFolder, int, Mapping[str, str], Mapping[str, str]], str | None]
"""What starts the guard of a run, as `handover.start_guard` does."""


def listed(board: Board) -> list[tuple[Waiting, tuple[str, ...]]]:
    """The runs that wait, in their order, and what each waits for."""
    memory = Memory()
    seen = memory.look(board)
    said = chosen(board, seen, seen.waiting, Purse(board, seen, memory))
    return [(run, said[run.run_id]) for run in seen.waiting]


def places(board: Board) -> dict[str, int]:
    """The place of each run that waits, from 1."""
    return {run.run_id: place for place, run in enumerate(Memory().look(board).waiting, start=1)}


def place(board: Board, run_id: str) -> int | None:
    """The run's place in the queue, from 1; None where it is not in it."""
    return places(board).get(run_id)


def move(
    board: Board,
    origin: Mapping[str, str],
    wait_s: float = WAIT_S,
    starter: Starter | None = None,
    memory: Memory | None = None,
) -> list[str]:
    """Start every run whose turn it is, with the variables of `origin`; returns those started.

    `memory` is of whoever moves it more than once. A run that cannot be started ends as failed, and the next has its
    turn. Raises LockTimeout, OSError.
    """
    started: list[str] = []
    memory = memory or Memory()
    while True:
        over, broke, claims = _claim(board, memory, wait_s)
        problems = len(broke)
        try:
            for folder in over:
                _put_away(board, folder)
            for folder in broke:
                mend(board, folder)
            while claims:
                folder, lease_fd = claims.pop(0)
                if _start(board, folder, lease_fd, origin, starter or start_guard):
                    started.append(folder.run_id)
                else:
                    problems += 1
        finally:
            for _, lease_fd in claims:
                os.close(lease_fd)  # It still waits, and the next mover takes it.
        if not problems:
            return started


def in_use(board_folder: Path) -> bool:
    """Whether a run waits, or one may wait soon: who counts slots makes the lock first, and a rate limit pauses."""
    if (board_folder / "runs" / "queue" / "lock").exists() or any(pauses(board_folder)):
        return True
    return any(run.waits() for run in open_runs(board_folder))


def heal(board: Board, environ: Mapping[str, str]) -> None:
    """As `move`, by a command that came by; it waits for nobody, and raises nothing."""
    if RUN_MARK in environ:
        return  # What is started inside a run's sandbox ends with it.
    with contextlib.suppress(LatticeError, OSError):  # Who holds the lock does the same, or the next command will.
        move(board, environ, wait_s=0)


def take_out(board: Board, run_id: str, reason: str | None, by: str) -> bool:
    """End a run that waits, as cancelled. False where it does not wait, or its turn has just come.

    Raises LatticeError, OSError.
    """
    folder = RunFolder(board.folder, run_id)
    if not folder.waits():
        return False
    with locked(lock(board)):
        if not _end_waiting(board, folder, Cancelled(reason), by):
            return False
    mend(board, folder, by=by)
    return True


def next_time_ms(board: Board, memory: Memory) -> int | None:
    """The first moment to come at which the time of a run that waits is there, or a pause is over.

    A pause counts though nobody waits: who is asked for during it joins the queue, and has nobody else to start him.
    """
    times = [*memory.due_times(board), *map(until, pauses(board.folder))]
    now_ms = board.ledger.source.now_ms()
    return min((time for time in times if time > now_ms), default=None)


def pause(board: Board, spec: RunSpec, until_ms: int) -> None:
    """Start no run that has its rate limit with this one before that time. Raises OSError."""
    path = paused(board, limited_with(spec.process_type, spec.engine))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    disk.replace(path, b"%d\n" % max(until_ms, until(path)), durable=True)


def _claim(
    board: Board, memory: Memory, wait_s: float
) -> tuple[Sequence[RunFolder], Sequence[RunFolder], list[tuple[RunFolder, int]]]:
    """Take the lease, and with it the slots and the budget, of every run whose turn it is.

    Before them, the runs that wait no more, and those that were ended now, since no ceiling has room for them any more.
    """
    claims: list[tuple[RunFolder, int]] = []
    broke: list[RunFolder] = []
    with locked(lock(board), wait_s):
        seen = memory.look(board)
        purse = Purse(board, seen, memory)
        for run_id, obstacles in chosen(board, seen, seen.waiting, purse).items():
            folder = RunFolder(board.folder, run_id)
            if obstacles:
                refused = purse.refused(run_id)
                if refused is not None and not refused.details["waits"]:
                    ending = NotAfforded(f"{refused.message} {refused.hint}")
                    if _end_waiting(board, folder, ending, "who looked after the queue"):
                        broke.append(folder)
                continue
            with contextlib.suppress(BlockingIOError, FileNotFoundError):  # It is being taken out, or was.
                lease_fd = lease.acquire(folder.lease)
                if folder.waits() and purse.hand_out(folder):
                    claims.append((folder, lease_fd))
                else:
                    os.close(lease_fd)
    return seen.over, broke, claims


def _start(board: Board, folder: RunFolder, lease_fd: int, origin: Mapping[str, str], starter: Starter) -> bool:
    spec = folder.spec()
    try:
        problem: str | None = "its spec.json is gone"
        if spec is not None:
            problem = starter(board, folder, lease_fd, environment_of(spec, folder, origin), origin)
            if problem is not None:
                ending = SetupFailed(f"The run could not be started: {problem}.")
                note_end(board, folder, spec, ending, "who started it from the queue")
    finally:
        os.close(lease_fd)
    if problem is not None:
        mend(board, folder)
    return problem is None


def _put_away(board: Board, folder: RunFolder) -> None:
    """End what waits no more by the log: a stop was asked for, it has an end, or the board never heard of it."""
    with locked(lock(board)):
        run, reason = _in_log(board, folder), "it was asked to stop while it waited"
        if run is None or run == "stopping":
            _end_waiting(board, folder, Cancelled(reason), "who looked after the queue")
        elif run != "queued":
            folder.leave_queue()  # A power cut brought the note back.
    mend(board, folder)


def _end_waiting(board: Board, folder: RunFolder, ending: Ending, by: str) -> bool:
    try:
        lease_fd = lease.acquire(folder.lease)
    except (BlockingIOError, FileNotFoundError):
        return False
    try:
        spec = folder.spec()
        if spec is None or not folder.waits():
            return False
        note_end(board, folder, spec, ending, by)
    finally:
        os.close(lease_fd)
    return True


def _in_log(board: Board, folder: RunFolder) -> str | None:
    """The state that the log has of the run."""
    spec = folder.spec()
    run = board.store.task(spec.task_id).run(spec.run_id) if spec is not None else None
    return run.state if run is not None else None
