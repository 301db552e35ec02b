"""Rules on whole files: size, and source that changed without a test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lattice.core.markup import visible
from lattice.core.reviews.model import Finding
from lattice.workers.builtin.diffcheck import paths
from lattice.workers.builtin.diffcheck.changes import Change
from lattice.workers.builtin.diffcheck.findings import finding

LINES_MAX = 1_000
TEXT_BYTES_MAX = 1 << 20
BINARY_BYTES_MAX = 5 << 20
_NAMED_FILES_MAX = 10


def check_size(change: Change, old_size: int) -> Iterator[Finding]:
    """Files that this diff took past a limit; those already past it are older history."""
    if not change.is_regular or paths.is_foreign(change.path):
        return
    if change.is_text:
        old_lines = change.line_count - len(change.added) + change.deleted_count
        if old_lines <= LINES_MAX < change.line_count:
            yield finding(
                severity="potential",
                category="size",
                title=f"file grew past {LINES_MAX:,} lines",
                detail=f"It has {change.line_count:,} lines; before this diff it had {old_lines:,}.",
                file=change.path,
                line=change.first_added,
                fix="Look for the second file inside it.",
            )
    limit = TEXT_BYTES_MAX if change.is_text else BINARY_BYTES_MAX
    if old_size <= limit < change.size:
        kind = "text" if change.is_text else "binary"
        yield finding(
            severity="potential" if change.is_text else "important",
            category="size",
            title=f"{kind} file over {limit >> 20} MiB",
            detail=f"It has {change.size:,} bytes, and every clone will carry them for good.",
            file=change.path,
            fix="Keep it outside the repository, or in Git LFS.",
        )


def check_tests(changes: Sequence[Change], all_paths: Sequence[str]) -> Iterator[Finding]:
    """Source changed and no test did, in a project that has tests."""
    sources = [one for one in changes if one.is_regular and one.added and paths.is_source(one.path)]
    if not sources or any(paths.is_test(one.path) for one in changes):
        return
    if not any(paths.is_test(path) and paths.suffix(path) in paths.SOURCE for path in all_paths):
        return
    biggest = max(sources, key=lambda one: (len(one.added), one.path))
    named = ", ".join(visible(one.path, 120) for one in sources[:_NAMED_FILES_MAX])
    more = f" and {len(sources) - _NAMED_FILES_MAX} more" if len(sources) > _NAMED_FILES_MAX else ""
    yield finding(
        severity="important",
        category="tests",
        title="source changed and no test did",
        detail=f"Changed: {named}{more}.",
        file=biggest.path,
        line=biggest.first_added,
        status="likely",
        fix="Add a test that fails without this change.",
    )
