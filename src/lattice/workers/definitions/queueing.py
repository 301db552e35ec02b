"""The keys of a definition that say how many of its runs go at once, and which are tried again."""

from __future__ import annotations

from lattice.errors import choices, nearest
from lattice.workers.definitions.definition import Retries
from lattice.workers.definitions.fields import Fields

MAX_PARALLEL_MAX = 1_000
TIMES_MAX = 100
BACKOFF_SECONDS_MAX = 86_400
BACKOFF_FACTOR_MAX = 100
CAUSES = ("exit", "signal", "spawn", "timeout", "idle", "lost", "setup", "log_limit")
"""The causes of an end after which a run may be tried again."""

NEVER = {
    "verdict": "the work was done and judged; the same again is no cure",
    "budget": "the same again would use up as much",
    "cancelled": "somebody wanted it to end",
    "rate_limit": "it is waited for by itself, and uses up no retry",
}
_USUAL = ("exit", "signal", "spawn", "timeout", "idle", "lost")


def max_parallel_of(fields: Fields) -> int | None:
    """How many runs of the worker may go at once; None where nothing is said. Raises DefinitionError."""
    return _whole(fields, "max_parallel", 1, MAX_PARALLEL_MAX)


def retries_of(fields: Fields) -> Retries | None:
    """How runs are tried again; None where they are not. Raises DefinitionError."""
    inner = fields.inner("retries")
    if inner is None:
        return None
    inner.known(Retries._fields)
    times = _whole(inner, "times", 1, TIMES_MAX)
    if times is None:
        raise inner.off("times", "is missing", "how often to try again, as 2")
    wait = inner.number(
        "backoff_seconds", lambda value: 0 <= value <= BACKOFF_SECONDS_MAX, f"from 0 to {BACKOFF_SECONDS_MAX}"
    )
    factor = inner.number(
        "backoff_factor", lambda value: 1 <= value <= BACKOFF_FACTOR_MAX, f"from 1 to {BACKOFF_FACTOR_MAX}"
    )
    return Retries(times, 10 if wait is None else wait, 2 if factor is None else factor, _causes(inner))


def _causes(fields: Fields) -> tuple[str, ...]:
    causes = fields.texts("on") if fields.has("on") else _USUAL
    if not causes:
        raise fields.off("on", "must name a cause", choices(CAUSES))
    for cause in causes:
        if cause in NEVER:
            raise fields.off("on", f"{cause!r} is never tried again: {NEVER[cause]}", choices(CAUSES))
        if cause not in CAUSES:
            meant = nearest(cause, CAUSES)
            raise fields.off(
                "on", f"{cause!r} is no cause" + (f"; did you mean {meant!r}?" if meant else ""), choices(CAUSES)
            )
    return causes


def _whole(fields: Fields, key: str, least: int, most: int) -> int | None:
    range_text = f"a whole number from {least} to {most}"
    value = fields.number(key, lambda value: least <= value <= most and value == int(value), range_text)
    return None if value is None else int(value)
