"""The commands `next` and `complete`."""

from __future__ import annotations

import argparse

from lattice.cli.arguments import Answer, Command, Context, Parser, add_task
from lattice.cli.render import line
from lattice.cli.runs import snapshot
from lattice.commands import flow
from lattice.commands.board import Board
from lattice.commands.facts import read_plan
from lattice.core.next import READY
from lattice.core.task import Task
from lattice.core.workflow import below_heading
from lattice.errors import UsageError, choices, did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from lattice.store.protocol import Unread


class Next(Command):
    writes = True
    description = (
        "What the actor has begun comes first; then what is ready: the highest priority, urgency, age.\n"
        "A task that waits for another is left out. --claim assigns the task and moves it to\n"
        "in_progress, as one act: of several who claim at once, each gets another task."
    )
    examples = (
        "lattice next",
        "lattice next --actor agent:claude --json",
        "lattice next --claim --name Vega-1 --quiet",
        "lattice next --claim --status planned --actor agent:claude",
    )

    def arguments(self, parser: Parser) -> None:
        parser.add_argument(
            "--status",
            default=",".join(READY),
            help="the statuses to take from, separated by commas (default: %(default)s)",
        )
        parser.add_argument("--claim", action="store_true", help="assign it to the actor and begin work")
        parser.add_argument("--force", action="store_true", help="claim it without a plan; needs --reason")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        if args.force and not args.claim:
            raise UsageError("--force goes with --claim.", hint="lattice next --help")
        board = context.board
        statuses = tuple(status.strip() for status in args.status.split(",") if status.strip())
        unread: Unread = {}
        if args.claim:
            by = context.sign(args)
            task = flow.Claim(by.actor, statuses, args.force, args.reason).run(board, by)
        else:
            named = args.actor or args.name or context.environ.get("LATTICE_ACTOR")
            task = flow.Next(context.sign(args).actor if named else None, statuses).run(board, unread)
        unknown = [status for status in statuses if status not in board.config.statuses]
        warnings = tuple(
            f"{status[:80]!r} is not a configured status. "
            + did_you_mean(status, board.config.statuses, f"Valid statuses: {choices(board.config.statuses)}.")
            for status in unknown
        ) + board.left_out(unread)
        if task is None:
            return Answer(data=lambda: None, text=lambda _: "No tasks available.", quiet="", warnings=warnings)
        text = f'{task.name}  {line(task.status)}  {line(task.priority)}  "{line(task.title)}"'
        return Answer(data=lambda: _with_plan(board, task), text=lambda _: text, quiet=task.name, warnings=warnings)


class Complete(Command):
    writes = True
    description = (
        "The review becomes a comment and an artifact with the role review, and the task moves to review,\n"
        "where it is not there yet, and to done: all of it, or nothing."
    )
    examples = ('lattice complete LAT-1 --review "Read the diff, ran the tests: fine" --actor agent:claude',)

    def arguments(self, parser: Parser) -> None:
        add_task(parser)
        parser.add_argument("--review", metavar="TEXT", required=True, help="what the review found")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        task, way = flow.Complete(args.review).run(context.board, args.task, context.sign(args))
        text = f"Completed {task.name}: {' -> '.join(map(line, way))}"
        return Answer(data=lambda: snapshot(context.board, task), text=lambda _: text, quiet=task.name)


def _with_plan(board: Board, task: Task) -> dict[str, Any]:
    plan = read_plan(board, task)
    written = plan is not None and below_heading(plan.splitlines()) != ""
    return snapshot(board, task) | {"plan_content": plan if written else None}
