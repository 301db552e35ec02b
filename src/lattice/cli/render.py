"""How an answer is shown: JSON for programs; for people text, in which nothing from a task can act on a terminal."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence

from lattice.core.pretty import ITEM_PAD
from lattice.core.record import Record
from lattice.core.text import visible
from lattice.errors import StorageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

STYLES: Mapping[str, str] = {
    "in_progress": "36",
    "review": "35",
    "done": "32",
    "blocked": "31",
    "needs_human": "33",
    "cancelled": "2",
    "critical": "1;31",
    "high": "31",
    "low": "2",
    "running": "36",
    "lost": "31",
    "heading": "1",
    "faint": "2",
}
"""What a word means, as an ANSI style. A word that is not here has none."""

COLUMNS_MIN = 10


class Terminal(Record):
    """What standard output can show.

    `columns` is None where it is no terminal, and nothing is cut; `now_ms`, where it is one, tells how long ago
    something was.
    """

    colour: bool = False
    columns: int | None = None
    now_ms: int | None = None

    def styled(self, text: str, meaning: str | None = None) -> str:
        """`text` in the style of `meaning`, by default its own; unchanged where there is no colour."""
        style = STYLES.get(meaning or text.strip())
        return f"\x1b[{style}m{text}\x1b[0m" if self.colour and style else text

    def when(self, moment: str) -> str:
        """A moment of the log: for a person how long ago it was, `2 h ago`; for a program as it stands there."""
        if self.now_ms is None:
            return moment
        from lattice.core.moments import ago  # a program, which reads no such words, does without the calendar

        return ago(moment, self.now_ms)


def terminal_of(stream: TextIO | None, environ: Mapping[str, str]) -> Terminal:
    """What `stream` can show."""
    if stream is None:
        return Terminal()
    is_terminal = stream.isatty()
    colour = _colour(is_terminal, environ)
    if not is_terminal:
        return Terminal(colour)
    try:
        columns = os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        columns = 80
    return Terminal(colour, max(columns, COLUMNS_MIN), time.time_ns() // 1_000_000)


def _colour(is_terminal: bool, environ: Mapping[str, str]) -> bool:
    """Whether to colour: https://no-color.org before https://force-color.org, before https://bixense.com/clicolors."""
    if environ.get("NO_COLOR"):
        return False
    forced = [value for name in ("FORCE_COLOR", "CLICOLOR_FORCE") if (value := environ.get(name))]
    if forced:
        return any(value not in ("0", "false") for value in forced)
    return is_terminal and environ.get("CLICOLOR") != "0" and environ.get("TERM", "") not in ("", "dumb")


def write(stream: TextIO | None, text: str) -> None:
    """Write `text` whole, as UTF-8 in every locale. Raises BrokenPipeError; StorageError where it finds no room."""
    write_parts(stream, [encoded(text)])


def encoded(text: str) -> bytes:
    """`text` as every answer is written: in UTF-8, whatever is in it."""
    return text.encode("utf-8", "backslashreplace")


def write_parts(stream: TextIO | None, parts: Iterable[bytes]) -> None:
    """Write these bytes, one after the other. Raises as `write` does."""
    if stream is None:
        return
    try:
        stream.flush()
        for part in parts:
            stream.buffer.write(part)
        stream.buffer.flush()
    except BrokenPipeError:
        _abandon(stream)
        raise
    except OSError as refused:
        _abandon(stream)
        raise StorageError(
            f"The answer could not be written: {refused.strerror}.",
            hint="What the command was to change is changed; see it with lattice show, before doing it again.",
        ) from refused


def _abandon(stream: TextIO) -> None:
    """Send what is left in the buffers nowhere, so that the interpreter's end does not fail on it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


class JsonTexts(Record):
    """An array in an answer whose items are JSON text already, each with the spaces that it has there (`ITEM_PAD`)."""

    items: Sequence[bytes]


def envelope(
    data: object, warnings: Sequence[str] = (), *, ok: bool = True, beside: Mapping[str, object] | None = None
) -> Iterator[bytes]:
    """The JSON form of an answer, in parts: a long one is not put together first."""
    shape: dict[str, object] = {**(beside or {}), "ok": ok, "data": [] if isinstance(data, JsonTexts) else data}
    if warnings:
        shape["warnings"] = list(warnings)
    text = _json(shape).encode("ascii")
    if not isinstance(data, JsonTexts) or not data.items:
        yield text
        return
    # Nothing else begins a line like that: deeper members have more spaces, and texts no line breaks.
    before, empty, after = text.partition(b'\n  "data": []')
    yield before + empty[:-1]
    between = f"\n{ITEM_PAD}".encode()
    for item in data.items:
        yield between
        yield item
        between = f",\n{ITEM_PAD}".encode()
    yield b"\n  ]" + after


def refusal(error: Mapping[str, object]) -> str:
    """The JSON form of an error."""
    return _json({"ok": False, "error": error})


def _json(shape: object) -> str:
    return json.dumps(shape, indent=2, sort_keys=True) + "\n"


def line(text: object) -> str:
    """Anything as one harmless line."""
    return visible(str(text))


def width(text: str) -> int:
    """Columns that `text` takes on a terminal."""
    if text.isascii():
        return len(text)
    from lattice.cli.columns import clusters  # only text beyond ASCII pays for it

    return sum(columns for _, columns in clusters(text))


def cut(text: str, columns: int) -> str:
    """`text` in at most `columns` columns; what is left out is marked with an ellipsis."""
    if width(text) <= columns:
        return text
    if columns <= 0:
        return ""
    if text.isascii():
        return f"{text[: columns - 1]}…"
    from lattice.cli.columns import clusters  # as above

    kept, used = "", 0
    for cluster, more in clusters(text):
        if used + more > columns - 1:
            break
        kept, used = kept + cluster, used + more
    return f"{kept}…"


def table(
    rows: Sequence[Sequence[str]],
    terminal: Terminal,
    flexible: int,
    heads: Sequence[str] = (),
    first_to_go: Sequence[int] = (),
) -> str:
    """Rows in aligned columns. On a terminal there are `heads`, and no line is wider than it.

    What does not fit is taken from the `flexible` column, then from other long ones; then columns are left out:
    those of `first_to_go` in this order, then from the last to the second. The first is what a row is called by.
    """
    shown = [list(heads), *map(list, rows)] if heads and terminal.columns else list(map(list, rows))
    if not shown:
        return ""
    widths = dict(enumerate(max(map(width, column)) for column in zip(*shown, strict=True)))
    if terminal.columns:
        from lattice.cli.columns import fitted  # a program, which gets all of it, does without

        widths = fitted(widths, terminal.columns, flexible, first_to_go)
    last = max(widths)
    lines = []
    for place, row in enumerate(shown):
        is_head = place == 0 and len(shown) > len(rows)
        cells = []
        for at, columns in widths.items():
            text = cut(row[at], columns)
            padded = text if at == last else text + " " * (columns - width(text))
            cells.append(terminal.styled(padded, "faint" if is_head else None))
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def span(seconds: float | None) -> str:
    """A length of time in two units at most."""
    if seconds is None:
        return "-"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def warn(warnings: Sequence[str]) -> None:
    """Say to a person what is odd about an answer."""
    for warning in warnings:
        write(sys.stderr, f"Warning: {line(warning)}\n")
