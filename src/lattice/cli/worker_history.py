"""`worker history`: the runs that ended, as the log has them, of every machine."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from lattice.cli.arguments import Answer, Command, Context, Parser, positive
from lattice.cli.cost_words import cost_data, short_cost
from lattice.cli.render import Terminal, line, span, table
from lattice.cli.worker_wait import data_of
from lattice.core.costs import Prices
from lattice.workers import costs, liveness, overview
from lattice.workers.overview import RunView


class WorkerHistory(Command):
    description = "The newest first, of all machines that git brought together. What runs now, worker ps says."
    examples = (
        "lattice worker history",
        "lattice worker history LAT-1",
        "lattice worker history --worker DiffCheck --limit 10 --json",
    )

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("task", nargs="?", metavar="TASK", help="a short id or a full id; without it, all tasks")
        parser.add_argument("--worker", metavar="NAME", help="the runs of one worker, in any case")
        parser.add_argument("--limit", type=positive, metavar="N", help="the newest N of them")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        board = context.board
        liveness.refresh_all(board)
        task_id = board.resolve(args.task) if args.task is not None else None
        prices = costs.prices_of(board)
        shown = overview.history(board, task_id, args.worker)[: args.limit]
        return Answer(
            data=lambda: [data_of(run) | {"cost": cost_data(costs.of_run(run, prices))} for run in shown],
            text=lambda terminal: _history(shown, prices, terminal),
            quiet="\n".join(run.run_id for run in shown),
        )


def _history(runs: Sequence[RunView], prices: Prices, terminal: Terminal) -> str:
    if not runs:
        return "No run has ended."
    rows = []
    for run in runs:
        rows.append(
            [
                run.run_id,
                run.worker,
                line(run.task),
                run.state,
                terminal.when(run.ended_at or ""),
                span(run.duration_s),
                short_cost(costs.of_run(run, prices)),
                line(run.requested_by),
                line(run.error or run.result or "").partition("\\x0a")[0],
            ]
        )
    heads = ("RUN", "WORKER", "TASK", "STATE", "ENDED", "TIME", "COST", "BY", "WHY")
    first_to_go = [heads.index(name) for name in ("COST", "BY", "TIME", "WHY", "WORKER", "ENDED", "TASK")]
    return table(rows, terminal, heads.index("WHY"), heads, first_to_go)
