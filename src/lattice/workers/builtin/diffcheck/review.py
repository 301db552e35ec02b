"""The review itself: changes in, findings and checks out, two files written."""

from __future__ import annotations

import os
import re
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lattice.core.record import Record
from lattice.core.reviews.model import NOT_READY, READY, SEVERITIES, Check, Finding, MergedFinding, Review
from lattice.core.text import how_many
from lattice.errors import GitError, UsageError
from lattice.workers.builtin.diffcheck import linters, suites
from lattice.workers.builtin.diffcheck.changes import Change, read_changes
from lattice.workers.builtin.diffcheck.files import check_size, check_tests
from lattice.workers.builtin.diffcheck.findings import REVIEWER, ToolResult, capped
from lattice.workers.builtin.diffcheck.git import Git
from lattice.workers.builtin.diffcheck.lines import check_lines
from lattice.workers.builtin.diffcheck.secrets import as_finding, find_secrets, masked
from lattice.workers.builtin.diffcheck.settings import (
    CONFIG_FILES,
    changed_settings,
    configured_tools,
    read_settings,
)
from lattice.workers.builtin.diffcheck.syntax import check_syntax
from lattice.workers.builtin.diffcheck.tools import Adapter, Project, run_all
from lattice.workers.reviews.anchoring import anchored
from lattice.workers.worktrees.git import Repository

TOOL_LIMIT_S = 120.0
TOOLS_BUDGET_S = 480.0  # The definition gives the whole run ten minutes.
_SHA = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_ADAPTERS: dict[str, Adapter] = {
    "ruff": linters.run_ruff,
    "mypy": linters.run_mypy,
    "pytest": suites.run_pytest,
    "npm-lint": suites.run_npm_lint,
    "npm-test": suites.run_npm_test,
}


class Assignment(Record):
    """What the environment asks for."""

    base_sha: str
    commit_sha: str
    output_dir: Path
    task: str | None
    main_checkout: Path | None
    tool_limit_s: float


def read_assignment(environ: Mapping[str, str]) -> Assignment:
    """Raises UsageError naming the variable that is missing or cannot be used."""
    output_dir = Path(_required(environ, "LATTICE_OUTPUT_DIR"))
    if not output_dir.is_dir():
        raise UsageError(f"LATTICE_OUTPUT_DIR is not a folder: {output_dir}")
    checkout = environ.get("LATTICE_MAIN_CHECKOUT")
    return Assignment(
        base_sha=_sha(environ, "LATTICE_BASE_SHA"),
        commit_sha=_sha(environ, "LATTICE_COMMIT_SHA"),
        output_dir=output_dir,
        task=environ.get("LATTICE_TASK_SHORT_ID") or None,
        main_checkout=Path(checkout) if checkout else None,
        tool_limit_s=_seconds(environ, "DIFFCHECK_TOOL_SECONDS", TOOL_LIMIT_S),
    )


def _required(environ: Mapping[str, str], name: str) -> str:
    value = environ.get(name, "")
    if not value:
        raise UsageError(f"{name} is not set", hint="DiffCheck is started by lattice worker run")
    return value


def _sha(environ: Mapping[str, str], name: str) -> str:
    value = _required(environ, name)
    if not _SHA.fullmatch(value):
        raise UsageError(f"{name} is not a full commit id: {value[:80]!r}")
    return value


def _seconds(environ: Mapping[str, str], name: str, default: float) -> float:
    text = environ.get(name, "")
    try:
        seconds = float(text) if text else default
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 86_400:
        raise UsageError(f"{name} is not a number of seconds: {text[:80]!r}")
    return seconds


def make_review(
    assignment: Assignment, worktree: Path, environ: Mapping[str, str], say: Callable[[str], None]
) -> Review:
    """Review base..commit in `worktree`. Raises GitError when the diff cannot be read."""
    git = Git(worktree, environ)
    base, commit = assignment.base_sha, assignment.commit_sha
    _require_commits(git, base, commit)
    files, files_before = _root_files(git, commit), _root_files(git, base)
    settings, findings = read_settings(files)
    findings += changed_settings(read_settings(files_before)[0], settings)
    changes = tuple(one for one in read_changes(git, base, commit) if not settings.excludes(one.path))
    all_paths = _paths(git, commit)
    say(f"checking {how_many(len(changes), 'file')}")
    literals: set[str] = set()
    findings += _rule_findings(git, changes, literals)
    findings += check_tests(changes, all_paths)
    say(f"rules: {how_many(len(findings), 'finding')}")
    checks = []
    with tempfile.TemporaryDirectory(prefix="diffcheck-", ignore_cleanup_errors=True) as scratch:
        project = Project(
            worktree=worktree,
            main_checkout=assignment.main_checkout,
            scratch=Path(scratch),
            environ=environ,
            files=files,
            all_paths=all_paths,
            changes=changes,
            settings=settings,
        )
        results = run_all(
            project, _ADAPTERS, configured_tools(files), assignment.tool_limit_s, TOOLS_BUDGET_S, time.monotonic
        )
        for result in results:
            say(_progress(result))
            checks.append(result.check)
            findings += result.findings
    kept = capped(findings)
    review = Review(
        reviewers=(REVIEWER,),
        findings=tuple(kept),
        verdict=NOT_READY if any(one.finding.severity == "blocker" for one in kept) else READY,
        base_sha=base,
        commit_sha=commit,
        task=assignment.task,
        branch=_branch(git, commit),
        kind="Automatic/Rules",
        summary=_summary(len(changes), kept, checks),
        missing=tuple(_named(one.finding) for one in kept if one.finding.category == "tests"),
        checks=tuple(checks),
    )
    return masked(anchored(review, Repository.discover(worktree), commit), frozenset(literals))


def _summary(file_count: int, findings: Sequence[MergedFinding], checks: Sequence[Check]) -> str:
    counts = [(sum(one.finding.severity == severity for one in findings), severity) for severity in SEVERITIES]
    said = ", ".join(f"{count} {severity}" for count, severity in counts if count) or "no findings"
    ran = sum(check.status in ("passed", "failed") for check in checks)
    hold = any(one.finding.severity == "blocker" for one in findings)
    advice = (
        "This commit should not be merged as it stands."
        if hold
        else "No rule and no tool found a reason to hold this commit; whether it does the right thing is for a reader."
    )
    return f"{how_many(file_count, 'file')} changed: {said}; {ran} of {len(checks)} tools ran. {advice}"


def _named(finding: Finding) -> str:
    at = "" if finding.line is None else f":{finding.line}"
    return finding.title if finding.file is None else f"{finding.title} (`{finding.file}{at}`)"


def _require_commits(git: Git, base: str, commit: str) -> None:
    for sha in (base, commit):
        if not git.tree_exists(sha):
            raise GitError(f"this repository has no commit {sha}")
    head = git.output("rev-parse", "--verify", "--end-of-options", "HEAD^{commit}").decode().strip()
    if head != commit:
        raise GitError(f"the worktree is at {head}, not at the commit under review, {commit}")


def _rule_findings(git: Git, changes: tuple[Change, ...], literals: set[str]) -> list[Finding]:
    found: list[Finding] = []
    old_sizes = git.sizes(one.old_oid for one in changes if one.status == "M")
    for change in changes:
        found += check_size(change, old_sizes.get(change.old_oid, 0))
        if not change.is_text:
            continue
        found += check_lines(change)
        for secret in find_secrets(change):
            literals.add(secret.literal)
            found.append(as_finding(change, secret))

        def old_content(change: Change = change) -> bytes | None:
            return git.blobs([change.old_oid]).get(change.old_oid) if change.status == "M" else None

        found += check_syntax(change, old_content)
    return found


def _root_files(git: Git, tree: str) -> dict[str, bytes]:
    """The configuration files at the root of a tree, regular files only."""
    rows = git.output("ls-tree", "-z", tree, "--", *CONFIG_FILES).split(b"\0")
    oids = {}
    for row in rows:
        header, _, name = row.partition(b"\t")
        if header.startswith(b"100"):
            oids[os.fsdecode(name)] = header.split()[2].decode()
    contents = git.blobs(oids.values())
    return {name: contents[oid] for name, oid in oids.items() if oid in contents}


def _paths(git: Git, tree: str) -> tuple[str, ...]:
    names = git.output("ls-tree", "-r", "-z", "--name-only", "--full-tree", tree).split(b"\0")
    return tuple(os.fsdecode(name) for name in names if name)


def _branch(git: Git, commit: str) -> str | None:
    """The branch that points at the commit, where exactly one does."""
    names = git.output("for-each-ref", f"--points-at={commit}", "--format=%(refname:short)", "refs/heads/")
    branches = names.decode("utf-8", "replace").split("\n")[:-1]
    return branches[0] if len(branches) == 1 else None


def _progress(result: ToolResult) -> str:
    check = result.check
    if check.status in ("not_run", "timed_out"):
        return f"{check.name}: {check.status.replace('_', ' ')} ({check.detail})"
    return f"{check.name}: {how_many(len(result.findings), 'finding')}"
