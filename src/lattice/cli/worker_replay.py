"""`worker replay`: the stream of an agent's run, read again, beside what was recorded of it."""

from __future__ import annotations

import argparse

from lattice.cli.arguments import Answer, Command, Context, Parser
from lattice.cli.render import Terminal, line, table
from lattice.cli.worker_wait import add_run
from lattice.core.text import how_many
from lattice.workers import control, replaying
from lattice.workers.replaying import Replay


class WorkerReplay(Command):
    description = (
        "Reads the kept stream of an agent's run with the adapter of this version: its result, text, usage, cost,\n"
        "session and rate limit, and what of it could not be read. Beside it stands what was recorded when the run\n"
        "ended. Changes nothing. Exits with 1 where the two differ."
    )
    examples = ("lattice worker replay RUN", "lattice worker replay RUN --json")

    def arguments(self, parser: Parser) -> None:
        add_run(parser)

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        board = context.board
        read = replaying.again(board, control.refreshed(board, args.run))
        return Answer(
            data=read.fields,
            text=lambda terminal: _text(read, terminal),
            quiet="\n".join(read.differences),
            exit_status=1 if read.differences else 0,
        )


def _text(read: Replay, terminal: Terminal) -> str:
    rows = [
        [
            name.replace("_", " "),
            _cell(value),
            "" if read.then is None else _cell(read.then[name]),
            "differs" if name in read.differences else "",
        ]
        for name, value in read.today.items()
    ]
    unread = how_many(read.unread, "line")
    lines = [
        terminal.styled(f"{read.engine}  {read.run_id}", "heading"),
        table(rows, terminal, flexible=1, heads=("WHAT", "TODAY", "RECORDED", "")),
        f"{how_many(read.turns, 'turn')}, {how_many(read.tools, 'tool')} called, {unread} that could not be read",
    ]
    if read.then is None:
        lines.append("Nothing was recorded of its result to compare with.")
    else:
        names = ", ".join(name.replace("_", " ") for name in read.differences)
        lines.append(f"Today's adapter differs from what was recorded: {names}." if names else "Nothing differs.")
    return "\n".join(lines)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    return line(str(value).lower() if isinstance(value, bool) else value)
