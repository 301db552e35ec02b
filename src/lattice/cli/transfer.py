"""`import` and `export`: a board's way in and out."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from lattice.cli.arguments import Answer, Command, Context, Parser
from lattice.cli.progress import progress
from lattice.cli.render import Terminal, line, table
from lattice.commands import exports, imports
from lattice.commands.imports import FORMATS, IN_PLACE, NAMED_MAX, Outcome, Report, Verified
from lattice.core.text import how_many
from lattice.errors import choices

WROTE = {"created": "created", "extended": "continued", "unchanged": "unchanged", "diverged": "left as they are here"}
WOULD = {
    "created": "would be created", "extended": "would be continued", "unchanged": "unchanged",
    "diverged": "would be left as they are here",
}  # fmt: skip


class Import(Command):
    writes = True
    description = (
        "A second import takes over what changed at the source and not here; what changed on both sides stays as it\n"
        "is here and is named. Records that cannot be read stop it before\n"
        "anything is written. What each format is, and what of it is kept:\n\n"
        "  lattice      a board of lattice-tracker or of ours: opens as it stands, and is only looked at\n"
        "  json         what lattice export --to json wrote: every event as it was\n"
        "  csv          a table with a head of columns; needs a column 'title'\n"
        "  beads        .beads/issues.jsonl\n"
        "  backlog-md   the folder that holds backlog/tasks/\n"
        "  taskwarrior  what task export prints\n"
        "  github       gh issue list --state all --limit 9999 --json number,title,body,state,stateReason,\\\n"
        "               author,assignees,labels,milestone,comments,createdAt,closedAt,url; or the REST API's answer"
    )
    examples = (
        "lattice import --from beads .beads/issues.jsonl --dry-run",
        "lattice import --from github issues.json --actor human:ann",
        "lattice import --from lattice ../service",
    )

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("path", metavar="PATH", help="the file or the folder to import")
        parser.add_argument(
            "--from", dest="format", metavar="FORMAT", choices=FORMATS, required=True, help=choices(FORMATS)
        )
        parser.add_argument("--dry-run", action="store_true", help="say what would be made, and change nothing")
        parser.add_argument("--skip-malformed", action="store_true", help="leave out the records that cannot be read")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        path = context.folder / args.path
        if args.format == IN_PLACE:
            with progress(args, "tasks") as tell:
                return _looked(imports.verify(path, tell))
        request = imports.Import(args.format, path, args.dry_run, args.skip_malformed)
        with progress(args, "tasks") as tell:
            report = request.run(context.board, context.sign(args), tell)
        wrote = ("created", "extended")
        return Answer(
            data=lambda: _data(report),
            text=lambda terminal: _page(report, terminal),
            quiet="\n".join(found.short_id or found.id for found in report.outcomes if found.outcome in wrote),
        )


class Export(Command):
    description = (
        "All of the board, archived tasks too. json holds every event, and the resources and sessions, and comes back\n"
        "by import as it was; csv holds a task a row, without comments, history and artifacts; markdown is for people."
    )
    examples = (
        "lattice export --to json board.json",
        "lattice export --to csv tasks.csv --replace",
        "lattice export --to markdown -",
    )

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("path", metavar="PATH", nargs="?", default="-", help="a file, or - for standard output")
        formats = tuple(exports.WRITERS)
        parser.add_argument(
            "--to", dest="format", metavar="FORMAT", choices=formats, required=True, help=choices(formats)
        )
        parser.add_argument("--replace", action="store_true", help="write over a file that is there")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        with progress(args, "tasks") as tell:
            export = exports.WRITERS[args.format](context.board, tell)
        left_out = f"Left out: {line(choices(export.left_out))}." if export.left_out else ""
        shape: dict[str, Any] = {"format": args.format, "tasks": export.tasks, "left_out": list(export.left_out)}
        if args.path == "-":
            return Answer(
                data=lambda: shape | {"path": None, "content": export.text},
                text=lambda _: export.text.removesuffix("\n"),
                quiet=export.text.removesuffix("\n"),
                warnings=(left_out,) if left_out else (),
            )
        exports.save(export, context.folder / args.path, replace=args.replace)
        return Answer(
            data=lambda: shape | {"path": args.path},
            text=lambda _: f"Exported {how_many(export.tasks, 'task')} to {line(args.path)}",
            quiet=args.path,
            warnings=(left_out,) if left_out else (),
        )


def _looked(found: Verified) -> Answer:
    problems = [finding.fields() for finding in found.findings]
    counts = f"{how_many(found.tasks, 'task')} with {how_many(found.events, 'event')}"
    text = [f"{counts}; the board is used as it stands, nothing to convert."]
    text += [f"  {line(finding.level)}: {line(finding.message)}" for finding in found.findings]
    if problems:
        text.append("See more, and what can be mended: lattice doctor")
    shape = {"format": IN_PLACE, "root": str(found.root), "tasks": found.tasks, "events": found.events}
    is_whole = all(finding.level != "error" for finding in found.findings)
    return Answer(
        data=lambda: shape | {"findings": problems},
        text=lambda _: "\n".join(text),
        quiet=str(found.tasks),
        exit_status=0 if is_whole else 1,
    )


def _data(report: Report) -> dict[str, Any]:
    account = report.account
    return {
        "format": report.format,
        "dry_run": report.dry_run,
        "counts": {outcome: report.count(outcome) for outcome in WROTE},
        "tasks": [found.fields() for found in report.outcomes],
        "resources": [found.fields() for found in report.beside if found.kind == "resource"],
        "sessions": [found.fields() for found in report.beside if found.kind == "session"],
        "malformed": _places(account.malformed),
        "skipped": _places(account.skipped),
        "conflicts": _places(account.conflicts),
        "adjusted": _places(account.adjusted),
        "mapped": [
            {"field": field, "from": from_, "to": to, "count": count}
            for (field, from_, to), count in sorted(account.mapped.items())
        ],
        "dropped": dict(sorted(account.dropped.items())),
    }


def _places(said: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"where": where, "why": why} for where, why in said]


def _page(report: Report, terminal: Terminal) -> str:
    account, words = report.account, WOULD if report.dry_run else WROTE
    counts = [f"{report.count(outcome)} {words[outcome]}" for outcome in WROTE if report.count(outcome)]
    read = how_many(len(report.outcomes), "task")
    parts = [terminal.styled(f"{read} read: {', '.join(counts) or 'nothing to do'}", "heading")]
    made = [found for found in report.outcomes if found.outcome in ("created", "extended")]
    parts += _made(made, terminal)
    beside = [f"  {found.kind} {line(found.name)}: {found.outcome}" for found in report.beside]
    parts += _some([text for text in beside if not text.endswith("unchanged")])
    mapped = [f"{field} {from_} became {to} ({count}×)" for (field, from_, to), count in sorted(account.mapped.items())]
    dropped = [f"{name} ({count}×)" for name, count in sorted(account.dropped.items())]
    sections: Mapping[str, Sequence[str]] = {
        "Malformed": [f"{where}: {why}" for where, why in account.malformed],
        "Skipped": [f"{where}: {why}" for where, why in account.skipped],
        "Changed on both sides, left as here": [f"{where}: {why}" for where, why in account.conflicts],
        "Adjusted": [f"{where}: {why}" for where, why in account.adjusted],
        "Values mapped": mapped,
        "Fields that have no place here": dropped,
    }
    for title, items in sections.items():
        if items:
            parts += ["", terminal.styled(f"{title}:", "heading"), *_some([f"  {line(item)}" for item in items])]
    return "\n".join(parts)


def _made(made: Sequence[Outcome], terminal: Terminal) -> list[str]:
    rows = [
        [found.short_id or "", line(": ".join([found.outcome, *([", ".join(found.changes)] if found.changes else [])])),
         line(found.title), line(found.where)]
        for found in made
    ]  # fmt: skip
    return _some([f"  {text}" for text in table(rows, terminal, 2).splitlines()])


def _some(lines: Sequence[str]) -> list[str]:
    more = len(lines) - NAMED_MAX
    return [*lines[:NAMED_MAX], *([f"  … and {more} more; --json has them all"] if more > 0 else [])]
