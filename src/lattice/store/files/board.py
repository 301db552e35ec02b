"""A board's folder, `.lattice/`: the store on files."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from lattice.core.codec import BadLine, parse
from lattice.core.events import ArtifactAttached, Event, evolve
from lattice.core.ids import is_id
from lattice.core.task import Task
from lattice.errors import Archived, LatticeError, LogDamaged, NotFound, StorageError, ValidationError
from lattice.store.files import archive, changes, disk, numbers, snapshot
from lattice.store.files.locks import locked
from lattice.store.files.log import Log, read_log, tasks_in, unreadable
from lattice.store.files.snapshot import Snapshot
from lattice.store.files.tail import FileTail, storage_error

TYPE_CHECKING = False
if TYPE_CHECKING:  # Only questions about many tasks need them.
    from lattice.core.progress import Progress
    from lattice.core.summary import Words
    from lattice.store.protocol import Unread
    from lattice.store.view import View

ARCHIVE = "archive/"
_HOMES = ("", ARCHIVE, "")
"""Where a task's files may be; the board again, for one that is brought back between two looks."""


class FileStore:
    """Streams as files below a board's folder. Implements `lattice.store.protocol.Store`."""

    def __init__(self, board: disk.StrPath) -> None:
        self.root = os.fspath(board)

    # Reading

    def exists(self, stream: str) -> bool:
        try:
            return bool(self._load(stream)[1].events)
        except NotFound:
            return False

    def task(self, stream: str) -> Task:
        for home in _HOMES:
            cached = snapshot.read(self.snapshot_path(stream, home))
            with contextlib.suppress(FileNotFoundError), self._opened(stream, home) as descriptor:
                return self._state(stream, descriptor, cached).task
        raise self._missing(stream)

    def kept(self, stream: str, *, archived: bool) -> bytes | None:
        """The snapshot's text, where it is what the whole log says; None where that has to be asked."""
        home = ARCHIVE if archived else ""
        text = snapshot.read_text(self.snapshot_path(stream, home))
        if text is None:
            return None
        try:
            data = disk.read(self.log_path(stream, home), follow=False)
        except OSError:
            return None  # Who reads the log names what is off.
        return text.data if data is not None and text.is_of(data) else None

    def history(self, stream: str) -> tuple[Task, Sequence[Event]]:
        task, log = self._load(stream)
        return task, log.events

    def tasks(self, *, archived: bool = False, unread: Unread | None = None) -> Iterator[Task]:
        for stream in self.streams(archived=archived):
            try:
                task = self.task(stream)
            except NotFound:
                continue  # It went, or has no whole event yet.
            except (LogDamaged, StorageError) as damage:
                if unread is None:
                    raise
                unread[stream] = damage
                continue
            if task.archived == archived:
                yield task
            elif task.archived:
                self._put_away(stream)

    def streams(self, *, archived: bool = False) -> list[str]:
        """The ids of all tasks that are not archived, or of all that are, oldest first."""
        home = ARCHIVE if archived else ""
        return sorted(tasks_in(f"{self.root}/{home}events"))

    @contextmanager
    def view(self, *, archived: bool = False, texts: bool = False, unread: Unread | None = None) -> Iterator[View]:
        def scanned() -> View:
            from lattice.store.view import ScannedView  # where the index cannot answer

            away = self.tasks(archived=True, unread=unread) if archived else ()
            tasks = [*self.tasks(unread=unread), *away]
            return ScannedView(tasks, lambda task: self._words(task, unread))

        try:
            from lattice.store.files import index  # sqlite3: only questions about many tasks pay for it
        except ImportError:  # this Python was built without it
            yield scanned()
            return
        with index.opened(self, scanned, archived=archived, texts=texts, unread=unread) as view:
            yield view

    def artifact_titles(self, events: Sequence[Event]) -> dict[str, str]:
        """The titles of the artifacts that `events` attach, by id, as far as their descriptions can be read."""
        titles = {}
        for event in events:
            if isinstance(event.body, ArtifactAttached) and is_id("art", event.body.artifact_id):
                with contextlib.suppress(OSError, BadLine):  # The doctor names it; the search does without.
                    data = disk.read(f"{self.root}/artifacts/meta/{event.body.artifact_id}.json")
                    title = parse(data).get("title") if data else None
                    if isinstance(title, str):
                        titles[event.body.artifact_id] = title
        return titles

    def _words(self, task: Task, unread: Unread | None) -> Words:
        from lattice.core.summary import NO_WORDS, words  # a scan for a search pays for it

        try:
            _, events = self.history(task.id)
        except (LogDamaged, StorageError) as damage:  # in what its snapshot stood for
            if unread is None:
                raise
            unread[task.id] = damage
            return NO_WORDS
        return words(task, events, self.artifact_titles(events))

    def histories(
        self,
        *,
        since: str | None = None,
        having: str | None = None,
        progress: Progress | None = None,
        unread: Unread | None = None,
    ) -> Iterator[tuple[Task, Sequence[Event]]]:
        from pathlib import Path

        from lattice.core.progress import told  # the history of the whole board pays for these
        from lattice.store.files import scan

        for stream in scan.read_all(told(scan.places(Path(self.root)), progress), since, having):
            if stream.damage is not None:
                if unread is None:
                    raise stream.damage
                unread[stream.id] = stream.damage
            if stream.task is not None and stream.log is not None:
                yield stream.task, stream.log.events

    def resolve(self, short_id: str) -> str | None:
        return numbers.resolve(self.root, short_id)

    def short_id(self, stream: str) -> str | None:
        with contextlib.suppress(OSError):  # The name is for people alone: the id is one, too.
            return next(iter(numbers.ShortIds(self.root).of(stream)), None)
        return None

    # Writing

    @contextmanager
    def exclusive(self, stream: str, *, create: bool = False, archived: bool = False) -> Iterator[FileTail]:
        if not create and not os.path.exists(self.log_path(stream)) and not (archived and self._is_put_away(stream)):
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
                        archive.put_away(self.root, stream)

    @contextmanager
    def _open_to_write(self, stream: str, *, create: bool) -> Iterator[int]:
        path = self.log_path(stream)
        flags = os.O_RDWR | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
        new = create and not os.path.exists(path)
        try:
            if new:
                os.makedirs(
                    f"{self.root}/events", mode=0o700, exist_ok=True
                )  # A fresh clone: git carries no empty folders.
            descriptor = os.open(path, flags | (os.O_CREAT if create else 0), disk.PRIVATE)
        except FileNotFoundError:
            raise self._missing(stream) from None
        except OSError as refused:
            raise storage_error(path, refused) from refused
        try:
            yield descriptor
        finally:
            unused = new and os.fstat(descriptor).st_size == 0
            os.close(descriptor)
            if unused:
                os.unlink(path)  # The lock keeps others from having begun it.

    @contextmanager
    def numbering(self) -> Iterator[numbers.ShortIds]:
        with locked(numbers.lock_path(self.root)):
            before_ns = changes.folder_time(self.root)
            short_ids = numbers.ShortIds(self.root)
            yield short_ids
            short_ids.save()
            changes.announce_folder(self.root, before_ns)

    # What both need

    def state_under_lock(self, stream: str, descriptor: int) -> tuple[Snapshot | None, Log]:
        """The fresh state, and the log's end, of a stream whose lock is held."""
        cached = snapshot.read(self.snapshot_path(stream))
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
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.snapshot_path(stream))
        return fresh, log

    def write_snapshot(self, stream: str, fresh: Snapshot) -> None:
        snapshot.write(self.snapshot_path(stream), fresh)

    def note_lifecycle(self, lines: bytes) -> None:
        """Add to the derived list of what began and was archived; rebuilt from the logs if it fails.

        Where there is none, as in a clone, none is begun: half a list would say less than no list.
        """
        path = f"{self.root}/events/_lifecycle.jsonl"
        with contextlib.suppress(OSError, LatticeError), locked(f"{self.root}/locks/events__lifecycle.lock"):
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            try:
                os.write(descriptor, lines)
            finally:
                os.close(descriptor)

    def set_aside(self, stream: str, descriptor: int, log: Log) -> None:
        """Move a torn tail, which nobody was told of, out of the log."""
        folder = f"{self.root}/events/torn"
        os.makedirs(folder, mode=0o700, exist_ok=True)
        torn = disk.read_from(descriptor, log.end, log.size)
        copies = (f"{folder}/{stream}.{log.end}.{number}" for number in range(1, 1_000_000))
        disk.write_durably(next(path for path in copies if not os.path.exists(path)), torn)
        disk.cut(descriptor, log.end)

    def _load(self, stream: str) -> tuple[Task, Log]:
        for home in _HOMES:
            cached = snapshot.read(self.snapshot_path(stream, home))
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
        return read_log(data, self.log_path(stream), stream, acknowledged=known)

    def _read_tail(self, stream: str, descriptor: int, cached: Snapshot, size: int) -> Log | None:
        """What follows the snapshot, its own last line included; None where the log is not its continuation."""
        data = disk.read_from(descriptor, cached.last_line, size)
        try:
            tail = read_log(data, self.log_path(stream), stream, base=cached.last_line, acknowledged=cached.log_size)
        except LogDamaged:
            return None  # Read from the beginning, so that the line is named by its number.
        continues = tail.events and tail.events[0].id == cached.task.last_event_id and tail.linear
        starts_at_mark = len(tail.starts) < 2 or tail.starts[1] == cached.log_size
        return tail if continues and starts_at_mark else None

    @contextmanager
    def _opened(self, stream: str, home: str) -> Iterator[int]:
        path = self.log_path(stream, home)
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            raise
        except OSError as refused:
            raise unreadable(path, refused) from refused
        try:
            yield descriptor
        except OSError as refused:
            raise unreadable(path, refused) from refused
        finally:
            os.close(descriptor)

    def log_path(self, stream: str, home: str = "") -> str:
        """Where the log of a task is; `home` is "" or `ARCHIVE`."""
        return f"{self.root}/{home}events/{stream}.jsonl"

    def snapshot_path(self, stream: str, home: str = "") -> str:
        """Where its snapshot is."""
        return f"{self.root}/{home}tasks/{stream}.json"

    def _lock_path(self, stream: str) -> str:
        return f"{self.root}/locks/events_{stream}.lock"

    def _is_put_away(self, stream: str) -> bool:
        return os.path.exists(self.log_path(stream, ARCHIVE))

    def _bring_back(self, stream: str) -> bool:
        try:
            return archive.bring_back(self.root, stream)
        except OSError as refused:
            raise storage_error(self.log_path(stream), refused) from refused

    def _put_away(self, stream: str) -> None:
        """Finish an archiving that was interrupted. Where somebody has the lock, the next listing does."""
        with contextlib.suppress(LatticeError, OSError), locked(self._lock_path(stream), wait_s=0.0):
            if self.task(stream).archived:
                archive.put_away(self.root, stream)

    def _missing(self, stream: str) -> NotFound:
        if self._is_put_away(stream):
            return self._archived(stream)
        return NotFound(f"Task {stream} not found.", hint="See what there is: lattice list")

    def _archived(self, stream: str) -> Archived:
        return Archived(f"Task {stream} is archived.", hint=f"Bring it back first: lattice unarchive {stream}")


def _forward(cached: Snapshot, tail: Log) -> Snapshot:
    task = cached.task
    for event in tail.events[1:]:
        task = _evolved(task, event)
    return Snapshot(task, tail.end, tail.starts[-1], tail.crc(cached.log_size, cached.log_crc))


def _fold(log: Log) -> Snapshot | None:
    task: Task | None = None
    for event in log.events:
        task = _evolved(task, event)
    return Snapshot(task, log.end, log.starts[-1], log.crc()) if task is not None else None


def _evolved(task: Task | None, event: Event) -> Task:
    try:
        return evolve(task, event)
    except ValidationError as impossible:
        raise LogDamaged(
            f"The log of {event.task_id} cannot be replayed: {impossible.message}",
            hint="Restore the file from a backup or from git: git log -- .lattice/events/",
        ) from impossible
