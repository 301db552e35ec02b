"""What a run used and cost, in words: for every command that shows runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lattice.core import costs
from lattice.core.budgets import TOKENS, USD, amount
from lattice.core.costs import Cost
from lattice.workers.costs import is_unknown
from lattice.workers.run_view import RunView

NOT_KNOWN = "not known"


def told_cost(run: RunView, cost: Cost | None) -> str | None:
    """The cost of a run with where it is known from; None for one that has none of its own."""
    if cost is None and not (run.ended and is_unknown(run, cost)):
        return None
    return cost_words(cost, "its agent" if run.external else run.engine or "its engine")


def budget_words(run: RunView) -> str | None:
    """What a run may use at most."""
    parts = [amount(most, unit) for most, unit in ((run.budget_usd, USD), (run.budget_tokens, TOKENS)) if most]
    return ", ".join(parts) or None


def cost_words(cost: Cost | None, teller: str) -> str:
    """What a run cost, and how that is known; `teller` is who said it, where somebody did."""
    if cost is None:
        return NOT_KNOWN
    how = "estimated by the prices of config.json" if cost.estimated else f"as {teller} said"
    return f"{costs.dollars(cost.usd)}, {how}"


def short_cost(cost: Cost | None) -> str:
    """What a run cost, in a column: an estimate has a tilde before it."""
    return "" if cost is None else f"{'~' if cost.estimated else ''}{costs.dollars(cost.usd)}"


def cost_data(cost: Cost | None) -> Mapping[str, Any] | None:
    """What a run cost, for programs; null where nobody knows."""
    return None if cost is None else cost.fields()


def usage_words(usage: Mapping[str, Any] | None) -> str | None:
    """The tokens of a usage for people."""
    names = (("tokens_in", "in"), ("tokens_cached", "of them cached"), ("tokens_out", "out"))
    told = [(costs.tokens(usage or {}, name), word) for name, word in names]
    return ", ".join(f"{count:,} {word}" for count, word in told if count is not None) or None


def counted(count: int | None) -> str:
    """A count in a column; nothing where it is not known."""
    return "" if count is None else f"{count:,}"
