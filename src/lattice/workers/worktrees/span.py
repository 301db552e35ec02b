"""Which two commits a task is about: the head of its work, and the base that it is measured against."""

from __future__ import annotations

from lattice.core.task import Task
from lattice.errors import NotFound
from lattice.workers.worktrees.git import Repository


def head_of(repo: Repository, task: Task, commit: str | None = None) -> str:
    """`commit`, else the task's linked branch, else HEAD. Raises NotFound, GitError."""
    if commit is not None:
        return repo.resolve(commit)
    branch = task.own_branch
    if branch is not None:
        return repo.resolve(branch)
    return tip_of(repo)


def tip_of(repo: Repository) -> str:
    """HEAD. Raises NotFound, GitError."""
    try:
        return repo.resolve("HEAD")
    except NotFound:
        raise NotFound("The repository has no commit yet.", hint="git commit, then try again", needs="commit") from None


def base_of(repo: Repository, head: str, *, base: str | None = None, against: str | None = None) -> str:
    """`base`, else where head left the branch `against` (the default one), else head's parent, else the empty tree.

    The empty tree may be named, too: all of a root commit is new. A head that lies on its base has nothing
    between the two: then its parent shows what it changed.
    Raises NotFound, GitError.
    """
    if base is not None:
        return base if base == repo.empty_tree() else repo.resolve(base)
    onto = repo.resolve(against) if against else repo.default_head()
    meeting = repo.merge_base(head, onto) if onto is not None and onto != head else None
    if meeting is not None and meeting != head:
        return meeting
    return repo.parent(head) or repo.empty_tree()
