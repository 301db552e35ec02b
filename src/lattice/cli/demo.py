"""`demo init`: a board to look around in."""

from __future__ import annotations

import argparse

from lattice.cli.arguments import Answer, Command, Context, Parser
from lattice.cli.render import line

FOLDER = "lattice-demo"


class DemoInit(Command):
    description = "Eight tasks of a small project, with comments, links and a branch, in a folder of their own."
    examples = ("lattice demo init", "lattice demo init --path /tmp/look --json")

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("--path", metavar="FOLDER", default=FOLDER, help=f"where to make it (default: {FOLDER})")
        parser.add_argument(
            "--no-dashboard", action="store_true", help="open no dashboard, which is what it does anyway"
        )

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        from lattice.commands.demo import seed  # the help does without

        path = context.folder / args.path
        board, count = seed(path)
        return Answer(
            data=lambda: {"root": str(path), "project_code": board.config.project_code, "tasks": count},
            text=lambda _: (
                f"Made a board with {count} tasks in {line(path)}\n\nLook around:\n"
                f"  cd {line(path)}\n  lattice list\n  lattice next\n  lattice show DEMO-3\n  lattice graph"
            ),
            quiet=str(path),
        )
