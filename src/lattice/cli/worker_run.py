"""`worker run`: begin a run, and wait for its end where that is asked for.

What it imports on top is little: its guard's interpreter starts first, and both then import at the same time.
"""

from __future__ import annotations

import argparse
import os
import shlex

from lattice.cli.arguments import Answer, Command, Context, Parser, add_task
from lattice.cli.render import line, span
from lattice.workers import standby

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lattice.workers.preflight import Plan


class WorkerRun(Command):
    description = (
        "The worker runs in a git worktree of its own, supervised to a certain end. The commit is --commit,\n"
        "else the task's linked branch, else HEAD; the base is --base, else where the commit left the\n"
        "definition's base branch, else its parent. The answer comes as soon as the run is supervised, or\n"
        "waits in the queue where as many run as may. With --resume its agent goes on with the session of an\n"
        "earlier run of the same engine on the task; its cost is what is new."
    )
    examples = (
        "lattice worker run DiffCheck LAT-1",
        "lattice worker run DiffCheck LAT-1 --wait",
        "lattice worker run DiffCheck LAT-1 --commit feature --base main",
        "lattice worker run DiffCheck LAT-1 --dry-run --json",
        "lattice worker run CodeReviewLite LAT-1 --resume RUN",
    )
    writes = True

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("worker", metavar="WORKER", help="its name, in capitals or not: lattice worker list")
        add_task(parser)
        parser.add_argument("--commit", metavar="REF", help="what to work on")
        parser.add_argument("--base", metavar="REF", help="what to compare with")
        parser.add_argument("--resume", metavar="RUN", help="go on with the session of this run's agent")
        parser.add_argument("--wait", action="store_true", help="wait for the end; exit with 1 if it fails")
        parser.add_argument("--no-queue", action="store_true", help="refuse where it would have to wait its turn")
        parser.add_argument("--dry-run", action="store_true", help="check everything, show what would run, run nothing")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        board = context.board
        by = context.sign(args)
        if args.dry_run:
            shape = _planned(args, context).described()
            return Answer(
                data=lambda: shape,
                text=lambda _: "\n".join(f"{key}: {line(_told(key, value))}" for key, value in shape.items() if value),
                quiet="",
            )
        # Its root as text: `board.root` would import pathlib first.
        with standby.begun(os.path.dirname(board.path()), board.ledger.new_id("run")) as guard:
            from lattice.workers import launch  # as the module says

            run_id = guard.run_id
            prepared = _planned(args, context, run_id)
            task = launch.start(board, prepared, by, guard, wait=not args.no_queue)
        if args.wait:
            from lattice.cli.worker_wait import waited  # most starts do not wait

            return waited(context, run_id, quiet=args.quiet or args.json)
        run = task.run(run_id)
        place = _place(context, run_id) if run is not None and run.state == "queued" else None
        whom = f"{prepared.definition.name} on {line(task.name)}"
        if place is not None:
            said = f"Queued {whom}, at place {place}: {run_id}"
            further = "see what it waits for: lattice worker queue"
        else:
            said = f"Started {whom}: {run_id}"
            further = f"follow it: lattice worker logs {run_id} --follow"
        return Answer(
            data=lambda: _viewed(context, task.id, run_id) | {"place": place},
            text=lambda _: f"{said}\n  {further}",
            quiet=run_id,
        )


def _planned(args: argparse.Namespace, context: Context, run_id: str | None = None) -> Plan:
    from lattice.workers import preflight  # as the module says

    request = preflight.Request(args.worker, args.task, args.commit, args.base, args.resume)
    return preflight.plan(context.board, request, context.environ, run_id)


def _place(context: Context, run_id: str) -> int | None:
    from lattice.workers.queueing import queue  # most start at once

    return queue.place(context.board, run_id)


def _viewed(context: Context, task_id: str, run_id: str) -> dict[str, object]:
    """The run as it is now; for people its name is enough."""
    from lattice.workers import run_view  # as above

    board = context.board
    _, events = board.store.history(task_id)
    return run_view.view(board, board.store.task(task_id), events, run_id).fields()


def _told(key: str, value: object) -> str:
    """A member of a plan, for people."""
    if isinstance(value, (list, tuple)):
        return shlex.join(value) if key == "argv" else " ".join(value)
    return span(value) if key == "timeout_s" and isinstance(value, (int, float)) else str(value)
