"""What runs cost: what an engine says, what the board's prices make of its tokens, and sums of both.

The two are never one figure, and what nobody knows is None, never 0: a sum says how many runs it leaves out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping

from lattice.core.record import Record
from lattice.core.text import how_many
from lattice.errors import ConfigError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ANY_MODEL = "*"
PRICE_MAX = 1_000_000
MILLION = 1_000_000
_PLACES = 9
"""Of a dollar: prices are decimal, their binary forms are not, and a sum must not show the difference."""

_LEAST = 0.0001
_HINT = 'Write {"tokens_in": 1.25, "tokens_cached": 0.125, "tokens_out": 10.0}, in USD per million tokens.'


class Price(Record):
    """What a model's tokens cost, in USD per million; cached ones as much as others where they have no price."""

    tokens_in: float
    tokens_out: float
    tokens_cached: float | None = None

    @property
    def highest(self) -> float:
        """What a token can cost at most, in USD per million."""
        return max(self.tokens_in, self.tokens_out, self.tokens_cached or 0.0)


Prices = Mapping[str, Price]
"""By a model's name, or by a pattern of names with `*`."""


class Cost(Record):
    """What a run cost. An estimate is what the board's prices make of its tokens."""

    usd: float
    estimated: bool


class Spent(Record):
    """A run that ended, as far as its cost goes."""

    run_id: str
    worker: str
    task: str
    day: str  # of its end, in UTC
    engine: str
    model: str | None
    tokens_in: int | None
    tokens_out: int | None
    tokens_cached: int | None
    cost: Cost | None
    unknown: bool  # it cost something, and nobody knows what


class Sum(Record):
    """Runs together. None: no run told it. Of `unknown` runs nobody knows the cost: no sum of money has them in it."""

    key: str | None
    runs: int
    tokens_in: int | None
    tokens_out: int | None
    tokens_cached: int | None
    cost_usd: float | None
    estimated_usd: float | None
    unknown: int

    @property
    def usd(self) -> float:
        """What is known and what is estimated, to compare by."""
        return (self.cost_usd or 0.0) + (self.estimated_usd or 0.0)


KEYS: Mapping[str, Callable[[Spent], str | None]] = {
    "run": lambda one: one.run_id,
    "task": lambda one: one.task,
    "worker": lambda one: one.worker,
    "model": lambda one: one.model,
    "engine": lambda one: one.engine,
    "day": lambda one: one.day,
}
"""What runs can be summed by."""


def parse_prices(raw: object) -> dict[str, Price]:
    """The `prices` of a config.json. Raises ConfigError naming the key that is off."""
    if raw is None:
        return {}
    if not isinstance(raw, Mapping):
        raise _off("prices", "an object of models")
    return {model: _price(model, given) for model, given in raw.items()}


def price_of(prices: Prices, model: str | None) -> Price | None:
    """The price of a model: that of its own name, else of the longest pattern that fits it.

    Of a model whose name nobody knows, only the price of every model is known.
    """
    if model is None:
        return prices.get(ANY_MODEL)
    if model in prices:
        return prices[model]
    fits = [
        pattern
        for pattern in prices
        if ANY_MODEL in pattern and re.fullmatch(".*".join(map(re.escape, pattern.split(ANY_MODEL))), model)
    ]
    return prices[max(fits, key=lambda pattern: (len(pattern), pattern))] if fits else None


def cost_of(usage: Mapping[str, Any] | None, model: str | None, prices: Prices) -> Cost | None:
    """What so much use cost; None where neither the engine nor a price can tell."""
    used = usage or {}
    told = number(used.get("cost_usd"))
    if told is not None:
        return Cost(told, estimated=False)
    price = price_of(prices, model)
    tokens_in, tokens_out = tokens(used, "tokens_in"), tokens(used, "tokens_out")
    if price is None or tokens_in is None or tokens_out is None:
        return None
    cached = min(tokens(used, "tokens_cached") or 0, tokens_in)
    cached_price = price.tokens_in if price.tokens_cached is None else price.tokens_cached
    amount = (tokens_in - cached) * price.tokens_in + cached * cached_price + tokens_out * price.tokens_out
    return Cost(round(amount / MILLION, _PLACES), estimated=True)


def number(value: object) -> float | None:
    """A number of a usage, which may come from anywhere: finite and from 0, else None."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not (0 <= value < math.inf):
        return None
    return float(value)


def tokens(usage: Mapping[str, Any], name: str) -> int | None:
    """A count of tokens in a usage."""
    value = number(usage.get(name))
    return None if value is None else int(value)


def total(amounts: Iterable[float | None]) -> float | None:
    """The sum of those that are known; None where none is."""
    known = [amount for amount in amounts if amount is not None]
    return round(math.fsum(known), _PLACES) if known else None


def summed(runs: Iterable[Spent], by: str) -> list[Sum]:
    """The sums of the runs by one of `KEYS`: days in their order, all else with what cost most first."""
    groups: dict[str | None, list[Spent]] = {}
    for run in runs:
        groups.setdefault(KEYS[by](run), []).append(run)
    sums = sorted((sum_of(members, key) for key, members in groups.items()), key=lambda one: one.key or "")
    return sums if by == "day" else sorted(sums, key=lambda one: one.usd, reverse=True)


def sum_of(runs: Iterable[Spent], key: str | None = None) -> Sum:
    """All of the runs as one."""
    members = list(runs)
    return Sum(
        key=key,
        runs=len(members),
        tokens_in=_count(run.tokens_in for run in members),
        tokens_out=_count(run.tokens_out for run in members),
        tokens_cached=_count(run.tokens_cached for run in members),
        cost_usd=total(run.cost.usd for run in members if run.cost is not None and not run.cost.estimated),
        estimated_usd=total(run.cost.usd for run in members if run.cost is not None and run.cost.estimated),
        unknown=sum(run.unknown for run in members),
    )


def said(one: Sum) -> str:
    """The money of a sum for people: what is known, what is estimated, and how many runs neither of them has."""
    parts = [] if one.cost_usd is None else [dollars(one.cost_usd)]
    if one.estimated_usd is not None:
        parts.append(f"an estimated {dollars(one.estimated_usd)}")
    if one.unknown:
        parts.append(f"{how_many(one.unknown, 'run')} of unknown cost")
    return " and ".join(parts) or "nothing that cost"


def dollars(usd: float) -> str:
    """An amount for people: to the cent, and what is less than a dollar to a hundredth of one where it has more."""
    if usd >= 1 or round(usd, 2) == usd:
        return f"${usd:,.2f}"
    return f"${usd:.4f}" if usd >= _LEAST else f"less than ${_LEAST:.4f}"


def _count(counts: Iterable[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _price(model: str, given: object) -> Price:
    key = f"prices.{model[:80]}"
    if not isinstance(given, Mapping):
        raise _off(key, "an object")
    unknown = [name for name in given if name not in Price._fields]
    if unknown:
        raise _off(f"{key}.{str(unknown[0])[:80]}", "no such key")
    cached = _amount(key, given, "tokens_cached") if "tokens_cached" in given else None
    return Price(_amount(key, given, "tokens_in"), _amount(key, given, "tokens_out"), cached)


def _amount(key: str, given: Mapping[str, object], name: str) -> float:
    amount = number(given.get(name))
    if amount is None or amount > PRICE_MAX:
        raise _off(f"{key}.{name}", f"a number from 0 to {PRICE_MAX}")
    return amount


def _off(key: str, expected: str) -> ConfigError:
    return ConfigError(f"The board's config.json is off at {key}: expected {expected}.", hint=_HINT)
