"""The commands of `lattice artifact`: what is attached, and what stands in it."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from lattice.cli.arguments import Answer, Command, Context, Parser, add_task
from lattice.cli.render import line, table
from lattice.commands.artifacts import find, payload_of
from lattice.commands.detail import show
from lattice.core.text import how_many, visible_prose
from lattice.errors import ValidationError


class ArtifactList(Command):
    examples = ("lattice artifact list LAT-1", "lattice artifact list LAT-1 --json")

    def arguments(self, parser: Parser) -> None:
        add_task(parser)

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        detail = show(context.board, args.task)
        rows = [
            [meta["id"], str(meta.get("type") or "?"), meta["role"] or "", line(meta["title"] or "missing")]
            for meta in detail.artifacts
        ]
        return Answer(
            data=lambda: list(detail.artifacts),
            text=lambda terminal: table(rows, terminal, flexible=3, heads=("ARTIFACT", "TYPE", "ROLE", "TITLE")),
            quiet="\n".join(row[0] for row in rows),
        )


class ArtifactShow(Command):
    description = "Prints a text with its control characters shown and not sent; --raw gives the bytes of anything."
    examples = ("lattice artifact show ARTIFACT", "lattice artifact show ARTIFACT --raw > review.md")

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("artifact", metavar="ARTIFACT", help="its id: lattice artifact list TASK")
        parser.add_argument("--raw", action="store_true", help="the bytes as they are: a terminal will act on them")

    def run(self, args: argparse.Namespace, context: Context) -> Answer | int:
        artifact_id = args.artifact
        meta = find(context.board, artifact_id)
        data = payload_of(context.board, meta)
        if args.raw and not args.json:
            sys.stdout.flush()
            sys.stdout.buffer.write(data or b"")
            sys.stdout.buffer.flush()
            return 0
        return Answer(data=lambda: meta, text=lambda _: _text(meta, data), quiet=artifact_id)


def _text(meta: dict[str, Any], data: bytes | None) -> str:
    if data is None:
        return line(meta["custom_fields"].get("url") or meta["title"])
    try:
        return visible_prose(data.decode("utf-8")).rstrip("\n")
    except UnicodeDecodeError:
        raise ValidationError(
            f"{meta['id']} is not a text: {how_many(len(data), 'byte')}.",
            hint=f"lattice artifact show {meta['id']} --raw > FILE",
        ) from None
