"""Places of code as prose names them: `file:12`, `file`:12-20, `file:12`-`file:20`, file#L12, and a field `File`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lattice.core.reviews.formats.account import Account
from lattice.core.reviews.model import Place

_MENTION = re.compile(
    r"`(?P<code>[^`\n]{1,400})`(?::(?P<line>\d{1,9})(?: ?[-–] ?(?P<end>\d{1,9}))?)?"
    r"|(?P<bare>[^\s`()\[\]{},;\"'<>|]{3,400})"
)
_LOCATED = re.compile(
    r"(?P<file>(?:[A-Za-z]:)?[^\s:#]+)(?::|#L)(?P<line>\d{1,9})(?:[-–]L?(?P<end>\d{1,9})|:\d{1,9})?(?:[-–:]\d{1,9})*"
)
_LINES = re.compile(r"\(?\blines?\s{1,3}(?P<line>\d{1,9})(?:\s?[-–]\s?(?P<end>\d{1,9}))?\)?", re.IGNORECASE)
_NAMED = re.compile(r"(?:.*/)?(?:[^/]*\.[A-Za-z]\w{0,9}|[A-Z]\w*file|[^/]+)", re.DOTALL)
_PLACES_MAX = 200  # of one text
_HOSTS = (".com", ".org", ".net", ".io", ".dev", ".local")
_BETWEEN = re.compile(r"[\s,;&]*(?:\b(?:and|vs|see|at|in|versus)\b\.?[\s,;&]*)*(?:[-–])?[\s,;&]*", re.IGNORECASE)
_DASH = re.compile(r"\s?[-–]\s?")


def places_in(text: str, account: Account) -> list[Place]:
    """Every place with a line that the text names, in order; what lies outside the repository is remarked upon."""
    found: list[tuple[int, int, Place]] = []
    for number, (start, end, raw) in enumerate(_mentions(text)):
        if number >= _PLACES_MAX:
            account.remark(f"only {_PLACES_MAX} places of a text were looked at")
            break
        place = account.place(*raw)
        if place is None:
            continue
        if found and _DASH.fullmatch(text, found[-1][1], start) and _is_range(found[-1][2], place):
            first = found[-1]
            found[-1] = (first[0], end, account.place(place.file, first[2].line, place.line) or place)
        else:
            found.append((start, end, place))
    return [place for _, _, place in found]


def without_places(text: str) -> str:
    """`text` without the parentheses that hold places and nothing else."""
    return re.sub(r"\s?\(([^()]{1,2000})\)", lambda inside: "" if _only_places(inside[1]) else inside[0], text)


def field_places(value: str, account: Account) -> list[Place]:
    """The places of a field `File`, where a path may stand alone; none where it names no path."""
    exact = places_in(value, account)
    if exact:
        return exact
    lines = _LINES.search(value)
    rest = _LINES.sub(" ", value) if lines else value
    words = [word.strip("`*") for word in re.split(r"[\s,;]+", rest) if word.strip("`*(),:")]
    paths = [word for word in words if "/" in word or re.search(r"\.[A-Za-z]\w{0,9}$", word)]
    if not paths or len(paths) != len([word for word in words if word.casefold() not in ("and", "&")]):
        return []
    line, end = (int(lines["line"]), _number(lines["end"])) if lines else (None, None)
    return [place for path in paths if (place := account.place(path, line, end)) is not None]


def _mentions(text: str) -> Iterator[tuple[int, int, tuple[str, int, int | None]]]:
    """Where each stands in the text, with its path, line and last line."""
    for found in _MENTION.finditer(text):
        code = found["code"]
        if code is not None and found["line"] is not None and _is_file(code):
            yield found.start(), found.end(), (code, int(found["line"]), _number(found["end"]))
            continue
        located = _LOCATED.fullmatch((code if code is not None else found["bare"].rstrip(".:!?*")).strip())
        if located is not None and _is_file(located["file"]):
            yield found.start(), found.end(), (located["file"], int(located["line"]), _number(located["end"]))


def _is_file(name: str) -> bool:
    """Whether this is a file's name and not a host's, an option's or a time's."""
    if any(char.isspace() for char in name) or "://" in name or name.casefold().endswith(_HOSTS):
        return False
    if name.startswith("-") or not _NAMED.fullmatch(name):
        return False
    return "/" in name or "\\" in name or bool(re.search(r"\.[A-Za-z]\w{0,9}$|^[A-Z]\w*file$", name))


def _only_places(text: str) -> bool:
    at, seen = 0, False
    for start, end, _ in _mentions(text):
        if not _BETWEEN.fullmatch(text, at, start):
            return False
        at, seen = end, True
    return seen and bool(_BETWEEN.fullmatch(text, at))


def _is_range(first: Place, last: Place) -> bool:
    lines = (first.line, last.line)
    return first.file == last.file and None not in lines and first.end_line is None and last.end_line is None


def _number(digits: str | None) -> int | None:
    return int(digits) if digits else None
