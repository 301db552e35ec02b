"""Every log of a board in one pass: what `doctor`, `rebuild` and the history are made from."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from lattice.core.events import TaskArchived, TaskCreated, TaskUnarchived, evolve
from lattice.core.ids import is_id
from lattice.core.record import Record
from lattice.core.task import Task
from lattice.errors import LatticeError, LogDamaged, StorageError, ValidationError
from lattice.store.files import snapshot
from lattice.store.files.log import Log, read_log

LIFECYCLE = (TaskCreated, TaskArchived, TaskUnarchived)
_TIME = re.compile(rb'"ts":"([0-9TZ:.+-]*)"')
PLACES = (("", False), ("archive", True))


class Stream(Record):
    """One log as it was read. Where it is damaged, `damage` says how, and there is neither log nor task."""

    id: str
    path: Path
    snapshot_path: Path
    archived: bool
    data: bytes = b""
    log: Log | None = None
    task: Task | None = None  # None also where no whole event is in it yet
    damage: LatticeError | None = None

    def fresh(self) -> snapshot.Snapshot | None:
        """What its snapshot has to say."""
        if self.log is None or self.task is None:
            return None
        return snapshot.Snapshot(self.task, self.log.end, self.log.lines[-1].start)

    def lifecycle(self) -> Iterator[tuple[str, bytes]]:
        """The lines, by event id, that `_lifecycle.jsonl` repeats, as they stand in the log."""
        for line in self.log.lines if self.log is not None else ():
            if isinstance(line.event.body, LIFECYCLE):
                stop = self.data.find(b"\n", line.start)
                yield line.event.id, self.data[line.start : stop if stop >= 0 else None] + b"\n"


def places(board: Path) -> list[tuple[str, Path, Path, bool]]:
    """Where every task's log and snapshot are: id, log, snapshot, whether archived; oldest task first."""
    found = []
    for name, archived in PLACES:
        folder = board / name
        for file in _names(folder / "events"):
            stem, _, ending = file.partition(".")
            if ending == "jsonl" and is_id("task", stem):
                found.append((stem, folder / "events" / file, folder / "tasks" / f"{stem}.json", archived))
    return sorted(found)


def streams(board: Path, since: str | None = None) -> Iterator[Stream]:
    """Every log, read and replayed, oldest task first; what is damaged is given as such.

    With `since`, a time as the log writes it, logs without an event from then on are passed over.
    """
    for task_id, path, snapshot_path, archived in places(board):
        stream = read(Stream(task_id, path, snapshot_path, archived), since)
        if stream is not None:
            yield stream


def find(board: Path, task_id: str) -> Stream | None:
    """The log of one task, archived or not, read and replayed; None where there is none."""
    if not is_id("task", task_id):
        return None
    for name, archived in PLACES:
        folder = board / name
        path, snapshot_path = folder / "events" / f"{task_id}.jsonl", folder / "tasks" / f"{task_id}.json"
        found = read(Stream(task_id, path, snapshot_path, archived))
        if found is not None:
            return found
    return None


def read(stream: Stream, since: str | None = None) -> Stream | None:
    """The stream with what its log says; None where the log is gone by now, or is older than `since`."""
    try:
        # Opened as the store opens it: a symbolic link in a board that came by git is not followed.
        descriptor = os.open(stream.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    except OSError as refused:
        return stream.replace(damage=_unreadable(stream.path, refused))
    try:
        with open(descriptor, "rb") as file:
            data = file.read()
    except OSError as refused:
        return stream.replace(damage=_unreadable(stream.path, refused))
    if since is not None and _is_older(data, since.encode()):
        return None
    try:
        log = read_log(data, stream.path, stream.id)
        if log.torn:  # Whether that much was acknowledged, the snapshot knows.
            cached = snapshot.read(stream.snapshot_path)
            log = read_log(data, stream.path, stream.id, acknowledged=cached.log_size if cached else 0)
        return stream.replace(data=data, log=log, task=_replayed(log))
    except (LogDamaged, ValidationError) as damage:
        return stream.replace(data=data, damage=damage)


def _is_older(data: bytes, since: bytes) -> bool:
    # Without decoding. Text that looks like a time can only make a log seem newer, and is then read for nothing.
    times: list[bytes] = _TIME.findall(data)
    return len(times) >= data.count(b"\n") and all(time < since for time in times)


def _replayed(log: Log) -> Task | None:
    task: Task | None = None
    for line in log.lines:
        task = evolve(task, line.event)
    return task


def _unreadable(path: Path, refused: OSError) -> StorageError:
    return StorageError(f"{path.name} cannot be read: {refused.strerror}.", hint=f"ls -l {path}")


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
