"""The commands `session …`: names under which people and agents sign."""

from __future__ import annotations

import argparse

from lattice.cli.arguments import Answer, Command, Context, Parser
from lattice.cli.render import Terminal, line, table
from lattice.commands import sessions
from lattice.commands.session_files import Session

_SHOWN = ("base_name", "framework", "model", "name", "serial", "session")


class SessionStart(Command):
    description = (
        "The name gets a serial number, so that it is nobody else's: Vega becomes Vega-1.\n"
        "Sign with it from then on: lattice comment LAT-1 TEXT --name Vega-1"
    )
    examples = (
        "lattice session start --model claude-opus-4 --framework claude-code --quiet",
        "lattice session start --name Vega --model gpt-5 --framework codex --parent human:ann",
        "lattice session start --name Ann --model human",
    )

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("--name", help="one word (default: a name is chosen)")
        parser.add_argument("--model", required=True, help="the model; human for a person")
        parser.add_argument("--framework", help="what the model runs in, such as claude-code; an agent needs it")
        parser.add_argument("--agent-type", metavar="TYPE", help="what kind of work it does, such as review")
        parser.add_argument("--prompt", help="the skill or the workflow it follows")
        parser.add_argument("--parent", metavar="ACTOR", help="who launched it")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        request = sessions.StartSession(**{name: getattr(args, name) for name in sessions.StartSession._fields})
        session = request.run(context.board)
        text = f"Session started: {line(session['name'])} ({session['session']})\n  Sign with --name {session['name']}"
        return Answer(
            data=lambda: {key: session.get(key) for key in _SHOWN}, text=lambda _: text, quiet=session["name"]
        )


class SessionList(Command):
    examples = ("lattice session list", "lattice session list --json")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        found = sessions.active(context.board)
        return Answer(
            data=lambda: {"count": len(found), "sessions": found},
            text=lambda terminal: _table(found, terminal),
            quiet="\n".join(line(session["name"]) for session in found),
        )


class SessionShow(Command):
    examples = ("lattice session show Vega-1",)

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("session", metavar="NAME", help="the session's name, with its serial")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        session = sessions.find(context.board, args.session)
        lines = [f"Session {line(session['name'])}"]
        lines += [
            f"  {key.replace('_', ' ').capitalize()}: {line(value)}"
            for key, value in session.items()
            if key != "name" and value is not None
        ]
        return Answer(data=lambda: session, text=lambda _: "\n".join(lines), quiet=session["name"])


class SessionEnd(Command):
    description = "Its name is never given again, and what it signed stays signed."
    examples = ("lattice session end Vega-1", 'lattice session end Vega-1 --reason "handed over"')

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("session", metavar="NAME", help="the session's name, with its serial")
        parser.add_argument("--reason", help="why it ends")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        ended = sessions.end(context.board, args.session, args.reason)
        text = f"Session ended: {line(ended['name'])}"
        data = {"name": ended["name"], "status": ended["status"]}
        return Answer(data=lambda: data, text=lambda _: text, quiet=ended["name"])


def _table(found: list[Session], terminal: Terminal) -> str:
    keys = ("name", "model", "framework", "agent_type")
    rows = [
        [*(line(session.get(key) or "-") for key in keys), line(terminal.when(str(session.get("last_active") or "-")))]
        for session in found
    ]
    heads = ("SESSION", "MODEL", "FRAMEWORK", "TYPE", "LAST ACTIVE")
    return table(rows, terminal, 1, heads) if rows else "No active sessions."
