"""What is longer than the screen is read in a pager: the one of $LATTICE_PAGER or $PAGER, else less."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import TextIO

from lattice.cli.render import encoded, line, warn, width, write

DEFAULT = "less -FRX"
SETTINGS = {"LESS": "FRX", "LV": "-c", "LESSCHARSET": "utf-8"}
"""How a pager shows colours and UTF-8, unless the environment says otherwise: as git sets them."""

_STYLE = re.compile(r"\x1b\[[0-9;]*m")


def show(stream: TextIO, text: str, environ: Mapping[str, str]) -> None:
    """Write `text` to the terminal `stream`, through a pager where it is longer than the screen.

    A pager that is missing or ends early is no error. Raises as `render.write` does.
    """
    command = _command(environ)
    if not command or not _is_longer(stream, text):
        write(stream, text)
        return
    problem = _read_in(stream, command, text, environ)
    if problem is not None:
        write(stream, text)
        if command != DEFAULT:
            warn([f"The pager {command!r} could not be started: {problem}."])


def _command(environ: Mapping[str, str]) -> str:
    """The pager's command line; empty where none is wanted."""
    if environ.get("TERM", "") in ("", "dumb"):
        return ""  # It could not move on the screen, and less asks for a key first.
    command = environ.get("LATTICE_PAGER", environ.get("PAGER", DEFAULT)).strip()
    return "" if command == "cat" else command


def _is_longer(stream: TextIO, text: str) -> bool:
    """Whether a part of `text` would leave the screen before the shell's next prompt stands below it."""
    try:
        columns, rows = os.get_terminal_size(stream.fileno())
    except OSError:
        return False
    if not rows or not columns:
        return False  # A terminal that does not know its size, as a serial one.
    lines = text.splitlines()
    return len(lines) >= rows or sum(_rows(one, columns) for one in lines) >= rows


def _rows(one: str, columns: int) -> int:
    return max(1, -(-width(_STYLE.sub("", one)) // columns))


def _read_in(stream: TextIO, command: str, text: str, environ: Mapping[str, str]) -> str | None:
    """Give `text` to the pager and wait for its end. Returns why it could not be started, None where it was."""
    import shlex  # what fits on the screen pays for none of these
    import signal
    import subprocess

    stream.flush()
    # Control-C is the pager's to understand, and it goes to every process of the terminal. A handler that does nothing
    # lets this one wait; unlike an ignored signal it is not inherited.
    earlier = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        words = shlex.split(command)
        pager = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=stream, env={**SETTINGS, **environ})
        pager.communicate(encoded(text))  # Whether it read all of it is its own affair.
    except OSError as refused:
        return refused.strerror or line(refused)
    except ValueError as off:
        return line(off)  # A quote that is not closed.
    finally:
        signal.signal(signal.SIGINT, earlier)
    return None
