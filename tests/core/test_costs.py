"""Costs: what an engine said, what prices make of tokens, and sums that take nothing unknown for nothing."""

from __future__ import annotations

from typing import Any

import pytest

from lattice.core.costs import Cost, Price, Spent, cost_of, parse_prices, price_of, said, sum_of, summed
from lattice.errors import ConfigError

PRICES = {
    "gpt-5": Price(1.25, 10.0, 0.125),
    "gpt-5*": Price(2.0, 20.0),
    "gpt-*": Price(3.0, 30.0),
    "odd[1]*": Price(4.0, 40.0),
}
USED = {"tokens_in": 1_000_000, "tokens_cached": 400_000, "tokens_out": 100_000}


def spent(run: str, cost: Cost | None = None, *, unknown: bool = False, **more: Any) -> Spent:
    fields = {
        "run_id": run, "worker": "W", "task": "LAT-1", "day": "2026-11-20", "engine": "codex", "model": None,
        "tokens_in": None, "tokens_out": None, "tokens_cached": None, "cost": cost, "unknown": unknown,
    }  # fmt: skip
    return Spent(**fields | more)


@pytest.mark.parametrize(
    ("expected", "model"),
    [("gpt-5", "gpt-5"), ("gpt-5*", "gpt-5-codex"), ("gpt-*", "gpt-4"), ("odd[1]*", "odd[1]x"), (None, "odd1x")],
)
def test_the_exact_name_counts_first_and_then_the_longest_pattern(expected: str | None, model: str) -> None:
    assert (PRICES[expected] if expected else None) == price_of(PRICES, model)


def test_of_a_model_that_nobody_named_only_the_price_of_every_model_is_known() -> None:
    assert None is price_of(PRICES, None)
    assert Price(1.0, 1.0) == price_of({**PRICES, "*": Price(1.0, 1.0)}, None)


def test_what_an_engine_said_counts_and_no_estimate_is_made_of_it() -> None:
    assert Cost(0.5, estimated=False) == cost_of({**USED, "cost_usd": 0.5}, "gpt-5", PRICES)


def test_cached_tokens_are_part_of_those_that_went_in() -> None:
    assert Cost(1.8, estimated=True) == cost_of(USED, "gpt-5", PRICES)  # 0.6 × 1.25 + 0.4 × 0.125 + 0.1 × 10


def test_cached_tokens_without_a_price_cost_what_others_do() -> None:
    assert Cost(4.0, estimated=True) == cost_of(USED, "gpt-5-codex", PRICES)


@pytest.mark.parametrize(
    "usage",
    [None, {}, {"tokens_in": 5}, {"tokens_out": 5}, {"cost_usd": True}, {"cost_usd": "1"}, {"cost_usd": float("nan")},
     {"tokens_in": -1, "tokens_out": 5}],
)  # fmt: skip
def test_half_of_it_is_no_estimate_and_what_is_no_number_is_no_cost(usage: dict[str, Any] | None) -> None:
    assert None is cost_of(usage, "gpt-5", PRICES)


def test_sums_keep_known_estimated_and_unknown_apart() -> None:
    runs = [
        spent("a", Cost(1.0, estimated=False), tokens_in=10),
        spent("b", Cost(0.25, estimated=False)),
        spent("c", Cost(0.1, estimated=True), tokens_in=5),
        spent("d", unknown=True),
        spent("e", unknown=True),
    ]
    found = sum_of(runs)
    assert (5, 1.25, 0.1, 2) == (found.runs, found.cost_usd, found.estimated_usd, found.unknown)
    assert (15, None) == (found.tokens_in, found.tokens_out)
    assert "$1.25 and an estimated $0.10 and 2 runs of unknown cost" == said(found)


def test_unknown_is_never_0() -> None:
    found = sum_of([spent("a", unknown=True)])
    assert (None, None, None) == (found.cost_usd, found.estimated_usd, found.tokens_in)
    assert "1 run of unknown cost" == said(found)


def test_a_sum_of_prices_is_as_decimal_as_they_are() -> None:
    assert 0.3 == sum_of([spent(run, Cost(0.1, estimated=False)) for run in "abc"]).cost_usd


def test_what_cost_most_comes_first_and_days_come_in_their_order() -> None:
    runs = [
        spent("a", Cost(1.0, estimated=False), day="2026-11-02", model="m"),
        spent("b", Cost(2.0, estimated=True), day="2026-11-03"),
        spent("c", day="2026-11-01", model="m"),
    ]
    assert ["2026-11-01", "2026-11-02", "2026-11-03"] == [one.key for one in summed(runs, "day")]
    assert [None, "m"] == [one.key for one in summed(runs, "model")]
    assert ["b", "a", "c"] == [one.key for one in summed(runs, "run")]


@pytest.mark.parametrize(
    ("key", "raw"),
    [
        ("prices", []),
        ("prices.m", {"m": 1}),
        ("prices.m.tokens_in", {"m": {"tokens_out": 1}}),
        ("prices.m.tokens_out", {"m": {"tokens_in": 1, "tokens_out": -1}}),
        ("prices.m.tokens_cached", {"m": {"tokens_in": 1, "tokens_out": 1, "tokens_cached": "x"}}),
        ("prices.m.per_token", {"m": {"tokens_in": 1, "tokens_out": 1, "per_token": 1}}),
    ],
)
def test_prices_that_are_off_name_their_key(key: str, raw: object) -> None:
    with pytest.raises(ConfigError, match=f"off at {key}:"):
        parse_prices(raw)


def test_prices_are_read() -> None:
    assert {"m": Price(1.0, 2.0)} == parse_prices({"m": {"tokens_in": 1, "tokens_out": 2}})
    assert {} == parse_prices(None)
