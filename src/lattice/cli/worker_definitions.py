"""The commands of `lattice worker` about workers as they are defined: `list` and `check`."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from lattice.cli.arguments import Answer, Command, Context, Parser
from lattice.cli.render import line, table
from lattice.errors import LatticeError
from lattice.workers.definitions import catalogue
from lattice.workers.definitions.definition import Definition
from lattice.workers.definitions.trust import checkout_of
from lattice.workers.sandboxes import sandbox


class WorkerList(Command):
    description = "Those of workers/*.json in this repository, and the built-in ones."
    examples = ("lattice worker list", "lattice worker list --json")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        top = checkout_of(context.board)
        everyone = catalogue.load_all(top)
        rows = [_row(found, _problem_of(found, top, context)) for found in everyone.definitions]
        broken = tuple(f"{problem.path.name}: {problem.error.message}" for problem in everyone.problems)
        return Answer(
            data=lambda: rows,
            text=lambda terminal: table(
                [[r["name"], r["engine"], "ok" if r["problem"] is None else "broken", r["description"]] for r in rows],
                terminal,
                flexible=3,
                heads=("NAME", "ENGINE", "STATE", "DESCRIPTION"),
            ),
            quiet="\n".join(str(row["name"]) for row in rows),
            warnings=broken,
        )


class WorkerCheck(Command):
    description = "Whether each worker, or the one named, could run from here. Exits with 1 where one could not."
    examples = ("lattice worker check", "lattice worker check DiffCheck --json")

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("name", nargs="?", metavar="NAME", help="one worker; without it, all")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        top = checkout_of(context.board)
        if args.name is not None:
            found = catalogue.find(args.name, top)
            catalogue.check(found, top, context.environ)
            checked: list[tuple[str, LatticeError | None]] = [(found.name, None)]
            boxes = {found.name: _sandbox_of(found, context)}
        else:
            everyone = catalogue.load_all(top)
            checked = [(found.name, _problem_of(found, top, context)) for found in everyone.definitions]
            boxes = {found.name: _sandbox_of(found, context) for found in everyone.definitions}
            checked += [(problem.name or problem.path.name, problem.error) for problem in everyone.problems]
        return Answer(
            data=lambda: [
                {"name": name, "ok": off is None, "error": off and off.as_dict(), "sandbox": boxes.get(name)}
                for name, off in checked
            ],
            text=lambda terminal: "\n".join(
                f"{terminal.styled('ok', 'done')}      {line(name)}{_boxed(boxes[name])}"
                if off is None
                else f"{terminal.styled('broken', 'lost')}  {line(name)}: {line(off.message)}"
                + (f"\n        {line(off.hint)}" if off.hint else "")
                for name, off in checked
            ),
            quiet="\n".join(name for name, off in checked if off is not None),
            exit_status=1 if any(off is not None for _, off in checked) else 0,
        )


def _sandbox_of(found: Definition, context: Context) -> dict[str, Any]:
    """The sandbox that the worker asks for, and whether it can be had here."""
    rules = found.sandbox
    reason = sandbox.available(rules, context.environ)[1] if rules.mode != sandbox.NONE else None
    return {"mode": rules.mode, "available": reason is None, "reason": reason}


def _boxed(box: dict[str, Any]) -> str:
    if box["mode"] == sandbox.NONE:
        return ""
    return f" (sandbox: {box['mode']})" if box["available"] else line(f" (no sandbox: {box['reason']})")


def _problem_of(found: Definition, top: Path, context: Context) -> LatticeError | None:
    try:
        catalogue.check(found, top, context.environ)
    except LatticeError as off:
        return off
    return None


def _row(found: Definition, problem: LatticeError | None) -> dict[str, Any]:
    return {
        "name": found.name,
        "engine": found.engine,
        "actor": found.actor,
        "description": found.description,
        "builtin": found.builtin,
        "source": str(found.source) if found.source else None,
        "timeout_minutes": found.timeout_minutes,
        "worktree": found.worktree,
        "problem": problem.as_dict() if problem else None,
    }
