"""What a run changed: the commits on its branch, or what was kept of its worktree."""

from __future__ import annotations

from lattice.commands.board import Board
from lattice.core.record import Record
from lattice.core.task import Task
from lattice.errors import NotFound
from lattice.workers.overview import find
from lattice.workers.run_view import RunView
from lattice.workers.runs import RunFolder
from lattice.workers.spec import RunSpec
from lattice.workers.worktrees import branches
from lattice.workers.worktrees.git import Repository, git
from lattice.workers.worktrees.salvage import SALVAGE_REFS

_DIFF = ("diff-tree", "-r", "--no-ext-diff", "--no-textconv", "--no-color")
"""A diff made by git alone: what the repository's configuration would have executed stays out of it."""


class Work(Record):
    """An ended or running run, and where its commits are."""

    run: RunView
    spec: RunSpec
    repo: Repository
    start: str
    tip: str | None  # of its branch
    salvage: str | None

    def task(self, board: Board) -> Task:
        return board.store.task(self.spec.task_id)


class FileChange(Record):
    """A file, and its lines added and deleted; None for a binary one."""

    path: str
    added: int | None
    deleted: int | None


class Changes(Record):
    """The difference that a run made, from `base` to `head`."""

    run_id: str
    source: str  # branch or salvage
    ref: str
    base: str
    head: str
    commits: tuple[tuple[str, str], ...]  # hash and subject, oldest first
    files: tuple[FileChange, ...]


def work_of(board: Board, ref: str) -> Work:
    """The run that `ref` names, of this machine, with its repository. Raises NotFound, GitError."""
    run = find(board, ref)
    spec = RunFolder(board.folder, run.run_id).spec()
    if spec is None and not run.external:
        raise NotFound(
            f"The folder of {run.run_id} is not here: it ran on {run.host}, or the folder was removed.",
            hint=f"Ask where it ran. What the board knows of it: lattice worker show {run.run_id}",
        )
    if spec is None or spec.commit_sha is None or spec.common_dir is None:
        raise NotFound(
            f"{run.run_id} had no worktree: it left nothing to compare.",
            hint=f"What it attached, and what became of it: lattice worker show {run.run_id}",
        )
    repo = Repository.discover(board.root)
    tip = branches.tip(repo, spec.branch) if spec.branch is not None else None
    return Work(run, spec, repo, spec.commit_sha, tip, repo.commit(f"{SALVAGE_REFS}/{run.run_id}^{{commit}}"))


def changes_of(work: Work, *, salvaged: bool = False) -> Changes:
    """What the run committed on its branch; without a branch, or if `salvaged`, what was kept of its worktree.

    Raises NotFound where there is nothing, GitError.
    """
    if work.tip not in (None, work.start) and not salvaged:
        source, ref, start, head = "branch", branches.ref_of(str(work.spec.branch)), work.start, str(work.tip)
    elif work.salvage is not None:
        source, ref, head = "salvage", f"{SALVAGE_REFS}/{work.run.run_id}", work.salvage
        start = work.tip or work.start
    else:
        raise NotFound(
            f"{work.run.run_id} changed nothing that was kept{'' if work.run.ended else ' so far'}.",
            hint=f"See what it said: lattice worker logs {work.run.run_id}",
        )
    base = work.repo.merge_base(start, head) or start
    files = files_between(work.repo, base, head)
    return Changes(work.run.run_id, source, ref, base, head, _commits(work.repo, base, head), files)


def patch_of(work: Work, changes: Changes, *, stat: bool = False) -> str:
    """The difference as git writes it: a patch that `git apply` takes, or the figures of each file. Raises GitError."""
    form = ("--stat=100",) if stat else ("-p", "--binary", "--full-index")
    return git([*_DIFF, "-M", *form, changes.base, changes.head], cwd=work.repo.common_dir)


def _commits(repo: Repository, base: str, head: str) -> tuple[tuple[str, str], ...]:
    said = git(["log", "--reverse", "--format=%H%x00%s", f"{base}..{head}"], cwd=repo.common_dir)
    pairs = (row.partition("\0") for row in said.split("\n") if row)
    return tuple((sha, subject) for sha, _, subject in pairs)


def files_between(repo: Repository, base: str, head: str) -> tuple[FileChange, ...]:
    """The files that differ between two commits or trees. Raises GitError."""
    said = git([*_DIFF, "-z", "--numstat", "--no-renames", base, head], cwd=repo.common_dir)
    rows = (row.split("\t", 2) for row in said.split("\0") if row)
    return tuple(FileChange(path, _count(added), _count(deleted)) for added, deleted, path in rows)


def _count(figure: str) -> int | None:
    return None if figure == "-" else int(figure)
