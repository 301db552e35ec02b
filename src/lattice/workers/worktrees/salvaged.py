"""What was kept of runs' worktrees: listed, found by run, and dropped when it is not wanted any more."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path

from lattice.commands.board import Board
from lattice.core.events import GitEvent
from lattice.core.ids import is_id
from lattice.core.record import Record
from lattice.errors import Conflict, LatticeError, NotFound, did_you_mean_id
from lattice.ledger import Signature
from lattice.workers.runs import RunFolder
from lattice.workers.spec import RunSpec
from lattice.workers.worktrees import branches
from lattice.workers.worktrees.git import Repository, git
from lattice.workers.worktrees.removal import remove_tree
from lattice.workers.worktrees.salvage import EMAIL, SALVAGE_REFS
from lattice.workers.worktrees.worktree_root import worktrees_of


class Kept(Record):
    """What was kept of one run: commits under a ref, or a folder that git could not read."""

    run_id: str
    worker: str | None  # None: the run's folder is not on this machine
    task: str | None
    ref: str | None
    sha: str | None
    folder: str | None
    at: str
    files: int | None  # that differ from where the run began, or from its branch
    commits: int | None  # of its own, that no branch and no tag holds


def kept(board: Board, environ: Mapping[str, str]) -> list[Kept]:
    """Everything that is kept in this repository, oldest run first. Raises GitError."""
    repo = Repository.discover(board.root)
    form = "--format=%(refname) %(objectname) %(committerdate:unix)"
    found = []
    for row in git(["for-each-ref", form, SALVAGE_REFS], cwd=repo.common_dir).splitlines():
        ref, sha, at = row.split()
        found.append(_kept_by_ref(board, repo, ref, sha, int(at)))
    found += _kept_folders(board, environ)
    return sorted(found, key=lambda item: item.run_id)


def find(board: Board, environ: Mapping[str, str], ref: str) -> list[Kept]:
    """What is kept of the run that `ref` names, by its id or an ending of it. Raises NotFound, GitError."""
    wanted = ref.upper().removeprefix("RUN_")
    everything = kept(board, environ)
    hits = [item for item in everything if wanted and item.run_id.endswith(wanted)]
    ids = {item.run_id for item in hits}
    if len(ids) == 1:
        return hits
    if ids:
        raise NotFound(f"{ref!r} fits {len(ids)} runs.", hint="Give more of the id's end: lattice worker salvage list")
    further = "See all of it: lattice worker salvage list"
    hint = did_you_mean_id(f"run_{wanted}", [item.run_id for item in everything], further)
    raise NotFound(f"Nothing is kept of a run {ref[:60]!r}.", hint=hint)


def of_run(board: Board, run_id: str) -> Kept | None:
    """What is kept of a run under its ref; None where there is nothing, or no repository."""
    try:
        repo = Repository.discover(board.root)
        ref = f"{SALVAGE_REFS}/{run_id}"
        sha = repo.commit(f"{ref}^{{commit}}")
        if sha is None:
            return None
        at = git(["log", "-1", "--format=%ct", sha], cwd=repo.common_dir)
        return _kept_by_ref(board, repo, ref, sha, int(at))
    except LatticeError:
        return None  # Without git there is nothing to show of it.


def drop(board: Board, item: Kept, by: Signature) -> None:
    """Give up what is kept, and say so on the task where it is here.

    Raises Conflict where it changed since it was looked at; GitError, OSError.
    """
    if item.ref is not None and item.sha is not None:
        repo = Repository.discover(board.root)
        if repo.commit(f"{item.ref}^{{commit}}") != item.sha:
            raise Conflict(f"{item.ref} changed meanwhile; it was left.", hint="See it: lattice worker salvage list")
        git(["update-ref", "-d", item.ref, item.sha], cwd=repo.common_dir)
    if item.folder is not None:
        remove_tree(Path(item.folder))
    spec = RunFolder(board.folder, item.run_id).spec()
    if spec is not None and _is_here(board, spec):
        event = GitEvent("drop_salvage", item.sha, item.ref, item.run_id)
        board.ledger.transact(spec.task_id, lambda _: [event], by, archived=True)


def _is_here(board: Board, spec: RunSpec) -> bool:
    try:
        board.store.task(spec.task_id)
    except NotFound:
        return False
    return True


def _kept_by_ref(board: Board, repo: Repository, ref: str, sha: str, at: int) -> Kept:
    run_id = ref.removeprefix(f"{SALVAGE_REFS}/")
    spec = RunFolder(board.folder, run_id).spec() if is_id("run", run_id) else None
    start = branches.start_of(repo, spec) if spec is not None else repo.parent(sha)
    files = None
    if start is not None and repo.commit(f"{start}^{{commit}}") is not None:
        base = repo.merge_base(start, sha) or start
        names = git(["diff-tree", "-r", "-z", "--name-only", "--no-renames", base, sha], cwd=repo.common_dir)
        files = names.count("\0")
    others = ["--not", "--branches", "--tags", "--remotes"]
    authors = git(["log", "--format=%ae", sha, *others], cwd=repo.common_dir).splitlines()
    commits = sum(author != EMAIL for author in authors)
    return _described(run_id, spec, at).replace(ref=ref, sha=sha, files=files, commits=commits)


def _kept_folders(board: Board, environ: Mapping[str, str]) -> list[Kept]:
    """Worktrees that git could not read, and that were moved out of the way."""
    try:
        root = worktrees_of(board, environ) / "kept"
        names = os.listdir(root)
    except (LatticeError, FileNotFoundError):
        return []
    found = []
    for name in names:
        if is_id("run", name):
            spec = RunFolder(board.folder, name).spec()
            at = int((root / name).lstat().st_mtime)
            found.append(_described(name, spec, at).replace(folder=str(root / name)))
    return found


def _described(run_id: str, spec: RunSpec | None, at: int) -> Kept:
    return Kept(
        run_id=run_id,
        worker=spec.process_type if spec else None,
        task=(spec.short_id or spec.task_id) if spec else None,
        ref=None,
        sha=None,
        folder=None,
        at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at)),
        files=None,
        commits=None,
    )
