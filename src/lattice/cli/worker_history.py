"""`worker history`: the runs that ended, as the log has them, of every machine."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from lattice.cli.agent_cells import model_cell, names, runs_table, tokens_cell
from lattice.cli.arguments import Answer, Command, Context, Parser, positive
from lattice.cli.cost_words import cost_data, short_cost
from lattice.cli.render import Terminal, line, span
from lattice.core.costs import Prices
from lattice.store.protocol import Unread
from lattice.workers import costs, liveness, overview
from lattice.workers.run_view import RunView

HEADS = ("RUN", "WORKER", "TASK", "STATE", "ENDED", "TIME", "MODEL", "TOKENS", "COST", "PROMPT", "BY", "WHY")
FIRST_TO_GO = ("TOKENS", "MODEL", "COST", "BY", "TIME", "PROMPT", "WHY", "WORKER", "ENDED", "TASK")
OF_AGENTS = ("MODEL", "TOKENS", "PROMPT")


class WorkerHistory(Command):
    description = (
        "The newest first, of all machines that git brought together; the members of a team below it. What runs now,\n"
        "worker ps says. PROMPT is `changed` where the prompt's file was another one for the run before it of the\n"
        "same worker, as far as that is listed without --limit."
    )
    examples = (
        "lattice worker history",
        "lattice worker history LAT-1",
        "lattice worker history --worker DiffCheck --limit 10 --json",
    )

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("task", nargs="?", metavar="TASK", help="a short id or a full id; without it, all tasks")
        parser.add_argument("--worker", metavar="NAME", help="the runs of one worker, named in capitals or not")
        parser.add_argument("--limit", type=positive, metavar="N", help="the newest N of them")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        board = context.board
        liveness.refresh_all(board)
        task_id = board.resolve(args.task) if args.task is not None else None
        unread: Unread = {}
        prices = costs.prices_of(board)
        everything = overview.history(board, task_id, args.worker, unread=unread)
        before = overview.templates_before(everything)
        shown = overview.families(everything)[: args.limit]
        return Answer(
            data=lambda: [_data(run, before) | {"cost": cost_data(costs.of_run(run, prices))} for run in shown],
            text=lambda terminal: (
                _history(shown, before, prices, terminal)
                or (f"No run of {line(args.worker)} has ended." if args.worker else "No run has ended.")
            ),
            quiet="\n".join(run.run_id for run in shown),
            warnings=board.left_out(unread),
        )


def _data(run: RunView, before: Mapping[str, str]) -> dict[str, Any]:
    """A run that ended, for programs. `template_before` is the prompt's file of the worker's run before it."""
    return run.fields() | {"template_before": before.get(run.run_id), "template_changed": _changed(run, before)}


def _changed(run: RunView, before: Mapping[str, str]) -> bool:
    return run.run_id in before and before[run.run_id] != run.template_sha256


def _history(runs: Sequence[RunView], before: Mapping[str, str], prices: Prices, terminal: Terminal) -> str:
    if not runs:
        return ""
    rows = [
        [
            name,
            run.worker,
            line(run.task),
            run.state,
            terminal.when(run.ended_at or ""),
            span(run.duration_s),
            model_cell(run),
            tokens_cell(run),
            short_cost(costs.of_run(run, prices)),
            "changed" if _changed(run, before) else "",
            line(run.requested_by),
            line(run.error or run.result or "").partition("\\x0a")[0],
        ]
        for name, run in zip(names(runs), runs, strict=True)
    ]
    return runs_table(rows, terminal, HEADS, "WHY", FIRST_TO_GO, OF_AGENTS)
