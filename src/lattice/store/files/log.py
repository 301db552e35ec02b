"""One log: its lines, their order, its tail, and what is damage.

A tail that is not whole was never acknowledged: a line without its newline, NULs where a block was
never written, a batch that is not complete. It is not there for a reader, and the next writer sets
it aside under `events/torn/`. Anything else that is off is damage: it is named, with its line, and
nothing is changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lattice.core.codec import BadLine, chained, decode
from lattice.core.events import Event
from lattice.core.record import Record
from lattice.errors import LogDamaged

_SECTOR = 512


class Line(Record):
    """An event and where its line begins."""

    start: int
    event: Event


class Log(Record):
    """What a log, or the end of one, says."""

    lines: tuple[Line, ...]  # in the order of the log's history
    end: int  # where the believed bytes end; what is beyond is torn
    size: int
    linear: bool  # whether the lines follow each other in the file as in history
    completes: bool = False  # whether the last line is whole but for its newline

    @property
    def torn(self) -> bool:
        return self.end < self.size

    @property
    def events(self) -> list[Event]:
        return [line.event for line in self.lines]


def read_log(data: bytes, path: Path, stream: str, *, base: int = 0, acknowledged: int = 0) -> Log:
    """The events in `data`, the bytes of the log from `base` to its end.

    `acknowledged` is the length that a snapshot says was synced: what is torn before it is damage.
    A log that is shorter and whole is not: git went back to an older commit.
    Raises LogDamaged naming the file and the line.
    """
    lines, end, completes = _split(data, path, stream, base)
    lines, end, completes = _without_open_batch(lines, end, completes)
    if end + completes < acknowledged and end < base + len(data):
        raise _damaged(path, len(lines) + 1, "an event that was acknowledged is cut off here")
    linear = _is_linear(lines)
    _check_chain(lines, path, whole=base == 0)
    if not linear:
        lines = _in_order_of_ids(lines, path)
    return Log(tuple(lines), end, base + len(data), linear, completes)


def _split(data: bytes, path: Path, stream: str, base: int) -> tuple[list[Line], int, bool]:
    lines: list[Line] = []
    start = 0
    while start < len(data):
        stop = data.find(b"\n", start)
        last = stop < 0 or stop == len(data) - 1
        text = data[start:] if stop < 0 else data[start:stop]
        try:
            event = decode(text)
            if event.task_id != stream:
                raise BadLine(f"it belongs to {event.task_id[:60]}")
        except BadLine as why:
            if stop < 0:
                _refuse_flipped_newline(text, path, len(lines) + 1)
                break
            if not last or not _has_hole(text, base + start):
                raise _damaged(path, len(lines) + 1, str(why)) from None
            break
        lines.append(Line(base + start, event))
        if stop < 0:
            return lines, base + len(data), True
        start = stop + 1
    return lines, base + start, False


def _refuse_flipped_newline(text: bytes, path: Path, number: int) -> None:
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


def _without_open_batch(lines: list[Line], end: int, completes: bool) -> tuple[list[Line], int, bool]:
    """Without the last lines, where they are a batch whose end is missing."""
    if not lines or lines[-1].event.batch is None:
        return lines, end, completes
    place, of = lines[-1].event.batch
    if place == of:
        return lines, end, completes
    opened = max(0, len(lines) - place)
    return lines[:opened], lines[opened].start, False


def _is_linear(lines: Sequence[Line]) -> bool:
    before: Event | None = None
    for line in lines:
        event = line.event
        if before is not None and not _follows(event, before):
            return False
        before = event
    return True


def _follows(event: Event, before: Event) -> bool:
    if chained(event):
        return event.prev == before.id
    # An earlier tool's line does not name the one before it; its ids grow, but for the custom
    # events, whose id the caller may choose.
    return event.id > before.id or event.type.startswith("x_") or before.type.startswith("x_")


def _check_chain(lines: Sequence[Line], path: Path, *, whole: bool) -> None:
    if not whole:
        return  # Only the tail was read: the line before its first is out of sight.
    ids = {line.event.id for line in lines}
    for number, line in enumerate(lines, start=1):
        event = line.event
        if chained(event) and event.prev is None and number != 1 and event.id != lines[0].event.id:
            raise _damaged(path, number, "it says that it is the first event, and it is not")
        if event.prev is not None and event.prev not in ids:
            raise _damaged(path, number, f"the event before it, {event.prev[:40]}, is missing")


def _in_order_of_ids(lines: Sequence[Line], path: Path) -> list[Line]:
    """Two branches merged: ordered by id, each event once."""
    seen: dict[str, Line] = {}
    for number, line in enumerate(lines, start=1):
        twin = seen.setdefault(line.event.id, line)
        if twin.event.raw != line.event.raw:
            raise _damaged(path, number, f"{line.event.id} stands there twice, with different content")
    # A custom event's id is its caller's choice and may be older than the task.
    return sorted(seen.values(), key=lambda line: (line.event.type != "task_created", line.event.id))


def _damaged(path: Path, number: int, why: str) -> LogDamaged:
    return LogDamaged(
        f"{path.name}, line {number}: {why}. Nothing was changed.",
        hint="Restore the file from a backup or from git: git log -- .lattice/events/",
        path=str(path),
        line=number,
    )
