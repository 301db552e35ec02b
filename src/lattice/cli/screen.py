"""A full screen on a terminal: its keys, its size, and the terminal as it was before, however the program ends.

Control-C, SIGTERM and SIGHUP leave through the same door as `q`; control-Z gives the terminal back for as long
as the program is stopped.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Sequence
from types import FrameType
from typing import Any, Self

from lattice.cli.render import cut, encoded

_ENTER = b"\x1b[?1049h\x1b[?25l"
_LEAVE = b"\x1b[?25h\x1b[?1049l"
_CLEAR_TO_END_OF_LINE, _CLEAR_BELOW, _HOME = "\x1b[K", "\x1b[J", "\x1b[H"
_KEYS = {
    b"\x1b[A": "up", b"\x1bOA": "up", b"\x1b[B": "down", b"\x1bOB": "down", b"\r": "enter", b"\n": "enter",
    b"\x1b": "escape",
}  # fmt: skip
_ENDING = (signal.SIGTERM, signal.SIGHUP)


class Left(BaseException):
    """A signal asked the program to end; `signum` says which. Not an Exception: nothing on the way may keep it."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


class Screen:
    """The terminal of standard input and output, while the block runs."""

    def __enter__(self) -> Self:
        self._in, self._out = sys.stdin.fileno(), sys.stdout.fileno()
        self._before = termios.tcgetattr(self._in)
        self._wake_read, self._wake_write = os.pipe()
        for end in (self._wake_read, self._wake_write):
            os.set_blocking(end, False)
        self._wakeup_before = signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        self._handlers: dict[int, Any] = {
            signum: signal.signal(signum, handler)
            for signum, handler in (
                (signal.SIGWINCH, _noticed), (signal.SIGTSTP, self._stopped), *((each, _leave) for each in _ENDING),
            )
        }  # fmt: skip
        try:
            self._take()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._give_back()
        for signum, handler in self._handlers.items():
            signal.signal(signum, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        os.close(self._wake_read)
        os.close(self._wake_write)

    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        try:
            columns, rows = os.get_terminal_size(self._out)
        except OSError:
            columns, rows = 80, 24
        return max(columns, 1) if columns else 80, max(rows, 1) if rows else 24

    def show(self, lines: Sequence[str], terminal_rows: int) -> None:
        """Draw these lines from the top; what is below them is cleared, what has no room is left out."""
        drawn = f"{_CLEAR_TO_END_OF_LINE}\r\n".join(lines[:terminal_rows])
        self._send(encoded(f"{_HOME}{drawn}{_CLEAR_TO_END_OF_LINE}{_CLEAR_BELOW}"))

    def wait(self, timeout_s: float) -> list[str]:
        """The keys that were pressed within the time; none where it passed, or the size changed."""
        ready, _, _ = select.select([self._in, self._wake_read], [], [], timeout_s)
        if self._wake_read in ready:
            os.read(self._wake_read, 4096)
        if self._in not in ready:
            return []
        data = os.read(self._in, 1024)
        return _keys(data) if data else ["q"]  # The terminal went.

    def _take(self) -> None:
        tty.setcbreak(self._in)
        self._send(_ENTER)

    def _give_back(self) -> None:
        try:
            self._send(_LEAVE)
            termios.tcsetattr(self._in, termios.TCSADRAIN, self._before)
        except (OSError, termios.error):
            return  # The terminal went: there is nothing to give back.

    def _stopped(self, signum: int, frame: FrameType | None) -> None:
        del signum, frame
        self._give_back()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._take()  # It goes on here, in the foreground again.

    def _send(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._out, data) :]


def fitted(text: str, columns: int) -> str:
    """A line of plain text that is no wider than the screen."""
    return cut(text, columns)


def _keys(data: bytes) -> list[str]:
    """The names of keys in what a terminal sent: arrows, enter, escape, and letters as they are."""
    keys: list[str] = []
    while data:
        found = next((code for code in sorted(_KEYS, key=len, reverse=True) if data.startswith(code)), None)
        if found == b"\x1b" and len(data) > 1 and data[1:2] in b"[O":
            end = next((at for at in range(2, len(data)) if 0x40 <= data[at] <= 0x7E), len(data) - 1)
            data = data[end + 1 :]  # a key that nobody asked for
            continue
        if found is not None:
            keys.append(_KEYS[found])
            data = data[len(found) :]
            continue
        keys.append(data[:1].decode("ascii", "replace"))
        data = data[1:]
    return keys


def _noticed(signum: int, frame: FrameType | None) -> None:
    """The wake-up descriptor has told `wait`."""
    del signum, frame


def _leave(signum: int, frame: FrameType | None) -> None:
    del frame
    raise Left(signum)
