"""What an adapter must make of a stream: cases, each a behaviour of a fake and what has to come out. Pure.

`lattice worker certify`, the project's own tests and whoever writes an adapter go over the same cases:

    for case in cases(speech):
        seen = ...  # the fake is started with the adapter's own command line: lattice.testing.starts
        assert not differences(case, seen, speech)
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from lattice.core.record import Record
from lattice.core.run import Exited, Reported, Signalled
from lattice.testing.engines.behaviour import BEFORE_RESULT, BEHAVIOURS, Behaviour, understand
from lattice.testing.engines.output import NOISE
from lattice.testing.engines.speech import Speech
from lattice.workers.engines.heard import Heard, Usage

SESSION = "5f6d3c1e-8b1a-4c55-9d3e-0a1b2c3d4e5f"
MODEL = "fake-model-7"
BUDGET_USD = 1.0
SCHEMA = {"type": "object", "properties": {"verdict": {"type": "string"}}, "required": ["verdict"]}
STRUCTURED = {"verdict": "ready", "findings": ["naïve"]}
BEFORE = Usage(tokens_in=0, tokens_out=0, tokens_cached=0, cost_usd=Behaviour().earlier_cost_usd)
SLACK_S = 2.0  # a moment is told to the second

_OF_RUNS = frozenset({"daemon", "delete_cwd", "index_lock", "commit", "write_outside", "flood", "obedient"})
"""Behaviours that say nothing to an adapter: a run has to bear them."""


class Case(Record):
    """One start of a fake: how it behaves, and what is asked of it."""

    name: str
    told: Mapping[str, Any]
    resume: bool = False
    before: Usage | None = None  # what the resumed session had used
    schema: bool = False
    budget_usd: float | None = None
    read_only: bool = False

    @property
    def behaviour(self) -> Behaviour:
        return understand(self.told)


class Seen(Record):
    """What came of a start, as the adapter has it."""

    heard: Heard
    reported: Reported
    exit: Exited | Signalled | None  # None: it hung, and was killed
    began_ms: int
    ended_ms: int
    stderr: str = ""


def cases(speech: Speech) -> tuple[Case, ...]:
    """Every case for an adapter of this program."""
    found = [_case(name, [name]) for name in BEHAVIOURS if name not in _OF_RUNS]
    found.append(_case("noise in pieces", ["noise", "newer", "split_character"]))
    found.append(_case("rate_limit among noise", ["rate_limit", "noise"]))
    found.append(_case("reviewer", ["ok"], read_only=True))
    found.append(_case("resume", ["ok"], resume=True, before=BEFORE))
    if speech.adds_up:
        found.append(_case("resume of a session that nobody knows", ["ok"], resume=True, before=Usage()))
    if speech.takes_schema:
        answer = {"structured": STRUCTURED, "text": json.dumps(STRUCTURED)}
        found.append(_case("answer to a schema", ["ok"], schema=True, more=answer))
    if speech.takes_budget:
        found.append(_case("over its own budget", ["over_budget"], budget_usd=BUDGET_USD))
    return tuple(found)


def _case(name: str, kinds: list[str], more: Mapping[str, Any] | None = None, **asked: Any) -> Case:
    return Case(name, {"is": kinds, "session_id": SESSION, **(more or {})}, **asked)


def chunks(data: bytes) -> Iterator[bytes]:
    """The bytes in awkward chunks: small and odd at both ends, where the lines that count are; large between."""
    edge = 4096
    sizes = (1, 2, 3, 5, 7, 11, 64, 1021)
    at, turn = 0, 0
    while at < len(data):
        is_edge = at < edge or at >= len(data) - edge
        size = sizes[turn % len(sizes)] if is_edge else min(65_537, len(data) - edge - at)
        yield data[at : at + size]
        at, turn = at + size, turn + 1


def differences(case: Case, seen: Seen, speech: Speech) -> list[str]:
    """What should have come out otherwise; nothing where the adapter is right."""
    told = case.behaviour
    found = [
        *_end(case, told, seen, speech),
        *_words(case, told, seen),
        *_limit(told, seen),
        *_used(case, told, seen, speech),
    ]
    unread = (len(NOISE) if told.noise else 0) + (1 if told.cut else 0)
    found += _same("unread lines", unread, seen.heard.unread)
    found += _same("session", SESSION, seen.heard.session_id)
    if speech.name in ("claude", "gemini"):  # the others do not say it
        found += _same("model", MODEL, seen.heard.model)
    if seen.heard.tools < 1:
        found.append("no tool was counted")
    return found


def succeeds(case: Case) -> bool | None:
    """What the fake's result is, as the adapter must have it; None: there is none that can be read."""
    told = case.behaviour
    if told.cut or told.hangs == BEFORE_RESULT:
        return None
    refused = told.limited and not told.limit_passes
    over = case.budget_usd is not None and (told.cost_usd or 0) > case.budget_usd
    return told.succeeds and not refused and not over


def _end(case: Case, told: Behaviour, seen: Seen, speech: Speech) -> list[str]:
    expected = succeeds(case)
    found = _same("reported success", expected is True, seen.reported.succeeded)
    if not told.lies:  # What a lie is called, does not matter as long as it is not believed.
        found += _same("heard success", expected, seen.heard.succeeded)
    if told.hangs is not None:
        return found + ([] if seen.exit is None else [f"it ended with {seen.exit} instead of hanging"])
    status = told.exit if told.exit is not None else 0
    failed = expected is False and not told.lies
    status = speech.error_status if failed and told.exit is None else status
    return found + _same("exit", Exited(status), seen.exit)


def _words(case: Case, told: Behaviour, seen: Seen) -> list[str]:
    if succeeds(case) is True:
        found = _same("text", told.text, seen.heard.text) + _same("reported text", told.text, seen.reported.text)
        return found + (_same("structured", STRUCTURED, seen.heard.structured) if case.schema else [])
    if not seen.reported.text:
        return ["a failure without a word"]
    if not told.succeeds and told.error not in (seen.heard.error or ""):
        return [f"error: {seen.heard.error!r} does not say {told.error!r}"]
    return []


def _limit(told: Behaviour, seen: Seen) -> list[str]:
    refused = told.limited and not told.limit_passes
    found = _same("rate limit", refused, seen.reported.rate_limited)
    found += _same("heard rate limit", refused, seen.heard.rate_limit is not None)
    if not refused or told.resets_in is None:
        return found + _same("reset", None, seen.reported.resets_at)
    if seen.reported.resets_at is None:
        return [*found, "reset: it was said, and is not known"]
    at = datetime.fromisoformat(seen.reported.resets_at).timestamp() * 1000
    early, late = (moment + told.resets_in * 1000 for moment in (seen.began_ms, seen.ended_ms))
    if not early - SLACK_S * 1000 <= at <= late + SLACK_S * 1000:
        found.append(f"reset: {seen.reported.resets_at} is not {told.resets_in:g} s after the refusal")
    return found


def _used(case: Case, told: Behaviour, seen: Seen, speech: Speech) -> list[str]:
    """Unknown is unknown, never 0; what is known of a success is exact."""
    usage = seen.heard.usage
    found = [f"usage: {name} is 0, which nobody said" for name, value in usage.fields().items() if value == 0]
    found = [] if told.tokens_cached == 0 else found
    if told.tokens_in is None:
        return found + _same("usage", Usage(), usage) + _same("reported usage", None, seen.reported.usage)
    if succeeds(case) is not True:
        return found
    knows_cost = speech.prices and not (speech.adds_up and case.before == Usage())
    cost = round(usage.cost_usd, 6) if usage.cost_usd is not None else None
    found += _same("cost", told.cost_usd if knows_cost else None, cost)
    if case.resume:
        return found
    tokens = {"tokens_in": told.tokens_in, "tokens_out": told.tokens_out, "tokens_cached": told.tokens_cached}
    return found + [line for name, count in tokens.items() for line in _same(name, count, usage.fields()[name])]


def _same(what: str, expected: object, seen: object) -> list[str]:
    return [] if expected == seen else [f"{what}: {expected!r} was expected, {seen!r} was seen"]
