"""An engine's stream as it comes: bytes to lines, lines to JSON objects, objects to what was heard so far.

Only a newline ends a line. What is no JSON object with a type is noise: it is counted and kept out of the way,
since programs below an engine write to the same place. What a line may cost in memory is bounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lattice.core.codec import BadLine, parse
from lattice.core.run import Exited, Reported, Signalled
from lattice.ledger import timestamp
from lattice.workers.ends.reported import TEXT_CHARS_MAX
from lattice.workers.engines.heard import Heard, Usage
from lattice.workers.engines.protocol import Engine

LINE_BYTES_MAX = 16 << 20
_READ_BYTES = 1 << 20
_TYPE_IN_BYTES = b'"type"'


class Stream:
    """The state of one stream. `heard` is what was heard until now.

    `before` is what the session had used, where the engine goes on with one (`Usage()`: that is not known).
    """

    def __init__(self, engine: Engine, before: Usage | None = None) -> None:
        self.heard = Heard(before=before)
        self._engine = engine
        self._lines = Lines()

    def feed(self, data: bytes) -> None:
        """Take the next bytes, however they were cut."""
        for line in self._lines.feed(data):
            self._hear(line)

    def end(self) -> Heard:
        """The stream is at its end: what stands there without a newline is the last line, whole or cut."""
        for line in self._lines.end():
            self._hear(line)
        return self.heard

    def _hear(self, line: bytes | None) -> None:
        shape = _object(line)
        if shape is None:
            if line is None or line.strip():
                self.heard = self.heard.replace(unread=self.heard.unread + 1)
            return
        self.heard = self._engine.hear(self.heard, shape)


class Lines:
    """Bytes cut into lines. One that is longer than LINE_BYTES_MAX is let go as it comes, and given as None."""

    def __init__(self) -> None:
        self._line = bytearray()
        self._too_long = False

    def feed(self, data: bytes) -> Iterator[bytes | None]:
        """The lines that end in `data`, without their newlines."""
        *ended, rest = data.split(b"\n")
        for piece in ended:
            self._keep(piece)
            yield self._take()
        if rest:
            self._keep(rest)

    def end(self) -> Iterator[bytes | None]:
        """The line that was not ended, if there is one."""
        if self._line or self._too_long:
            yield self._take()

    def _keep(self, piece: bytes) -> None:
        if self._too_long:
            return
        if len(self._line) + len(piece) > LINE_BYTES_MAX:
            self._line, self._too_long = bytearray(), True
        else:
            self._line += piece

    def _take(self) -> bytes | None:
        line = None if self._too_long else bytes(self._line)
        self._line, self._too_long = bytearray(), False
        return line


def replay(engine: Engine, path: Path, before: Usage | None = None) -> Heard:
    """What is heard in a kept stream. Raises OSError."""
    stream = Stream(engine, before)
    for data in _chunks(path):
        stream.feed(data)
    return stream.end()


class Shown:
    """A stream as text for people, as it comes: a piece for each line that says something; noise as it came."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lines = Lines()

    def feed(self, data: bytes) -> Iterator[str]:
        """The pieces of the lines that end in `data`."""
        for line in self._lines.feed(data):
            yield from self._piece(line)

    def end(self) -> Iterator[str]:
        """What the last line says, which was not ended."""
        for line in self._lines.end():
            yield from self._piece(line)

    def _piece(self, line: bytes | None) -> Iterator[str]:
        shape = _object(line)
        text = self._engine.show(shape) if shape is not None else (line or b"").decode("utf-8", "replace").strip()
        if text:
            yield text


def finished(engine: Engine, heard: Heard, exit_: Exited | Signalled | None, now_ms: int) -> Reported:
    """What the engine reported, for the verdict, which weighs its exit as well.

    A refusal by the provider that was still there at the end is one, however the engine called its result.
    """
    limit = heard.rate_limit
    succeeded = heard.succeeded is True and limit is None
    resets_at = limit.resets_at if limit is not None else None
    if limit is not None and resets_at is None and limit.after_s is not None:
        resets_at = timestamp(now_ms + round(limit.after_s * 1000))
    text = (heard.text if succeeded else heard.error or _why(engine, heard, exit_)) or None
    usage = {name: value for name, value in heard.usage.fields().items() if value is not None}
    return Reported(succeeded, text and text[:TEXT_CHARS_MAX], usage or None, limit is not None, resets_at)


def _why(engine: Engine, heard: Heard, exit_: Exited | Signalled | None) -> str:
    known = dict(engine.exits).get(exit_.code) if isinstance(exit_, Exited) else None
    if known is not None:
        return f"{engine.name}: {known}"
    if heard.succeeded is None:
        return f"the stream of {engine.name} ended without a result"
    return heard.text or f"{engine.name} said no more of it"


def _object(line: bytes | None) -> Mapping[str, Any] | None:
    """The JSON object in a line, if it has a type, as every object of every engine's stream has."""
    if line is None or _TYPE_IN_BYTES not in line:
        return None
    try:
        shape = parse(line)
    except BadLine:
        return None
    return shape if isinstance(shape.get("type"), str) else None


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as kept:
        while data := kept.read(_READ_BYTES):
            yield data
