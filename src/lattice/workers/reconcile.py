"""Finish what a dead supervisor left: its processes, its end on the board, its worktree.

Whoever finds a run whose lease is free does this: the guard at once, else any reading command, else
`worker gc`. Every step can be done twice, so that a mender that dies is mended by the next.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from lattice.commands.board import Board
from lattice.core.events import TaskEvent
from lattice.core.run import Evidence, Lost
from lattice.core.run_events import ProcessFailed, ProcessRequested
from lattice.core.task import Task
from lattice.errors import NotFound, StorageError
from lattice.ledger import Signature
from lattice.store.files import disk
from lattice.workers import lease
from lattice.workers.definitions.agents import TEAM
from lattice.workers.ends.certificate import Found
from lattice.workers.ends.outcome import Outcome, outcome_of
from lattice.workers.ends.outputs import owed_of
from lattice.workers.ends.recording import certify, record_end
from lattice.workers.ends.reported import claim_of, result_of
from lattice.workers.processes.marks import kill_marked
from lattice.workers.runs import RunFolder, host_name
from lattice.workers.spec import RunSpec
from lattice.workers.worktrees.takedown import remove_worktree, rescue


def mend(board: Board, folder: RunFolder, killed: Sequence[int] = (), by: str = "a later command") -> bool:
    """Finish the run, if nobody supervises it and nobody else is at it. Whether it is finished now.

    `killed` are those of its processes that the caller has ended already; `by` is who found it.
    Raises LatticeError or OSError where a step cannot be done now; a later call goes on from there.
    """
    if not folder.exists():
        folder.marker.unlink(missing_ok=True)
        return True
    try:
        held = lease.acquire(folder.mend)
    except BlockingIOError:
        return False
    except FileNotFoundError:
        return True  # Closed and removed while we looked.
    try:
        if folder.waits() or folder.alive() or not _is_here(board, folder):
            return False
        if not folder.is_closed():
            _finish(board, folder, killed, by)
        if folder.exists():
            folder.close()
        return True
    finally:
        os.close(held)


def _is_here(board: Board, folder: RunFolder) -> bool:
    """Whether the run is of this board: a copied folder names processes and a worktree that are another's."""
    spec = folder.spec()
    return spec is None or spec.host == host_name(board.folder)


def end_without_folder(board: Board, task_id: str, run_id: str) -> bool:
    """End a dead run of this board whose folder somebody removed. Whether it was ended now."""

    def decide(task: Task) -> list[TaskEvent]:
        run = task.run(run_id)
        if run is None:
            return []
        return [
            ProcessFailed(
                run_id=run_id,
                started_event_id=run.started_event_id,
                commit_sha=run.commit_sha,
                duration_s=0.0,
                error="Its folder is gone, and nobody supervises it any more.",
                cause={"kind": "lost"},
                killed=tuple(kill_marked(run_id)),
            )
        ]

    by = Signature("agent:lattice", None, {"reason": f"run {run_id}"})
    return bool(board.ledger.transact(task_id, decide, by).events)


def _finish(board: Board, folder: RunFolder, killed_before: Sequence[int], by: str) -> None:
    spec = folder.spec()
    if spec is None and not folder.exists():
        return  # Its starter took it back while we looked.
    if spec is None:
        raise StorageError(
            f"The run {folder.run_id} cannot be finished: its spec.json is missing or damaged.",
            hint=f"Look into {folder.path}; nothing there was changed.",
        )
    if spec.engine == TEAM:
        from lattice.workers.teams.rounds import stop_members  # only teams pay for it

        stop_members(board, spec, Signature(spec.actor, None, {"reason": f"run {spec.run_id}"}), wait=False)
    killed = [*killed_before, *kill_marked(spec.run_id)]
    stored = folder.read_outcome()
    outcome = Outcome(**stored) if stored is not None else _lost(board, folder, spec, killed, by)
    recorded = record_end(board, folder, spec, outcome)
    certify(board, folder, spec, outcome)
    remove_worktree(spec)
    if not recorded and not _was_requested(board, spec):
        folder.discard()  # Its starter died before the request: the board never heard of it.


def _lost(board: Board, folder: RunFolder, spec: RunSpec, killed: Sequence[int], by: str) -> Outcome:
    """The outcome of a run whose supervisor left none: what is there is told, and nothing of it believed."""
    said = (disk.read(folder.overdue) or b"").decode("utf-8", "replace").strip()
    now_ms = board.ledger.source.now_ms()
    evidence = Evidence(
        Lost(said or "Its supervisor died; nobody knows how far it came."),
        None,
        result_of(folder, spec, now_ms),
        claim_of(folder),
        owed_of(folder, spec),
    )
    duration_s = (now_ms - spec.requested_ms) / 1000
    found = Found(by, now_ms, duration_s, killed=tuple(killed), salvage_ref=rescue(spec, folder))
    outcome = outcome_of(spec, evidence, found)
    folder.write_outcome(outcome.stored())
    return outcome


def _was_requested(board: Board, spec: RunSpec) -> bool:
    try:
        _, events = board.store.history(spec.task_id)
    except NotFound:
        return True  # Nobody can say: the folder stays.
    return any(isinstance(event.body, ProcessRequested) and event.body.run_id == spec.run_id for event in events)
