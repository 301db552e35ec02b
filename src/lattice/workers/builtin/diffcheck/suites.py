"""The project's tests, and the scripts of its package.json."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from lattice.core.markup import visible
from lattice.core.reviews.model import Check, Finding
from lattice.workers.builtin.diffcheck import paths
from lattice.workers.builtin.diffcheck.findings import ToolResult, finding
from lattice.workers.builtin.diffcheck.process import OUTPUT_BYTES_MAX, Outcome
from lattice.workers.builtin.diffcheck.tools import (
    Project,
    broke_down,
    find_tool,
    not_run,
    or_everything,
    run_tool,
    says_nothing,
)

_PLACE = re.compile(r"^(?P<path>[^\s:][^:\n]*):(?P<line>\d+): ", re.MULTILINE)
_MISSING_MODULE = re.compile(r"ModuleNotFoundError: No module named '([\w.]+)'")
_SCRIPT_PLACE = re.compile(r"(?P<path>[\w@./-]+\.\w+)[:(](?P<line>\d+)")


def run_pytest(project: Project, limit_s: float) -> ToolResult:
    """The changed test files; the whole suite only where the project asks for it and none changed."""
    files = [name for name in project.python_files() if paths.is_test_module(name) and "::" not in name]
    if not files and not project.settings.whole_suite:
        return not_run("pytest", "no test file changed")
    tool = find_tool(project, "pytest")
    if tool is None:
        return not_run("pytest", "pytest is not installed")
    report = project.scratch / "pytest.xml"
    argv = [
        tool.path, "-q", "--tb=short", "-p", "no:cacheprovider", "-o", "junit_family=xunit1", f"--junitxml={report}",
        *or_everything(files),
    ]  # fmt: skip

    def read(outcome: Outcome, check: Check) -> ToolResult:
        cases = _failed_cases(report)
        if cases is None or outcome.exit_status not in (0, 1, 2, 5):
            return broke_down(check, outcome)
        if outcome.exit_status == 5:
            return says_nothing(check, "it collected no test")
        absent = sorted({name for _, text in cases if (name := _absent_dependency(project, text))})
        findings = tuple(
            _test_finding(project, case, text) for case, text in cases if not _absent_dependency(project, text)
        )
        if absent and not findings:
            reason = f"dependencies are not installed: {', '.join(absent)}"
            return says_nothing(check, reason)
        if outcome.exit_status != 0 and not findings:
            return broke_down(check, outcome)
        return ToolResult(check.replace(detail=f"{len(findings)} failures"), findings)

    return run_tool(project, "pytest", argv, limit_s, read)


Case = tuple[ElementTree.Element, str]


def _failed_cases(report: Path) -> list[Case] | None:
    """Failed and broken test cases with their text, or None when there is no report to read."""
    try:
        if os.path.getsize(report) > OUTPUT_BYTES_MAX:
            return None
        root = ElementTree.parse(report).getroot()  # noqa: S314  # expat and the size bound it
    except (OSError, ElementTree.ParseError):
        return None
    return [
        (case, f"{outcome.get('message', '')}\n{outcome.text or ''}")
        for case in root.iter("testcase")
        for outcome in case
        if outcome.tag in ("failure", "error")
    ]


def _absent_dependency(project: Project, text: str) -> str | None:
    """The module an import did not find, unless it is the project's own: then the diff may have lost it."""
    match = _MISSING_MODULE.search(text)
    if match is None:
        return None
    top = match[1].split(".")[0]
    own = {part for path in project.all_paths for part in _module_parts(path)}
    return None if top in own else top


def _module_parts(path: str) -> Iterator[str]:
    *folders, name = path.split("/")
    yield from folders
    yield name.removesuffix(".py")


def _test_finding(project: Project, case: ElementTree.Element, text: str) -> Finding:
    path, line = _failure_place(project, case, text)
    name = "::".join(part for part in (case.get("classname"), case.get("name")) if part)
    first = next((one for one in text.split("\n") if one.strip()), "no message")
    return finding(
        severity="blocker",
        category="test_failure",
        title=f"test fails: {visible(name, 160)}",
        detail=visible(first.strip()),
        file=path,
        line=line,
        fix="Make it pass, or change the test if it is the test that is wrong.",
    )


def _failure_place(project: Project, case: ElementTree.Element, text: str) -> tuple[str | None, int | None]:
    """The last line of the traceback inside a file of this repository, else where the test begins."""
    known = set(project.all_paths)
    places = [(project.relative(one["path"]), int(one["line"])) for one in _PLACE.finditer(text)]
    inside = [place for place in places if place[0] in known]
    if inside:
        return inside[-1]
    file = case.get("file")
    if file is None:  # A module that could not be collected has only its dotted name.
        dotted = (case.get("name") or "").replace(".", "/") + ".py"
        return (dotted, None) if dotted in known else (None, None)
    line = case.get("line", "")
    return project.relative(file), int(line) + 1 if line.isdigit() else None


def run_npm_lint(project: Project, limit_s: float) -> ToolResult:
    return _run_script(project, "npm-lint", "lint", limit_s)


def run_npm_test(project: Project, limit_s: float) -> ToolResult:
    return _run_script(project, "npm-test", "test", limit_s)


def _run_script(project: Project, name: str, script: str, limit_s: float) -> ToolResult:
    in_worktree = (project.worktree / "node_modules").is_dir()
    if not in_worktree and not (project.main_checkout and (project.main_checkout / "node_modules").is_dir()):
        return not_run(name, "dependencies are not installed")
    tool = find_tool(project, "npm")
    if tool is None:
        return not_run(name, "npm is not installed")

    def read(outcome: Outcome, check: Check) -> ToolResult:
        if check.status == "passed":
            return ToolResult(check)
        path, line = _script_place(project, f"{outcome.stdout}\n{outcome.stderr}")
        failed = finding(
            severity="blocker" if script == "test" else "important",
            category="test_failure" if script == "test" else "lint",
            title=f"npm run {script} fails",
            detail=visible(outcome.last_words(8)),
            file=path,
            line=line,
            # Dependencies of the main checkout may not be those this commit asks for.
            status="confirmed" if in_worktree else "likely",
            fix=f"Run npm run {script} and settle what it says.",
        )
        return ToolResult(check, (failed,))

    return run_tool(project, name, [tool.path, "run", "--silent", script], limit_s, read)


def _script_place(project: Project, text: str) -> tuple[str | None, int | None]:
    for match in _SCRIPT_PLACE.finditer(text[:200_000]):
        path = project.relative(match["path"])
        if project.change_at(path) is not None:
            return path, int(match["line"])
    return None, None
