"""The project's own tools: which are configured, where they are, and one adapter for each.

A tool that is missing, or that cannot start, is a check with a reason, never a finding.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from lattice.core.markup import visible
from lattice.core.record import Record
from lattice.core.reviews.model import Check
from lattice.workers.builtin.diffcheck.changes import Change
from lattice.workers.builtin.diffcheck.findings import ToolResult, finding
from lattice.workers.builtin.diffcheck.git import without_git_variables
from lattice.workers.builtin.diffcheck.process import Outcome, run_limited
from lattice.workers.builtin.diffcheck.settings import Settings

_ARGV_FILES_BYTES_MAX = 64 << 10
_PROJECT_FOLDERS = (".venv/bin", "venv/bin", "node_modules/.bin")


class Project(Record):
    """What the adapters need to know. `scratch` is a folder outside the worktree that is removed afterwards."""

    worktree: Path
    main_checkout: Path | None
    scratch: Path
    environ: Mapping[str, str]
    files: Mapping[str, bytes]
    all_paths: tuple[str, ...]
    changes: tuple[Change, ...]
    settings: Settings

    def change_at(self, path: str) -> Change | None:
        return next((one for one in self.changes if one.path == path), None)

    def relative(self, name: str) -> str:
        """A path that a tool printed, as the repository names it."""
        full = os.path.normpath(os.path.join(os.path.realpath(self.worktree), name))
        return os.path.relpath(full, os.path.realpath(self.worktree))

    def python_files(self) -> list[str]:
        """Changed Python files that exist, as arguments no tool can take for an option."""
        chosen = [one.path for one in self.changes if one.is_regular and one.path.endswith((".py", ".pyi"))]
        return [f"./{path}" for path in chosen]


class Tool(Record):
    """A program found. `is_projects_own`: it comes from the project's environment and sees its dependencies."""

    path: str
    is_projects_own: bool


def find_tool(project: Project, name: str) -> Tool | None:
    """In the main checkout's environments first, then on PATH."""
    if project.main_checkout is not None:
        for folder in _PROJECT_FOLDERS:
            candidate = project.main_checkout / folder / name
            if candidate.is_file() and os.access(candidate, os.X_OK):
                return Tool(str(candidate), True)
    found = shutil.which(name, path=project.environ.get("PATH"))
    return Tool(found, False) if found else None


def tool_environ(project: Project) -> dict[str, str]:
    """The caller's environment without what would steer the tools, and with every cache kept out of the worktree."""
    kept = {
        name: value
        for name, value in without_git_variables(project.environ).items()
        if not name.startswith(("LATTICE_", "PYTHON", "PYTEST_", "RUFF_", "MYPY"))
    }
    scratch = str(project.scratch)
    own = [str(project.main_checkout / folder) for folder in _PROJECT_FOLDERS] if project.main_checkout else []
    # An editable install in the project's environment points at the main checkout; the worktree goes first.
    roots = [str(project.worktree / folder) for folder in ("src", ".")]
    return (
        kept
        | {
            "PATH": os.pathsep.join([*own, kept.get("PATH", os.defpath)]),
            "PYTHONPATH": os.pathsep.join(roots),
            "PYTHONDONTWRITEBYTECODE": "1",
            "COVERAGE_FILE": f"{scratch}/coverage",
            "HYPOTHESIS_STORAGE_DIRECTORY": f"{scratch}/hypothesis",
            "TMPDIR": scratch,
            "CI": "1",
            "NO_COLOR": "1",
            "npm_config_cache": f"{scratch}/npm",
            "npm_config_update_notifier": "false",
        }
        | ({"NODE_PATH": str(project.main_checkout / "node_modules")} if project.main_checkout else {})
    )


def not_run(name: str, reason: str, argv: Sequence[str] = (), duration_s: float = 0.0) -> ToolResult:
    return ToolResult(Check(name, "not_run", visible(reason), tuple(argv), duration_s))


def says_nothing(check: Check, reason: str) -> ToolResult:
    """Of a tool that was executed, and whose answer is not to be read."""
    return not_run(check.name, reason, check.argv, check.duration_s)


def broke_down(check: Check, outcome: Outcome) -> ToolResult:
    """The same, of one that failed by itself."""
    return says_nothing(check, f"it failed: {outcome.last_words()}")


Read = Callable[[Outcome, Check], ToolResult]


def run_tool(project: Project, name: str, argv: Sequence[str], limit_s: float, read: Read) -> ToolResult:
    """Run one tool; `read` turns its outcome into findings, given the check as it would stand by exit status."""
    try:
        outcome = run_limited(argv, cwd=project.worktree, environ=tool_environ(project), limit_s=limit_s)
    except OSError as error:
        return not_run(name, f"it could not be started: {error}", argv)
    if outcome.timed_out:
        detail = f"ended after {limit_s:g} s"
        unfinished = finding(
            severity="potential",
            category="tool",
            title=f"{name} did not finish",
            detail=f"It was {detail} and says nothing about this diff.",
            fix="Run it by hand, or raise DIFFCHECK_TOOL_SECONDS.",
        )
        return ToolResult(Check(name, "timed_out", detail, tuple(argv), outcome.duration_s), (unfinished,))
    passed = outcome.exit_status == 0
    check = Check(
        name, "passed" if passed else "failed", f"exit status {outcome.exit_status}", tuple(argv), outcome.duration_s
    )
    return read(outcome, check)


def or_everything(names: list[str], everything: str = ".") -> list[str]:
    """The names, or the whole folder where they are too many for a command line."""
    return names if sum(len(os.fsencode(name)) + 1 for name in names) <= _ARGV_FILES_BYTES_MAX else [everything]


Adapter = Callable[[Project, float], ToolResult]


def run_all(
    project: Project,
    adapters: Mapping[str, Adapter],
    configured: frozenset[str],
    limit_s: float,
    budget_s: float,
    clock: Callable[[], float],
) -> Iterator[ToolResult]:
    """Each configured tool in turn, within its limit and all within the budget."""  # fmt: skip
    ends = clock() + budget_s
    for name, adapter in adapters.items():
        if name not in project.settings.tools:
            yield not_run(name, "the project's settings leave it out")
        elif name not in configured:
            yield not_run(name, "the project does not configure it")
        elif (left := ends - clock()) <= 0:
            yield not_run(name, f"the tools before it used up their {budget_s:g} s")
        else:
            yield adapter(project, min(limit_s, left))
