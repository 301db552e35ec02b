"""The command that shows a task's plan."""

from __future__ import annotations

import argparse

from lattice.cli.arguments import Answer, Command, Context, Parser, add_task
from lattice.commands.plans import plan
from lattice.core.text import visible_prose


class ShowPlan(Command):
    description = "The plan is a file of free text, to be written with any editor; --quiet prints its path."
    examples = ("lattice plan LAT-1", '"$EDITOR" "$(lattice plan LAT-1 --quiet)"')

    def arguments(self, parser: Parser) -> None:
        add_task(parser)

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        found = plan(context.board, args.task)
        return Answer(
            data=lambda: {
                "task_id": found.task.id,
                "plan_path": str(found.path),
                "content": found.text,
                "archived": found.task.archived,
            },
            text=lambda _: visible_prose(found.text).rstrip("\n"),
            quiet=str(found.path),
        )
