"""Commands on the board as a whole."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from lattice.cli.arguments import Answer, Command, Context, Parser
from lattice.cli.render import line
from lattice.commands import init
from lattice.commands.board import FOLDER
from lattice.core.actors import parse_actor
from lattice.core.config import Config
from lattice.core.ids import parse_project_code
from lattice.errors import Interrupted, LatticeError, choices

DEFAULT_CODE = "LAT"


class Init(Command):
    description = (
        "Without flags, on a terminal, it asks for the project code and for your name. In a script it asks\n"
        "nothing: the project code comes from the folder's name. A board that is there is left as it is."
    )
    examples = (
        "lattice init",
        "lattice init --project-code LAT --actor human:ann",
        "lattice init --path ../service --project-code SRV --json",
    )

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("--path", metavar="FOLDER", help="where to make it (default: here)")
        parser.add_argument("--actor", help="who acts where nobody is named, as human:ann")
        parser.add_argument("--project-code", metavar="CODE", help="what short ids begin with: 1 to 5 letters")
        parser.add_argument("--subproject-code", metavar="CODE", help="a second part of short ids, as F in LAT-F-1")
        parser.add_argument("--project-name", metavar="NAME", help="the project's name for people")
        parser.add_argument("--instance-name", metavar="NAME", help="this board's name for people")
        parser.add_argument("--description", help="one line on what the project is")
        parser.add_argument("--model", help="the model that agents on this board use")
        parser.add_argument("--heartbeat", action="store_const", const=True, help="let agents advance by themselves")
        parser.add_argument("--no-heartbeat", action="store_const", const=False, dest="heartbeat", help="do not")
        for agent, file in (("claude", "CLAUDE.md"), ("agents", "AGENTS.md")):
            told = f"tell agents about the board in {file}, as lattice setup-{agent} does"
            parser.add_argument(f"--setup-{agent}", action="store_true", help=told)
            untold = f"do not (which is the default): {file} stays as it is"
            parser.add_argument(f"--no-setup-{agent}", action="store_false", dest=f"setup_{agent}", help=untold)

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        root = context.folder / args.path if args.path is not None else context.folder
        flags = ("actor", "project_code", "subproject_code", "project_name", "instance_name", "description", "model")
        given = {name: getattr(args, name) for name in flags}
        untold = args.heartbeat is None and all(value is None for value in given.values())
        if args.project_code is None:
            given["project_code"] = suggested_code(root)
        exists = (root / FOLDER / "config.json").exists()
        if untold and not exists and not args.json and not args.quiet and _can_ask():
            given |= _ask(given["project_code"], context)
        above = next((str(up) for up in root.resolve().parents if (up / FOLDER / "config.json").exists()), None)
        config, made = init.Init(path=root, heartbeat=args.heartbeat, **given).run()
        warnings = _unheard(args, config, flags) if not made else _hidden(above) if above is not None else ()
        told = [_tell(root, agent) for agent in ("claude", "agents") if getattr(args, f"setup_{agent}")]
        return Answer(
            data=lambda: {
                "created": made,
                "root": str(root),
                "project_code": config.project_code,
                "subproject_code": config.subproject_code,
                "default_actor": config.default_actor,
                "instance_id": config.instance_id,
                **({"agent_files": told} if told else {}),
            },
            text=lambda _: "\n".join(
                [
                    *(f"Agents are told in {line(path)}" for path in told),
                    _said(config) if made else f"Lattice already initialized in {FOLDER}/",
                ]
            ),
            quiet=config.instance_id,
            warnings=warnings,
        )


def _unheard(args: argparse.Namespace, config: Config, flags: Sequence[str]) -> tuple[str, ...]:
    """What was asked of a board that was there, and is not so: an init changes nothing on it."""
    there = {"actor": config.default_actor, "project_code": config.project_code}
    asked = {name: getattr(args, name) for name in flags if getattr(args, name) is not None}
    names = [
        name for name, value in asked.items() if value.upper() != str(there.get(name, config.raw.get(name))).upper()
    ]
    told = choices([f"--{name.replace('_', '-')}" for name in names])
    return (
        (f"The board stays as it is: {told} changed nothing. Its settings stand in {FOLDER}/config.json.",)
        if names
        else ()
    )


def _hidden(above: str) -> tuple[str, ...]:
    return (f"There is a board in {line(above)} too; in this folder and below, this new one is used.",)


def _tell(root: Path, agent: str) -> str:
    """The file in which `agent` is told about the board. Raises ValidationError, StorageError."""
    from lattice.commands.setup import set_up_project  # few boards are made with it

    return set_up_project(root, agent, force=False).path


def suggested_code(root: Path) -> str:
    """A project code from the folder's name: the initials of its words, or the first letters of its only one."""
    words = re.findall(r"[A-Za-z]+", root.resolve().name)
    letters = "".join(word[0] for word in words) if len(words) > 1 else "".join(words)[:3]
    return letters[:5].upper() or DEFAULT_CODE


def _said(config: Config) -> str:
    actor = " --actor human:you" if config.default_actor is None else ""
    return "\n".join(
        [
            f"Board made in {FOLDER}/",
            f"Project code: {config.short_id_prefix or 'none, so that tasks get no short ids'}",
            f"Default actor: {line(config.default_actor or 'none')}",
            "",
            f'Next: lattice create "Your first task"{actor}',
        ]
    )


def _can_ask() -> bool:
    # A stream that was closed before the start is None, whatever its type says.
    return all(stream is not None and stream.isatty() for stream in (sys.__stdin__, sys.__stdout__))


def _ask(code: str, context: Context) -> dict[str, str]:
    user = re.sub(r"\s", "", context.environ.get("USER", "")) or "you"
    code = _question(f"Project code, what short ids begin with [{code}]: ", code, parse_project_code, context)
    actor = _question(f"Who are you? [human:{user}]: ", f"human:{user}", parse_actor, context)
    return {"project_code": code, "actor": actor}


def _question(prompt: str, default: str, parse: Callable[[str], str], context: Context) -> str:
    """The answer to a question, asked again until it is valid. Raises Interrupted at the end of the input."""
    while True:
        context.write(line(prompt))
        said = sys.stdin.readline()
        if not said:
            raise Interrupted("There was no answer; no board was made.", hint="lattice init --project-code LAT")
        try:
            return parse(said.strip() or default)
        except LatticeError as refused:
            context.write(f"{line(refused.message)}\n")
