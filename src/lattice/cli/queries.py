"""`show`: one task, with all that belongs to it."""

from __future__ import annotations

import argparse

from lattice.cli.arguments import Answer, Command, Context, Parser, add_task
from lattice.cli.history import described
from lattice.cli.render import Terminal, line
from lattice.cli.runs import refreshed, snapshot, state
from lattice.commands.board import Board
from lattice.commands.detail import Detail, Neighbours, neighbours, show, text_files
from lattice.core.actors import actor_text
from lattice.core.codec import encode, parse
from lattice.core.events import Event
from lattice.core.task import ActiveRun, Task, compact
from lattice.core.text import visible_prose
from lattice.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Show(Command):
    examples = (
        "lattice show LAT-1",
        "lattice show LAT-1 --full",
        "lattice show LAT-1 --compact --json",
        "lattice show LAT-1 --at 2h",
    )

    def arguments(self, parser: Parser) -> None:
        add_task(parser)
        parser.add_argument("--full", action="store_true", help="each event with all of its data")
        parser.add_argument("--compact", action="store_true", help="what stands on the first lines alone")
        parser.add_argument("--at", metavar="MOMENT", help="as it was: 2h ago, yesterday, or a date in UTC")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        if args.full and args.compact:
            raise UsageError("--full and --compact exclude each other.", hint="lattice show --help")
        board = context.board
        detail = _fresh(board, args.task) if args.at is None else _past(board, args.task, args.at)
        near = Neighbours() if args.compact or args.quiet or args.at is not None else neighbours(board, detail.task)
        return Answer(
            data=lambda: _compact_data(detail) if args.compact else _data(board, detail, near, full=args.full),
            text=lambda terminal: _page(board, detail, near, terminal, full=args.full, brief=args.compact),
            quiet=detail.task.name,
            warnings=near.warnings,
        )


def _past(board: Board, ref: str, at: str) -> Detail:
    from lattice.commands.history import moment  # the present does without

    return show(board, ref, moment(board, at))


def _fresh(board: Board, ref: str) -> Detail:
    details: list[Detail] = []

    def read() -> list[Task]:
        details.append(show(board, ref))
        return [details[-1].task]

    refreshed(board, read)
    return details[-1]


def _data(board: Board, detail: Detail, near: Neighbours, *, full: bool) -> dict[str, Any]:
    shape = snapshot(board, detail.task)
    shape["relationships_enriched"] = [
        edge | {"target_title": near.titles.get(edge["target_task_id"])} for edge in shape["relationships_out"]
    ]
    shape["relationships_in"] = [
        {"source_task_id": e.source_task_id, "source_title": e.title, "type": e.type, "note": e.note}
        for e in near.incoming
    ]
    shape["events"] = [_raw(event) for event in detail.events]
    shape["artifact_info"] = [
        {key: meta.get(key) for key in ("id", "role", "title", "type")} | _missing(meta) for meta in detail.artifacts
    ]
    shape |= text_files(board, detail.task)
    shape["valid_transitions"] = list(detail.valid_transitions)
    shape |= _reopened(detail)
    if full:
        shape["_full"] = True  # as the earlier tool marks it
    return shape


def _reopened(detail: Detail) -> dict[str, Any]:
    if detail.latest_reopen is None:
        return {}
    event, move = detail.latest_reopen
    date, by = event.ts[:10], actor_text(event.actor)
    return {
        "latest_reopen": {"ts": event.ts, "date": date, "actor": by, "from": move.from_, "to": move.to},
        "reopened_warning": f"Previously completed, reset on {date} by {by}",  # the earlier tool's words
    }


def _edges(task: Task, near: Neighbours) -> list[str]:
    """Both directions, each with the title of the other end."""
    out = [(e.type, e.target_task_id, near.titles.get(e.target_task_id), e.note) for e in task.relationships_out]
    back = [(f"<- {edge.type}", edge.source_task_id, edge.title, edge.note) for edge in near.incoming]
    return [
        f"{kind} {other}" + (f' "{title}"' if title else "") + (f"  ({note})" if note else "")
        for kind, other, title, note in (*out, *back)
    ]


def _missing(meta: dict[str, Any]) -> dict[str, bool]:
    return {"missing": True} if meta.get("missing") else {}


def _compact_data(detail: Detail) -> dict[str, Any]:
    return compact(detail.task) | {"valid_transitions": list(detail.valid_transitions)}


def _raw(event: Event) -> dict[str, Any]:
    return dict(event.raw) if event.raw is not None else parse(encode(event))


def _page(board: Board, detail: Detail, near: Neighbours, terminal: Terminal, *, full: bool, brief: bool) -> str:
    task = detail.task
    lines = _head(task, detail, terminal)
    if brief:
        return "\n".join(lines)
    if task.description:
        lines += ["", terminal.styled("Description:", "heading")]
        lines += [f"  {text}" for text in visible_prose(task.description).splitlines()]
    if task.custom_fields:
        lines += ["", terminal.styled("Custom fields:", "heading")]
        lines += [f"  {line(name)}: {line(value)}" for name, value in sorted(task.custom_fields.items())]
    lines += _runs(board, task, terminal)
    lines += _belongings(board, detail, near, terminal)
    lines += ["", terminal.styled("Events (latest first):", "heading")]
    lines += [f"  {described(event, terminal, full=full)}" for event in reversed(detail.events)]
    return "\n".join(lines)


def _head(task: Task, detail: Detail, terminal: Terminal) -> list[str]:
    name = f"{task.short_id} ({task.id})" if task.short_id else task.id
    graded = [("Priority", task.priority), ("Urgency", task.urgency), ("Complexity", task.complexity)]
    grades = [f"{label}: {terminal.styled(line(value))}" for label, value in graded if value]
    status = f"Status: {terminal.styled(line(task.status))}"
    lines = [
        terminal.styled(f'{name}  "{line(task.title)}"{"  [ARCHIVED]" if task.archived else ""}', "heading"),
        "  ".join([status, *grades, f"Type: {line(task.type)}"]),
        f"  Next: {line(' | '.join(detail.valid_transitions) or 'nothing; this is an end')}",
        f"Assigned: {line(actor_text(task.assigned_to))}  Created by: {line(actor_text(task.created_by))}",
        f"Created: {line(terminal.when(task.created_at))}  Updated: {line(terminal.when(task.updated_at))}",
    ]
    if task.done_at:
        lines.append(f"Done: {line(terminal.when(task.done_at))}")
    if task.tags:
        lines.append(f"Tags: {line(', '.join(task.tags))}")
    counts = [("Comments", task.comment_count), ("Reopened", task.reopened_count)]
    if any(count for _, count in counts):
        lines.append("  ".join(f"{label}: {count}" for label, count in counts if count))
    if task.reviews:
        lines.append(_findings(task))
    return lines


def _findings(task: Task) -> str:
    """The open findings of its reviews by severity, the worst first."""
    from lattice.core.reviews.model import SEVERITIES  # who has no review does without; who has, has loaded it

    open_ = [one.finding.severity for one in task.findings if one.is_unsettled]
    counts = [f"{open_.count(severity)} {severity}" for severity in SEVERITIES if severity in open_]
    look = f"; lattice review findings {task.name}" if open_ else ""
    return f"Findings: {', '.join(counts) or 'none'} open{look}"


def _runs(board: Board, task: Task, terminal: Terminal) -> list[str]:
    if not task.active_processes:
        return []
    runs = [_run(board, run, terminal) for run in task.active_processes]
    return ["", terminal.styled("ACTIVE RUNS:", "heading"), *runs]


def _run(board: Board, run: ActiveRun, terminal: Terminal) -> str:
    began = terminal.when(run.started_at or run.requested_at)
    since = f"since {began}" if run.started_at else f"requested {began}"
    by = f"by {actor_text(run.actor)}"
    on = f"on {run.host}" if run.host else ""
    parts = [line(part) for part in (run.run_id, run.process_type, since, by, on) if part]
    return "  " + "  ".join([*parts[:2], terminal.styled(line(state(board, run))), *parts[2:]])


def _belongings(board: Board, detail: Detail, near: Neighbours, terminal: Terminal) -> list[str]:
    """What hangs on the task: artifacts, evidence, edges, branches, and its files of free text."""
    task = detail.task
    artifacts = [
        f'{meta["id"]} "{meta.get("title") or "?"}" ({meta.get("type") or "description missing"})'
        + (f"  role: {meta['role']}" if meta.get("role") else "")
        for meta in detail.artifacts
    ]
    sections = {
        "Artifacts": artifacts,
        "Evidence": [f"{ref.role}: {ref.source_type} {ref.id}" for ref in task.evidence_refs if ref.role],
        "Relationships": _edges(task, near),
        "Branches": [f"{link.branch} ({link.repo})" if link.repo else link.branch for link in task.branch_links],
        "Files": list(text_files(board, task).values()),
    }
    lines: list[str] = []
    for title, items in sections.items():
        if items:
            lines += ["", terminal.styled(f"{title}:", "heading"), *(f"  {line(item)}" for item in items)]
    return lines
