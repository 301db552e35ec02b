"""Completion for bash, zsh and fish: a script each, made from the table of commands and their parsers.

What stands on a board (tasks, statuses, workers, …) is asked for at the moment of completion. A word that
a board offers comes from whoever wrote it, so only plain words are passed on and none is expanded by the shell.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import NamedTuple

from lattice.cli.arguments import Answer, Command, Context, Parser, build
from lattice.core.config import COMPLEXITIES, PRIORITIES, URGENCIES
from lattice.core.reviews.model import SEVERITIES
from lattice.core.reviews.standing import STATES
from lattice.core.task import RELATIONSHIP_TYPES
from lattice.errors import UsageError

SHELLS = ("bash", "zsh", "fish")
FILES = "files"
PLACES_MAX = 9
"""How many arguments of a command that takes any number are completed."""

ASKED: Mapping[str, str] = {
    "tasks": "lattice list --quiet",
    "workers": "lattice worker list --quiet",
    "runs": "lattice worker ps --all --quiet",
    "sessions": "lattice session list --quiet",
    "resources": "lattice resource list --quiet",
    "branches": "git branch --format='%(refname:short)'",
    "statuses": "lattice completion --values statuses",
    "roles": "lattice completion --values roles",
    "types": "lattice completion --values types",
    "findings": "lattice review findings {first} --status all --quiet",
    "reviews": "lattice review list {first} --quiet 2>/dev/null | awk '{print \"R\" NR}'",
}
"""What a shell runs to know the words of a kind; `{first}` is the first argument of the command, quoted."""

_VALUES = ("statuses", "roles", "types")
_FIXED: Mapping[str, tuple[str, ...]] = {
    "priority": PRIORITIES,
    "urgency": URGENCIES,
    "complexity": COMPLEXITIES,
    "values": _VALUES,
    "severity": SEVERITIES,
}
_KINDS: Mapping[str, str] = {
    "task": "tasks", "tasks": "tasks", "target": "tasks", "worker": "workers", "run": "runs", "status": "statuses",
    "resource": "resources", "role": "roles", "branch": "branches", "commit": "branches", "base": "branches",
    "finding": "findings", "source": FILES, "file": FILES, "path": FILES, "output": FILES, "out": FILES,
}  # fmt: skip
"""The kind of a word, by the name of its argument."""

_TYPED: Mapping[str, str] = {"create": "types", "list": "types"}
_FINDINGS = "review findings"
_REVIEWS = (("review show", "review"), ("review diff", "before"), ("review diff", "after"))
_LINKING = ("link", "unlink", "graph")


class Word(NamedTuple):
    """An argument or an option's value: where it stands, and where its words come from."""

    command: str
    place: str  # an option, or the number of the argument, from 1
    kind: str | None
    fixed: tuple[str, ...]


class Option(NamedTuple):
    command: str
    flag: str
    told: str
    takes_value: bool


class Grammar(NamedTuple):
    """All that a script is made from."""

    commands: tuple[tuple[str, str], ...]  # name and summary; of a group, of one word
    members: tuple[tuple[str, str, str], ...]  # group, name and summary
    options: tuple[Option, ...]
    words: tuple[Word, ...]


class Completion(Command):
    description = 'For bash: eval "$(lattice completion bash)" in ~/.bashrc; for the others, see the examples.'
    examples = (
        'eval "$(lattice completion bash)"',
        "lattice completion zsh > ~/.zfunc/_lattice   # a folder of your fpath",
        "lattice completion fish > ~/.config/fish/completions/lattice.fish",
    )

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("shell", metavar="SHELL", nargs="?", choices=SHELLS, help=" or ".join(SHELLS))
        parser.add_argument(
            "--values", metavar="KIND", choices=_VALUES, help=f"instead, this board's {', '.join(_VALUES)}"
        )

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        if (args.shell is None) == (args.values is None):
            raise UsageError(f"Name a shell: {', '.join(SHELLS)}.", hint="lattice completion --help")
        if args.values is not None:
            config = context.board.config
            values = {"statuses": config.statuses, "roles": config.roles, "types": config.task_types}[args.values]
            text = "\n".join(value for value in values if value.isprintable())
            return Answer(data=lambda: list(values), text=lambda _: text, quiet=text)
        from lattice.cli import shells  # one script is asked for once; the words, at each press of the key

        script = shells.SCRIPTS[args.shell](grammar())
        return Answer(data=lambda: {"shell": args.shell, "script": script}, text=lambda _: script, quiet=script)


def grammar() -> Grammar:
    """Every command with its options and arguments, as their parsers have them."""
    from lattice.cli.main import COMMANDS  # main imports this module by name; only a script needs its table

    heads: dict[str, str] = {}
    members: list[tuple[str, str, str]] = []
    options: list[Option] = []
    words: list[Word] = []
    for name, entry in COMMANDS.items():
        head, _, member = name.partition(" ")
        heads.setdefault(head, f"{entry.section}: see lattice {head} --help" if member else entry.summary)
        if member:
            members.append((head, member, entry.summary))
        parser = build(name, getattr(import_module(entry.module), entry.kind)(), entry.summary)
        options += _options(name, parser)
        words += _words(name, parser)
    heads["help"] = "Show the page of a command"
    return Grammar(tuple(heads.items()), tuple(members), tuple(options), tuple(words))


def _options(command: str, parser: Parser) -> Iterator[Option]:
    for action in parser._actions:
        if action.help != argparse.SUPPRESS:
            told = (action.help or "").replace("%%", "%")
            yield from (Option(command, flag, told, action.nargs != 0) for flag in action.option_strings)


def _words(command: str, parser: Parser) -> Iterator[Word]:
    place = 0
    for action in parser._actions:
        if action.option_strings:
            if action.nargs == 0:
                continue
            places = tuple(action.option_strings)
            name = places[-1].lstrip("-").removeprefix("not-").replace("-", "_")
        else:
            place += 1
            last = PLACES_MAX if action.nargs in ("*", "+") else place
            places, name = tuple(map(str, range(place, last + 1))), action.dest
        kind, fixed = _kind(command, name, action)
        if kind or fixed:
            yield from (Word(command, at, kind, fixed) for at in places)


def _kind(command: str, name: str, action: argparse.Action) -> tuple[str | None, tuple[str, ...]]:
    if action.choices:
        return None, tuple(str(choice) for choice in action.choices)
    if name in _FIXED:
        return None, _FIXED[name]
    if (command, name) == (_FINDINGS, "status"):
        return None, (*STATES, "all")
    if name == "type":
        return (_TYPED.get(command), RELATIONSHIP_TYPES if command in _LINKING else ())
    if (command, name) in _REVIEWS:
        return "reviews", ()
    if name == "session" and not action.option_strings:
        return "sessions", ()
    return _KINDS.get(name), ()
