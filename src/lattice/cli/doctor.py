"""`doctor` and `rebuild`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from lattice.cli.arguments import Answer, Command, Context, Parser
from lattice.cli.progress import progress
from lattice.cli.render import Terminal, line
from lattice.commands.doctor import Judge, Report, examine
from lattice.core.integrity import Finding
from lattice.core.text import how_many
from lattice.errors import MissingActor, ValidationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from lattice.commands.mends import Mended

SECTIONS = {
    "All JSON files valid": ("json_parse", "unreadable"),
    "All logs whole": ("jsonl_parse", "empty_log", "archived_twice", "torn_tail"),
    "All snapshots consistent with event logs": ("snapshot_drift", "orphan_snapshot", "index"),
    "All relationship targets exist": ("missing_target",),
    "No self-links, no duplicate edges": ("self_link", "duplicate_edge"),
    "No tasks that wait for each other": ("cycle",),
    "All artifact references valid": ("missing_artifact", "orphan_artifact", "artifact_changed"),
    "All plans, notes and comments belong to a task": ("orphan_text", "missing_comment"),
    "All names and statuses well-formed": ("malformed_id", "unknown_status"),
    "Lifecycle log consistent": ("global_log_consistency",),
    "Short ids consistent": ("alias_integrity", "duplicate_short_id"),
    "Sessions and resources consistent": ("session", "duplicate_resource"),
    "Nothing left over by dead writers and runs": ("leftover", "leftover_run"),
}
"""What a person is told was checked, and the findings that speak against it; a test holds that none is missing."""


class Doctor(Command):
    writes = True
    description = (
        "Reads every file of the board. --fix mends what can be mended without loss, and nothing else: it says what\n"
        "it will do before it does it, and keeps what it replaces under .lattice/doctor/. Exit status 1 says\n"
        "that errors are left."
    )
    examples = ("lattice doctor", "lattice doctor --json", "lattice doctor --fix --actor human:ann")

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("--fix", action="store_true", help="mend what can be mended without loss")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        report = _examine(args, context)
        mended: Sequence[Mended] = ()
        if args.fix and report.mendable:
            if not (args.json or args.quiet):
                context.write(_plan(report.mendable))
            from lattice.commands.mends import Repair  # whoever only looks does without

            repair = Repair(context.board, _signature(args, context), lambda: _clear_runs(context))
            mended = repair.run(report.mendable)
            if not (args.json or args.quiet):
                context.write(_done(mended, str(repair.folder.relative_to(context.board.root))))
            report = _examine(args, context)
        left = report.count("error")
        return Answer(
            data=lambda: _data(report, mended),
            text=lambda terminal: _page(report, terminal, offer=not args.fix),
            quiet="\n".join(dict.fromkeys(finding.task_id or finding.path or "" for finding in report.findings)),
            exit_status=1 if left or any(one.error for one in mended) else 0,
        )


class Rebuild(Command):
    description = (
        "Snapshots of tasks and resources, ids.json and the list of what began and was archived are derived: they\n"
        "may be deleted, and are made again from the logs here, each time with the same bytes."
    )
    examples = ("lattice rebuild --all", "lattice rebuild LAT-1")

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("task", metavar="TASK", nargs="?", help="only this task's snapshot")
        parser.add_argument("--all", action="store_true", help="everything that is derived")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        if args.task is None and not args.all:
            raise ValidationError("Provide a task ID or use --all.", hint="lattice rebuild --all")
        if args.task is not None and args.all:
            raise ValidationError("Cannot specify both a task ID and --all.", hint="lattice rebuild --all")
        from lattice.commands.rebuild import rebuild_all, rebuild_task  # a doctor does without

        if args.task is not None:
            task = rebuild_task(context.board, args.task)
            shape: dict[str, Any] = {"global_log_rebuilt": False, "rebuilt_tasks": [task.id]}
            return Answer(data=lambda: shape, text=lambda _: f"Rebuilt {task.name} ({task.id})", quiet=task.name)
        with progress(args, "tasks") as tell:
            rebuilt = rebuild_all(context.board, tell)
        shape = {"global_log_rebuilt": True, "rebuilt_resources": list(rebuilt.resources)}
        shape["rebuilt_tasks"] = list(rebuilt.tasks)
        if rebuilt.damaged:
            shape["failed"] = [{"task_id": task_id, **error.as_dict()} for task_id, error in rebuilt.damaged]
        return Answer(
            data=lambda: shape,
            text=lambda _: f"Rebuilt {how_many(len(rebuilt.tasks), 'task')}, the short ids and the lifecycle log",
            quiet="\n".join(rebuilt.tasks),
            warnings=tuple(f"{task_id} was passed over: {error.message}" for task_id, error in rebuilt.damaged),
            exit_status=1 if rebuilt.damaged else 0,
        )


def _examine(args: argparse.Namespace, context: Context) -> Report:
    board = context.board

    def runs() -> Judge:
        from lattice.workers import leftovers  # while the logs are read

        return leftovers.look(board, context.environ)

    with progress(args, "tasks") as tell:
        return examine(board, runs, tell)


def _signature(args: argparse.Namespace, context: Context) -> Any:
    try:
        return context.sign(args)
    except MissingActor:
        return None  # Only a mend by an event needs one, and says so.


def _clear_runs(context: Context) -> Sequence[str]:
    from lattice.workers import control  # only a mend clears away

    return control.gc(context.board, context.environ).problems


def _data(report: Report, mended: Sequence[Mended]) -> dict[str, Any]:
    shape: dict[str, Any] = {
        "findings": [_finding(finding) for finding in report.findings],
        "summary": {
            "artifacts": report.artifacts,
            "errors": report.count("error"),
            "events": report.events,
            "resources": report.resources,
            "tasks": report.tasks,
            "warnings": report.count("warning"),
        },
    }
    if mended:
        shape["fixed"] = [
            _finding(one.finding) | ({"done": one.done} if one.error is None else {"error": one.error})
            for one in mended
        ]
    return shape


def _finding(finding: Finding) -> dict[str, Any]:
    extra = {"path": finding.path, "hint": finding.hint, "fix": finding.mend}
    return {
        "check": finding.check,
        "level": finding.level,
        "message": finding.message,
        "task_id": finding.task_id,
    } | {key: value for key, value in extra.items() if value is not None}


def _page(report: Report, terminal: Terminal, *, offer: bool) -> str:
    counts = {"task": report.tasks, "event": report.events, "artifact": report.artifacts}
    lines = [f"Checked {', '.join(how_many(number, what) for what, number in counts.items())}."]
    for title, checks in SECTIONS.items():
        found = [finding for finding in report.findings if finding.check in checks]
        if not found:
            lines.append(f"{terminal.styled('✓', 'done')} {title}")
        for finding in found:
            mark = terminal.styled("✗", "critical") if finding.level == "error" else terminal.styled("⚠", "needs_human")
            lines.append(f"{mark} {line(finding.message)}")
            lines += [f"    {line(finding.hint)}"] if finding.hint and finding.mend is None else []
    errors, warnings = report.count("error"), report.count("warning")
    lines.append("")
    if not report.findings:
        return "\n".join([*lines, "No issues found."])
    lines.append(f"{how_many(warnings, 'warning')} and {how_many(errors, 'error')} found.")
    if offer and report.mendable:
        lines.append(f"{len(report.mendable)} of them can be mended without loss: lattice doctor --fix")
    return "\n".join(lines)


def _plan(findings: Sequence[Finding]) -> str:
    told = [f"  {line(finding.message)}\n    {line(finding.mend)}" for finding in findings]
    return "\n".join(["To be done:", *told]) + "\n"


def _done(mended: Sequence[Mended], kept: str) -> str:
    told = [
        f"  {line(one.finding.task_id or one.finding.path or one.finding.check)}: "
        + line(one.done if one.error is None else f"not mended: {one.error}")
        for one in mended
    ]
    return "\n".join(["Done:", *told, f"What was replaced is kept in {line(kept)}/", "", ""])
