"""Ceilings: what runs may use, and whether one more fits below them, with what others that go may yet use.

A run that is to start is granted its own ceiling, which it then holds until it ended: what was spent and what is
held never add up to more than a ceiling allows. A run that has none of its own is granted what is left.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from lattice.core.costs import MILLION, Price, dollars, number
from lattice.core.record import Record
from lattice.errors import BudgetExceeded, ConfigError

USD, TOKENS = "usd", "tokens"
UNITS = (USD, TOKENS)
SCOPES = ("run", "task", "day")
KEYS = tuple(f"{scope}_{unit}" for scope in SCOPES for unit in UNITS)
ALLOW = "allow"
_LEAST = 1e-9
"""Amounts that differ by less are the same: prices are decimal, and their binary forms are not."""


class Amount(Record):
    """Dollars and tokens. As a ceiling, None: there is none."""

    usd: float | None = None
    tokens: float | None = None

    def of(self, unit: str) -> float | None:
        """The figure in this unit."""
        return self.usd if unit == USD else self.tokens


class Budgets(Record):
    """The board's ceilings: of each run, of all runs of a task, of all that end in a day of UTC."""

    run: Amount = Amount()
    task: Amount = Amount()
    day: Amount = Amount()
    allows_unknown: bool = False

    @property
    def shared(self) -> bool:
        """Whether runs share a ceiling."""
        return any(amount.of(unit) is not None for amount in (self.task, self.day) for unit in UNITS)

    @property
    def in_dollars(self) -> bool:
        """Whether a ceiling is one of money."""
        return any(amount.usd is not None for amount in (self.run, self.task, self.day))


class Ceiling(Record):
    """One ceiling that several runs share, and what is used up of it. `unknown` runs are not in what is spent."""

    name: str  # day_usd; or the team's budget_usd
    unit: str
    limit: float
    spent: float
    reserved: float
    unknown: int = 0

    @property
    def left(self) -> float:
        """What nobody used or may yet use."""
        return self.limit - self.spent - self.reserved


def parse_budgets(raw: object) -> Budgets:
    """The `budgets` of a config.json. Raises ConfigError naming the key that is off."""
    if raw is None:
        return Budgets()
    if not isinstance(raw, Mapping):
        raise _off("budgets", "an object")
    for key, value in raw.items():
        if key == "unknown":
            if value not in (ALLOW, "refuse"):
                raise _off("budgets.unknown", '"allow" or "refuse"')
        elif key not in KEYS:
            raise _off(f"budgets.{str(key)[:80]}", f"one of {', '.join((*KEYS, 'unknown'))}")
        elif not number(value) or (key.endswith(TOKENS) and value % 1):
            raise _off(f"budgets.{key}", "a number above 0" if key.endswith(USD) else "a whole number above 0")
    run, task, day = (Amount(*(number(raw.get(f"{scope}_{unit}")) for unit in UNITS)) for scope in SCOPES)
    return Budgets(run, task, day, allows_unknown=raw.get("unknown") == ALLOW)


def lowest(*amounts: float | None) -> float | None:
    """The lowest of the ceilings that there are."""
    return min((amount for amount in amounts if amount is not None), default=None)


def bound(budget_tokens: float | None, price: Price | None) -> float | None:
    """What so many tokens can cost at most; None where that cannot be told."""
    return None if budget_tokens is None or price is None else budget_tokens * price.highest / MILLION


def grant(asked: Amount, ceilings: Sequence[Ceiling], units: Iterable[str] = UNITS) -> Amount:
    """What a run is granted of each unit: what it asks for, or, where it has no ceiling of its own, what is left.

    Raises BudgetExceeded, which names the ceiling below which it does not fit.
    """
    granted: dict[str, float | None] = {}
    for unit in units:
        own = asked.of(unit)
        shared = [ceiling for ceiling in ceilings if ceiling.unit == unit]
        for ceiling in shared:
            if ceiling.left <= _LEAST if own is None else ceiling.left < own - _LEAST:
                raise exceeded(ceiling, own)
        granted[unit] = own if own is not None else lowest(*(ceiling.left for ceiling in shared))
    return Amount(**granted)


def settles(ceiling: Ceiling, asked: float | None) -> bool:
    """Whether a run that is refused now would fit if those that go used nothing more."""
    left = ceiling.limit - ceiling.spent
    return left > _LEAST if asked is None else left >= asked - _LEAST


def exceeded(ceiling: Ceiling, asked: float | None) -> BudgetExceeded:
    """The refusal of a run that does not fit below a ceiling."""
    unit = ceiling.unit
    wants = "it has no ceiling of its own" if asked is None else f"it may use {amount(asked, unit)}"
    unknown = f" (beside {ceiling.unknown} of unknown cost)" if ceiling.unknown else ""
    waits = settles(ceiling, asked)
    return BudgetExceeded(
        f"It does not fit below {ceiling.name}, {amount(ceiling.limit, unit)}: {amount(ceiling.spent, unit)} spent"
        f"{unknown}, {amount(ceiling.reserved, unit)} reserved by runs that go, and {wants}.",
        hint=(
            f"Wait until those that go have ended (lattice worker ps), give it a lower budget_{unit}"
            if waits
            else f"See what used it up: lattice costs; give it a lower budget_{unit}"
        )
        + f", or raise {ceiling.name}.",
        ceiling=ceiling.name,
        unit=unit,
        limit=ceiling.limit,
        spent=ceiling.spent,
        reserved=ceiling.reserved,
        asked=asked,
        unknown=ceiling.unknown,
        waits=waits,
    )


def amount(value: float, unit: str) -> str:
    """An amount for people."""
    return dollars(value) if unit == USD else f"{int(value):,} tokens"


def _off(key: str, expected: str) -> ConfigError:
    return ConfigError(
        f"The board's config.json is off at {key}: expected {expected}.",
        hint='Write {"run_usd": 2, "task_usd": 10, "day_usd": 20, "day_tokens": 5000000}.',
    )
