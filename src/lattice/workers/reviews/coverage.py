"""The hunks of a diff, asked of git; their names, and what covers what, are `core.reviews.coverage`'s."""

from __future__ import annotations

from lattice.commands.board import Board
from lattice.core.reviews.coverage import Diff, Hunks, hunks_of
from lattice.core.reviews.model import Review
from lattice.core.task import Task
from lattice.workers.worktrees.git import Repository, git
from lattice.workers.worktrees.span import base_of, head_of

_PATCH = (
    *("-c", "core.quotePath=false", "-c", "diff.algorithm=myers", "-c", "diff.indentHeuristic=true"),
    *("diff-tree", "-r", "-p", "-U0", "--full-index", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color"),
    *("--src-prefix=a/", "--dst-prefix=b/", "--submodule=short", "--inter-hunk-context=0"),
)
"""A patch that hangs on the two commits alone, whatever the user's own settings are."""


def current_diff(board: Board, task: Task) -> Diff:
    """The task's diff as it is now. Raises GitError where the board is in no repository, NotFound for a lost branch."""
    repo = Repository.discover(board.root)
    head = head_of(repo, task)
    base = base_of(repo, head)
    onto = repo.default_head()
    merged = onto is not None and repo.is_ancestor(head, onto)
    return Diff(base, head, hunks_between(repo, base, head), task.own_branch, merged)


def covered(repo: Repository, review: Review) -> tuple[Review, Hunks | None]:
    """What a review of a commit covered, from where the commit left the default branch unless the review says so.

    The review with the base in it; None where the repository has not what it was of. Raises GitError.
    """
    head = repo.commit(f"{review.commit_sha}^{{commit}}") if review.commit_sha else None
    if head is None:
        return review, None
    named = review.base_sha
    base = base_of(repo, head) if named is None else _named_base(repo, named)
    if base is None:
        return review, None
    return review.replace(base_sha=base), hunks_between(repo, base, head)


def hunks_between(repo: Repository, base: str, head: str) -> Hunks:
    """The hunks between two commits. Raises GitError."""
    return hunks_of(git([*_PATCH, base, head], cwd=repo.common_dir))


def _named_base(repo: Repository, named: str) -> str | None:
    """The commit that a review names as its base, or a tree: that of a root commit's diff is empty."""
    return repo.commit(f"{named}^{{commit}}") or repo.commit(f"{named}^{{tree}}")
