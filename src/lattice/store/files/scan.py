"""Every log of a board in one pass: what `doctor`, `rebuild` and the history are made from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from lattice.core.codec import loads
from lattice.core.events import evolve
from lattice.core.ids import is_id, parse_short_id
from lattice.core.record import Record
from lattice.core.task import Task
from lattice.errors import LatticeError, LogDamaged, ValidationError
from lattice.store.files import disk, snapshot
from lattice.store.files.log import Log, read_log, tasks_in, unreadable
from lattice.store.files.tail import LIFECYCLE

_TIME = re.compile(rb'"ts":"([0-9TZ:.+-]*)"')
PLACES = (("", False), ("archive/", True))


class Stream(Record):
    """One log as it was read. Where it is damaged, `damage` says how, and there is neither log nor task."""

    id: str
    file: str
    snapshot_file: str
    archived: bool
    data: bytes = b""
    log: Log | None = None
    task: Task | None = None  # None also where no whole event is in it yet
    damage: LatticeError | None = None

    @property
    def path(self) -> Path:
        """Where the log is."""
        return Path(self.file)

    @property
    def snapshot_path(self) -> Path:
        """Where its snapshot is, if there is one."""
        return Path(self.snapshot_file)

    def fresh(self) -> snapshot.Snapshot | None:
        """What its snapshot has to say."""
        if self.log is None or self.task is None:
            return None
        return snapshot.Snapshot(self.task, self.log.end, self.log.starts[-1], self.log.crc())

    def lifecycle(self) -> Iterator[tuple[str, bytes]]:
        """The lines, by event id, that `_lifecycle.jsonl` repeats, as they stand in the log."""
        if self.log is None:
            return
        for event, start in zip(self.log.events, self.log.starts, strict=True):
            if isinstance(event.body, LIFECYCLE):
                stop = self.data.find(b"\n", start)
                yield event.id, self.data[start : stop if stop >= 0 else None] + b"\n"


Place = tuple[str, str, str, bool]
"""Of a task: its id, its log, its snapshot, whether it is archived."""


def places(board: Path) -> list[Place]:
    """Where every task's log and snapshot are, oldest task first."""
    return sorted(
        (task_id, f"{board}/{home}events/{task_id}.jsonl", f"{board}/{home}tasks/{task_id}.json", archived)
        for home, archived in PLACES
        for task_id in tasks_in(f"{board}/{home}events")
    )


def streams(board: Path, since: str | None = None) -> Iterator[Stream]:
    """Every log, read and replayed, oldest task first; what is damaged is given as such.

    With `since`, a time as the log writes it, logs without an event from then on are passed over.
    """
    return read_all(places(board), since)


def read_all(some: Iterable[Place], since: str | None = None, having: str | None = None) -> Iterator[Stream]:
    """The logs at these places, as `streams` has them."""
    for task_id, file, snapshot_file, archived in some:
        stream = read(Stream(task_id, file, snapshot_file, archived), since, having)
        if stream is not None:
            yield stream


def find(board: Path, task_id: str) -> Stream | None:
    """The log of one task, archived or not, read and replayed; None where there is none."""
    if not is_id("task", task_id):
        return None
    for home, archived in PLACES:
        folder = f"{board}/{home}"
        found = read(Stream(task_id, f"{folder}events/{task_id}.jsonl", f"{folder}tasks/{task_id}.json", archived))
        if found is not None:
            return found
    return None


def read(stream: Stream, since: str | None = None, having: str | None = None) -> Stream | None:
    """The stream with what its log says; None where the log is gone by now, or has no event of the kind asked for."""
    try:
        data = disk.read(stream.file, follow=False)
    except OSError as refused:
        return stream.replace(damage=unreadable(stream.file, refused))
    if data is None:
        return None
    # Text may hold the name of a type as well: such a log is read for nothing.
    needless = (having is not None and having.encode() not in data) or (
        since is not None and _is_older(data, since.encode())
    )
    if needless and _is_as_written(stream, data):
        return None
    try:
        log = read_log(data, stream.file, stream.id)
        if log.torn or not data:  # Whether more was acknowledged, the snapshot knows.
            cached = snapshot.read(stream.snapshot_file)
            log = read_log(data, stream.file, stream.id, acknowledged=cached.log_size if cached else 0)
        return None if needless else stream.replace(data=data, log=log, task=_replayed(log))
    except (LogDamaged, ValidationError) as damage:
        return stream.replace(data=data, damage=damage)


class Kept(Record):
    """A log whose snapshot is what it says, byte for byte, so that it need not be replayed."""

    data: bytes
    snapshot: snapshot.Text
    lifecycle: list[tuple[str, bytes]]  # as `Stream.lifecycle`
    naming: list[bytes]  # the lines that may give it a short id

    def named(self) -> tuple[str | None, str]:
        """The short id and the status of the task."""
        found = _NAMED.search(self.snapshot.data)
        if found is None:
            shape = loads(self.snapshot.data)
            return shape["short_id"], shape["status"]
        return found[1].decode("ascii") if found[1] is not None else None, found[2].decode("ascii")

    def short_ids(self, current: str | None) -> list[str]:
        """As `short_ids_of` the log's events, of a task that has `current`."""
        # The only event that gives one gives the one that the task has.
        given = [current] if len(self.naming) == 1 else [loads(line)["data"].get("short_id") for line in self.naming]
        return [short_id for short_id in given if short_id and parse_short_id(short_id) == short_id]


_LIFECYCLE = frozenset(kind.kind for kind in LIFECYCLE)
_NAMING = ("task_created", "task_short_id_assigned")
_NAMED = re.compile(rb'\n  "short_id": (?:"([^"\\]*)"|null),\n  "status": "([^"\\]*)",\n')
"""Members of a snapshot, which begin a line as nothing below them does: JSON has no newline in a text."""

_TYPE = b'"type":"task_'
_LOOSE = b'"type": '  # It stands in no text: there, quotes have a backslash before them.
_ID = b',"id":"ev_'
_END = re.compile(
    _ID + rb'([0-9A-Z]{26})","prev":(?:null|"ev_[0-9A-Z]{26}"),"schema_version":1,"task_id":"task_[0-9A-Z]{26}",'
    rb'"ts":"[0-9TZ:.+-]+","type":"([a-z_]+)"\}\n\Z'
)
"""How a line ends that this version wrote and that says no more of where it is from: nothing in it is nested."""


def read_kept(place: Place) -> Kept | None:
    """The log at this place, where its snapshot has the sum of it; None where it has to be replayed."""
    text = snapshot.read_text(place[2])
    if text is None:
        return None
    try:
        data = disk.read(place[1], follow=False)
        if data is None or not text.is_of(data) or _LOOSE in data:
            return None
        lifecycle, naming = [], []
        at = data.find(_TYPE)
        while at >= 0:
            start, stop = data.rfind(b"\n", 0, at) + 1, data.index(b"\n", at) + 1
            line = data[start:stop]
            end = _END.match(line, line.rfind(_ID))
            event_id, kind = ("ev_" + end[1].decode(), end[2].decode()) if end is not None else _named(line)
            if kind in _LIFECYCLE:
                lifecycle.append((event_id, line))
            if kind in _NAMING:
                naming.append(line)
            at = data.find(_TYPE, stop)
    except (OSError, ValueError, KeyError, TypeError):
        return None  # Who replays the log names what is off.
    return Kept.made_of({"data": data, "snapshot": text, "lifecycle": lifecycle, "naming": naming})


def _named(line: bytes) -> tuple[str, str]:
    shape = loads(line)
    return shape["id"], shape["type"]


def _is_as_written(stream: Stream, data: bytes) -> bool:
    # Damage may have hit the very word or time by which a log is passed over: only the sum of all of it tells.
    text = snapshot.read_text(stream.snapshot_file)
    return text is not None and text.is_of(data)


def _is_older(data: bytes, since: bytes) -> bool:
    # Without decoding. Text that looks like a time can only make a log seem newer, and is then read for nothing.
    times: list[bytes] = _TIME.findall(data)
    return len(times) >= data.count(b"\n") and all(time < since for time in times)


def _replayed(log: Log) -> Task | None:
    task: Task | None = None
    for event in log.events:
        task = evolve(task, event)
    return task
