"""The commands of `lattice worker` about workers as they are defined: `list` and `check`."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from lattice.cli.arguments import Answer, Command, Context, Parser
from lattice.cli.render import Terminal, line, table
from lattice.errors import choices
from lattice.workers import budgets
from lattice.workers.definitions import catalogue
from lattice.workers.definitions.definition import Definition
from lattice.workers.presence import BROKEN, NOT_HERE, OK, MemberPresence, Place, Presence, look, place_of
from lattice.workers.sandboxes import sandbox


class WorkerList(Command):
    description = (
        "Those of workers/*.json in this repository, and the built-in ones. Of engine `auto` there is what it takes\n"
        "here, of a team how many of its members are here and how many have to be. A built-in worker whose engines\n"
        "are not installed is `not here`."
    )
    examples = ("lattice worker list", "lattice worker list --json")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        place = place_of(context.board)
        everyone = catalogue.load_all(place.top)
        seen = [(found, _look(found, place, context)) for found in everyone.definitions]
        broken = tuple(f"{problem.path.name}: {problem.error.message}" for problem in everyone.problems)
        return Answer(
            data=lambda: [_row(found, here) for found, here in seen],
            text=lambda terminal: table(
                [[found.name, _engine(found, here), here.state, found.description] for found, here in seen],
                terminal,
                flexible=3,
                heads=("NAME", "ENGINE", "STATE", "DESCRIPTION"),
            ),
            quiet="\n".join(found.name for found, _ in seen),
            warnings=broken,
        )


class WorkerCheck(Command):
    description = (
        "Whether each worker, or the one named, could run from here. Exits with 1 where one could not; without a name\n"
        "a built-in worker whose engines, or whose git repository, are not here does not count."
    )
    examples = ("lattice worker check", "lattice worker check DiffCheck --json")

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("name", nargs="?", metavar="NAME", help="one worker; without it, all")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        place = place_of(context.board)
        if args.name is not None:
            found = catalogue.find(args.name, place.top)
            place.check(found, context.environ, context.board.config.engine_order)
            if (off := budgets.problem_of(context.board, found, place.top, context.environ)) is not None:
                raise off
            definitions: tuple[Definition, ...] = (found,)
            problems: tuple[catalogue.Problem, ...] = ()
        else:
            everyone = catalogue.load_all(place.top)
            definitions, problems = everyone.definitions, everyone.problems
        checked = [_look(found, place, context) for found in definitions]
        boxes = {found.name: _sandbox_of(found, context) for found in definitions}
        checked += [Presence(off.name or off.path.name, BROKEN, off.error) for off in problems]
        return Answer(
            data=lambda: [
                {
                    "name": one.name,
                    "ok": one.error is None,
                    "state": one.state,
                    "error": one.error and one.error.as_dict(),
                    "sandbox": boxes.get(one.name),
                    "without": {member.name: member.reason for member in _out(one)},
                }
                for one in checked
            ],
            text=lambda terminal: "\n".join(_checked(one, boxes.get(one.name), terminal) for one in checked),
            quiet="\n".join(one.name for one in checked if one.broken),
            exit_status=1 if any(one.broken for one in checked) else 0,
            warnings=tuple(unknown_statuses(definitions, context.board.config.statuses)),
        )


def _checked(one: Presence, box: dict[str, Any] | None, terminal: Terminal) -> str:
    """One worker, for people."""
    shown = terminal.styled(f"{one.state:<8}", _STYLES[one.state])
    if one.error is None:
        out = "".join(f"\n          without {line(member.name)}: {line(member.reason or '')}" for member in _out(one))
        return f"{shown}  {line(one.name)}{_boxed(box) if box else ''}{out}"
    if one.state == NOT_HERE and _absent(one):
        return f"{shown}  {line(one.name)}: not installed: {line(_absent(one))}"
    hint = f"\n          {line(one.error.hint)}" if one.error.hint else ""
    return f"{shown}  {line(one.name)}: {line(one.error.message)}{hint}"


def _out(one: Presence) -> list[MemberPresence]:
    return [member for member in one.members if member.reason is not None]


_STYLES = {OK: "done", BROKEN: "lost", NOT_HERE: "faint"}


def _absent(one: Presence) -> str:
    """The engines that a built-in worker would need."""
    named = one.error.details.get(catalogue.NOT_HERE) if one.error is not None else None
    return choices([str(name) for name in named]) if isinstance(named, list) else ""


def unknown_statuses(found: Iterable[Definition], statuses: Sequence[str]) -> Iterator[str]:
    """What is odd about the triggers of workers: statuses that this board has not."""
    for one in found:
        names = one.triggers.unknown(statuses) if one.triggers is not None else ()
        yield from (f"{one.name}: {name!r} is no status of this board." for name in names)


def _engine(found: Definition, here: Presence) -> str:
    if here.takes is not None:
        return f"{found.engine}: {here.takes}"
    if here.quorum is None:
        return found.engine
    count = sum(member.reason is None for member in here.members)
    return f"{found.engine}: {count} of {len(here.members)} here, quorum {here.quorum}"


def _sandbox_of(found: Definition, context: Context) -> dict[str, Any]:
    """The sandbox that the worker asks for, and whether it can be had here."""
    rules = found.sandbox
    reason = sandbox.available(rules, context.environ)[1] if rules.mode != sandbox.NONE else None
    return {"mode": rules.mode, "available": reason is None, "reason": reason}


def _boxed(box: dict[str, Any]) -> str:
    if box["mode"] == sandbox.NONE:
        return ""
    return f" (sandbox: {box['mode']})" if box["available"] else line(f" (no sandbox: {box['reason']})")


def _look(found: Definition, place: Place, context: Context) -> Presence:
    top = place.top
    here = look(found, place, context.environ, context.board.config.engine_order)
    if here.error is not None:
        return here
    if found.team is not None:
        out = budgets.kept_out(context.board, found, found.team, top, context.environ)
        members = (one.replace(reason=out[one.name].message) if one.name in out else one for one in here.members)
        here = here.replace(members=tuple(members))
    off = budgets.problem_of(context.board, found, top, context.environ)
    return here if off is None else here.replace(state=BROKEN, error=off)


def _row(found: Definition, here: Presence) -> dict[str, Any]:
    return {
        "name": found.name,
        "engine": found.engine,
        "actor": found.actor,
        "description": found.description,
        "builtin": found.builtin,
        "source": str(found.source) if found.source else None,
        "timeout_minutes": found.timeout_minutes,
        "worktree": found.worktree,
        "state": here.state,
        "takes": here.takes,
        "members": [member.fields() | {"here": member.reason is None} for member in here.members],
        "quorum": here.quorum,
        "problem": here.error.as_dict() if here.error else None,
    }
