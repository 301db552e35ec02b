"""How a fake engine's lines become bytes on its standard output: whole or in pieces, with noise between, cut off."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence

from lattice.testing.engines.behaviour import Behaviour
from lattice.testing.engines.speech import Line

NOISE: tuple[bytes, ...] = (
    b"npm warn deprecated left-over@1.0.0: no longer supported\n",
    b'{"type": "result", "subtype": "success", broken\n',
    b"[1, 2, 3]\n",
    b"\xff\xfe not text \x80\n",
    b'"a string"\n',
)
"""Lines that are no JSON object: what a wrapper, a runtime or a library prints among the stream."""


def encoded(line: Line) -> bytes:
    return json.dumps(line, ensure_ascii=False).encode() + b"\n"


def noisy(lines: Sequence[bytes]) -> list[bytes]:
    """The lines with the noise among them, none of it behind the last."""
    mixed = [line for pair in zip(NOISE, lines, strict=False) for line in pair]
    return [*mixed, *lines[len(NOISE) :]] if len(lines) >= len(NOISE) else [*NOISE[len(lines) :], *mixed]


def cut(lines: Sequence[bytes]) -> list[bytes]:
    """The lines with the last one broken off in its middle."""
    return [*lines[:-1], lines[-1][: len(lines[-1]) // 2]]


def pieces(data: bytes, size: int) -> Iterator[bytes]:
    """The bytes in pieces, wherever a character may begin; all at once with a size of 0."""
    step = size or max(1, len(data))
    for start in range(0, len(data), step):
        yield data[start : start + step]


def say(lines: Iterable[bytes], told: Behaviour, descriptor: int = 1) -> None:
    """Write the lines as the behaviour says. Raises BrokenPipeError where nobody reads them any more."""
    for line in lines:
        for piece in pieces(line, told.chunk_bytes):
            _all(piece, descriptor)
            if told.pause:
                time.sleep(told.pause)  # A slow engine is what is wanted here; nothing is waited for.


def _all(data: bytes, descriptor: int) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def complain(message: str) -> None:
    """A line on standard error."""
    _all(f"fake-engine: {message}\n".encode(errors="replace"), 2)
