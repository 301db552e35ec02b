"""What an agent's run said, as text: its stream rendered by its engine's adapter, and its errors between.

The engine writes both to files of their own, so nobody knows the order of their lines. The supervisor notes about
once a second how long each of them is: errors come after what the stream had said by the same look.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from lattice.errors import DefinitionError
from lattice.workers.ends import steps
from lattice.workers.engines import table
from lattice.workers.engines.stream import Lines, Shown
from lattice.workers.runs import RunFolder

MARK = "! "
"""What a line begins with that the agent, or what prepared its run, wrote to its error stream."""

END_BYTES = 256 << 10
_READ_BYTES = 1 << 20
_TAIL_BYTES = 64 << 10
_REACH = 8  # as many times as far back, where that was not enough


class Transcript:
    """The lines of one run, from a place in its stream and its errors on, as they come. They may hold anything."""

    def __init__(self, folder: RunFolder, engine: str, begin: tuple[int, int] = (0, 0)) -> None:
        """Raises DefinitionError where this version has no such engine."""
        try:
            self._shown = Shown(table.engine(engine))
        except DefinitionError as off:
            raise DefinitionError(off.message, hint=f"lattice worker logs {folder.run_id} --raw") from off
        self._folder = folder
        self._errors = Lines()
        self._places = line_begin(folder.stream, begin[0]), line_begin(folder.output_log, begin[1])
        self._noted = [(stream, errors) for _, stream, errors in steps.sizes(folder)]

    def more(self) -> Iterator[str]:
        """What has come since the last time, line by line."""
        noted, self._noted = self._noted, []
        for stream, errors in noted:
            yield from self._until(stream, errors)
        yield from self._until(None, None)

    def end(self) -> Iterator[str]:
        """The same, to the end: the last lines may have none."""
        yield from self.more()
        yield from _split(self._shown.end())
        for line in self._errors.end():
            yield _error(line)

    def _until(self, stream: int | None, errors: int | None) -> Iterator[str]:
        at, errors_at = self._places
        for data in chunks(self._folder.stream, at, stream):
            at += len(data)
            self._places = at, errors_at
            yield from _split(self._shown.feed(data))
        for data in chunks(self._folder.output_log, errors_at, errors):
            errors_at += len(data)
            self._places = at, errors_at
            for line in self._errors.feed(data):
                yield _error(line)


def near_end(folder: RunFolder, engine: str) -> list[str]:
    """The last lines, without reading all of it."""
    begin = max(0, size_of(folder.stream) - END_BYTES), max(0, size_of(folder.output_log) - END_BYTES)
    return list(Transcript(folder, engine, begin).end())


def line_begin(path: Path, offset: int) -> int:
    """Where the line begins that `offset` is in."""
    if offset <= 0:
        return 0
    with contextlib.suppress(FileNotFoundError), path.open("rb", buffering=0) as file:
        while offset > 0:
            begin = max(0, offset - _READ_BYTES)
            file.seek(begin)
            found = (file.read(offset - begin) or b"").rfind(b"\n")
            if found >= 0:
                return begin + found + 1
            offset = begin
    return 0


def lines_begin(path: Path, begin: int, count: int) -> int:
    """Where the last `count` lines of a log begin, at `begin` at the earliest. What lies before is not read."""
    size = size_of(path)
    reach = _TAIL_BYTES
    while (start := size - reach) > begin:
        lines = b"".join(chunks(path, start, size)).splitlines(keepends=True)
        if len(lines) > count:  # The first may have begun before.
            return size - sum(map(len, lines[-count:]))
        reach *= _REACH
    return begin


def end_begin(folder: RunFolder, engine: str, begin: tuple[int, int], count: int) -> tuple[int, int]:
    """From where on a transcript has the last `count` lines, and not many more; at `begin` at the earliest.

    Only at a moment that was noted are the stream and its errors known to stand side by side. One that begins
    there says what one from the beginning says after it.
    """
    noted = [(stream, errors) for _, stream, errors in steps.sizes(folder)]
    size = size_of(folder.stream) + size_of(folder.output_log)
    reach = _TAIL_BYTES
    while (start := size - reach) > sum(begin):
        place = max((each for each in noted if sum(each) <= start), default=(0, 0))
        if place <= begin:
            return begin
        if sum(1 for _ in Transcript(folder, engine, place).end()) >= count:
            return place
        reach *= _REACH
    return begin


def chunks(path: Path, begin: int, end: int | None = None) -> Iterator[bytes]:
    """The bytes of a log from `begin` on, as far as they are there; nothing where it is not yet."""
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(begin)
            while data := file.read(_READ_BYTES if end is None else max(0, min(_READ_BYTES, end - begin))):
                begin += len(data)
                yield data
    except FileNotFoundError:
        return


def _split(pieces: Iterator[str]) -> Iterator[str]:
    for piece in pieces:
        yield from piece.split("\n")


def _error(line: bytes | None) -> str:
    return MARK + (line or b"\xe2\x80\xa6").decode("utf-8", "replace").rstrip("\r")


def size_of(path: Path) -> int:
    """How long a log is by now; 0 where it is not yet there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
