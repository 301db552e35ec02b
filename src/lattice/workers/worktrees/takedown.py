"""Take down the worktree of a run that ended: what is in it and nowhere else is kept first."""

from __future__ import annotations

import os
from pathlib import Path

from lattice.errors import GitError, LatticeError
from lattice.workers.runs import RunFolder
from lattice.workers.spec import RunSpec
from lattice.workers.worktrees import branches, worktree
from lattice.workers.worktrees.git import Repository
from lattice.workers.worktrees.salvage import keep_head, salvage


def rescue(spec: RunSpec, folder: RunFolder) -> str | None:
    """Keep what is in the worktree and nowhere else; the ref that keeps it, or None where there is nothing.

    Where git cannot tell what is there, the folder itself is moved out of the way and kept.
    """
    if spec.worktree is None or spec.commit_sha is None:
        return None
    repo, path = repository_of(spec), Path(spec.worktree)
    if repo is None:
        return None
    try:
        start = branches.start_of(repo, spec) or spec.commit_sha
        masked = spec.agent is not None and spec.agent.masked
        kept = salvage(repo, path, spec.run_id, start, spec.keep, masked=masked)
    except (LatticeError, OSError) as why:
        kept_at = path.parent / "kept" / spec.run_id
        folder.note(f"what the worktree holds cannot be told: {why}; kept at {kept_at}")
        _keep_head(repo, path, folder)
        worktree.set_aside(repo, path, kept_at)
        return str(kept_at) if os.path.lexists(kept_at) else None
    return kept.ref if kept is not None else None


def _keep_head(repo: Repository, path: Path, folder: RunFolder) -> None:
    """Before git's record of a worktree goes, whose changes could not be kept: its commits have no other name."""
    try:
        keep_head(repo, path, folder.run_id)
    except (LatticeError, OSError) as why:
        folder.note(f"the commits of its HEAD could not be kept: {why}")


def remove_worktree(spec: RunSpec) -> None:
    """Take the worktree down and see that it is gone. Raises GitError."""
    repo = repository_of(spec)
    if spec.worktree is None:
        return
    if repo is None:
        raise GitError(f"The repository {spec.common_dir} is gone; the worktree {spec.worktree} was left.")
    worktree.remove(repo, Path(spec.worktree))
    branches.settle(repo, spec)


def repository_of(spec: RunSpec) -> Repository | None:
    """The repository that the run was requested in; None for a run outside one, and where it is gone."""
    if spec.repo_top is None or spec.common_dir is None or not Path(spec.common_dir).is_dir():
        return None
    return Repository(Path(spec.repo_top), Path(spec.common_dir))
