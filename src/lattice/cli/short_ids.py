"""Commands on short ids: what they begin with, and tasks that have none."""

from __future__ import annotations

import argparse

from lattice.cli.arguments import Answer, Command, Context, Parser
from lattice.commands import short_ids
from lattice.commands.settings import Settings

MIGRATION = "agent:lattice-migration"


class ProjectCode(Command):
    description = "One to five letters. New tasks get the new code; ids that were given stay."
    examples = ("lattice set-project-code LAT", "lattice set-project-code SRV --force")

    def arguments(self, parser: Parser) -> None:
        _add_code(parser)

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        codes = short_ids.set_project_code(context.board, args.code, force=args.force)
        return _answer(codes, "Project code", codes.config.project_code)


class SubprojectCode(Command):
    description = "One to five letters: F makes new short ids LAT-F-1, LAT-F-2, … Ids that were given stay."
    examples = ("lattice set-subproject-code F",)

    def arguments(self, parser: Parser) -> None:
        _add_code(parser)

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        codes = short_ids.set_subproject_code(context.board, args.code, force=args.force)
        return _answer(codes, "Subproject code", codes.config.subproject_code)


class Backfill(Command):
    writes = True
    description = f"Oldest first, archived tasks too. Where nobody is named, it is done by {MIGRATION}."
    examples = ("lattice backfill-ids", "lattice backfill-ids --code LAT --actor human:ann")

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("--code", help="set the project code before: 1 to 5 letters")
        parser.add_argument("--force", action="store_true", help="with --code: also where there is another")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        if args.actor is None and args.name is None:
            args.actor = MIGRATION
        named = short_ids.backfill(context.board, context.sign(args), code=args.code, force=args.force)
        if not named:
            message = "All tasks already have short IDs"
            return Answer(data=lambda: {"assigned": 0, "message": message}, text=lambda _: f"{message}.", quiet="0")
        first, last = named[0].name, named[-1].name
        return Answer(
            data=lambda: {"assigned": len(named), "first": first, "last": last},
            text=lambda _: f"Assigned {first} through {last} to {len(named)} task(s).",
            quiet="\n".join(task.name for task in named),
        )


def _add_code(parser: Parser) -> None:
    parser.add_argument("code", metavar="CODE", help="1 to 5 letters")
    parser.add_argument("--force", action="store_true", help="also where there is another")


def _answer(codes: Settings, what: str, code: str | None) -> Answer:
    text = f"{what} set to {code}." if codes.changed else f"{what} is already {code}."
    return Answer(
        data=lambda: {
            "project_code": codes.config.project_code,
            "subproject_code": codes.config.subproject_code,
            "changed": codes.changed,
        },
        text=lambda _: text,
        quiet=code or "",
    )
