"""What dead runs left, as findings for the doctor. Looking changes nothing; `worker gc` clears it away."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Set

from lattice.commands.board import Board
from lattice.commands.doctor import Judge
from lattice.core.integrity import Card, Finding
from lattice.errors import LatticeError
from lattice.workers.runs import abandoned_drafts, all_runs, open_runs
from lattice.workers.strays import DRAFT_AGE_S, stray_worktrees
from lattice.workers.worktrees.git import Repository

MEND = "clear it away, as lattice worker gc does; changes in a worktree are kept under refs/lattice/salvage/ first"


def look(board: Board, environ: Mapping[str, str]) -> Judge:
    """Runs without a supervisor, their markers, drafts and worktrees; then what tasks say of runs. Raises nothing."""
    seen: set[str] = set()
    found: list[Finding] = []
    for folder in all_runs(board.folder):
        if not folder.is_closed() and not folder.waits() and not folder.alive():
            seen.add(folder.run_id)
            spec = folder.spec()
            said = f"Run {folder.run_id} has nobody who supervises it, and was not cleared away"
            found.append(_leftover(said, f"runs/{folder.run_id}", spec.task_id if spec else None))
    for folder in open_runs(board.folder):
        if not folder.exists():
            said = f"Run {folder.run_id} is marked as open, and its folder is gone"
            found.append(_leftover(said, f"runs/open/{folder.run_id}"))
    for draft in abandoned_drafts(board.folder, DRAFT_AGE_S, time.time()):
        found.append(_leftover(f"{draft.name} is the folder of a starter that died", f"runs/{draft.name}"))
    found += _worktrees(board, environ)
    return lambda tasks: [*found, *_shown(board, tasks, seen)]


def _worktrees(board: Board, environ: Mapping[str, str]) -> Iterator[Finding]:
    repo = Repository.around(board.root)
    if repo is None:
        return  # Without git there are no worktrees.
    try:
        for path in stray_worktrees(board, repo, environ):
            yield _leftover(f"The worktree {path} belongs to no live run")
    except (LatticeError, OSError) as why:
        yield Finding("leftover", "warning", f"The worktrees could not be looked at: {why}")


def _shown(board: Board, tasks: Mapping[str, Card], seen: Set[str]) -> Iterator[Finding]:
    """Runs that a task shows as alive, and that are not; but for those that were `seen` already."""
    shown = [(task, run) for task in tasks.values() for run in task.active_processes if run.run_id not in seen]
    if not shown:
        return
    from lattice.workers import liveness  # a board without a run does without

    for task, run in shown:
        if liveness.is_dead(board, run):
            said = f"{task.name} shows run {run.run_id} of {run.process_type} as {run.state}, and it is dead"
            yield _leftover(said, None, task.id)


def _leftover(said: str, path: str | None = None, task_id: str | None = None) -> Finding:
    return Finding("leftover_run", "warning", said, task_id, path, MEND, "runs")
