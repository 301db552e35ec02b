"""How text lies on a terminal: what a reader sees as one character, the columns it takes, and tables that fit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from unicodedata import category, east_asian_width

FLEXIBLE_MIN = 10  # columns that the flexible column of a table keeps while another one can give way
OTHERS_MIN = 20  # columns up to which no other column of a table is cut
GAP = 2  # columns between two columns of a table

_JOINER = "\u200d"
_AS_EMOJI = "\ufe0f"
_SOFT_HYPHEN = "\u00ad"
_SKIN_TONES = range(0x1F3FB, 0x1F400)
_JAMO = (range(0x1160, 0x1200), range(0xD7B0, 0xD800))  # vowels and finals of Hangul, drawn into the syllable
_FLAG_LETTERS = range(0x1F1E6, 0x1F200)


def clusters(text: str) -> Iterator[tuple[str, int]]:
    """What is drawn in one place, whole, each with its columns: a letter with its marks, a joined emoji, a flag.

    A simplification of the grapheme clusters of Unicode's UAX #29; widths are those of UAX #11. Where terminals
    disagree (variation selectors), the wider one is taken, so that a line never grows too long.
    """
    held, columns = "", 0
    for char in text:
        if held and _continues(held, char):
            if char == _AS_EMOJI:
                columns = max(columns, 2) if columns else 0
            elif ord(char) in _FLAG_LETTERS:
                columns = 2
            held += char
            continue
        if held:
            yield held, columns
        held, columns = char, _columns(char)
    if held:
        yield held, columns


def _continues(held: str, char: str) -> bool:
    """Whether `char` is drawn into what stands before it."""
    code = ord(char)
    if code in _SKIN_TONES:
        return category(held[0]) == "So"
    if code in _FLAG_LETTERS:
        return len(held) == 1 and ord(held) in _FLAG_LETTERS
    if held[-1] == _JOINER:
        return category(char) == "So"
    return _columns(char) == 0


def _columns(char: str) -> int:
    if char != _SOFT_HYPHEN and (
        category(char) in ("Mn", "Me", "Cf") or any(ord(char) in letters for letters in _JAMO)
    ):
        return 0
    return 2 if east_asian_width(char) in ("W", "F") else 1


def fitted(widths: Mapping[int, int], columns: int, flexible: int, first_to_go: Sequence[int]) -> dict[int, int]:
    """The columns of a table that are shown, with their widths: in all, with the gaps, at most `columns`.

    `widths` are those of the whole cells. The first column stays to the last; `flexible` gets what is left over.
    """
    least = {at: min(natural, _least(at, flexible, natural)) for at, natural in widths.items()}
    others = [at for at in reversed(widths) if at not in (0, flexible, *first_to_go)]
    for at in (*first_to_go, *others):
        if _total(least) <= columns:
            break
        least.pop(at, None)
    if flexible in least:
        least[flexible] -= max(0, _total(least) - columns)
    if _total(least) > columns or least.get(flexible, 0) < 0:
        least = {0: min(widths[0], columns)}
    # What is left over goes to the flexible column first, then to whatever else was cut.
    for at in sorted(least, key=lambda at: at != flexible):
        least[at] += max(0, min(widths[at] - least[at], columns - _total(least)))
    return least


def _least(at: int, flexible: int, natural: int) -> int:
    if at == flexible:
        return FLEXIBLE_MIN
    return natural if at == 0 else OTHERS_MIN


def _total(widths: Mapping[int, int]) -> int:
    return sum(widths.values()) + GAP * (len(widths) - 1)
