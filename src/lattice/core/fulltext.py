"""Words in text: what a search looks for, whether a text has it, and the piece of text to show."""

from __future__ import annotations

import re
from collections.abc import Sequence

from lattice.core.summary import Words
from lattice.errors import ValidationError

Phrase = tuple[str, ...]
"""Tokens that follow each other; the last one may be the beginning of a longer word."""

_TERM = re.compile(r'"([^"]*)"?|(\S+)')
_TOKEN = re.compile(r"[^\W_]+")
_WEIGHTS = (8, 3, 1, 2)  # of Words: title, description, comments, artifacts
SNIPPET_CHARS = 80


def tokens(text: str) -> list[str]:
    """The words of `text`: letters and digits, without case and accents."""
    return _TOKEN.findall(folded(text))


def folded(text: str) -> str:
    """`text` without case and accents."""
    if text.isascii():
        return text.lower()
    import unicodedata  # only text beyond ASCII pays for it

    apart = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in apart if not unicodedata.combining(character))


def parse_words(text: str) -> tuple[Phrase, ...]:
    """The phrases to look for: each word is one, and what stands in quotes. Raises ValidationError for none."""
    found = (tuple(tokens(quoted or word)) for quoted, word in _TERM.findall(text))
    phrases = tuple(dict.fromkeys(phrase for phrase in found if phrase))
    if not phrases:
        raise ValidationError("There is no word to search for.", hint='lattice search "login crash"')
    return phrases


def score(phrases: Sequence[Phrase], text: Words) -> int:
    """How well `text` fits, 0 where a phrase is missing: titles count most."""
    total = 0
    columns = [tokens(column) for column in text]
    for phrase in phrases:
        worth = sum(weight * _count(phrase, column) for weight, column in zip(_WEIGHTS, columns, strict=True))
        if not worth:
            return 0
        total += worth
    return total


def snippet(phrases: Sequence[Phrase], text: Words) -> str:
    """The piece of the first text beside the title that has one of the phrases; empty where only the title has."""
    for column in text[1:]:
        for phrase in phrases:
            at = _find(phrase, column)
            if at is not None:
                return _around(column, at)
    return ""


def _count(phrase: Phrase, column: Sequence[str]) -> int:
    first, *_ = phrase
    size = len(phrase)
    return sum(
        1
        for at, token in enumerate(column)
        if token.startswith(first)
        and tuple(column[at : at + size - 1]) == phrase[:-1]
        and at + size <= len(column)
        and column[at + size - 1].startswith(phrase[-1])
    )


def _find(phrase: Phrase, column: str) -> int | None:
    """Where the phrase begins in `column`, by its own characters."""
    spans = [(found.start(), tokens(found[0])) for found in _TOKEN.finditer(column)]
    flat = [(start, token) for start, folds in spans for token in folds]
    size = len(phrase)
    for at in range(len(flat) - size + 1):
        window = [token for _, token in flat[at : at + size]]
        if tuple(window[:-1]) == phrase[:-1] and window[-1].startswith(phrase[-1]):
            return flat[at][0]
    return None


def _around(text: str, at: int) -> str:
    start = max(0, at - SNIPPET_CHARS // 3)
    if start:
        start = text.find(" ", start, at) + 1 or start
    piece = " ".join(text[start : start + SNIPPET_CHARS].split())
    return ("…" if start else "") + piece + ("…" if start + SNIPPET_CHARS < len(text) else "")
