"""The branch of a run that changes code: made at its start, kept if anything was committed on it.

Refs are created, moved and deleted with the value they are to have now (git-update-ref(1)), so that
nobody's later commit is lost to a decision made on an earlier one.
"""

from __future__ import annotations

from lattice.core.events import BranchLinked
from lattice.core.task import Task
from lattice.workers.spec import RunSpec
from lattice.workers.worktrees.git import Repository, git


def ref_of(branch: str) -> str:
    """The full name of a branch's ref."""
    return f"refs/heads/{branch}"


def tip(repo: Repository, branch: str) -> str | None:
    """The commit that a branch is at; None where there is no such branch. Raises GitError."""
    return repo.commit(f"{ref_of(branch)}^{{commit}}")


def create(repo: Repository, branch: str, sha: str) -> None:
    """Make a branch that is not there. Raises GitError where it is."""
    move(repo, branch, sha, "0" * len(sha), "lattice: run begun")


def move(repo: Repository, branch: str, sha: str, from_sha: str, why: str) -> None:
    """Put the branch at `sha`, if it is still at `from_sha`. Raises GitError."""
    git(["update-ref", "--create-reflog", "-m", why, ref_of(branch), sha, from_sha], cwd=repo.common_dir)


def delete(repo: Repository, branch: str, sha: str) -> bool:
    """Delete the branch if it is at `sha`; whether it was. Raises GitError where it cannot be done."""
    if tip(repo, branch) != sha:
        return False
    git(["update-ref", "-d", ref_of(branch), sha], cwd=repo.common_dir)
    return True


def settle(repo: Repository, spec: RunSpec) -> None:
    """After a run, with its worktree gone: leave no branch that holds nothing. Raises GitError."""
    if spec.branch is not None and spec.commit_sha is not None:
        delete(repo, spec.branch, spec.commit_sha)


def start_of(repo: Repository, spec: RunSpec) -> str | None:
    """What of a run's commits needs no salvage: its branch as far as it goes, else where it began. Raises GitError."""
    at = tip(repo, spec.branch) if spec.branch is not None else None
    return at or spec.commit_sha


def to_link(repo: Repository | None, spec: RunSpec) -> str | None:
    """The run's branch, if anything was committed on it. Raises GitError."""
    if repo is None or spec.branch is None or tip(repo, spec.branch) in (None, spec.commit_sha):
        return None
    return spec.branch


def link(task: Task, branch: str | None) -> list[BranchLinked]:
    """The event that says so, unless it was said."""
    if branch is None or any((known.branch, known.repo) == (branch, None) for known in task.branch_links):
        return []
    return [BranchLinked(branch=branch)]


def holders(repo: Repository, sha: str) -> list[str]:
    """The full names of the branches and tags, of here and of remotes, that a commit is on. Raises GitError."""
    where = ("refs/heads", "refs/tags", "refs/remotes")
    return git(["for-each-ref", "--format=%(refname)", f"--contains={sha}", *where], cwd=repo.common_dir).splitlines()
