"""Commands on what binds a task to others, and to branches of git."""

from __future__ import annotations

import argparse

from lattice.cli.arguments import Answer, Command, Context, Parser, add_task
from lattice.cli.render import line
from lattice.cli.runs import snapshot
from lattice.commands import edges
from lattice.commands.tasks import TaskRequest, change
from lattice.core.task import RELATIONSHIP_TYPES, Task
from lattice.errors import choices
from lattice.ledger import Written

_TYPES = f"Types: {choices(RELATIONSHIP_TYPES)}."


class Link(Command):
    writes = True
    description = f"{_TYPES}\nThe other direction is derived: it shows on both tasks, and is written on the first."
    examples = (
        "lattice link LAT-1 depends_on LAT-2 --actor human:ann",
        'lattice link LAT-3 duplicate_of LAT-1 --note "same crash" --actor agent:claude',
    )

    def arguments(self, parser: Parser) -> None:
        _add_edge(parser)
        parser.add_argument("--note", help="one line on why")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        board = context.board
        type_ = edges.parse_type(args.type)
        board.store.task(board.resolve(args.task))
        target = edges.linkable(board, args.target)
        written = _change(args, context, edges.Link(type_, target.id, args.note))
        circle = edges.circle(board, written.task, type_)
        warning = f"{type_} goes in a circle: {' -> '.join(task.name for task in circle)}."
        text = f"Linked {written.task.name} --[{type_}]--> {target.name}"
        return _answer(context, written.task, text, (warning,) if circle else ())


class Unlink(Command):
    writes = True
    description = _TYPES
    examples = ("lattice unlink LAT-1 depends_on LAT-2 --actor human:ann",)

    def arguments(self, parser: Parser) -> None:
        _add_edge(parser)

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        type_, target = edges.parse_type(args.type), context.board.resolve(args.target)
        written = _change(args, context, edges.Unlink(type_, target))
        return _answer(context, written.task, f"Unlinked {written.task.name} --[{type_}]--> {line(args.target)}")


class BranchLink(Command):
    writes = True
    description = "The branch need not be there yet."
    examples = (
        "lattice branch-link LAT-1 feature/parser --actor human:ann",
        "lattice branch-link LAT-1 feature/parser --repo org/service --actor human:ann",
    )

    def arguments(self, parser: Parser) -> None:
        _add_branch(parser)

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        written = _change(args, context, edges.LinkBranch(args.branch, args.repo))
        return _answer(context, written.task, f"Linked branch {_branch(args)} to {written.task.name}")


class BranchUnlink(Command):
    writes = True
    description = "The branch itself stays."
    examples = ("lattice branch-unlink LAT-1 feature/parser --actor human:ann",)

    def arguments(self, parser: Parser) -> None:
        _add_branch(parser)

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        written = _change(args, context, edges.UnlinkBranch(args.branch, args.repo))
        return _answer(context, written.task, f"Unlinked branch {_branch(args)} from {written.task.name}")


def _add_edge(parser: Parser) -> None:
    add_task(parser)
    parser.add_argument("type", metavar="TYPE", help="how the one stands to the other")
    parser.add_argument("target", metavar="TARGET", help="the other task")


def _add_branch(parser: Parser) -> None:
    add_task(parser)
    parser.add_argument("branch", metavar="BRANCH", help="the branch's name")
    parser.add_argument("--repo", help="which repository has it, where it is not this one")


def _change(args: argparse.Namespace, context: Context, request: TaskRequest) -> Written:
    return change(context.board, args.task, request, context.sign(args))


def _answer(context: Context, task: Task, text: str, warnings: tuple[str, ...] = ()) -> Answer:
    board = context.board
    return Answer(data=lambda: snapshot(board, task), text=lambda _: text, quiet=task.id, warnings=warnings)


def _branch(args: argparse.Namespace) -> str:
    return f"{line(args.branch)} ({line(args.repo)})" if args.repo else line(args.branch)
