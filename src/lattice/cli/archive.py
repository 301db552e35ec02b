"""Commands that put tasks away, and bring them back."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from lattice.cli.arguments import Answer, Command, Context, Parser
from lattice.cli.render import line
from lattice.cli.runs import refreshed
from lattice.commands import archive
from lattice.commands.archive import Moved
from lattice.commands.board import Board
from lattice.core.codec import encode, parse
from lattice.core.events import Event
from lattice.core.task import Task
from lattice.errors import LatticeError, ValidationError


class Archive(Command):
    writes = True
    description = (
        "Several tasks are named apart or with commas. What cannot be archived is told, and keeps none of the\n"
        "others. An archived task can be shown; to change it, bring it back. --stale takes all tasks that\n"
        "were done before yesterday."
    )
    examples = (
        "lattice archive LAT-1 --actor human:ann",
        "lattice archive LAT-1 LAT-2,LAT-3 --actor human:ann",
        "lattice archive --stale --actor human:ann",
    )

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("tasks", metavar="TASK", nargs="*", help="a short id such as LAT-1, or a full id")
        parser.add_argument("--stale", action="store_true", help="all tasks that were done before yesterday")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        board, by = context.board, context.sign(args)
        refs = archive.parse_refs(args.tasks)
        if args.stale:
            if refs:
                raise ValidationError("--stale chooses the tasks itself.", hint="Leave the names out, or --stale.")
            found = [task.id for task in refreshed(board, lambda: archive.stale(board))]
            if not found:
                return _moved(Moved((), ()), "archived", "No stale done tasks found.")
            return _moved(archive.archive_each(board, found, by), "archived")
        if not refs:
            raise ValidationError("No task is named.", hint="Name them, or let --stale choose: lattice archive --stale")
        refreshed(board, lambda: _present(board, refs))  # A dead run keeps no task from being archived.
        if len(refs) == 1:
            return _one(*archive.archive(board, refs[0], by), "Archived")
        return _moved(archive.archive_each(board, refs, by), "archived")


class Unarchive(Command):
    writes = True
    description = "Several tasks are named apart or with commas."
    examples = ("lattice unarchive LAT-1 --actor human:ann", "lattice unarchive LAT-1,LAT-2 --actor human:ann")

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("tasks", metavar="TASK", nargs="+", help="a short id such as LAT-1, or a full id")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        board, by = context.board, context.sign(args)
        refs = archive.parse_refs(args.tasks)
        if not refs:
            raise ValidationError("No task is named.", hint="lattice unarchive LAT-1")
        if len(refs) == 1:
            return _one(*archive.unarchive(board, refs[0], by), "Unarchived")
        return _moved(archive.unarchive_each(board, refs, by), "unarchived")


def _present(board: Board, refs: list[str]) -> list[Task]:
    tasks = []
    for ref in refs:
        try:
            tasks.append(board.store.task(board.resolve(ref)))
        except LatticeError:
            continue  # It is refused by name when its turn comes.
    return tasks


def _one(task: Task, event: Event, done: str) -> Answer:
    name = f"{task.short_id} ({task.id})" if task.short_id else task.id
    return Answer(
        data=lambda: parse(encode(event)), text=lambda _: f'{done} {name} "{line(task.title)}"', quiet=task.id
    )


def _moved(moved: Moved, done: str, nothing: str | None = None) -> Answer:
    refs = [ref for ref, _, _ in moved.tasks]
    names = ", ".join(task.name for _, task, _ in moved.tasks)
    lines = [nothing or f"{done.capitalize()} {len(refs)} task(s){f': {names}' if names else ''}"]
    lines += [f"  Failed {line(each.ref)}: {line(each.error.message)}" for each in moved.failed]
    return Answer(
        data=lambda: {done: refs, "failed": [_failed(each.ref, each.error) for each in moved.failed]},
        text=lambda _: "\n".join(lines),
        quiet="\n".join(refs),
        exit_status=1 if moved.failed else 0,
        ok=not moved.failed,
    )


def _failed(ref: str, error: LatticeError) -> Mapping[str, Any]:
    return {"id": ref, "error": error.message, "code": error.code}
