"""Take over a run's branch, or throw it away: a merge is whole or did not happen, a discard keeps the commits.

The merge commit is made in the object store alone (`git merge-tree --write-tree`, git 2.38), so that a
conflict is found before anything has moved. Then one step puts it in place: the ref, with the value it
has to have now; or, where the branch is checked out, git's own fast-forward of that checkout.
"""

from __future__ import annotations

import os
from pathlib import Path

from lattice.commands.board import Board
from lattice.core.events import BranchUnlinked, GitEvent, TaskEvent
from lattice.core.record import Record
from lattice.core.task import Task
from lattice.core.text import check_prose
from lattice.errors import Conflict, GitError, NotFound
from lattice.ledger import Signature
from lattice.workers.worktrees import branches, worktree
from lattice.workers.worktrees.changes import Work, changes_of, work_of
from lattice.workers.worktrees.git import Repository, git
from lattice.workers.worktrees.salvage import keep_commit

WAYS = ("any", "ff-only", "no-ff", "squash")
_SHOWN_MAX = 20


class Merged(Record):
    """What a merge did. `way` is fast_forward, merge, squash, or none where it was merged before."""

    run_id: str
    task: str
    branch: str
    into: str
    way: str
    sha: str
    before: str
    checkout: str | None  # the folder that was brought forward with it


class Discarded(Record):
    """What a discard did."""

    run_id: str
    task: str
    branch: str
    sha: str | None  # None: the branch was gone already
    kept_as: str | None
    held_by: tuple[str, ...]  # other refs that hold its commits: then there is nothing to keep


def merge(
    board: Board, ref: str, by: Signature, *, way: str = "any", into: str | None = None, message: str | None = None
) -> Merged:
    """Merge the run's branch into `into`, or the branch of the main checkout; record it on the task.

    Raises NotFound, Conflict (files that conflict, a checkout with changes) and GitError; then no branch
    and no checkout has changed. Only the record can fail after the merge: repeated, the command makes up for it.
    """
    if message is not None:
        check_prose(message, "message")
    work = work_of(board, ref)
    branch, tip = _mergeable(board, work)
    repo = work.repo
    target = into or _current_branch(repo)
    old = branches.tip(repo, target)
    if old is None:
        raise NotFound(f"There is no branch {target!r}.", hint="Name one of git branch --list with --into.")
    if target == branch:
        raise Conflict(f"{branch!r} is the run's own branch.", hint="Name another with --into.")
    done, new = _commit(work, way, target, old, tip, _message(board, work, branch, target, way, message))
    checkout = _put(board, repo, target, new, old, branch) if new != old else None
    _record(board, work, done, GitEvent("merge", new, branches.ref_of(target), work.run.run_id), by)
    return Merged(work.run.run_id, work.run.task, branch, target, done, new, old, str(checkout) if checkout else None)


def discard(board: Board, ref: str, by: Signature) -> Discarded:
    """Delete the run's branch; commits that nothing else holds are kept under refs/lattice/salvage first.

    Raises NotFound, Conflict (it is checked out, or moved meanwhile), GitError.
    """
    work = work_of(board, ref)
    branch = _branch_of(work)
    _check_ended(work)
    task = work.task(board)
    linked = any((link.branch, link.repo) == (branch, None) for link in task.branch_links)
    kept_as: str | None = None
    held_by: tuple[str, ...] = ()
    if work.tip is not None:
        kept_as, held_by = _take_away(work, branch, work.tip)
    elif not linked:
        raise NotFound(
            f"The branch {branch!r} of {work.run.run_id} is gone already.",
            hint=f"What was kept of it: lattice worker salvage show {work.run.run_id}" if work.salvage else None,
        )
    gone = GitEvent("discard", work.tip, branches.ref_of(branch), work.run.run_id)

    def decide(now: Task) -> list[TaskEvent]:
        links = [link for link in now.branch_links if (link.branch, link.repo) == (branch, None)]
        return [gone, *(BranchUnlinked(branch=branch) for _ in links[:1])]

    board.ledger.transact(work.spec.task_id, decide, by)
    return Discarded(work.run.run_id, work.run.task, branch, work.tip, kept_as, held_by)


def _take_away(work: Work, branch: str, tip: str) -> tuple[str | None, tuple[str, ...]]:
    for path in worktree.checked_out_at(work.repo, branch):
        raise Conflict(f"The branch {branch!r} is checked out at {path}.", hint=f"git -C {path} switch --detach")
    own = branches.ref_of(branch)
    held_by = tuple(name for name in branches.holders(work.repo, tip) if name != own)
    kept_as = None if held_by else keep_commit(work.repo, work.run.run_id, tip)
    if not branches.delete(work.repo, branch, tip):
        raise Conflict(f"The branch {branch!r} moved meanwhile; it was left.", hint="See it: git log " + branch)
    return kept_as, held_by


def _branch_of(work: Work) -> str:
    if work.spec.branch is None:
        raise NotFound(
            f"{work.run.worker} does not change code: {work.run.run_id} has no branch.",
            hint='A worker gets one by "branch": "lattice/{short_id}/{run}" in its definition.',
        )
    return work.spec.branch


def _check_ended(work: Work) -> None:
    if not work.run.ended:
        raise Conflict(
            f"{work.run.run_id} has not ended: it is {work.run.state}.", hint=f"lattice worker wait {work.run.run_id}"
        )


def _mergeable(board: Board, work: Work) -> tuple[str, str]:
    """The run's branch and where it is. Raises NotFound, Conflict, Archived."""
    branch = _branch_of(work)
    _check_ended(work)
    if work.tip is None:
        kept = f"What was kept: lattice worker salvage show {work.run.run_id}" if work.salvage else None
        raise NotFound(f"{work.run.run_id} committed nothing on {branch!r}, or the branch is gone.", hint=kept)
    board.ledger.transact(work.spec.task_id, lambda _: [], Signature("agent:lattice"))  # Archived is refused now.
    return branch, work.tip


def _current_branch(repo: Repository) -> str:
    name = git(["symbolic-ref", "--quiet", "--short", "HEAD"], cwd=repo.top, fine=(0, 1)).strip()
    if not name:
        raise NotFound(f"{repo.top} is on no branch.", hint="Name the branch to merge into: --into main")
    return name


def _commit(work: Work, way: str, target: str, old: str, tip: str, message: str) -> tuple[str, str]:
    """What is to be done, and the commit that `target` is to be at. Raises Conflict, GitError; no ref has moved."""
    repo = work.repo
    if repo.is_ancestor(tip, old):
        return "none", old
    forward = repo.is_ancestor(old, tip)
    if way == "ff-only" and not forward:
        raise Conflict(
            f"{target!r} has commits that {work.spec.branch!r} has not: it cannot be fast-forwarded.",
            hint="Leave --ff-only out for a merge commit, or take --squash.",
        )
    if forward and way in ("any", "ff-only"):
        return "fast_forward", tip
    tree = _merged_tree(work, target, old, tip)
    if way == "squash":
        if tree == git(["rev-parse", f"{old}^{{tree}}"], cwd=repo.common_dir).strip():
            return "none", old
        return "squash", _commit_tree(repo, tree, [old], message)
    return "merge", _commit_tree(repo, tree, [old, tip], message)


def _merged_tree(work: Work, target: str, old: str, tip: str) -> str:
    said = git(
        ["merge-tree", "--write-tree", "-z", "--name-only", "--no-messages", old, tip],
        cwd=work.repo.common_dir,
        fine=(0, 1),
    )
    tree, *conflicting = [part for part in said.split("\0") if part]
    if conflicting:
        shown = ", ".join(conflicting[:_SHOWN_MAX]) + (" …" if len(conflicting) > _SHOWN_MAX else "")
        raise Conflict(
            f"{work.spec.branch!r} conflicts with {target!r} in {shown}. Nothing was changed.",
            hint=f"Merge it by hand: git switch {target} && git merge {work.spec.branch}",
            files=conflicting,
        )
    return tree


def _commit_tree(repo: Repository, tree: str, parents: list[str], message: str) -> str:
    chain = [word for parent in parents for word in ("-p", parent)]
    return git(["commit-tree", tree, *chain, "-F", "-"], cwd=repo.common_dir, input_text=message).strip()


def _message(board: Board, work: Work, branch: str, target: str, way: str, given: str | None) -> str:
    if given is not None:
        return given.rstrip("\n") + "\n"
    task = work.task(board)
    trailer = f"Lattice-Run: {work.run.run_id}\n"
    if way != "squash":
        return f"Merge {branch} into {target}\n\n{task.name}: {task.title}\n\n{trailer}"
    subjects = "".join(f"- {subject}\n" for _, subject in changes_of(work).commits)
    return f"{task.name}: {task.title}\n\n{subjects}\n{trailer}"


def _put(board: Board, repo: Repository, target: str, new: str, old: str, branch: str) -> Path | None:
    """Bring the branch to `new`, and the checkout that is on it; that checkout. Raises Conflict, GitError."""
    places = worktree.checked_out_at(repo, target)
    if not places:
        branches.move(repo, target, new, old, f"lattice: merge {branch}")
        return None
    if len(places) > 1:
        raise Conflict(f"{target!r} is checked out more than once: {', '.join(map(str, places))}.")
    place = places[0]
    _check_clean(board, repo, place, target)
    try:
        git(["merge", "--ff-only", "--no-autostash", "--quiet", new], cwd=place, timeout_s=300)
    except GitError:
        if branches.tip(repo, target) != new:
            raise
    if branches.tip(repo, target) != new:
        raise GitError(f"{target!r} moved while it was merged into, and was left.", hint="Try again.")
    return place


def _check_clean(board: Board, repo: Repository, place: Path, target: str) -> None:
    """Refuse a checkout with changes. The board's own files do not count: a board in git changes all the time."""
    board_at = os.path.relpath(os.path.realpath(board.folder), os.path.realpath(repo.top))
    without = [] if board_at.startswith("..") else [f":(top,exclude,literal){board_at}"]
    args = ["status", "--porcelain", "-z", "--untracked-files=no", "--no-renames", "--", ":/", *without]
    changed = [entry[3:] for entry in git(args, cwd=place).split("\0") if entry]
    if changed:
        shown = ", ".join(changed[:_SHOWN_MAX]) + (" …" if len(changed) > _SHOWN_MAX else "")
        raise Conflict(
            f"{target!r} is checked out at {place}, with changes that are not committed: {shown}.",
            hint="Commit them or put them away with git stash, or merge into another branch with --into.",
            files=changed,
        )


def _record(board: Board, work: Work, done: str, event: GitEvent, by: Signature) -> None:
    """Put the merge on the task; one that was there before only where it was not recorded."""
    if done == "none" and any(
        isinstance(said.body, GitEvent) and (said.body.run_id, said.body.action) == (event.run_id, "merge")
        for said in board.store.history(work.spec.task_id)[1]
    ):
        return
    board.ledger.transact(work.spec.task_id, lambda _: [event], by)
