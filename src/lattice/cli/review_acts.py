"""Commands that decide about a finding: it is fixed, waived, verified, or open again."""

from __future__ import annotations

import argparse

from lattice.cli.arguments import Answer, Command, Context, Parser, add_task
from lattice.cli.render import line
from lattice.cli.review import data_of
from lattice.commands import reviews
from lattice.core.reviews.life import finding_of
from lattice.core.task import Task
from lattice.errors import GitError, UsageError


class ReviewFix(Command):
    writes = True
    description = (
        "The commit is what the task's linked branch, else HEAD, is at, unless --commit names another. A later\n"
        "review that does not find it any more verifies the fix; so may a person, by lattice review verify."
    )
    examples = (
        "lattice review fix LAT-1 F3 --actor agent:claude",
        'lattice review fix LAT-1 F3 --commit HEAD --note "checked under load" --actor human:ann',
    )

    def arguments(self, parser: Parser) -> None:
        _add_finding(parser)
        parser.add_argument("--commit", metavar="SHA", help="the commit that fixes it")
        parser.add_argument("--note", metavar="TEXT", help="one line on the fix")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        number = reviews.parse_number(args.finding)
        sha = _commit(args, context)
        said = f"is fixed in {sha[:12]}" if sha else "is fixed"
        return _answer(args, context, reviews.Fix(number, sha, args.note), said)


class ReviewWaive(Command):
    writes = True
    description = (
        "It stays waived when a later review finds it again. --reason is required. --wrong says that it is not so,\n"
        "rather than that it is accepted: that counts against who found it, in lattice review stats."
    )
    examples = (
        'lattice review waive LAT-1 F3 --reason "the input is ours alone" --actor human:ann',
        'lattice review waive LAT-1 F4 --wrong --reason "the lock is taken by the caller" --actor human:ann',
    )

    def arguments(self, parser: Parser) -> None:
        _add_finding(parser)
        parser.add_argument("--wrong", action="store_true", help="what the finding says is not so")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        asked = reviews.Waive(reviews.parse_number(args.finding), _reason(args), args.wrong)
        return _answer(args, context, asked, "is waived")


class ReviewVerify(Command):
    writes = True
    description = "For people: an agent has it reviewed again."
    examples = ("lattice review verify LAT-1 F3 --actor human:ann",)

    def arguments(self, parser: Parser) -> None:
        _add_finding(parser)
        parser.add_argument("--note", metavar="TEXT", help="one line on what was looked at")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        asked = reviews.Verify(reviews.parse_number(args.finding), args.note)
        return _answer(args, context, asked, "is verified")


class ReviewReopen(Command):
    writes = True
    description = "Whatever was decided about it, it has to be looked at again. --reason is required."
    examples = ('lattice review reopen LAT-1 F3 --reason "it still fails on a full disk" --actor human:ann',)

    def arguments(self, parser: Parser) -> None:
        _add_finding(parser)

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        asked = reviews.Reopen(reviews.parse_number(args.finding), _reason(args))
        return _answer(args, context, asked, "is open again")


def _add_finding(parser: Parser) -> None:
    add_task(parser)
    parser.add_argument("finding", metavar="FINDING", help="its number on the task, as F3")


def _reason(args: argparse.Namespace) -> str:
    if args.reason is None:
        raise UsageError("--reason is required.", hint='Add --reason "why".')
    return str(args.reason)


def _commit(args: argparse.Namespace, context: Context) -> str | None:
    """The commit that is named, else the one that the task is at; None where the board is in no repository."""
    from lattice.workers.worktrees.git import Repository  # the other acts ask nothing of git
    from lattice.workers.worktrees.span import head_of

    board = context.board
    task = board.store.task(board.resolve(args.task))
    try:
        repo = Repository.discover(board.root)
    except GitError:
        if args.commit is not None:
            raise
        return None
    return head_of(repo, task, args.commit)


def _answer(args: argparse.Namespace, context: Context, asked: reviews.Act, said: str) -> Answer:
    written = reviews.act(context.board, args.task, asked, context.sign(args))
    task: Task = written.task
    one = finding_of(task, asked.finding)
    done = said if written.events else f"is {one.state} already"
    text = f"{one.name} of {task.name} {done}: {line(one.finding.title)}"
    return Answer(data=lambda: data_of(task, one), text=lambda _: text, quiet=one.name)
