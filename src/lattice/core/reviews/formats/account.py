"""What every reader of reports shares: texts within the limits, places below the repository, and what was left out.

Nothing is lost in silence: what does not fit is kept as text where there is room for it, and said as a remark.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from lattice.core.record import Record
from lattice.core.reviews.model import (
    FINDINGS_MAX,
    LINES_MAX,
    PLACES_MAX,
    SEVERITIES,
    TEXT_CHARS_MAX,
    TITLE_CHARS_MAX,
    Finding,
    Place,
    Review,
)
from lattice.core.text import visible
from lattice.errors import ValidationError

PATH_CHARS_MAX = 1_000
LINE_MAX = 10_000_000
REMARKS_MAX = 50
ROWS_MAX = 20_000  # of a tool's results that are looked at; a review holds FINDINGS_MAX of them, the worst first
_SHOWN_CHARS = 120
_Row = TypeVar("_Row")
_DRIVE = re.compile(r"[A-Za-z]:/")


class Reading(Record):
    """A report as it was read. `remarks` name what was cut, left out or not understood."""

    format: str
    review: Review
    remarks: tuple[str, ...] = ()


class Account:
    """Keeps count while a report is read. `roots` are the folders that a tool may have called the repository."""

    def __init__(self, roots: Sequence[str] = ()) -> None:
        self._roots = [found for root in roots if (found := _walked(root)) is not None and found.startswith("/")]
        self._remarks: dict[str, None] = {}
        self._outside: list[str] = []

    @property
    def remarks(self) -> tuple[str, ...]:
        """Each remark once, in order."""
        more = len(self._remarks) - REMARKS_MAX
        told = tuple(self._remarks)[:REMARKS_MAX]
        return (*told, f"… and {more} more remarks") if more > 0 else told

    def remark(self, text: str) -> None:
        self._remarks[text] = None

    def remark_all(self, texts: Iterable[str]) -> None:
        for text in texts:
            self.remark(text)

    def text(self, value: object, what: str) -> str:
        """Prose, cut at the limit; '' for what is no text."""
        text = value.strip() if isinstance(value, str) else ""
        if len(text) > TEXT_CHARS_MAX:
            self.remark(f"{what} was cut at {TEXT_CHARS_MAX} characters")
        return text[:TEXT_CHARS_MAX]

    def lines(self, values: Iterable[str], what: str) -> tuple[str, ...]:
        """A list of texts, within the limits."""
        texts = [text for value in values if (text := self.text(value, f"a line of {what}"))]
        if len(texts) > LINES_MAX:
            self.remark(f"{len(texts) - LINES_MAX} of {len(texts)} lines of {what} were left out")
        return tuple(texts[:LINES_MAX])

    def rows(self, found: Sequence[_Row], what: str) -> Sequence[_Row]:
        """As many of a tool's results as are looked at."""
        if len(found) > ROWS_MAX:
            self.remark(f"{len(found) - ROWS_MAX} of {len(found)} {what} were not looked at")
        return found[:ROWS_MAX]

    def findings(self, found: Sequence[Finding]) -> tuple[Finding, ...]:
        """As many as a review holds, the worst first."""
        found = sorted(found, key=lambda one: SEVERITIES.index(one.severity))
        if len(found) > FINDINGS_MAX:
            self.remark(f"{len(found) - FINDINGS_MAX} of {len(found)} findings were left out; a review holds that many")
        return tuple(found[:FINDINGS_MAX])

    def path(self, raw: str) -> str | None:
        """A path from the top of the repository; None for what is not in it, or is no path."""
        walked = _walked(raw)
        if walked is None:
            return None
        for root in self._roots:
            if walked.startswith(root.rstrip("/") + "/"):
                return walked[len(root.rstrip("/")) + 1 :]
        return None if walked.startswith("/") or _DRIVE.match(walked) else walked or None

    def place(self, raw: str, line: object = None, end_line: object = None) -> Place | None:
        """The place, if its path is one of the repository; else a remark."""
        path = self.path(raw)
        if path is None:
            self.remark(f"not a path in the repository: {_shown(raw)}")
            self._outside.append(_shown(f"{raw}:{line}" if line else raw))
            return None
        first, last = _line(line), _line(end_line)
        if first is None and line not in (None, 0, -1):
            self.remark(f"not a line: {_shown(str(line))} of {_shown(path)}")
        if first is not None and last is not None and last < first:
            first, last = last, first
        return Place(path, first, last if first is not None and last != first else None)

    def outside(self, detail: str) -> str:
        """The detail of a finding, with the places that were refused since the last finding."""
        told = list(dict.fromkeys(self._outside))
        self._outside.clear()
        return f"{detail}\n\nOutside the repository: {', '.join(told[:PLACES_MAX])}".strip() if told else detail

    def finding(self, *, severity: str, title: str, places: Iterable[Place | None] = (), **said: Any) -> Finding:
        """A finding within the limits. A title that is too long stands whole in the detail."""
        whole = " ".join(title.split()) or "(without a title)"
        detail = str(said.pop("detail", "") or "").strip()
        if len(whole) > TITLE_CHARS_MAX:
            detail = f"{whole}\n\n{detail}".strip()
            whole = whole[: TITLE_CHARS_MAX - 1] + "…"
        known = tuple(dict.fromkeys(place for place in places if place is not None))
        if len(known) > PLACES_MAX + 1:
            self.remark(f"{len(known) - PLACES_MAX - 1} places of {whole[:60]!r} were left out")
        first = known[0] if known else Place("")
        return Finding(
            severity=severity,
            title=whole,
            detail=self.text(self.outside(detail), f"the detail of {whole[:60]!r}"),
            file=first.file or None,
            line=first.line,
            end_line=first.end_line,
            also=known[1 : PLACES_MAX + 1],
            fix=self.text(said.pop("fix", ""), f"the fix of {whole[:60]!r}"),
            trace=self.text(said.pop("trace", ""), f"the trace of {whole[:60]!r}"),
            **said,
        )


def whole(value: Any) -> Any:
    """`value` if every text in it can be kept in a log. Raises ValidationError."""
    ahead = [value]
    while ahead:
        one = ahead.pop()
        if isinstance(one, str):
            _check(one)
        elif isinstance(one, dict):
            ahead += [*one, *one.values()]
        elif isinstance(one, (list, tuple)):
            ahead += one
    return value


def _check(text: str) -> None:
    if "\0" in text:
        raise ValidationError("The report holds a NUL character.", hint="Give it as its tool printed it, in UTF-8.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValidationError(
            "The report is not valid Unicode: it holds half of a character.", hint="Give it as UTF-8."
        ) from None


def _walked(raw: str) -> str | None:
    """The path without `.` and `..`; None where it leaves what it began in, or is none."""
    if not raw.strip() or len(raw) > PATH_CHARS_MAX or "://" in raw or visible(raw) != raw:
        return None
    path = raw.strip() if "/" in raw else raw.strip().replace("\\", "/")
    path = path.replace("\\", "/") if re.match(r"[A-Za-z]:\\", path) else path
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return ("/" if path.startswith("/") else "") + "/".join(parts)


def _line(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return int(value) if 1 <= value <= LINE_MAX and value == int(value) else None


def _shown(text: str) -> str:
    return visible(text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}…")
