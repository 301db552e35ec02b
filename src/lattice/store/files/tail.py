"""The end of one task's log, held for writing."""

from __future__ import annotations

import os
import zlib
from collections.abc import Sequence

from lattice.core.codec import encode
from lattice.core.events import Event, TaskArchived, TaskCreated, TaskUnarchived
from lattice.core.task import Task
from lattice.errors import LatticeError, StorageError, WriteUncertain
from lattice.store.files import changes, disk
from lattice.store.files.snapshot import Snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lattice.store.files.board import FileStore

LIFECYCLE = (TaskCreated, TaskArchived, TaskUnarchived)
"""The events that `_lifecycle.jsonl` repeats."""


class FileTail:
    """The end of one log, under its lock."""

    def __init__(self, store: FileStore, stream: str, descriptor: int) -> None:
        self._store = store
        self._stream = stream
        self._descriptor = descriptor
        self._path = store.log_path(stream)
        try:
            fresh, log = store.state_under_lock(stream, descriptor)
            if log.torn:
                store.set_aside(stream, descriptor, log)
        except OSError as refused:
            raise storage_error(self._path, refused) from refused
        self._size = log.end
        self._crc = fresh.log_crc if fresh is not None else 0
        self._completes = log.completes
        self.task = fresh.task if fresh is not None else None

    @property
    def last_event_id(self) -> str | None:
        return self.task.last_event_id if self.task is not None else None

    @property
    def archived(self) -> bool:
        """Whether the task's events leave it archived."""
        return self.task is not None and self.task.archived

    def events(self) -> Sequence[Event]:
        return self._store.history(self._stream)[1] if self.task is not None else ()

    def find(self, event_id: str) -> Event | None:
        return next((event for event in self.events() if event.id == event_id), None)

    def append(self, events: Sequence[Event], task: Task) -> None:
        lines = [encode(event) for event in events]
        data = (b"\n" if self._completes else b"") + b"".join(lines)
        with changes.announced(self._store.root, self._stream):
            try:
                disk.append(self._descriptor, data, self._size)
                if self.task is None:
                    disk.sync_folder(os.path.dirname(self._path))
            except OSError as refused:
                raise self._after_failure(refused, events) from refused
            self._size += len(data)
            self._completes = False
            self._crc = zlib.crc32(data, self._crc)
            fresh = Snapshot(task, self._size, self._size - len(lines[-1]), self._crc)
            self._store.write_snapshot(self._stream, fresh)
        noted = b"".join(line for line, event in zip(lines, events, strict=True) if isinstance(event.body, LIFECYCLE))
        if noted:
            self._store.note_lifecycle(noted)
        self.task = task

    def _after_failure(self, refused: OSError, events: Sequence[Event]) -> LatticeError:
        # What the log says now decides what the caller is told: a failed sync proves nothing by itself.
        try:
            size = os.fstat(self._descriptor).st_size
            data = disk.read_from(self._descriptor, 0, size)
        except OSError:
            size, data = self._size + 1, b""
        if size <= self._size:
            return storage_error(self._path, refused)
        gone = data and not any(event.id.encode() in data for event in events)
        if gone:
            return storage_error(self._path, refused)
        name = os.path.basename(self._path)
        return WriteUncertain(
            f"The disk failed while {name} was written ({refused.strerror}); the event may be kept or lost.",
            hint="Look whether it is there before you repeat it: lattice show TASK",
            event_ids=[event.id for event in events],
        )


def storage_error(path: str, refused: OSError) -> StorageError:
    """What a caller is told where the disk refused and nothing was kept."""
    return StorageError(
        f"The disk refused {os.path.basename(path)}: {refused.strerror}. Nothing was recorded.",
        hint="See that there is room and that the board can be written: df -h, ls -ld .lattice",
    )
