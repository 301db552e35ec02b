"""Text that others wrote made harmless for Markdown: nothing invisible, of bounded length, inert."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

DETAIL_CHARS_MAX = 600
_MARKUP = re.compile(r"([\\`*_\[\]<>&!|~#@$])")
_AUTOLINK = re.compile(r"(?i)(://|\bwww\.)")
_OPENS_BLOCK = re.compile(r"^(?:([-+=])|(\d{1,9})([.)]))")
_CODE_SPAN = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
_SURROGATE = re.compile("[\ud800-\udfff]")
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def visible(text: str, limit: int = DETAIL_CHARS_MAX) -> str:
    """One line: control, bidirectional and lone surrogate characters as escapes; what is too long is cut, and says so.

    Stricter than `lattice.core.text.visible`, which has to be quick: all that Unicode calls format, private
    or unassigned is spelled out.
    """
    if len(text) > limit:
        text = f"{text[: limit - 40]}… ({len(text) - limit + 40} characters left out)"
    return "".join(_escape(one) if unicodedata.category(one) in _HIDDEN else one for one in text)


def _escape(one: str) -> str:
    code = ord(one)
    if 0xDC80 <= code <= 0xDCFF:  # A byte that was not UTF-8, as os.fsdecode keeps it.
        return f"\\x{code - 0xDC00:02x}"
    return {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(one) or (
        f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    )


def encodable(shape: Any) -> Any:
    """A JSON value whose every text UTF-8 can write: a byte of a name that is not UTF-8 is spelled out as `\\xNN`."""
    match shape:
        case str():
            return _SURROGATE.sub(lambda found: _escape(found[0]), shape)
        case list() | tuple():
            return [encodable(one) for one in shape]
        case dict():
            return {encodable(key): encodable(value) for key, value in shape.items()}
    return shape


def prose(text: str, limit: int = DETAIL_CHARS_MAX) -> str:
    """Text inside a Markdown sentence: no markup, link, mention or HTML survives."""
    escaped = _MARKUP.sub(r"\\\1", visible(text, limit))
    return _AUTOLINK.sub(lambda match: match[1].replace(":", "\\:").replace(".", "\\."), escaped)


def code(text: str, limit: int = DETAIL_CHARS_MAX) -> str:
    """A Markdown code span whose fence is longer than any run of backticks inside."""
    shown = visible(text, limit)
    longest = max((len(run) for run in re.findall(r"`+", shown)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if shown.startswith("`") or shown.endswith("`") or not shown else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


def sentence(text: str, limit: int = DETAIL_CHARS_MAX) -> str:
    """As `prose`, on one line; what stands between single backticks stays code."""
    said = " ".join(text.split())
    if len(said) > limit:
        said = f"{said[: limit - 40]}… ({len(said) - limit + 40} characters left out)"
    parts = _CODE_SPAN.split(said)
    return "".join(code(part, limit) if index % 2 else prose(part, limit) for index, part in enumerate(parts))


def paragraph(text: str, indent: str = "", limit: int = DETAIL_CHARS_MAX) -> str:
    """Text of several lines inside a block: its lines stay lines, and none of them opens a block of its own.

    The first line opens none only where something stands before it.
    """
    lines = [shown for line in text.splitlines() if (shown := sentence(line, limit))]
    return f"  \n{indent}".join(lines[:1] + [unopened(line) for line in lines[1:]])


def unopened(line: str) -> str:
    """A line at whose beginning neither a list nor a rule nor a heading can start."""
    return _OPENS_BLOCK.sub(lambda at: f"\\{at[1]}" if at[1] else f"{at[2]}\\{at[3]}", line)
