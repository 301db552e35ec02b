"""Ask a run to end, wait for its end, and clear away what was left."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from lattice.commands.board import Board
from lattice.core.record import Record
from lattice.core.run_events import ProcessStopRequested
from lattice.core.task import Task
from lattice.core.text import check_line
from lattice.errors import LatticeError, ValidationError
from lattice.ledger import Signature
from lattice.store.files.locks import locked
from lattice.workers import liveness
from lattice.workers.ends.overdue import end_overdue, let_go_on
from lattice.workers.overview import find
from lattice.workers.queueing.queue import take_out
from lattice.workers.reconcile import mend
from lattice.workers.run_view import RunView
from lattice.workers.runs import RunFolder, abandoned_drafts, all_runs
from lattice.workers.strays import DRAFT_AGE_S, stray_worktrees
from lattice.workers.worktrees import branches, cache, worktree
from lattice.workers.worktrees.git import Repository
from lattice.workers.worktrees.salvage import salvage
from lattice.workers.worktrees.worktree_root import caches_of

MEND_S = 120.0
"""How long somebody else may take to finish a dead run before a waiting command says so."""

LOOK_S = 0.5
"""How often somebody who waits for an external run, or one in the queue, looks."""

BY_GC = "lattice worker gc"


class Ended:
    """Knows when a run is finished to its last step: when its lease can be shared, because nobody holds it.

    A thread waits in flock(2), so that nothing is polled once the run has left the queue.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._event = threading.Event()
        self._folder = folder
        threading.Thread(target=self._watch, name=f"wait for {folder.run_id}", daemon=True).start()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Whether it ended within the time; without one, wait for good."""
        return self._event.wait(timeout_s)

    def _watch(self) -> None:
        while self._folder.waits():
            time.sleep(LOOK_S)  # Nobody holds anything of a run that waits, so there is nothing to wait on.
        with contextlib.suppress(FileNotFoundError):  # Closed and cleared away: that is an end, too.
            descriptor = os.open(self._folder.lease, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_SH)
            finally:
                os.close(descriptor)
        self._event.set()


class EndedOnBoard:
    """The same of an external run: no kernel knows of it, so the board is looked at until its end is there."""

    def __init__(self, board: Board, run_id: str) -> None:
        self._board = board
        self._run_id = run_id

    def wait(self, timeout_s: float | None = None) -> bool:
        """Whether it ended within the time; without one, wait for good."""
        give_up_at = time.monotonic() + timeout_s if timeout_s is not None else None
        while True:
            if refreshed(self._board, self._run_id).ended:
                return True
            left_s = LOOK_S if give_up_at is None else min(LOOK_S, give_up_at - time.monotonic())
            if left_s <= 0:
                return False
            time.sleep(left_s)


def refreshed(board: Board, ref: str) -> RunView:
    """The run that `ref` names, ended if it is dead and can be. Raises NotFound."""
    run = find(board, ref)
    if run.ended:
        return run
    liveness.refresh(board, [board.store.task(run.task_id)])
    return find(board, run.run_id)


def ended(board: Board, run_id: str) -> Ended | EndedOnBoard:
    """What knows when the run has ended. Raises NotFound."""
    run = find(board, run_id)
    return EndedOnBoard(board, run_id) if run.external else Ended(RunFolder(board.folder, run_id))


def stop(board: Board, ref: str, reason: str | None, by: Signature) -> tuple[RunView, bool]:
    """Ask for the run's end: on the board first, then by waking its supervisor.

    Returns the run, and whether there was something to stop. Raises NotFound, ValidationError.
    """
    if reason is not None:
        check_line(reason, "reason")
    run = refreshed(board, ref)
    if run.ended:
        return run, False

    def decide(task: Task) -> list[ProcessStopRequested]:
        active = task.run(run.run_id)
        wanted = active is not None and active.state != "stopping"
        return [ProcessStopRequested(run_id=run.run_id, reason=reason)] if wanted else []

    board.ledger.transact(run.task_id, decide, by)
    if not take_out(board, run.run_id, reason, "who stopped it"):
        folder = RunFolder(board.folder, run.run_id)
        folder.poke()
        let_go_on(folder)  # A supervisor that was itself stopped would hear of it only when it is let go on.
    return find(board, run.run_id), True


def finish(board: Board, run_id: str) -> RunView:
    """The run after its supervisor is gone: mended, should it have died. Raises LatticeError, OSError."""
    folder = RunFolder(board.folder, run_id)
    if folder.exists() and not folder.is_closed() and not mend(board, folder) and not folder.alive():
        with locked(folder.mend, MEND_S):  # Another is at it. After that it is done, or dead and ours to finish.
            pass
        mend(board, folder)
    return find(board, run_id)


class Cleared(Record):
    """What `gc` did, and what it could not do."""

    finished: tuple[str, ...]  # runs of dead supervisors that were ended
    worktrees: tuple[str, ...]  # paths that were removed
    folders: tuple[str, ...]  # what dead starters left
    problems: tuple[str, ...]
    caches: tuple[str, ...] = ()  # what setups had made, and nobody used for long


def gc(board: Board, environ: Mapping[str, str]) -> Cleared:
    """Compare the log, git's list and the disk, and clear away what no live run owns."""
    finished: list[str] = []
    removed: list[str] = []
    folders: list[str] = []
    problems: list[str] = []
    for folder in all_runs(board.folder):
        if folder.is_closed():
            continue
        try:
            killed = end_overdue(folder, BY_GC) if folder.alive() else []
            if killed:
                Ended(folder).wait(MEND_S)
            elif folder.alive():
                continue
            if folder.is_closed() or mend(board, folder, killed, BY_GC):
                finished.append(folder.run_id)
        except (LatticeError, OSError) as why:
            problems.append(f"{folder.run_id}: {why}")
    liveness.refresh(board, board.store.tasks())
    for draft in abandoned_drafts(board.folder, DRAFT_AGE_S, time.time()):
        shutil.rmtree(draft, ignore_errors=True)
        folders.append(draft.name)
    repo = Repository.around(board.root)
    if repo is not None:
        for path in stray_worktrees(board, repo, environ):
            try:
                _clear(board, repo, path)
                removed.append(str(path))
            except (LatticeError, OSError) as why:
                problems.append(f"{path}: {why}")
    caches = _prune_caches(board, environ, problems)
    return Cleared(tuple(finished), tuple(removed), tuple(folders), tuple(problems), caches)


def _prune_caches(board: Board, environ: Mapping[str, str], problems: list[str]) -> tuple[str, ...]:
    try:
        root = caches_of(board, environ)
    except ValidationError:
        return ()  # There is no safe place for one, so there is none.
    try:
        gone = cache.prune(root, lambda run_id: RunFolder(board.folder, run_id).alive())
    except (LatticeError, OSError) as why:
        problems.append(f"the cache: {why}")
        return ()
    return tuple(str(path) for path in gone)


def _clear(board: Board, repo: Repository, path: Path) -> None:
    spec = RunFolder(board.folder, path.name).spec()
    # Unknown: then whatever HEAD is gets a ref.
    start = (branches.start_of(repo, spec) if spec else None) or repo.empty_tree()
    if os.path.lexists(path):
        masked = spec is not None and spec.agent is not None and spec.agent.masked
        salvage(repo, path, path.name, start, spec.keep if spec else (), masked=masked)
    worktree.remove(repo, path)
    if spec is not None:
        branches.settle(repo, spec)
