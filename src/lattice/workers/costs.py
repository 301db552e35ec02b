"""The runs of a board as costs: read from the logs of all machines, priced by the board's settings of now."""

from __future__ import annotations

from collections.abc import Iterator

from lattice.commands.board import Board
from lattice.core.costs import Cost, Prices, Spent, cost_of, parse_prices, tokens
from lattice.workers import overview
from lattice.workers.definitions.agents import TEAM
from lattice.workers.definitions.definition import PROGRAMS
from lattice.workers.run_view import RunView


def prices_of(board: Board) -> Prices:
    """The board's prices. Raises ConfigError."""
    return parse_prices(board.config.raw.get("prices"))


def of_run(run: RunView, prices: Prices) -> Cost | None:
    """What the run cost, or, while it runs, has cost by now; None where nobody knows."""
    return cost_of(run.used, run.said_model, prices)


def is_unknown(run: RunView, cost: Cost | None) -> bool:
    """Whether the run cost something, and nobody knows what.

    One that was never executed cost nothing; a team's own is its members'; a program that says nothing of any
    usage is taken to be no agent.
    """
    if cost is not None or run.started_at is None or run.engine == TEAM:
        return False
    return run.engine not in PROGRAMS or bool(run.usage)


def spent(
    board: Board, prices: Prices, task_id: str | None = None, since: str | None = None, until: str | None = None
) -> Iterator[Spent]:
    """The runs that were executed and have ended, of one task or of all; from a time on, and before another.

    The run of a team is not among them: its members are. Raises LogDamaged.
    """
    for run in overview.history(board, task_id, since=since):
        ended = run.ended_at or ""
        if run.started_at is None or run.engine == TEAM or ended < (since or "") or (until and ended >= until):
            continue
        cost, used = of_run(run, prices), run.usage or {}
        yield Spent(
            run_id=run.run_id,
            worker=run.worker,
            task=run.task,
            day=ended[:10],
            engine=run.engine or "",
            model=run.model,
            tokens_in=tokens(used, "tokens_in"),
            tokens_out=tokens(used, "tokens_out"),
            tokens_cached=tokens(used, "tokens_cached"),
            cost=cost,
            unknown=is_unknown(run, cost),
        )
