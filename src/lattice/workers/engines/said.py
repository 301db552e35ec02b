"""What adapters share: reading members of a stream that may be of any form, and the words of a refusal.

Nothing here raises for what a stream says. A number is one that can be one, a text is text that a log can
hold, and everything else is None: not said.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from lattice.core.codec import BadLine, dump, parse_value
from lattice.core.text import visible
from lattice.errors import ValidationError
from lattice.ledger import timestamp
from lattice.workers.engines.heard import Heard, RateLimit, Usage

TEXT_CHARS_MAX = 1 << 20
ERROR_CHARS_MAX = 2_000
ACTIVITY_CHARS_MAX = 120
WHOLE_MAX = 1 << 53
_EPOCH_S_MAX = 4_102_444_800  # the year 2100: what is later was no time
_NOTHING: Mapping[str, Any] = {}
_GONE = re.compile("[\x00\ud800-\udfff]")

_REFUSED = re.compile(
    r"\b429\b|rate.?limit|usage limit|too many requests|resource.?exhausted|quota.{0,40}exceeded|"
    r"exceeded.{0,60}\bquota|exhausted.{0,40}\b(?:capacity|quota)|hit your limit",
    re.IGNORECASE,
)
_UNIT = r"(?:ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)"
_SPAN = rf"((?:\d{{1,9}}(?:\.\d{{1,9}})?\s*{_UNIT}(?![a-z])[\s,]*(?:and\s+)?)+)"
_AFTER = re.compile(
    rf"(?:(?:again|retry|resets?|reset after|retry after|wait)(?:\s+(?:in|after))?|retryDelay\W{{1,5}})\s*{_SPAN}",
    re.IGNORECASE,
)
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)", re.IGNORECASE)
_SECONDS = {"ms": 0.001, "m": 60.0, "s": 1.0, "h": 3_600.0, "d": 86_400.0}
_RESETS_IN = re.compile(r"resets?_in_seconds\W{1,5}(\d{1,9})")
_RESETS_AT = re.compile(r"(?:resets?_at|limit reached)\W{1,5}(\d{10})\b")


def mapping(value: object) -> Mapping[str, Any]:
    """`value` where it is an object, else an empty one."""
    return value if isinstance(value, dict) else _NOTHING


def objects(value: object) -> list[Mapping[str, Any]]:
    """The objects in a list; none where it is no list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text(value: object, chars_max: int = TEXT_CHARS_MAX) -> str | None:
    """`value` where it is a text that says something, shortened, without what no log can hold."""
    return _GONE.sub("\ufffd", value[:chars_max]) if isinstance(value, str) and value.strip() else None


def word(value: object) -> str | None:
    """A name or an id: one line, short."""
    said = text(value, 200)
    return visible(said.strip()) if said is not None else None


def activity(*parts: object) -> str | None:
    """One line for `ps`: the parts that are texts, in order, shortened."""
    said = [" ".join(part.split()) for part in (text(part, 4 * ACTIVITY_CHARS_MAX) for part in parts) if part]
    line = visible(" ".join(said))
    return (line if len(line) <= ACTIVITY_CHARS_MAX else f"{line[: ACTIVITY_CHARS_MAX - 1]}…") or None


def whole(value: object) -> int | None:
    """A count. None for what is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= WHOLE_MAX else None


def number(value: object) -> float | None:
    """A number that is finite and not below zero."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    return float(value) if 0 <= value <= WHOLE_MAX and math.isfinite(value) else None


def total(*counts: int | None) -> int | None:
    """The sum of the counts that are known; None where none is."""
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def added(one: Usage, other: Usage) -> Usage:
    """Two usages that do not count the same thing, together."""
    costs = [cost for cost in (one.cost_usd, other.cost_usd) if cost is not None]
    return Usage(
        total(one.tokens_in, other.tokens_in),
        total(one.tokens_out, other.tokens_out),
        total(one.tokens_cached, other.tokens_cached),
        round(sum(costs), 9) if costs else None,  # prices, not their binary forms
    )


def since(cost_usd: float | None, before: Usage | None) -> float | None:
    """What is new in a price of a whole session. Where that of its past is not known, what is new is not either.

    A price that is lower than that of the past does not count it, and stays as it is.
    """
    if cost_usd is None or before is None:
        return cost_usd
    if before.cost_usd is None or cost_usd < before.cost_usd:
        return None if before.cost_usd is None else cost_usd
    return round(cost_usd - before.cost_usd, 9)  # as above


def answer(said: str | None) -> Any:
    """The JSON object or list that a text is, alone or in one fence of Markdown; None for any other text."""
    if said is None:
        return None
    bare = said.strip()
    if bare.startswith("```") and bare.endswith("```") and "\n" in bare:
        bare = bare.partition("\n")[2][:-3].strip()
    return kept(bare) if bare.startswith(("{", "[")) else None


def kept(value: object) -> Any:
    """A JSON value, or the text of one, as it can be written again; None where it cannot."""
    try:
        found = parse_value(value.encode("utf-8")) if isinstance(value, str) else value
        dump(found)
    except (BadLine, ValidationError, UnicodeEncodeError):
        return None
    return found


def refusal(said: str | None) -> RateLimit | None:
    """The rate limit that an error's text tells of, with until when where that can be read; None for another error."""
    said = (said or "")[:ERROR_CHARS_MAX]
    if not _REFUSED.search(said):
        return None
    at, after = _RESETS_AT.search(said), _RESETS_IN.search(said)
    if at is not None:
        return RateLimit(moment(int(at[1])))
    if after is not None:
        return RateLimit(after_s=float(after[1]))
    span = _AFTER.search(said)
    return RateLimit(after_s=_span_s(span[1]) if span is not None else None)


def moment(epoch_s: object) -> str | None:
    """A time of the log from seconds since 1970, or from thousandths of them; None for what is no time."""
    seconds = number(epoch_s)
    if seconds is not None and seconds > _EPOCH_S_MAX:
        seconds /= 1000
    if seconds is None or not 0 < seconds <= _EPOCH_S_MAX:
        return None
    return timestamp(int(seconds) * 1000)


def refused(heard: Heard, limit: RateLimit | None) -> Heard:
    """After a refusal, if it was one. What is known of the reset is not given up for one that says nothing of it."""
    known = heard.rate_limit is not None and heard.rate_limit.resets_at is not None
    if limit is None or (known and limit.resets_at is None):
        return heard
    return heard.replace(rate_limit=limit)


def failed(heard: Heard, error: str | None) -> Heard:
    """After a result that is a failure; its text is asked whether it was a rate limit."""
    return refused(heard.replace(succeeded=False, error=error, activity=None, message=None), refusal(error))


def read_only_git() -> tuple[str, ...]:
    """The git commands that a reviewer may run: none of them executes what a branch brings, or writes."""
    return ("git diff", "git log", "git show", "git blame", "git status", "git ls-files", "git rev-parse")


def short_path(value: object) -> str | None:
    """The name of the file at the end of a path, for a line that says what is done with it."""
    said = word(value)
    return PurePath(said).name if said is not None else None


def _span_s(said: str) -> float:
    seconds = 0.0
    for amount, unit in _PART.findall(said):
        key = unit.lower()
        seconds += float(amount) * _SECONDS["ms" if key.startswith(("ms", "milli")) else key[0]]
    return seconds
