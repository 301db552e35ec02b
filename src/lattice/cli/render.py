"""How an answer is shown: JSON for programs; for people text, in which nothing from a task can act on a terminal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import TextIO

from lattice.core.record import Record
from lattice.core.text import visible
from lattice.errors import StorageError

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

COLUMNS_MIN = 40


class Terminal(Record):
    """What standard output can show. `columns` is None where it is no terminal, and nothing is cut."""

    colour: bool = False
    columns: int | None = None

    def styled(self, text: str, meaning: str | None = None) -> str:
        """`text` in the style of `meaning`, by default its own; unchanged where there is no colour."""
        style = STYLES.get(meaning or text.strip())
        return f"\x1b[{style}m{text}\x1b[0m" if self.colour and style else text


def terminal_of(stream: TextIO | None, environ: Mapping[str, str]) -> Terminal:
    """What `stream` can show."""
    if stream is None or not stream.isatty():
        return Terminal()
    try:
        columns = os.get_terminal_size(stream.fileno()).columns or 80
    except OSError:
        columns = 80
    colour = not environ.get("NO_COLOR") and environ.get("TERM", "") not in ("", "dumb")
    return Terminal(colour, max(columns, COLUMNS_MIN))


def write(stream: TextIO | None, text: str) -> None:
    """Write `text` whole, as UTF-8 in every locale. Raises BrokenPipeError; StorageError where it finds no room."""
    if stream is None:
        return
    try:
        stream.flush()
        stream.buffer.write(text.encode("utf-8", "backslashreplace"))
        stream.buffer.flush()
    except BrokenPipeError:
        _abandon(stream)
        raise
    except OSError as refused:
        _abandon(stream)
        raise StorageError(
            f"The answer could not be written: {refused.strerror}.",
            hint="What the command did is done; see it with lattice show, before doing it again.",
        ) from refused


def _abandon(stream: TextIO) -> None:
    """Send what is left in the buffers nowhere, so that the interpreter's end does not fail on it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


class JsonTexts(Record):
    """An array in an answer whose items are JSON text already: sorted keys, two spaces."""

    items: tuple[str, ...]


def envelope(
    data: object, warnings: Sequence[str] = (), *, ok: bool = True, beside: Mapping[str, object] | None = None
) -> str:
    """The JSON form of an answer."""
    shape: dict[str, object] = {**(beside or {}), "ok": ok, "data": [] if isinstance(data, JsonTexts) else data}
    if warnings:
        shape["warnings"] = list(warnings)
    text = _json(shape)
    if not isinstance(data, JsonTexts) or not data.items:
        return text
    items = ",\n".join(f"    {item}".replace("\n", "\n    ") for item in data.items)
    # Nothing else begins a line like that: deeper members have more spaces, and texts no line breaks.
    return text.replace('\n  "data": []', f'\n  "data": [\n{items}\n  ]', 1)


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
    import unicodedata  # only text beyond ASCII pays for it

    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def cut(text: str, columns: int) -> str:
    """`text` in at most `columns` columns; what is left out is marked with an ellipsis."""
    if width(text) <= columns:
        return text
    kept = text[:columns]
    while kept and width(kept) > columns - 1:
        kept = kept[:-1]
    return f"{kept}…" if columns > 0 else ""


def table(rows: Sequence[Sequence[str]], terminal: Terminal, flexible: int, heads: Sequence[str] = ()) -> str:
    """Rows in aligned columns. On a terminal there are `heads`, and the `flexible` column is cut to fit."""
    shown = [list(heads), *map(list, rows)] if heads and terminal.columns else list(map(list, rows))
    if not shown:
        return ""
    widths = [max(map(width, column)) for column in zip(*shown, strict=True)]
    if terminal.columns:
        others = sum(widths) - widths[flexible] + 2 * (len(widths) - 1)
        widths[flexible] = min(widths[flexible], max(terminal.columns - others, 10))
    lines = []
    for place, row in enumerate(shown):
        cells = []
        for at, cell in enumerate(row):
            text = cut(cell, widths[at]) if at == flexible and terminal.columns else cell
            padded = text + " " * (widths[at] - width(text)) if at < len(row) - 1 else text
            is_head = place == 0 and len(shown) > len(rows)
            cells.append(terminal.styled(padded, "faint" if is_head else None))
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def warn(warnings: Sequence[str]) -> None:
    """Say to a person what is odd about an answer."""
    for warning in warnings:
        write(sys.stderr, f"Warning: {line(warning)}\n")
