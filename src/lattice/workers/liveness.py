"""What a run is *now*: what its events say, corrected by what the kernel knows."""

from __future__ import annotations

import contextlib
import time
from calendar import timegm
from collections.abc import Iterable

from lattice.commands.board import Board
from lattice.core.summary import HasRuns
from lattice.core.task import ActiveRun
from lattice.errors import LatticeError
from lattice.workers.runs import RunFolder, host_name, open_runs

OVERDUE_AFTER_S = 60.0
"""How far past its deadline a run is called overdue: its ends take a grace, not a minute."""


def state(board: Board, run: ActiveRun) -> str:
    """The state to show: requested, running, stopping; overdue, lost; elsewhere, elsewhere (overdue)."""
    overdue = is_overdue(run)
    if run.host != host_name(board.folder):
        return "elsewhere (overdue)" if overdue else "elsewhere"
    if not RunFolder(board.folder, run.run_id).alive():
        return "lost"
    return "overdue" if overdue else run.state


def is_dead(board: Board, run: ActiveRun) -> bool:
    """Whether nobody supervises the run any more, for certain: it was this machine's, and its lease is free."""
    return run.host == host_name(board.folder) and not RunFolder(board.folder, run.run_id).alive()


def blocks(board: Board, run: ActiveRun) -> bool:
    """Whether the run keeps another of its worker from starting on its task."""
    if run.host == host_name(board.folder):
        return RunFolder(board.folder, run.run_id).alive()
    return not is_overdue(run)


def is_overdue(run: ActiveRun) -> bool:
    """Whether the run's deadline is long past."""
    return run.deadline is not None and time.time() > _seconds(run.deadline) + OVERDUE_AFTER_S


def refresh(board: Board, tasks: Iterable[HasRuns] = ()) -> None:
    """End the dead runs that can be ended; never raises for what it cannot.

    A reading command calls it first. It looks at the runs that are not closed, and no others; and, where
    it is given tasks, at theirs whose folder somebody removed.
    """
    for folder in open_runs(board.folder):
        try:
            if folder.alive():
                continue
            from lattice.workers.reconcile import mend  # git and process trees: only where a run died

            mend(board, folder)
        except (LatticeError, OSError) as why:
            folder.note(f"could not be mended by a reading command: {why}")
    for task in tasks:
        for run in task.active_processes:
            if is_dead(board, run) and not RunFolder(board.folder, run.run_id).exists():
                from lattice.workers.reconcile import end_without_folder  # the same

                with contextlib.suppress(LatticeError, OSError):  # It is shown as lost, whatever the disk says.
                    end_without_folder(board, task.id, run.run_id)


def _seconds(ts: str) -> int:
    return timegm(time.strptime(ts, "%Y-%m-%dT%H:%M:%SZ"))
