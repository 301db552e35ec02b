"""A board's folder, `.lattice/`: the store on files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lattice.core.codec import BadLine, encode, parse
from lattice.core.events import ArtifactAttached, Event, TaskArchived, TaskCreated, TaskUnarchived, evolve
from lattice.core.ids import is_id
from lattice.core.task import Task
from lattice.errors import (
    Archived,
    LatticeError,
    LogDamaged,
    NotFound,
    StorageError,
    ValidationError,
    WriteUncertain,
)
from lattice.store.files import archive, disk, scan, snapshot
from lattice.store.files.locks import locked
from lattice.store.files.log import Log, read_log
from lattice.store.files.numbers import ShortIds
from lattice.store.files.snapshot import Snapshot

if TYPE_CHECKING:  # Only questions about many tasks need them.
    from lattice.core.summary import Words
    from lattice.store.view import View

LIFECYCLE = (TaskCreated, TaskArchived, TaskUnarchived)


class FileStore:
    """Streams as files below a board's folder. Implements `lattice.store.protocol.Store`."""

    def __init__(self, board: Path) -> None:
        self.board = board

    # Reading

    def exists(self, stream: str) -> bool:
        try:
            return bool(self._load(stream)[1].lines)
        except NotFound:
            return False

    def task(self, stream: str) -> Task:
        for home in self._homes():
            cached = snapshot.read(self._snapshot_path(stream, home))
            with contextlib.suppress(FileNotFoundError), self._opened(stream, home) as descriptor:
                return self._state(stream, descriptor, cached).task
        raise self._missing(stream)

    def history(self, stream: str) -> tuple[Task, Sequence[Event]]:
        task, log = self._load(stream)
        return task, log.events

    def tasks(self, *, archived: bool = False) -> Iterator[Task]:
        for stream in self.streams(archived=archived):
            with contextlib.suppress(NotFound):  # It went, or has no whole event yet.
                task = self.task(stream)
                if task.archived == archived:
                    yield task
                elif task.archived:
                    self._put_away(stream)

    def streams(self, *, archived: bool = False) -> list[str]:
        """The ids of all tasks that are not archived, or of all that are, oldest first."""
        home = self.board / archive.FOLDER if archived else self.board
        try:
            names = [name.partition(".") for name in os.listdir(home / "events")]
        except FileNotFoundError:
            return []  # A fresh clone of a board without tasks.
        return sorted(stem for stem, _, ending in names if ending == "jsonl" and is_id("task", stem))

    @contextmanager
    def view(self, *, archived: bool = False, texts: bool = False, settled: bool = False) -> Iterator[View]:
        def scanned() -> View:
            from lattice.store.view import ScannedView  # where the index cannot answer

            tasks = [*self.tasks(), *(self.tasks(archived=True) if archived else ())]
            return ScannedView(tasks, self._words)

        try:
            from lattice.store.files import index  # sqlite3: only questions about many tasks pay for it
        except ImportError:  # this Python was built without it
            yield scanned()
            return
        with index.opened(self, scanned, archived=archived, texts=texts, settled=settled) as view:
            yield view

    def artifact_titles(self, events: Sequence[Event]) -> dict[str, str]:
        """The titles of the artifacts that `events` attach, by id, as far as their descriptions can be read."""
        titles = {}
        for event in events:
            if isinstance(event.body, ArtifactAttached) and is_id("art", event.body.artifact_id):
                with contextlib.suppress(OSError, BadLine):  # The doctor names it; the search does without.
                    data = disk.read(self.board / "artifacts" / "meta" / f"{event.body.artifact_id}.json")
                    title = parse(data).get("title") if data else None
                    if isinstance(title, str):
                        titles[event.body.artifact_id] = title
        return titles

    def _words(self, task: Task) -> Words:
        from lattice.core.summary import words  # a scan for a search pays for it

        _, events = self.history(task.id)
        return words(task, events, self.artifact_titles(events))

    def histories(self, *, since: str | None = None) -> Iterator[tuple[Task, Sequence[Event]]]:
        for stream in scan.streams(self.board, since):
            if stream.damage is not None:
                raise stream.damage
            if stream.task is not None and stream.log is not None:
                yield stream.task, stream.log.events

    def resolve(self, short_id: str) -> str | None:
        return ShortIds(self.board).find(short_id)

    # Writing

    @contextmanager
    def exclusive(self, stream: str, *, create: bool = False, archived: bool = False) -> Iterator[FileTail]:
        path = self._log_path(stream)
        if not create and not path.exists() and not (archived and self._is_put_away(stream)):
            raise self._missing(stream)  # Without a lock file left behind for a task that never was.
        with locked(self._lock_path(stream)):
            brought = archived and self._bring_back(stream)
            tail: FileTail | None = None
            try:
                with self._open_to_write(stream, create=create) as descriptor:
                    tail = FileTail(self, stream, descriptor)
                    if not archived and tail.archived:
                        raise self._archived(stream)
                    yield tail
            finally:
                if brought if tail is None else tail.archived:
                    with contextlib.suppress(OSError):  # Its log says that it is archived; the next listing moves it.
                        archive.put_away(self.board, stream)

    @contextmanager
    def _open_to_write(self, stream: str, *, create: bool) -> Iterator[int]:
        path = self._log_path(stream)
        flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        new = create and not path.exists()
        try:
            if new:
                path.parent.mkdir(mode=0o700, exist_ok=True)  # A fresh clone: git carries no empty folders.
            descriptor = os.open(path, flags | (os.O_CREAT if create else 0), disk.PRIVATE)
        except FileNotFoundError:
            raise self._missing(stream) from None
        except OSError as refused:
            raise _refused(path, refused) from refused
        try:
            yield descriptor
        finally:
            begun = os.fstat(descriptor).st_size > 0
            os.close(descriptor)
            if new and not begun:
                path.unlink()  # The lock keeps others from having begun it.

    @contextmanager
    def numbering(self) -> Iterator[ShortIds]:
        with locked(self.board / "locks" / "ids_json.lock"):
            numbers = ShortIds(self.board)
            yield numbers
            numbers.save()

    # What both need

    def state_under_lock(self, stream: str, descriptor: int) -> tuple[Snapshot | None, Log]:
        """The fresh state, and the log's end, of a stream whose lock is held."""
        cached = snapshot.read(self._snapshot_path(stream))
        size = os.fstat(descriptor).st_size
        if cached is not None and cached.last_line < cached.log_size <= size:
            tail = self._read_tail(stream, descriptor, cached, size)
            if tail is not None:
                return _forward(cached, tail), tail
        log = self._read_whole(stream, descriptor, size, cached)
        fresh = _fold(log)
        if cached is not None and not log.torn:
            # The log was replaced, by git or by hand. The old mark would make a torn tail of this log look
            # like the loss of what was acknowledged in that one.
            self._snapshot_path(stream).unlink(missing_ok=True)
        return fresh, log

    def write_snapshot(self, stream: str, fresh: Snapshot) -> None:
        snapshot.write(self._snapshot_path(stream), fresh)

    def note_lifecycle(self, lines: bytes) -> None:
        """Add to the derived list of what began and was archived; rebuilt from the logs if it fails."""
        path = self.board / "events" / "_lifecycle.jsonl"
        with contextlib.suppress(OSError, LatticeError), locked(self.board / "locks" / "events__lifecycle.lock"):
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, disk.PRIVATE)
            try:
                os.write(descriptor, lines)
            finally:
                os.close(descriptor)

    def set_aside(self, stream: str, descriptor: int, log: Log) -> None:
        """Move a torn tail, which nobody was told of, out of the log."""
        folder = self.board / "events" / "torn"
        folder.mkdir(mode=0o700, exist_ok=True)
        torn = disk.read_from(descriptor, log.end, log.size)
        copies = (folder / f"{stream}.{log.end}.{number}" for number in range(1, 1_000_000))
        disk.write_durably(next(path for path in copies if not path.exists()), torn)
        disk.cut(descriptor, log.end)

    def _load(self, stream: str) -> tuple[Task, Log]:
        for home in self._homes():
            cached = snapshot.read(self._snapshot_path(stream, home))
            with contextlib.suppress(FileNotFoundError), self._opened(stream, home) as descriptor:
                log = self._read_whole(stream, descriptor, os.fstat(descriptor).st_size, cached)
                fresh = _fold(log)
                if fresh is not None:
                    return fresh.task, log
        raise self._missing(stream)

    def _state(self, stream: str, descriptor: int, cached: Snapshot | None) -> Snapshot:
        size = os.fstat(descriptor).st_size
        if cached is not None and cached.last_line < cached.log_size <= size:
            tail = self._read_tail(stream, descriptor, cached, size)
            if tail is not None:
                return _forward(cached, tail)
        fresh = _fold(self._read_whole(stream, descriptor, size, cached))
        if fresh is None:
            raise self._missing(stream)
        return fresh

    def _read_whole(self, stream: str, descriptor: int, size: int, cached: Snapshot | None) -> Log:
        known = cached.log_size if cached is not None else 0
        data = disk.read_from(descriptor, 0, size)
        return read_log(data, self._log_path(stream), stream, acknowledged=known)

    def _read_tail(self, stream: str, descriptor: int, cached: Snapshot, size: int) -> Log | None:
        """What follows the snapshot, its own last line included; None where the log is not its continuation."""
        data = disk.read_from(descriptor, cached.last_line, size)
        try:
            tail = read_log(data, self._log_path(stream), stream, base=cached.last_line, acknowledged=cached.log_size)
        except LogDamaged:
            return None  # Read from the beginning, so that the line is named by its number.
        continues = tail.lines and tail.lines[0].event.id == cached.task.last_event_id and tail.linear
        starts_at_mark = len(tail.lines) < 2 or tail.lines[1].start == cached.log_size
        return tail if continues and starts_at_mark else None

    @contextmanager
    def _opened(self, stream: str, home: Path) -> Iterator[int]:
        path = self._log_path(stream, home)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            raise
        except OSError as refused:
            raise _refused(path, refused) from refused
        try:
            yield descriptor
        except OSError as refused:
            raise _refused(path, refused) from refused
        finally:
            os.close(descriptor)

    def _homes(self) -> tuple[Path, Path, Path]:
        """Where a task's files may be; the board again, for one that is brought back between two looks."""
        return self.board, self.board / archive.FOLDER, self.board

    def _log_path(self, stream: str, home: Path | None = None) -> Path:
        return (home or self.board) / "events" / f"{stream}.jsonl"

    def _snapshot_path(self, stream: str, home: Path | None = None) -> Path:
        return (home or self.board) / "tasks" / f"{stream}.json"

    def _lock_path(self, stream: str) -> Path:
        return self.board / "locks" / f"events_{stream}.lock"

    def _is_put_away(self, stream: str) -> bool:
        return self._log_path(stream, self.board / archive.FOLDER).exists()

    def _bring_back(self, stream: str) -> bool:
        try:
            return archive.bring_back(self.board, stream)
        except OSError as refused:
            raise _refused(self._log_path(stream), refused) from refused

    def _put_away(self, stream: str) -> None:
        """Finish an archiving that was interrupted. Where somebody has the lock, the next listing does."""
        with contextlib.suppress(LatticeError, OSError), locked(self._lock_path(stream), wait_s=0.0):
            if self.task(stream).archived:
                archive.put_away(self.board, stream)

    def _missing(self, stream: str) -> NotFound:
        if self._is_put_away(stream):
            return self._archived(stream)
        return NotFound(f"Task {stream} not found.", hint="See what there is: lattice list")

    def _archived(self, stream: str) -> Archived:
        return Archived(f"Task {stream} is archived.", hint=f"Bring it back first: lattice unarchive {stream}")


class FileTail:
    """The end of one log, under its lock."""

    def __init__(self, store: FileStore, stream: str, descriptor: int) -> None:
        self._store = store
        self._stream = stream
        self._descriptor = descriptor
        try:
            fresh, log = store.state_under_lock(stream, descriptor)
            if log.torn:
                store.set_aside(stream, descriptor, log)
        except OSError as refused:
            raise _refused(store._log_path(stream), refused) from refused
        self._size = log.end
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
        path = self._store._log_path(self._stream)
        try:
            disk.append(self._descriptor, data, self._size)
            if self.task is None:
                disk.sync_folder(path.parent)
        except OSError as refused:
            raise self._after_failure(refused, events) from refused
        self._size += len(data)
        self._completes = False
        self._store.write_snapshot(self._stream, Snapshot(task, self._size, self._size - len(lines[-1])))
        noted = b"".join(line for line, event in zip(lines, events, strict=True) if isinstance(event.body, LIFECYCLE))
        if noted:
            self._store.note_lifecycle(noted)
        self.task = task

    def _after_failure(self, refused: OSError, events: Sequence[Event]) -> LatticeError:
        # What the log says now decides what the caller is told: a failed sync proves nothing by itself.
        path = self._store._log_path(self._stream)
        try:
            size = os.fstat(self._descriptor).st_size
            data = disk.read_from(self._descriptor, 0, size)
        except OSError:
            size, data = self._size + 1, b""
        if size <= self._size:
            return _refused(path, refused)
        gone = data and not any(event.id.encode() in data for event in events)
        if gone:
            return _refused(path, refused)
        return WriteUncertain(
            f"The disk failed while {path.name} was written ({refused.strerror}); the event may be kept or lost.",
            hint="Look whether it is there before you repeat it: lattice show TASK",
            event_ids=[event.id for event in events],
        )


def _forward(cached: Snapshot, tail: Log) -> Snapshot:
    task = cached.task
    for line in tail.lines[1:]:
        task = _evolved(task, line.event)
    return Snapshot(task, tail.end, tail.lines[-1].start)


def _fold(log: Log) -> Snapshot | None:
    task: Task | None = None
    for line in log.lines:
        task = _evolved(task, line.event)
    return Snapshot(task, log.end, log.lines[-1].start) if task is not None else None


def _evolved(task: Task | None, event: Event) -> Task:
    try:
        return evolve(task, event)
    except ValidationError as impossible:
        raise LogDamaged(
            f"The log of {event.task_id} cannot be replayed: {impossible.message}",
            hint="Restore the file from a backup or from git: git log -- .lattice/events/",
        ) from impossible


def _refused(path: Path, refused: OSError) -> StorageError:
    return StorageError(
        f"The disk refused {path.name}: {refused.strerror}. Nothing was recorded.",
        hint="See that there is room and that the board can be written: df -h, ls -ld .lattice",
    )
