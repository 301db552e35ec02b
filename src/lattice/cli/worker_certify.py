"""The command `lattice worker certify`: an adapter or a worker, against every behaviour of a fake agent."""

from __future__ import annotations

import argparse

from lattice.cli.arguments import Answer, Command, Context, Parser
from lattice.cli.progress import progress
from lattice.cli.render import Terminal, line, table
from lattice.testing import certify
from lattice.testing.certify import Certificate
from lattice.workers.definitions.trust import checkout_of


class WorkerCertify(Command):
    description = (
        "Of an engine: starts a fake of it once per behaviour with the adapter's own command line, and checks\n"
        "what the adapter makes of the stream. Of a worker: runs it for real, once per behaviour, in a repository\n"
        "and on a board that are made for it and thrown away, with fakes on PATH. The answer names\n"
        "the behaviours, with what was expected and what was seen. Exits with 1 where one differs."
    )
    examples = (
        "lattice worker certify claude",
        "lattice worker certify CodeReviewLite --json",
        "lattice worker certify MyWorker --only ok --only daemon",
        "lattice worker certify MyWorker --behaviour behaviour.json",
    )

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("name", metavar="NAME", help="an engine, or a worker: lattice worker list")
        parser.add_argument(
            "--only", metavar="BEHAVIOUR", action="append", default=[], help="this behaviour alone; may be given again"
        )
        parser.add_argument(
            "--behaviour", metavar="FILE", help="JSON that a worker's fakes are told beside each behaviour"
        )

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        more = certify.behaviour_of(context.folder / args.behaviour) if args.behaviour is not None else {}
        with progress(args, "behaviours") as shown:
            found = certify.certify(
                args.name, lambda: checkout_of(context.board), context.environ, args.only, more, shown
            )
        return Answer(
            data=lambda: {
                "name": found.name,
                "kind": found.kind,
                "ok": found.ok,
                "rows": [row.fields() for row in found.rows],
            },
            text=lambda terminal: _text(found, terminal),
            quiet="\n".join(row.behaviour for row in found.rows if not row.ok),
            exit_status=0 if found.ok else 1,
        )


def _text(found: Certificate, terminal: Terminal) -> str:
    rows = [[row.behaviour, row.expected, row.seen, "ok" if row.ok else "differs"] for row in found.rows]
    lines = [table(rows, terminal, flexible=0, heads=("BEHAVIOUR", "EXPECTED", "SEEN", ""))]
    lines += [line(f"{row.behaviour}: {one}") for row in found.rows for one in row.differences]
    count = sum(not row.ok for row in found.rows)
    lines.append(
        line(f"{found.name}: {len(rows)} behaviours, {f'{count} differ' if count else 'all as they should be'}")
    )
    return "\n".join(lines)
