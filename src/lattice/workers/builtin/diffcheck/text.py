"""Text from a repository made harmless: one line, nothing invisible, of bounded length, inert in Markdown."""

from __future__ import annotations

import re
import unicodedata

DETAIL_CHARS_MAX = 600
_MARKUP = re.compile(r"([\\`*_\[\]<>&!|~#@$])")
_AUTOLINK = re.compile(r"(?i)(://|\bwww\.)")
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def visible(text: str, limit: int = DETAIL_CHARS_MAX) -> str:
    """Control, bidirectional and lone surrogate characters as escapes; the middle of a long text left out."""
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


def prose(text: str) -> str:
    """Text inside a Markdown sentence: no markup, link, mention or HTML survives."""
    escaped = _MARKUP.sub(r"\\\1", visible(text))
    return _AUTOLINK.sub(lambda match: match[1].replace(":", "\\:").replace(".", "\\."), escaped)


def code(text: str) -> str:
    """A Markdown code span whose fence is longer than any run of backticks inside."""
    shown = visible(text)
    longest = max((len(run) for run in re.findall(r"`+", shown)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if shown.startswith("`") or shown.endswith("`") or not shown else ""
    return f"{fence}{pad}{shown}{pad}{fence}"
