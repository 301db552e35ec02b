"""`review stats`: how good each reviewer is, and what that costs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from lattice.cli.arguments import Answer, Command, Context, Parser
from lattice.cli.render import Terminal, line, table
from lattice.commands import reviews
from lattice.core.reviews.scoreboard import BY, WORKER, Score


class ReviewStats(Command):
    description = (
        "Confirmed is what another reviewer found too, or what was fixed; refuted what was waived as wrong, or what\n"
        "another refutes and nobody confirms; unique what nobody else found. A cost that is not known is shown as -."
    )
    examples = ("lattice review stats", "lattice review stats --by model --json")

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("task", metavar="TASK", nargs="?", help="a short id or a full id; without it, all tasks")
        parser.add_argument("--by", choices=BY, default=WORKER, help="worker or model (default: worker)")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        scores = reviews.scores(context.board, args.task, args.by)
        return Answer(
            data=lambda: [one.to_shape() for one in scores],
            text=lambda terminal: _table(scores, args.by, terminal),
            quiet="\n".join(one.name for one in scores),
        )


def _table(scores: Sequence[Score], by: str, terminal: Terminal) -> str:
    if not scores:
        return "No reviews."
    rows = [
        [
            line(one.name),
            *map(str, (one.reviews, one.findings, one.confirmed, one.refuted, one.unique)),
            _dollars(one.cost_usd),
            _dollars(one.cost_per_confirmed),
        ]
        for one in scores
    ]
    heads = (by.upper(), "REVIEWS", "FOUND", "CONFIRMED", "REFUTED", "UNIQUE", "COST", "EACH")
    return table(rows, terminal, 0, heads, [1])


def _dollars(cost: float | None) -> str:
    return "-" if cost is None else f"${cost:.2f}"
