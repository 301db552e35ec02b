"""`lattice costs`: what the runs of a board cost, summed by what one asks for."""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Sequence

from lattice.cli.arguments import Answer, Command, Context, Parser
from lattice.cli.cost_words import NOT_KNOWN, counted
from lattice.cli.history_commands import MOMENTS
from lattice.cli.render import Terminal, line, table
from lattice.commands.formats.csv_table import cell
from lattice.commands.history import moment
from lattice.core import costs
from lattice.core.costs import KEYS, Sum
from lattice.core.text import how_many
from lattice.errors import UsageError
from lattice.workers import liveness
from lattice.workers.costs import prices_of, spent

_COLUMNS = Sum._fields[1:]


class Costs(Command):
    description = (
        "What the runs that ended cost, of all machines that git brought together. What an engine said and what the\n"
        "prices of config.json make of its tokens are summed apart; runs of which neither is known are counted.\n"
        f"A moment is one of: {MOMENTS}."
    )
    examples = (
        "lattice costs",
        "lattice costs LAT-1 --by run",
        "lattice costs --by day --since 7d",
        "lattice costs --by model --since 2026-11-01 --until 2026-12-01 --csv > november.csv",
    )

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("task", nargs="?", metavar="TASK", help="a short id or a full id; without it, all tasks")
        parser.add_argument("--by", choices=tuple(KEYS), default="worker", help="what to sum by (worker)")
        parser.add_argument("--since", metavar="MOMENT", help="runs that ended from this moment on")
        parser.add_argument("--until", metavar="MOMENT", help="runs that ended before this moment")
        parser.add_argument("--csv", action="store_true", help="as a table for spreadsheets")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        if args.csv and (args.json or args.quiet):
            raise UsageError("--csv, --json and --quiet exclude each other.", hint="lattice costs --help")
        board = context.board
        since, until = (moment(board, text) if text is not None else None for text in (args.since, args.until))
        task_id = board.resolve(args.task) if args.task is not None else None
        prices = prices_of(board)
        liveness.refresh_all(board)
        runs = list(spent(board, prices, task_id, since, until))
        sums, everything = costs.summed(runs, args.by), costs.sum_of(runs)
        return Answer(
            data=lambda: {
                "by": args.by,
                "since": since,
                "until": until,
                "sums": [one.fields() for one in sums],
                "total": {name: getattr(everything, name) for name in _COLUMNS},
            },
            text=lambda terminal: _csv(sums, args.by) if args.csv else _text(sums, everything, args.by, terminal),
            quiet=costs.said(everything),
        )


def _text(sums: Sequence[Sum], everything: Sum, by: str, terminal: Terminal) -> str:
    if not everything.runs:
        return "No run has ended that cost anything."
    rows = [
        [
            line(one.key or NOT_KNOWN),
            str(one.runs),
            *map(counted, (one.tokens_in, one.tokens_cached, one.tokens_out)),
            *("" if usd is None else costs.dollars(usd) for usd in (one.cost_usd, one.estimated_usd)),
            f"{one.unknown} of unknown cost" if one.unknown else "",
        ]
        for one in sums
    ]
    heads = (by.upper(), "RUNS", "TOKENS IN", "CACHED", "TOKENS OUT", "COST", "ESTIMATED", "BESIDE")
    first_to_go = [heads.index(name) for name in ("CACHED", "TOKENS OUT", "TOKENS IN", "RUNS")]
    runs = how_many(everything.runs, "run")
    return f"{table(rows, terminal, 0, heads, first_to_go)}\n{runs}: {costs.said(everything)}"


def _csv(sums: Sequence[Sum], by: str) -> str:
    page = io.StringIO()
    written = csv.writer(page, lineterminator="\n")
    written.writerow((by, *_COLUMNS))
    for one in sums:
        written.writerow([cell(one.key), *(cell(getattr(one, name)) for name in _COLUMNS)])
    return page.getvalue().rstrip("\n")
