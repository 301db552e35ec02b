"""Short ids on disk: `ids.json`, a cache of what the events say.

It is fresh while its mark still stands: the change times of the two folders of logs (a log that git
brought or took away changes its folder), and the CRC-32 of the file itself without the mark.
Otherwise the logs it does not know are read, and no others; a file that is off is not believed at all.
"""

from __future__ import annotations

import json
import os
import re
import time
import zlib
from collections.abc import Iterable, Iterator, Set
from pathlib import Path

from lattice.core.codec import BadLine, decode, parse
from lattice.core.events import Event, ShortIdAssigned, TaskCreated
from lattice.core.ids import is_id, parse_short_id
from lattice.store.files import disk

_MARK = re.compile(rb'\n  "mark": "([0-9]{1,20}:[0-9]{1,20}):([0-9a-f]{8})",')

_NUMBER_MAX = 999_999_999  # as many digits as a short id may have


class ShortIds:
    """The map from short ids to tasks, and the next number of each prefix."""

    def __init__(self, board: Path) -> None:
        self._file = board / "ids.json"
        self._folders = (board / "events", board / "archive" / "events")
        self._tasks: dict[str, str] = {}
        self._next: dict[str, int] = {}
        self._mark: str | None = None
        self._read()

    def find(self, short_id: str) -> str | None:
        """The task of this short id; what is stale is brought up to date in memory."""
        self.refresh()
        return self._tasks.get(short_id)

    def next(self, prefix: str) -> str:
        """The next free short id. The number is not given out again, even if the caller fails."""
        self.refresh()
        number = self._next.get(prefix, 1)
        self._next[prefix] = number + 1
        return f"{prefix}-{number}"

    def assign(self, short_id: str, task_id: str) -> None:
        """Note that a short id is taken, and that the folders changed by no more than its log."""
        self._note(short_id, task_id)
        self._mark = self._distinct_mark()

    def rebuild(self, entries: Iterable[tuple[str, str]], streams: Set[str]) -> None:
        """Take the short ids, each with its task, that one pass over all logs found; `streams` are those it read.

        A number that was given out is not given out again. Where nothing changes, the file's bytes do not.
        """
        before = (self._tasks, dict(self._next), self._mark)
        self._tasks = {}
        for short_id, task_id in entries:
            self._note(short_id, task_id)
        if (self._tasks, self._next, self._folders_mark()) != before:
            self._mark = self._distinct_mark()
        if {task_id for task_id, _ in self._logs()} != streams:
            self._mark = None  # git brought or took away a log meanwhile: the next look reads it

    def of(self, task_id: str) -> list[str]:
        """The short ids that are known of a task."""
        return [short_id for short_id, holder in self._tasks.items() if holder == task_id]

    def save(self) -> None:
        """Write the cache, unsynced; a disk that refuses leaves the old one, whose mark is stale."""
        shape = {"schema_version": 2, "next_seqs": self._next, "map": self._tasks}
        data = _dump(shape)
        if self._mark is not None:
            data = _dump(shape | {"mark": f"{self._mark}:{zlib.crc32(data):08x}"})
        try:
            disk.replace(self._file, data)
        except OSError:
            return

    def refresh(self) -> bool:
        """Read the logs that are not known yet, if the folders changed. Whether anything was read."""
        mark = self._folders_mark()
        if mark == self._mark:
            return False
        present = dict(self._logs())
        self._tasks = {short: task for short, task in self._tasks.items() if task in present}
        known = set(self._tasks.values())
        for task_id in sorted(present.keys() - known):
            for short_id in _short_ids_in(present[task_id]):
                self._note(short_id, task_id)
        self._mark = mark
        return True

    def _note(self, short_id: str, task_id: str) -> None:
        holder = self._tasks.get(short_id)
        if holder is None or task_id < holder:
            self._tasks[short_id] = task_id  # Two branches gave it out: the older task keeps the name.
        prefix, _, number = short_id.rpartition("-")
        self._next[prefix] = max(self._next.get(prefix, 1), int(number) + 1)

    def _read(self) -> None:
        try:
            data = disk.read(self._file) or b""
        except OSError:
            return
        found = _MARK.search(data)
        if found is None:
            self._next = _numbers_given_out(data)
        elif zlib.crc32(data[: found.start()] + data[found.end() :]) == int(found[2], 16):
            shape = json.loads(data)
            self._tasks, self._next, self._mark = shape["map"], shape["next_seqs"], found[1].decode()

    def _folders_mark(self) -> str:
        return ":".join(str(_changed_at(folder)) for folder in self._folders)

    def _distinct_mark(self) -> str | None:
        # The kernel's time for a folder stands still for some milliseconds. A log that is begun within
        # them, by somebody who is killed before noting it, would leave the mark as it is: so the time
        # is set to the nanosecond, which nobody's will be again.
        folder = self._folders[0]
        try:
            now_ns = time.time_ns()
            os.utime(folder, ns=(now_ns, now_ns))
        except OSError:
            return None  # somebody else's folder: each look reads what is new
        return self._folders_mark()

    def _logs(self) -> Iterator[tuple[str, Path]]:
        for folder in self._folders:
            for name in _names(folder):
                stem, dot, ending = name.partition(".")
                if dot and ending == "jsonl" and is_id("task", stem):
                    yield stem, folder / name


def _dump(shape: dict[str, object]) -> bytes:
    return json.dumps(shape, sort_keys=True, indent=2).encode("ascii") + b"\n"


def _numbers_given_out(data: bytes) -> dict[str, int]:
    # An earlier tool's file: its map is read from the logs again, which forget the numbers of deleted tasks.
    try:
        numbers = parse(data).get("next_seqs")
    except BadLine:
        return {}
    given = numbers.items() if isinstance(numbers, dict) else ()
    return {prefix: number for prefix, number in given if isinstance(number, int) and 0 < number <= _NUMBER_MAX}


def _names(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _changed_at(folder: Path) -> int:
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


def _short_ids_in(log: Path) -> Iterator[str]:
    # Damage is named by whoever reads the task itself; here an unreadable line names no short id.
    for line in (disk.read(log) or b"").split(b"\n"):
        if b'"task_created"' not in line and b'"task_short_id_assigned"' not in line:
            continue
        try:
            yield from short_ids_of([decode(line)])
        except BadLine:
            continue
