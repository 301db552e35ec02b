"""ruff and mypy: what they say about the changed files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from lattice.core.markup import visible
from lattice.core.reviews.model import Check, Finding
from lattice.core.text import how_many
from lattice.workers.builtin.diffcheck.findings import ToolResult, finding
from lattice.workers.builtin.diffcheck.process import Outcome
from lattice.workers.builtin.diffcheck.settings import mypy_names_files
from lattice.workers.builtin.diffcheck.tools import Project, broke_down, find_tool, not_run, or_everything, run_tool

_MYPY_LINE = re.compile(r"^(?P<path>.+?):(?P<line>\d+):(?:\d+:)? error: (?P<words>.*?)(?:  \[(?P<code>[\w-]+)\])?$")
_NOT_INSTALLED = frozenset({"import-not-found", "import-untyped"})


def run_ruff(project: Project, limit_s: float) -> ToolResult:
    files = project.python_files()
    if not files:
        return not_run("ruff", "no Python file changed")
    tool = find_tool(project, "ruff")
    if tool is None:
        return not_run("ruff", "ruff is not installed")
    argv = [tool.path, "check", "--output-format=json", "--no-cache", "--no-fix", "--force-exclude", "--"]

    def read(outcome: Outcome, check: Check) -> ToolResult:
        rows = _rows(outcome.stdout)
        if rows is None or outcome.exit_status not in (0, 1):
            return broke_down(check, outcome)
        findings = tuple(_ruff_findings(project, rows))
        return ToolResult(check.replace(detail=how_many(len(findings), "finding")), findings)

    return run_tool(project, "ruff", [*argv, *or_everything(files)], limit_s, read)


def _rows(text: str) -> list[dict[str, Any]] | None:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else None


def _ruff_findings(project: Project, rows: list[dict[str, Any]]) -> Iterator[Finding]:
    """On added lines important; on the others of a changed file they may be older than the diff."""
    for row in rows:
        path = project.relative(str(row.get("filename", "")))
        change = project.change_at(path)
        if change is None:
            continue
        line = (row.get("location") or {}).get("row")
        is_new = any(line == added.number for added in change.added)
        rule = row.get("code") or "syntax"
        yield finding(
            severity="important" if is_new else "potential",
            category="lint",
            title=f"ruff {visible(str(rule), 40)}",
            detail=visible(str(row.get("message", ""))),
            file=path,
            line=line if isinstance(line, int) else None,
            status="confirmed" if is_new else "likely",
            fix=visible(str((row.get("fix") or {}).get("message") or "Follow the rule, or say in the code why not.")),
        )


def run_mypy(project: Project, limit_s: float) -> ToolResult:
    files = project.python_files()
    if not files:
        return not_run("mypy", "no Python file changed")
    tool = find_tool(project, "mypy")
    if tool is None:
        return not_run("mypy", "mypy is not installed")
    argv = [
        tool.path, "--no-error-summary", "--show-column-numbers", "--show-error-codes", "--hide-error-context",
        "--no-color-output", "--no-pretty", f"--cache-dir={project.scratch / 'mypy'}",
    ]  # fmt: skip
    if not mypy_names_files(project.files):
        argv += ["--", *or_everything(files)]

    def read(outcome: Outcome, check: Check) -> ToolResult:
        errors = [match for line in outcome.stdout.split("\n") if (match := _MYPY_LINE.match(line))]
        if outcome.exit_status != 0 and not errors:
            return broke_down(check, outcome)
        findings = tuple(_mypy_findings(project, errors, sees_dependencies=tool.is_projects_own))
        detail = f"{how_many(len(errors), 'error')}, {len(findings)} of them about changed files"
        return ToolResult(check.replace(detail=detail), findings)

    return run_tool(project, "mypy", argv, limit_s, read)


def _mypy_findings(project: Project, errors: list[re.Match[str]], *, sees_dependencies: bool) -> Iterator[Finding]:
    for error in errors:
        path = project.relative(error["path"])
        if project.change_at(path) is None:
            continue
        if error["code"] in _NOT_INSTALLED and not sees_dependencies:
            continue  # A mypy from PATH cannot see what the project has installed.
        yield finding(
            severity="important",
            category="types",
            title=f"mypy {error['code'] or 'error'}",
            detail=visible(error["words"]),
            file=path,
            line=int(error["line"]),
            fix="Correct the types.",
        )
