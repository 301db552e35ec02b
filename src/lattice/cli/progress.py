"""One line on a terminal that says how far a long act is, and that is gone when the act has ended."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from lattice.cli.render import cut, span, width, write
from lattice.core.progress import Progress
from lattice.errors import StorageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

SILENT_S = 1.0
"""How long an act may take before anything is shown."""

INTERVAL_S = 0.1
BAR_COLUMNS = 20


@contextmanager
def progress(args: argparse.Namespace, what: str) -> Iterator[Progress | None]:
    """What shows a person how many of `what` are done; None where nobody looks. The line is cleared at the end."""
    stream = sys.stderr
    if args.json or args.quiet or stream is None or not stream.isatty():
        yield None
        return
    shown = ProgressLine(stream, what)
    try:
        yield shown
    finally:
        shown.clear()


class ProgressLine:
    """The line: a bar, the count and the time that is left, on `stream`. `clock` gives seconds."""

    def __init__(self, stream: TextIO, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream: TextIO | None = stream
        self._what = what
        self._clock = clock
        self._marks = "█░" if _shows_unicode(stream) else "#."
        self._began = self._since = clock()
        self._due = self._began + SILENT_S
        self._done = 0
        self._columns = 0  # what the line takes now

    def __call__(self, done: int, total: int) -> None:
        now = self._clock()
        if done < self._done:  # Another round of the same act has begun, and has a pace of its own.
            self._since = now
        self._done = done
        if now < self._due:
            return
        self._due = now + INTERVAL_S
        self._put(cut(self._text(done, total, now - self._since), _columns(self._stream) - 1))

    def clear(self) -> None:
        """Leave nothing of it on the screen."""
        if self._columns:
            self._put("")
            self._send("\r")

    def _text(self, done: int, total: int, spent_s: float) -> str:
        filled = BAR_COLUMNS * done // total if total else 0
        bar = self._marks[0] * filled + self._marks[1] * (BAR_COLUMNS - filled)
        # A pace is known once something is done, and is of use while something is left.
        left = f", {span(spent_s * (total - done) / done)} left" if 0 < done < total else ""
        return f"{bar} {done} of {total} {self._what}{left}"

    def _put(self, text: str) -> None:
        # Spaces instead of an escape sequence: a terminal without any understands them, too.
        self._send(f"\r{text}{' ' * (self._columns - width(text))}")
        self._columns = width(text)

    def _send(self, text: str) -> None:
        try:
            write(self._stream, text)
        except (BrokenPipeError, StorageError):
            self._stream = None  # The terminal is gone; the act goes on without a word.


def _shows_unicode(stream: TextIO) -> bool:
    return stream.encoding.lower().replace("-", "") == "utf8"


def _columns(stream: TextIO | None) -> int:
    try:
        return (os.get_terminal_size(stream.fileno()).columns if stream is not None else 0) or 80
    except OSError:
        return 80
