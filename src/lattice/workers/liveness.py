"""What a run is *now*: what its events say, corrected by what the kernel knows."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable

from lattice.commands.board import Board
from lattice.core.summary import HasRuns
from lattice.core.task import ActiveRun
from lattice.errors import LatticeError, LogDamaged, NotFound, StorageError
from lattice.workers.external.lapse import end_lapsed, is_past, seconds_of
from lattice.workers.runs import RunFolder, host_name, open_runs

OVERDUE_AFTER_S = 60.0
"""How far past its deadline a run is called overdue: its ends take a grace, not a minute."""


def state(board: Board, run: ActiveRun) -> str:
    """The state to show: queued, requested, running, stopping; overdue, lost; elsewhere, elsewhere (overdue)."""
    overdue = is_overdue(run)
    if run.host != host_name(board.folder):
        return "elsewhere (overdue)" if overdue else "elsewhere"
    if run.external:
        return "lost" if is_past(run) else run.state
    folder = RunFolder(board.folder, run.run_id)
    waits = folder.waits()
    if not folder.alive():
        return run.state if waits else "lost"
    if run.state == "queued":
        return "requested"  # Its turn has come; nothing was executed yet.
    return "overdue" if overdue else run.state


def is_dead(board: Board, run: ActiveRun) -> bool:
    """Whether the run is over, for certain: it was this machine's, waits for nothing, and its lease is free.

    An external one is over when it lapsed.
    """
    if run.host != host_name(board.folder):
        return False
    if run.external:
        return is_past(run)
    folder = RunFolder(board.folder, run.run_id)
    return not folder.waits() and not folder.alive()


def blocks(board: Board, run: ActiveRun) -> bool:
    """Whether the run keeps another of its worker from starting on its task."""
    if run.host == host_name(board.folder):
        return not is_dead(board, run)
    return not is_overdue(run)


def is_overdue(run: ActiveRun) -> bool:
    """Whether the run's deadline is long past."""
    return run.deadline is not None and time.time() > seconds_of(run.deadline) + OVERDUE_AFTER_S


def refresh_all(board: Board, *, heals: bool = True) -> None:
    """As `refresh`, of every task with a run that has no end."""
    with board.store.view(unread={}) as view:
        running = view.running()
    tasks = []
    for task_id in running:
        # It went with a branch, or its log cannot be read: whoever reads for an answer tells.
        with contextlib.suppress(NotFound, LogDamaged, StorageError):
            tasks.append(board.store.task(task_id))
    refresh(board, tasks, heals=heals)


def refresh(board: Board, tasks: Iterable[HasRuns] = (), *, heals: bool = True) -> None:
    """End the dead runs that can be ended, and start the queued ones whose turn it is where `heals`.

    Never raises for what it cannot.

    A reading command calls it first. It looks at the runs that are not closed, and no others; and, where
    it is given tasks, at theirs whose folder somebody removed, and at external ones that lapsed.
    """
    for folder in open_runs(board.folder):
        try:
            if folder.waits() or folder.alive():
                continue
            from lattice.workers.reconcile import mend  # git and process trees: only where a run died

            mend(board, folder)
        except (LatticeError, OSError) as why:
            folder.note(f"could not be mended by a reading command: {why}")
    if heals and any(folder.waits() for folder in open_runs(board.folder)):
        from lattice.workers.queueing import queue  # only where a run waits

        queue.heal(board, os.environ)
    for task in tasks:
        for run in task.active_processes:
            if run.external:
                if is_dead(board, run):
                    with contextlib.suppress(LatticeError, OSError):  # as below
                        end_lapsed(board, task.id)
            elif is_dead(board, run) and not RunFolder(board.folder, run.run_id).exists():
                from lattice.workers.reconcile import end_without_folder  # the same

                with contextlib.suppress(LatticeError, OSError):  # It is shown as lost, whatever the disk says.
                    end_without_folder(board, task.id, run.run_id)
