"""The ends of runs that had no supervisor to end them: never started, or found dead by whoever asks for the next."""

from __future__ import annotations

from lattice.commands.board import Board
from lattice.core.events import TaskEvent
from lattice.core.run import Ending, Evidence
from lattice.core.run_events import ProcessFailed
from lattice.core.task import Task
from lattice.workers.ends.certificate import Found
from lattice.workers.ends.outcome import Outcome, outcome_of
from lattice.workers.ends.recording import with_outputs
from lattice.workers.runs import RunFolder, host_name
from lattice.workers.spec import RunSpec


def note_end(board: Board, folder: RunFolder, spec: RunSpec, ending: Ending, by: str) -> None:
    """Note in its folder how a run ended that was never supervised; `mend` then puts it on the board.

    Afterwards the run waits no more. Raises OSError.
    """
    if folder.read_outcome() is None:
        now_ms = board.ledger.source.now_ms()
        found = Found(by, now_ms, (now_ms - spec.requested_ms) / 1000)
        folder.write_outcome(outcome_of(spec, Evidence(ending), found).stored())
    folder.leave_queue()


def end_of_dead(board: Board, task: Task, run_id: str) -> list[TaskEvent]:
    """The end of a run that died a moment ago, or whose machine never said: what its outcome says, else lost.

    The files of its outputs are written under the task's lock: `refresh` has just looked, so it is rare.
    """
    folder = RunFolder(board.folder, run_id)
    spec, stored = folder.spec(), folder.read_outcome()
    if spec is not None and stored is not None and spec.host == host_name(board.folder):
        outcome, attached = with_outputs(board, folder, spec, Outcome(**stored))
        return [*attached, outcome.body(task, spec)]
    run = task.run(run_id)
    return [
        ProcessFailed(
            run_id=run_id,
            started_event_id=run.started_event_id if run else None,
            commit_sha=run.commit_sha if run else None,
            duration_s=0.0,
            error="Nobody supervises it any more; it was found when the next run was requested.",
            cause={"kind": "lost"},
        )
    ]
