"""One log: its lines, their order, its tail, and what is damage.

A tail that is not whole was never acknowledged: a line without its newline, NULs where a block was
never written, a batch that is not complete. It is not there for a reader, and the next writer sets
it aside under `events/torn/`. Anything else that is off is damage: it is named, with its line, and
nothing is changed.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Sequence
from itertools import pairwise

from lattice.core.codec import BadLine, chained, decode
from lattice.core.events import Event
from lattice.core.record import Record
from lattice.errors import LogDamaged, StorageError
from lattice.store.files.disk import StrPath

_SECTOR = 512
_OF_A_CONFLICT = (b"<<<<<<< ", b"||||||| ", b"=======", b">>>>>>> ")
"""How the lines begin that git writes around what it could not merge: a merge without our `.gitattributes`."""


_NAMES = r"\0(task_[0-7][0-9A-HJKMNP-TV-Z]{25})\.jsonl(?=\0)"
"""The names of logs, among names with a NUL before and after each."""


def tasks_in(folder: StrPath) -> list[str]:
    """The ids of the tasks whose logs are in a folder, in no order; none where there is no folder. Raises OSError."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []  # A fresh clone: git carries no empty folders.
    return re.findall(_NAMES, "\0".join(("", *names, "")))  # one by one it takes five times as long


class Log(Record):
    """What a log, or the end of one, says."""

    events: list[Event]  # in the order of the log's history
    starts: list[int]  # where the line of each begins
    end: int  # where the believed bytes end; what is beyond is torn
    size: int
    linear: bool  # whether the lines follow each other in the file as in history
    data: bytes  # the piece that was read
    base: int  # where in the log it begins
    completes: bool = False  # whether the last line is whole but for its newline

    @property
    def torn(self) -> bool:
        return self.end < self.size

    def crc(self, start: int = 0, before: int = 0) -> int:
        """The CRC-32 of the believed bytes from `start` on, continued from that of the bytes `before`."""
        return zlib.crc32(self.data[start - self.base : self.end - self.base], before)


def read_log(data: bytes, path: StrPath, stream: str, *, base: int = 0, acknowledged: int = 0) -> Log:
    """The events in `data`, the bytes of the log from `base` to its end.

    `acknowledged` is the length that a snapshot says was synced: what is torn before it is damage, and so is
    a log that is empty. One that is shorter and whole is not: git went back to an older commit.
    Raises LogDamaged naming the file and the line.
    """
    if acknowledged and not data and not base:
        raise _damaged(path, 1, f"it is empty, and {acknowledged} bytes of it were acknowledged")
    events: list[Event] = []
    starts: list[int] = []
    end, completes = _split(data, path, stream, base, events, starts)
    opened = _open_batch(events)
    if opened is not None:
        end, completes = starts[opened], False
        del events[opened:], starts[opened:]
    if end + completes < acknowledged and end < base + len(data):
        raise _damaged(path, len(events) + 1, "an event that was acknowledged is cut off here")
    linear = _is_unbroken(events, whole=base == 0) or _is_linear(events)
    if base == 0:
        _check_chain(events, path)  # Else the line before the first is out of sight.
    if not linear:
        events, starts = _in_order_of_ids(events, starts, path)
    return Log.made_of({
        "events": events, "starts": starts, "end": end, "size": base + len(data), "linear": linear,
        "data": data, "base": base, "completes": completes,
    })  # fmt: skip


def _split(
    data: bytes, path: StrPath, stream: str, base: int, events: list[Event], starts: list[int]
) -> tuple[int, bool]:
    """Read the lines into the two lists. Returns where the whole ones end, and whether the last lacks its newline."""
    start, size = 0, len(data)
    while start < size:
        stop = data.find(b"\n", start)
        text = data[start:] if stop < 0 else data[start:stop]
        try:
            event = decode(text)
            if event.task_id != stream:
                raise BadLine(f"it belongs to {event.task_id[:60]}")
        except BadLine as why:
            if text.startswith(_OF_A_CONFLICT):
                raise _conflict(path, len(events) + 1) from None
            if stop < 0:
                _refuse_flipped_newline(text, path, len(events) + 1)
            elif stop != size - 1 or not _has_hole(text, base + start):
                raise _damaged(path, len(events) + 1, str(why)) from None
            break
        events.append(event)
        starts.append(base + start)
        if stop < 0:
            return base + size, True
        start = stop + 1
    return base + start, False


def _refuse_flipped_newline(text: bytes, path: StrPath, number: int) -> None:
    # A torn write ends early; it does not end with one byte too many after a whole, valid event.
    try:
        decode(text[:-1])
    except BadLine:
        return
    raise _damaged(path, number, "its newline was overwritten")


def _has_hole(text: bytes, at: int) -> bool:
    # A file system that grew the file before it wrote the data leaves NULs in whole sectors.
    # JSON never has a NUL, and a single byte gone bad does not fill a sector up to its border.
    start = text.find(b"\0")
    while start >= 0:
        stop = start
        while stop < len(text) and text[stop] == 0:
            stop += 1
        opens = (at + start) % _SECTOR == 0 or start == 0
        closes = (at + stop) % _SECTOR == 0 or stop == len(text)
        if opens and closes and stop - start > 1:
            return True
        start = text.find(b"\0", stop)
    return False


def _open_batch(events: Sequence[Event]) -> int | None:
    """Where the last events begin that are a batch whose end is missing; None where there is no such batch."""
    if not events or events[-1].batch is None:
        return None
    place, of = events[-1].batch
    return None if place == of else max(0, len(events) - place)


def _is_unbroken(events: Sequence[Event], *, whole: bool) -> bool:
    """Whether each line names the one before it: what this version wrote, and nobody merged."""
    before = None if whole or not events else events[0].prev
    for event in events:
        if event.prev != before:
            return False
        before = event.id
    return True


def _is_linear(events: Sequence[Event]) -> bool:
    return all(_follows(event, before) for before, event in pairwise(events))


def _follows(event: Event, before: Event) -> bool:
    if chained(event):
        return event.prev == before.id
    # An earlier tool's line does not name the one before it; its ids grow, but for the custom
    # events, whose id the caller may choose.
    return event.id > before.id or event.type.startswith("x_") or before.type.startswith("x_")


def _check_chain(events: Sequence[Event], path: StrPath) -> None:
    if _is_unbroken(events, whole=True):
        return
    ids = {event.id for event in events}
    for number, event in enumerate(events, start=1):
        if chained(event) and event.prev is None and number != 1 and event.id != events[0].id:
            raise _damaged(path, number, "it says that it is the first event, and it is not")
        if event.prev is not None and event.prev not in ids:
            raise _damaged(path, number, f"the event before it, {event.prev[:40]}, is missing")


def _in_order_of_ids(events: Sequence[Event], starts: Sequence[int], path: StrPath) -> tuple[list[Event], list[int]]:
    """Two branches merged: ordered by id, each event once."""
    seen: dict[str, tuple[Event, int]] = {}
    for number, (event, start) in enumerate(zip(events, starts, strict=True), start=1):
        twin, _ = seen.setdefault(event.id, (event, start))
        if twin.raw != event.raw:
            raise _damaged(path, number, f"{event.id} stands there twice, with different content")
    # A custom event's id is its caller's choice and may be older than the task.
    ordered = sorted(seen.values(), key=lambda one: (one[0].type != "task_created", one[0].id))
    return [event for event, _ in ordered], [start for _, start in ordered]


def _conflict(path: StrPath, number: int) -> LogDamaged:
    # Between the marks are whole events of both sides, and all of them happened: their ids say in which order.
    import shlex  # it imports `re`, and only damage pays for it

    return LogDamaged(
        f"{os.path.basename(path)}, line {number}: it is a mark of a merge that git left to you. Nothing was changed.",
        hint=r"Keep the events of both sides, and take the marks out: sed -i -E '/^(<{7}|[|]{7}|={7}|>{7})/d' "
        + shlex.quote(os.fspath(path)),
        path=os.fspath(path),
        line=number,
    )


def unreadable(path: StrPath, refused: OSError) -> StorageError:
    """What a reader is told where the disk refused: it recorded nothing in any case."""
    name = os.path.basename(path)
    return StorageError(f"{name} cannot be read: {refused.strerror}.", hint=f"ls -l {os.fspath(path)}")


def _damaged(path: StrPath, number: int, why: str) -> LogDamaged:
    return LogDamaged(
        f"{os.path.basename(path)}, line {number}: {why}. Nothing was changed.",
        hint="Restore the file from a backup or from git: git log -- .lattice/events/",
        path=os.fspath(path),
        line=number,
    )
