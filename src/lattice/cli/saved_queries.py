"""Commands on saved queries: `query save`, `query list` and `query remove`."""

from __future__ import annotations

import argparse
from typing import Any

from lattice.cli.arguments import Answer, Command, Context, Parser
from lattice.cli.render import Terminal, line, table
from lattice.commands import saved_queries
from lattice.commands.saved_queries import Saved


class QuerySave(Command):
    description = (
        "QUERY is read before it is saved, and may use other saved ones as @NAME. It is kept in `queries` of\n"
        ".lattice/config.json, for everybody on this board; ask it with: lattice list @NAME"
    )
    examples = (
        "lattice query save mine 'assigned:me -status:done,cancelled'",
        "lattice query save urgent '@mine priority:>=high'",
        "lattice query save mine 'assigned:me -status:done' --replace",
    )

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("name", metavar="NAME", help="what it is called, without the @")
        parser.add_argument("query", nargs="+", metavar="QUERY", help="the query; lattice list --help tells of it")
        parser.add_argument("--replace", action="store_true", help="also where another query has this name")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        saved = saved_queries.save(context.board, args.name, " ".join(args.query), replace=args.replace)
        said = (
            f"Saved @{saved.name}: {line(saved.expression)}" if saved.changed else f"@{saved.name} says that already."
        )
        return Answer(
            data=lambda: _shape(saved) | {"changed": saved.changed},
            text=lambda _: said,
            quiet=saved.name,
            warnings=saved.warnings,
        )


class QueryList(Command):
    description = "By name. One that cannot be asked as it stands in .lattice/config.json is told with the reason."
    examples = ("lattice query list", "lattice query list --json")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        found = saved_queries.everything(context.board)
        return Answer(
            data=lambda: [_shape(saved) for saved in found],
            text=lambda terminal: _table(found, terminal),
            quiet="\n".join(line(saved.name) for saved in found),
            warnings=tuple(f"@{line(saved.name)}: {saved.problem}" for saved in found if saved.problem is not None),
        )


class QueryRemove(Command):
    description = "One that another saved query is made of stays."
    examples = ("lattice query remove mine",)

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("name", metavar="NAME", help="what it is called, without the @")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        gone = saved_queries.remove(context.board, args.name)
        return Answer(
            data=lambda: _shape(gone),
            text=lambda _: f"Removed @{line(gone.name)}: {line(gone.expression)}",
            quiet=line(gone.name),
        )


def _shape(saved: Saved) -> dict[str, Any]:
    problem = {"problem": saved.problem} if saved.problem is not None else {}
    return {"name": saved.name, "query": saved.expression} | problem


def _table(found: list[Saved], terminal: Terminal) -> str:
    rows = [[f"@{line(saved.name)}", line(saved.expression)] for saved in found]
    empty = "No saved queries. Save one: lattice query save mine 'assigned:me'"
    return table(rows, terminal, 1, ("NAME", "QUERY")) if rows else empty
