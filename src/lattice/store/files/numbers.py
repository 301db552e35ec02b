"""Short ids on disk: `ids.json`, a cache of what the events say.

It is fresh while its mark still stands: the change times and sizes of the two folders of logs (a log that
git brought or took away changes its folder), and sums of what it holds. Otherwise the logs it does not know
are read, and no others; what is off is not believed at all. How it is written, and what of it a lookup
and a new entry read, is in `ids_file`: neither grows with the board.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Set
from contextlib import suppress

from lattice.core.codec import BadLine, decode, parse
from lattice.core.events import Event, ShortIdAssigned, TaskCreated
from lattice.core.ids import is_id, parse_short_id
from lattice.errors import LatticeError
from lattice.store.files import disk, ids_file
from lattice.store.files.disk import StrPath
from lattice.store.files.locks import locked
from lattice.store.files.log import tasks_in

_NUMBER_MAX = 999_999_999  # as many digits as a short id may have

_SETTLED_NS = 20_000_000
"""A folder that changed longer ago than this cannot change again at the same time: no kernel's tick is as long."""


def resolve(board: StrPath, short_id: str) -> str | None:
    """The task of a short id, without waiting for a lock.

    Where the cache is stale or off, what it lacks is read from the logs, and kept for the next reader if
    nobody holds the lock and the board can be written.
    """
    with suppress(_Stale, ids_file.Off, OSError):  # Each is answered below, from the logs.
        return _looked_up(board, short_id)
    try:
        with locked(lock_path(board), wait_s=0.0):
            numbers = ShortIds(board)
            found = numbers.find(short_id)
            if numbers.settled():
                numbers.save()
            return found
    except (LatticeError, OSError):
        return ShortIds(board).find(short_id)


def lock_path(board: StrPath) -> str:
    """The lock of the numbers: also that under which a task begins."""
    return os.path.join(board, "locks", "ids_json.lock")


class _Stale(Exception):
    """The folders of logs changed, or the file has no whole ending."""


def _looked_up(board: StrPath, short_id: str) -> str | None:
    descriptor = ids_file.opened(os.path.join(board, "ids.json"))
    if descriptor is None:
        raise _Stale
    try:
        known = ids_file.ending(descriptor)
        # The folders after the file: what it says was right at the time of this look.
        if known is None or known.times != _folder_times(board):
            raise _Stale
        return ids_file.find(descriptor, known, short_id)
    finally:
        os.close(descriptor)


class ShortIds:
    """The map from short ids to tasks, and the next number of each prefix. Saved only under the lock.

    It reads no more than the file's tail until somebody asks for what only the whole map tells.
    """

    def __init__(self, board: StrPath) -> None:
        self._board = board
        self._file = os.path.join(board, "ids.json")
        self._known: ids_file.Ending | None = None
        self._next: dict[str, int] = {}
        self._mark: str | None = None
        self._tasks: dict[str, str] | None = None  # all of them, once they were needed
        self._given: set[str] = set()  # by `next`: nobody has them
        self._added: dict[str, str] = {}  # to what the file has
        self._changed = False
        self._read()

    def find(self, short_id: str) -> str | None:
        """The task of this short id; what is stale is brought up to date in memory."""
        self.refresh()
        return self._whole().get(short_id)

    def next(self, prefix: str) -> str:
        """The next free short id. The number is not given out again, even if the caller fails."""
        self.refresh()
        number = self._next.get(prefix, 1)
        self._next[prefix] = number + 1
        self._changed = True
        short_id = f"{prefix}-{number}"
        self._given.add(short_id)
        return short_id

    def assign(self, short_id: str, task_id: str) -> None:
        """Note that a short id is taken, and that the folders changed by no more than its log."""
        if self._tasks is None and short_id in self._given:
            self._added[short_id] = task_id
        else:
            self._note(self._whole(), short_id, task_id)
        self._given.discard(short_id)
        self._mark = self._distinct_mark()
        self._changed = True

    def rebuild(self, entries: Iterable[tuple[str, str]], streams: Set[str]) -> None:
        """Take the short ids, each with its task, that one pass over all logs found; `streams` are those it read.

        A number that was given out is not given out again. Where nothing changes, the file's bytes do not,
        unless they are not in the canonical form.
        """
        before = (self._stored(), dict(self._next), self._mark)
        self._tasks = {}
        for short_id, task_id in entries:
            self._note(self._tasks, short_id, task_id)
        if (self._tasks, self._next, _folder_times(self._board)) != before:
            self._mark = self._distinct_mark()
        if {task_id for task_id, _ in self._logs()} != streams:
            self._mark = None  # git brought or took away a log meanwhile: the next look reads it
        self._changed = True

    def of(self, task_id: str) -> list[str]:
        """The short ids that are known of a task."""
        return [short_id for short_id, holder in self._stored().items() if holder == task_id]

    def save(self) -> None:
        """Write what changed, unsynced; a disk that refuses leaves the old file, whose mark is stale."""
        if not self._changed:
            return
        known = self._known if self._tasks is None else None
        if known is not None and ids_file.extend(self._file, known, self._added, self._next, self._mark):
            return
        data = ids_file.whole(self._whole(), self._next, self._mark)
        try:
            if disk.read(self._file) != data:
                disk.replace(self._file, data)
        except OSError:
            return

    def settled(self) -> bool:
        """Whether a log that appears from now on changes the times of its folder."""
        now_ns = time.time_ns()
        return all(abs(now_ns - _changed_at(folder)) > _SETTLED_NS for folder in _folders(self._board))

    def refresh(self) -> bool:
        """Read the logs that are not known yet, if the folders changed. Whether anything was read."""
        mark = _folder_times(self._board)
        if mark == self._mark:
            return False
        present = dict(self._logs())
        tasks = {short: task for short, task in self._stored().items() if task in present}
        known = set(tasks.values())
        for task_id in sorted(present.keys() - known):
            for short_id in _short_ids_in(present[task_id]):
                self._note(tasks, short_id, task_id)
        self._tasks, self._mark, self._changed = tasks, mark, True
        return True

    def _whole(self) -> dict[str, str]:
        """The map; from the logs where the file's is off."""
        tasks = self._stored()
        if self._mark is None:
            self.refresh()
        return tasks if self._tasks is None else self._tasks

    def _stored(self) -> dict[str, str]:
        """The map as the file has it, with what was added; of a file that is off, nothing is believed."""
        if self._tasks is None:
            try:
                self._tasks = self._entries() | self._added
            except (ids_file.Off, OSError):
                self._tasks, self._mark = {}, None
        return self._tasks

    def _entries(self) -> dict[str, str]:
        descriptor = ids_file.opened(self._file) if self._known is not None else None
        if descriptor is None or self._known is None:
            raise ids_file.Off
        try:
            return ids_file.entries(descriptor, self._known)
        finally:
            os.close(descriptor)

    def _note(self, tasks: dict[str, str], short_id: str, task_id: str) -> None:
        holder = tasks.get(short_id)
        if holder is None or task_id < holder:
            tasks[short_id] = task_id  # Two branches gave it out: the older task keeps the name.
        prefix, _, number = short_id.rpartition("-")
        self._next[prefix] = max(self._next.get(prefix, 1), int(number) + 1)

    def _read(self) -> None:
        descriptor = ids_file.opened(self._file)
        if descriptor is None:
            return
        try:
            self._known = ids_file.ending(descriptor)
            if self._known is None:
                self._next = _numbers_given_out(disk.read_from(descriptor, 0, os.fstat(descriptor).st_size))
            else:
                self._next, self._mark = dict(self._known.next_seqs), self._known.times
        except OSError:
            return
        finally:
            os.close(descriptor)

    def _distinct_mark(self) -> str | None:
        # The kernel's time for a folder stands still for some milliseconds. A log that is begun within
        # them, by somebody who is killed before noting it, would leave the mark as it is: so the time
        # is set to the nanosecond, which nobody's will be again.
        try:
            now_ns = time.time_ns()
            os.utime(_folders(self._board)[0], ns=(now_ns, now_ns))
        except OSError:
            return None  # somebody else's folder: each look reads what is new
        return _folder_times(self._board)

    def _logs(self) -> Iterator[tuple[str, str]]:
        for folder in _folders(self._board):
            for task_id in tasks_in(folder):
                yield task_id, f"{folder}/{task_id}.jsonl"


def _folders(board: StrPath) -> tuple[str, str]:
    return os.path.join(board, "events"), os.path.join(board, "archive", "events")


def _folder_times(board: StrPath) -> str:
    return ":".join([_look_of(folder) for folder in _folders(board)])


def _look_of(folder: str) -> str:
    """Its change time and its size: after a power cut btrfs may have a synced log in it, and the time from before."""
    try:
        found = os.stat(folder)
    except FileNotFoundError:
        return "0"
    return f"{found.st_mtime_ns}.{found.st_size}"


def _numbers_given_out(data: bytes) -> dict[str, int]:
    # Its map is read from the logs again, which forget the numbers of deleted tasks.
    try:
        numbers = parse(data).get("next_seqs")
    except BadLine:
        return _numbers_in(data)
    given = numbers.items() if isinstance(numbers, dict) else ()
    return {prefix: number for prefix, number in given if isinstance(number, int) and 0 < number <= _NUMBER_MAX}


def _numbers_in(torn: bytes) -> dict[str, int]:
    # A write that was torn left its entries or those before: too high a number does no harm, one given twice does.
    numbers: dict[str, int] = {}
    for line in torn.split(b"\n"):
        key, _, value = line.decode("ascii", "replace").strip(' ,"').partition('": "')
        short_id = parse_short_id(key) if is_id("task", value) else None
        if short_id is not None:
            prefix, _, number = short_id.rpartition("-")
            numbers[prefix] = max(numbers.get(prefix, 1), int(number) + 1)
    return numbers


def _changed_at(folder: str) -> int:
    try:
        return os.stat(folder).st_mtime_ns
    except FileNotFoundError:
        return 0


def short_ids_of(events: Iterable[Event]) -> Iterator[str]:
    """The short ids that events give to their task, in canonical form; what is none is passed over."""
    for event in events:
        short_id = event.body.short_id if isinstance(event.body, (TaskCreated, ShortIdAssigned)) else None
        if short_id and parse_short_id(short_id) == short_id:
            yield short_id


def _short_ids_in(log: str) -> Iterator[str]:
    # Damage is named by whoever reads the task itself; here an unreadable line names no short id.
    for line in (disk.read(log) or b"").split(b"\n"):
        if b'"task_created"' not in line and b'"task_short_id_assigned"' not in line:
            continue
        try:
            yield from short_ids_of([decode(line)])
        except BadLine:
            continue
