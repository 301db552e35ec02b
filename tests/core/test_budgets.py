"""Ceilings: what a run is granted, what is refused and why; and that no order of starts and ends passes one."""

from __future__ import annotations

import random

import pytest

from lattice.core.budgets import (
    TOKENS,
    USD,
    Amount,
    Budgets,
    Ceiling,
    bound,
    grant,
    lowest,
    parse_budgets,
    settles,
)
from lattice.core.costs import Price
from lattice.errors import BudgetExceeded, ConfigError


def day(limit: float, spent: float = 0.0, reserved: float = 0.0, unit: str = USD) -> Ceiling:
    return Ceiling(f"day_{unit}", unit, limit, spent, reserved)


def test_a_run_holds_its_own_ceiling_where_it_fits() -> None:
    assert Amount(2.0, None) == grant(Amount(2.0, None), [day(10, 5, 3)])


def test_a_run_without_one_is_granted_what_is_left_of_the_narrowest() -> None:
    assert Amount(1.5, 100) == grant(Amount(), [day(10, 5, 3), day(4, 2, 0.5), day(100, unit=TOKENS)])


@pytest.mark.parametrize(("own", "spent", "reserved"), [(2.0, 5, 3.5), (2.0, 9, 0), (None, 9, 1), (None, 12, 0)])
def test_what_does_not_fit_is_refused_by_name_and_figures(own: float | None, spent: float, reserved: float) -> None:
    with pytest.raises(BudgetExceeded) as refused:
        grant(Amount(own, None), [day(100), Ceiling("task_usd", USD, 10, spent, reserved, unknown=2)])
    told = refused.value
    assert ("BUDGET_EXCEEDED", "task_usd", 10) == (told.code, told.details["ceiling"], told.details["limit"])
    assert (spent, reserved, own) == tuple(told.details[name] for name in ("spent", "reserved", "asked"))
    assert "task_usd, $10.00" in told.message
    assert f"${spent:.2f} spent (beside 2 of unknown cost)" in told.message
    assert "raise task_usd" in (told.hint or "")


def test_dollars_that_nobody_can_count_are_not_asked_for() -> None:
    assert Amount(None, 5) == grant(Amount(2.0, 5), [day(1, 1)], (TOKENS,))


def test_it_is_known_whether_waiting_helps() -> None:
    assert settles(day(10, 5, 5), 2.0)
    assert not settles(day(10, 9, 1), 2.0)
    assert settles(day(10, 5, 5), None)
    assert not settles(day(10, 10, 0), None)


def test_prices_are_decimal_and_the_last_cent_can_be_had() -> None:
    assert Amount(0.1, None) == grant(Amount(0.1, None), [day(0.3, 0.1, 0.1)])


def test_tokens_bound_a_cost_where_their_price_is_known() -> None:
    assert 10.0 == bound(1_000_000, Price(1.25, 10.0, 0.125))
    assert None is bound(None, Price(1, 1))
    assert None is bound(5, None)
    assert (2, None) == (lowest(None, 2, 3), lowest(None))


@pytest.mark.parametrize("seed", range(40))
def test_no_order_of_starts_and_ends_passes_a_ceiling(seed: int) -> None:
    """Whoever uses at most what it was granted: what is spent and held stays below every ceiling, at every moment."""
    dice = random.Random(seed)  # the test's own
    limits = {USD: 10.0, TOKENS: 1_000.0}
    spent, held = {USD: 0.0, TOKENS: 0.0}, list[Amount]()
    granted = refused = 0
    for _ in range(200):
        if held and dice.random() < 0.4:
            over = held.pop(dice.randrange(len(held)))
            for unit in limits:
                spent[unit] += (over.of(unit) or 0.0) * dice.choice([0.0, dice.random(), 1.0])
            continue
        asks = Amount(*(dice.choice([None, dice.random() * limits[unit] * 0.2]) for unit in limits))
        reserved = {unit: sum(one.of(unit) or 0.0 for one in held) for unit in limits}
        ceilings = [Ceiling(f"day_{unit}", unit, limits[unit], spent[unit], reserved[unit]) for unit in limits]
        try:
            held.append(grant(asks, ceilings))
            granted += 1
        except BudgetExceeded:
            refused += 1
        for unit, limit in limits.items():
            assert spent[unit] + sum(one.of(unit) or 0.0 for one in held) <= limit + 1e-6
    assert granted
    assert refused


def test_settings_are_read() -> None:
    found = parse_budgets({"run_usd": 1, "day_usd": 20.5, "task_tokens": 5_000, "unknown": "allow"})
    assert Budgets(Amount(1.0, None), Amount(None, 5_000.0), Amount(20.5, None), allows_unknown=True) == found
    assert (True, True) == (found.shared, found.in_dollars)
    assert (False, False) == (parse_budgets({"run_tokens": 5}).shared, parse_budgets(None).in_dollars)


@pytest.mark.parametrize(
    ("key", "raw"),
    [
        ("budgets", []),
        ("budgets.week_usd", {"week_usd": 1}),
        ("budgets.day_usd", {"day_usd": 0}),
        ("budgets.day_usd", {"day_usd": "1"}),
        ("budgets.day_tokens", {"day_tokens": 1.5}),
        ("budgets.unknown", {"unknown": True}),
    ],
)
def test_settings_that_are_off_name_their_key(key: str, raw: object) -> None:
    with pytest.raises(ConfigError, match=f"off at {key}:"):
        parse_budgets(raw)
