"""Moments as people write them: `2h` ago, `yesterday`, `2026-11-01`. All of them are UTC, as the log's times are."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from lattice.errors import ValidationError

_AGO = re.compile(r"([0-9]{1,6})\s*(s|m|h|d|w)\Z")
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_NAMED = (("d", "d"), ("h", "h"), ("m", "min"), ("s", "s"))
_ISO = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:?[0-9]{2})?)?\Z")


def parse_moment(text: str, now_ms: int) -> str:
    """The moment that `text` names, as the log writes it: `2026-11-20T23:39:05Z`. Raises ValidationError.

    A span (`45s`, `30m`, `2h`, `3d`, `1w`) is so long ago; a date is its beginning; `now`, `today` and
    `yesterday` are what they say; a time without a zone is UTC.
    """
    now = datetime.fromtimestamp(now_ms // 1000, UTC)
    word = text.strip()
    midnight = now.replace(hour=0, minute=0, second=0)
    words = {"now": now, "today": midnight, "yesterday": midnight - timedelta(days=1)}
    if word.lower() in words:
        return _written(words[word.lower()])
    ago = _AGO.match(word.lower().removesuffix("ago").strip())
    try:
        if ago is not None:
            return _written(now - timedelta(seconds=int(ago[1]) * _UNITS_S[ago[2]]))
        if _ISO.match(word.upper()):
            moment = datetime.fromisoformat(word.upper())
            return _written(moment.astimezone(UTC) if moment.tzinfo else moment)
    except (ValueError, OverflowError):
        pass  # no such day, or before the year 1: told below
    raise ValidationError(
        f"{text[:40]!r} is not a moment.",
        hint="Write 2h, 3d or 1w for so long ago; today, yesterday; 2026-11-01 or 2026-11-01T09:30 in UTC.",
    )


def ago(moment: str, now_ms: int) -> str:
    """How long before now a moment of the log was, in one unit: `5 min ago`; a date where it is a month or more.

    What is ahead of the clock is `in 5 min`. A text that is no moment stays as it is.
    """
    try:
        then = datetime.fromisoformat(moment)
        if then.tzinfo is None:
            then = then.replace(tzinfo=UTC)
        seconds = now_ms // 1000 - int(then.timestamp())
    except (ValueError, OverflowError):
        return moment
    if abs(seconds) >= 30 * _UNITS_S["d"]:
        return then.astimezone(UTC).date().isoformat()
    if abs(seconds) < 1:
        return "now"
    unit, named = next((unit, named) for unit, named in _NAMED if abs(seconds) >= _UNITS_S[unit])
    span = f"{abs(seconds) // _UNITS_S[unit]} {named}"
    return f"{span} ago" if seconds > 0 else f"in {span}"


def _written(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment.year >= 1000 else f"{moment.isoformat()[:19]}Z"
