"""Commands on what may run by itself: show it, trust it, take the trust back."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lattice.cli.arguments import Answer, Command, Context, Parser
from lattice.cli.render import Terminal, line
from lattice.commands import hooks
from lattice.commands.board import find_root
from lattice.commands.hooks import Listed
from lattice.commands.trust import Grant, trust_store
from lattice.errors import UsageError
from lattice.ledger import timestamp


class Trust(Command):
    description = (
        "Shows each hook of this board's config.json: what it executes, and the digest of every file that is\n"
        "pinned with it. None runs before you trust it, and one changed byte asks again. What you trust is kept\n"
        "outside the repository, for this folder and for you alone."
    )
    examples = ("lattice trust", "lattice trust --yes", "lattice trust --list --json")

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("--yes", action="store_true", help="trust what is shown, as it is now")
        parser.add_argument("--list", action="store_true", help="what is trusted, on every board")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        if args.list:
            if args.yes:
                raise UsageError("--list and --yes exclude each other.", hint="lattice trust --help")
            return _granted(trust_store(context.environ).grants())
        board = context.board
        shown = hooks.listed(board.root, board.config.raw.get("hooks"), context.environ)
        said = False
        if not args.yes and not args.json and not args.quiet and _open(shown) and _can_ask():
            context.write(f"{_page(shown, context.terminal)}\n\nTrust these, as they are shown? [y/N] ")
            args.yes, said = sys.stdin.readline().strip().lower() in ("y", "yes"), True
        if args.yes:
            shown = hooks.allow(board.root, shown, context.environ, timestamp(board.ledger.source.now_ms()))
        warnings = [f"{one.target.hook.key} cannot run: {one.target.problem}." for one in shown if one.target.problem]
        return Answer(
            data=lambda: {
                "root": str(board.root.resolve()),
                "hooks": [_data(one) for one in shown],
                "trusted": all(one.trusted for one in shown),
            },
            text=lambda terminal: _conclusion(shown) if said else f"{_page(shown, terminal)}\n\n{_conclusion(shown)}",
            quiet="\n".join(one.target.hook.key for one in shown if not one.trusted),
            warnings=tuple(warnings),
        )


class Untrust(Command):
    description = "Nothing of the board's settings runs by itself any more, in any version that was trusted."
    examples = ("lattice untrust", "lattice untrust --path ../old-checkout")

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("--path", metavar="FOLDER", help="the board's folder, which need not be there any more")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        root = context.folder / args.path if args.path else Path(find_root(context.folder, context.environ))
        gone = trust_store(context.environ).remove(str(root.resolve()))
        return Answer(
            data=lambda: {"root": str(root.resolve()), "removed": [grant.fields() for grant in gone]},
            text=lambda _: (
                "\n".join(line(f"no longer trusted: {grant.name}") for grant in gone) or "Nothing of it was trusted."
            ),
            quiet="\n".join(grant.name for grant in gone),
        )


def _granted(grants: Sequence[Grant]) -> Answer:
    return Answer(
        data=lambda: [grant.fields() for grant in grants],
        text=lambda _: (
            "\n".join(line(f"{g.path}  {g.kind}  {g.name}  {g.digest}  {g.trusted_at}") for g in grants)
            or "Nothing is trusted."
        ),
        quiet="\n".join(grant.digest for grant in grants),
    )


def _open(shown: Sequence[Listed]) -> bool:
    """Whether there is anything to say yes to."""
    return any(not one.trusted and one.target.problem is None for one in shown)


def _can_ask() -> bool:
    # A stream that was closed before the start is None, whatever its type says.
    return all(stream is not None and stream.isatty() for stream in (sys.__stdin__, sys.__stdout__))


def _data(one: Listed) -> dict[str, Any]:
    return {
        "key": one.target.hook.key,
        "argv": list(one.target.hook.argv),
        "program": one.target.program,
        "files": [file.fields() for file in one.target.files],
        "digest": one.target.digest,
        "trusted": one.trusted,
        "problem": one.target.problem,
    }


def _page(shown: Sequence[Listed], terminal: Terminal) -> str:
    if not shown:
        return "This board has no hooks."
    lines = []
    for one in shown:
        state = "cannot run" if one.target.problem else "trusted" if one.trusted else "not trusted"
        colour = {"trusted": "done", "not trusted": "needs_human", "cannot run": "blocked"}[state]
        lines.append(f"{terminal.styled(line(one.target.hook.key), 'heading')}  {terminal.styled(state, colour)}")
        lines.append(f"  runs  {line(shlex.join(one.target.hook.argv))}")
        lines += [f"  file  {line(file.path)}  {file.digest}" for file in one.target.files]
    return "\n".join(lines)


def _conclusion(shown: Sequence[Listed]) -> str:
    if not shown:
        return "Hooks stand in .lattice/config.json: hooks.post_event, hooks.on, hooks.transitions."
    if _open(shown):
        return "Nothing that is not trusted runs. To trust it as it is shown: lattice trust --yes"
    return "All that can run is trusted. To take it back: lattice untrust"
