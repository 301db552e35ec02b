"""A program on a real terminal of a given size, and what is left on its screen."""

from __future__ import annotations

import codecs
import os
import pty
import select
import subprocess
import sys
import termios
from pathlib import Path

from tests.cli.conftest import SOURCES

WAIT_S = 60.0
# The terminal becomes the one that the program is controlled by, so that control-C is a signal to it and to its pager.
STARTED = "import fcntl, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); from lattice.cli.main import main"


class Session:
    """`lattice` with a terminal as its input, output and errors; `prepared` is run before it."""

    def __init__(
        self, folder: Path, *words: str, rows: int = 10, columns: int = 80, prepared: str = "pass", **environ: str
    ) -> None:
        self._ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (rows, columns))
        self._program = subprocess.Popen(
            [sys.executable, "-c", f"{STARTED}; {prepared}; sys.exit(main())", *words],
            cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCES), "TERM": "xterm", **environ},
        )  # fmt: skip
        os.close(theirs)
        self._seen = b""

    def type(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def until(self, text: str) -> str:
        """What was sent to the screen, up to where `text` has been."""
        while text.encode() not in self._seen:
            assert self._read(), f"{text!r} did not come; what came: {self._seen!r}"
        return self._screen()

    def end(self) -> tuple[int, str]:
        """The exit status, and all that was sent to the screen."""
        while self._read():
            pass
        os.close(self._ours)
        return self._program.wait(WAIT_S), self._screen()

    def _read(self) -> bool:
        if not select.select([self._ours], [], [], WAIT_S)[0]:
            self._program.kill()
            raise AssertionError(f"nothing came for {WAIT_S} s after {self._seen!r}")
        try:
            data = os.read(self._ours, 65536)
        except OSError:  # EIO: the last holder of the other end is gone
            return False
        self._seen += data
        return bool(data)

    def _screen(self) -> str:
        # What was read last may end within a character.
        return codecs.getincrementaldecoder("utf-8")().decode(self._seen).replace("\r\n", "\n")


def run(folder: Path, *words: str, rows: int = 10, columns: int = 80, prepared: str = "pass", **environ: str) -> str:
    """All that a program sent to the screen, which has to end well."""
    status, screen = Session(folder, *words, rows=rows, columns=columns, prepared=prepared, **environ).end()
    assert 0 == status, screen
    return screen


def left_on(screen: str) -> str:
    """What can be read in the end: what a carriage return went back over is what was written there last."""
    lines = []
    for sent in screen.split("\n"):
        shown = ""
        for part in sent.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip())
    return "\n".join(lines)
