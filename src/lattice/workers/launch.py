"""Start a run that was planned: write the request, hand the lease to a guard (design §4, steps 0 to 3).

An error before the request leaves no trace. After the request is on the board, whatever goes wrong is
an end on the board. That nothing is asked for which cannot work is `workers/preflight.py`.
"""

from __future__ import annotations

import os

from lattice.commands.board import Board
from lattice.core.events import TaskEvent
from lattice.core.run import SetupFailed
from lattice.core.task import Task
from lattice.errors import AlreadyRunning, LatticeError, LimitReached, RunSetupError, StorageError, WriteUncertain
from lattice.ledger import Signature
from lattice.workers import handover, liveness
from lattice.workers.external.lapse import lost
from lattice.workers.preflight import Plan
from lattice.workers.queueing.admission import admission, note, request_of
from lattice.workers.runs import RunFolder
from lattice.workers.spec import RunSpec
from lattice.workers.standby import Standby


def start(board: Board, prepared: Plan, by: Signature, guard: Standby | None = None, *, wait: bool = True) -> Task:
    """Request the run, and hand it to its guard where its turn is now. Returns the task with the run in it.

    `guard` is one that was begun for this run while it was planned; without it one is started when there is a run.

    Where as many run as may, it joins the queue, or raises LimitReached without `wait`. Raises AlreadyRunning,
    BudgetExceeded (nothing was written), StorageError, LockTimeout; RunSetupError where the guard could not be started:
    then the run's end is on the board.
    """
    spec = prepared.spec
    folder = RunFolder(board.folder, spec.run_id)
    liveness.refresh(board)
    with admission(board, spec, prepared.task) as turn:
        queued = bool(turn.waits_for)
        if queued and not wait:
            raise LimitReached(
                f"{spec.process_type} cannot start now; it would have to wait for {' and '.join(turn.waits_for)}.",
                hint="Leave out --no-queue to let it wait, or see who runs: lattice worker ps",
                waits_for=list(turn.waits_for),
            )
        lease_fd, task = _requested(board, prepared.replace(spec=turn.spec), by, folder, queued=queued)
    try:
        if queued:
            return task
        environments = (prepared.environment, prepared.origin)
        if guard is not None:
            problem = handover.hand_over(guard, lease_fd, *environments)
        else:
            problem = handover.start_guard(board, folder, lease_fd, *environments)
    finally:
        os.close(lease_fd)
    if problem is not None:
        _compensate(board, folder, spec, problem)
    return task


def _requested(board: Board, prepared: Plan, by: Signature, folder: RunFolder, *, queued: bool) -> tuple[int, Task]:
    """The run's folder with its lease held, and the request on the board: both, or neither."""
    try:
        lease_fd = folder.create(prepared.spec, note() if queued else None)
    except OSError as refused:
        raise StorageError(
            f"The run's folder could not be made: {refused.strerror}. Nothing was started.",
            hint="See that there is room and that the board can be written: df -h, ls -ld .lattice/runs",
        ) from refused
    try:
        return lease_fd, _request(board, prepared, by, queued=queued)
    except WriteUncertain:
        os.close(lease_fd)
        raise  # Whether it was requested, only the log can say later: reconcile asks it.
    except BaseException as why:
        if isinstance(why, LatticeError):
            folder.discard()
        os.close(lease_fd)
        raise


def _request(board: Board, prepared: Plan, by: Signature, *, queued: bool = False) -> Task:
    spec = prepared.spec
    requested = request_of(spec, queued=queued)

    def decide(task: Task) -> list[TaskEvent]:
        return [*make_way(board, task, spec.process_type), requested]

    return board.ledger.transact(spec.task_id, decide, by).task


def _compensate(board: Board, folder: RunFolder, spec: RunSpec, problem: str) -> None:
    """The request is on the board and nobody supervises the run: say so there, and raise RunSetupError."""
    from lattice.workers.ends.unstarted import note_end  # nearly every run starts
    from lattice.workers.queueing import queue
    from lattice.workers.reconcile import mend

    error = f"The run could not be started: {problem}."
    note_end(board, folder, spec, SetupFailed(error), "starter")
    mend(board, folder)
    queue.heal(board, os.environ)  # It held a slot for that long.
    raise RunSetupError(error, hint=f"See {folder.guard_log}, then try again.", run_id=folder.run_id)


def make_way(board: Board, task: Task, worker: str) -> list[TaskEvent]:
    """The ends of the worker's dead runs on the task. Raises AlreadyRunning where one blocks another."""
    ended: list[TaskEvent] = []
    for run in task.active_processes:
        if run.process_type.casefold() != worker.casefold():
            continue
        if liveness.blocks(board, run):
            waits = run.state == "queued"
            look = f"show {run.run_id}" if run.external or waits else f"logs {run.run_id} --follow"
            raise AlreadyRunning(
                f"{run.process_type} is already {'queued' if waits else 'running'} on {task.name}: {run.run_id}, "
                f"since {run.requested_at}.",
                hint=f"lattice worker {look}",
                run_id=run.run_id,
                worker=run.process_type,
                task=task.name,
            )
        if run.external:
            ended.append(lost(run))
        else:
            from lattice.workers.ends.unstarted import end_of_dead  # rarely: who looked a moment ago has ended it

            ended += end_of_dead(board, task, run.run_id)
    return ended
