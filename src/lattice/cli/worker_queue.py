"""The commands of `lattice worker` for runs that wait: `queue` shows them, `cancel` takes one out."""

from __future__ import annotations

import argparse
from typing import Any

from lattice.cli.agent_cells import WHOLE_IDS_FROM, short_id
from lattice.cli.arguments import Answer, Command, Context, Parser
from lattice.cli.render import Terminal, line, table
from lattice.cli.worker_wait import add_run
from lattice.workers import control, liveness, overview
from lattice.workers.queueing import queue

HEADS = ("PLACE", "RUN", "WORKER", "TASK", "ATTEMPT", "WAITS FOR")
FLEXIBLE = HEADS.index("WAITS FOR")
FIRST_TO_GO = [HEADS.index(name) for name in ("ATTEMPT", "WAITS FOR", "WORKER", "TASK")]


class WorkerQueue(Command):
    description = (
        "The runs that wait for their turn: by the priority of their task, then first come, first served. A run\n"
        "that ends starts the next; a run that has to wait lets those pass that do not. Limits are max_parallel in\n"
        "a definition, and worker.max_parallel and worker.engines in .lattice/config.json."
    )
    examples = ("lattice worker queue", "lattice worker queue --json")

    def arguments(self, parser: Parser) -> None:
        del parser

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        board = context.board
        liveness.refresh_all(board)
        rows = []
        for place, (waiting, waits_for) in enumerate(queue.listed(board), start=1):
            run = overview.find(board, waiting.run_id)
            rows.append(run.fields() | {"place": place, "waits_for": list(waits_for)})
        return Answer(
            data=lambda: rows,
            text=lambda terminal: _text(rows, terminal),
            quiet="\n".join(row["run_id"] for row in rows),
        )


class WorkerCancel(Command):
    description = "It ends as cancelled, before it began. One that runs already is stopped, as by lattice worker stop."
    examples = ("lattice worker cancel RUN", "lattice worker cancel RUN --reason 'not needed any more'")
    writes = True

    def arguments(self, parser: Parser) -> None:
        add_run(parser)

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        run, asked = control.stop(context.board, args.run, args.reason, context.sign(args))
        if not asked:
            said = f"{run.run_id} has ended already: {run.state}."
        elif run.ended:
            said = f"Took {run.run_id} out of the queue; it is {run.state}."
        else:
            said = f"{run.run_id} does not wait any more; asked it to stop. It is {run.state}."
        return Answer(data=run.fields, text=lambda _: said, quiet=run.run_id)


def _text(rows: list[dict[str, Any]], terminal: Terminal) -> str:
    if not rows:
        return "No run waits."
    cells = [
        [
            str(row["place"]),
            row["run_id"],
            row["worker"],
            line(row["task"]),
            str(row["attempt"]),
            line(" and ".join(row["waits_for"]) or "nothing: it starts now"),
        ]
        for row in rows
    ]
    if terminal.columns and terminal.columns < WHOLE_IDS_FROM:
        cells = [[place, short_id(name), *others] for place, name, *others in cells]
    return table(cells, terminal, FLEXIBLE, HEADS, FIRST_TO_GO)
