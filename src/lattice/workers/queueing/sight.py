"""What the runs of a board do now, as the queue sees them; and what of that need not be read twice.

A look asks the kernel of every open run whether somebody supervises it, each time. What a run was asked for never
changes, and its task has not while its log stands as it stood: who looks again and again, as the guards of a
chain do, keeps both. A look at 100 runs that wait then takes 3 ms, and not 30.
"""

from __future__ import annotations

import os

from lattice.commands.board import Board
from lattice.core.codec import BadLine, parse
from lattice.core.record import Record
from lattice.core.summary import rank
from lattice.core.task import Task
from lattice.errors import NotFound
from lattice.store.files import disk
from lattice.workers import lease
from lattice.workers.queueing.turns import Waiting, in_order
from lattice.workers.runs import RunFolder, host_name, open_runs
from lattice.workers.spec import RunSpec


class Seen(Record):
    """What the runs that are not closed do now."""

    running: tuple[RunSpec, ...]
    waiting: tuple[Waiting, ...]  # in their order
    over: tuple[RunFolder, ...]  # in the queue, though the log has it that they wait no more


class _Read(Record):
    """A run that waits, as it was read. `stamp` tells whether its task's log still stands as it did."""

    spec: RunSpec
    due_ms: int
    stamp: tuple[int, int, int] | None = None
    waiting: Waiting | None = None  # None: by the log it waits no more


class Memory:
    """What was read of the runs that are open, by whoever looks more than once."""

    def __init__(self) -> None:
        self._read: dict[str, _Read] = {}

    def look(self, board: Board) -> Seen:
        """The open runs of this board. A run counts as running from its lease on until nobody finishes it any more."""
        here = host_name(board.folder)
        running, waiting, over = [], [], []
        folders = open_runs(board.folder)
        self._forget_all_but(folders)
        for folder in folders:
            waits = folder.waits()
            busy = folder.alive() or (not waits and lease.held(folder.mend))
            if not (waits or busy):
                continue
            spec = self.spec_of(folder)
            if spec is None or spec.host != here:
                continue
            if busy:
                running.append(spec)
                continue
            try:
                run = self._waiting(board, folder)
            except NotFound:
                continue  # It went with a branch: there is nobody to tell, and its run waits for its return.
            if run is None:
                over.append(folder)
            else:
                waiting.append(run)
        return Seen(tuple(running), tuple(in_order(waiting)), tuple(over))

    def due_times(self, board: Board) -> list[int]:
        """Of each run that waits, the time before which it does not start."""
        folders = [folder for folder in open_runs(board.folder) if folder.waits()]
        return [self._read[folder.run_id].due_ms for folder in folders if self.spec_of(folder) is not None]

    def spec_of(self, folder: RunFolder) -> RunSpec | None:
        """What the run was asked for; None where that cannot be read."""
        if folder.run_id not in self._read:
            spec = folder.spec()
            if spec is None:
                return None
            self._read[folder.run_id] = _Read(spec, due_ms(folder))
        return self._read[folder.run_id].spec

    def note(self, spec: RunSpec) -> None:
        """Take it that the run is asked for this now."""
        if spec.run_id in self._read:
            self._read[spec.run_id] = self._read[spec.run_id].replace(spec=spec)

    def _waiting(self, board: Board, folder: RunFolder) -> Waiting | None:
        read = self._read[folder.run_id]
        stamp = _stamp(board.path("events", f"{read.spec.task_id}.jsonl"))
        if stamp is None or stamp != read.stamp:
            task = board.store.task(read.spec.task_id)
            run = task.run(read.spec.run_id)
            waits = run is not None and run.state == "queued"
            read = read.replace(stamp=stamp, waiting=waiting_of(read.spec, task, read.due_ms) if waits else None)
            self._read[folder.run_id] = read
        return read.waiting

    def _forget_all_but(self, folders: list[RunFolder]) -> None:
        self._read = {folder.run_id: self._read[folder.run_id] for folder in folders if folder.run_id in self._read}


def waiting_of(spec: RunSpec, task: Task, due_ms: int) -> Waiting:
    """The run as the queue takes it."""
    place = rank(task.priority, task.urgency)
    return Waiting(spec.run_id, spec.process_type, spec.engine, spec.max_parallel, place, due_ms)


def due_ms(folder: RunFolder) -> int:
    """The time before which the run does not start, as its note in the queue says."""
    try:
        due = parse(disk.read(folder.queued) or b"").get("due_ms")
    except BadLine:
        return 0
    return due if isinstance(due, int) else 0


def _stamp(path: str) -> tuple[int, int, int] | None:
    """What changes with every event. A log only grows; git puts another in its place. None: it cannot be told."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_ino
