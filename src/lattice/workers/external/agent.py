"""Runs that Lattice did not start: an agent says itself that it began, that it is alive, and how it ended.

In place of a supervisor such a run has a deadline and, where it was asked for, a heartbeat. It is fenced by
its id: once its end is in the log, whatever its agent says of it is refused, and only its artifacts are kept.
An agent inside a run that Lattice supervises ends nothing: what it says is a claim, an input of the verdict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from lattice.commands.board import Board
from lattice.core.events import Event, TaskEvent
from lattice.core.record import Record
from lattice.core.run_events import ProcessHeartbeat, ProcessRequested, ProcessStarted, ProcessStopRequested
from lattice.core.task import ActiveRun, Task
from lattice.errors import Conflict, Fenced, NotFound, ValidationError
from lattice.ledger import Signature, timestamp
from lattice.workers import launch, overview
from lattice.workers.definitions import catalogue
from lattice.workers.definitions.file import is_worker_name
from lattice.workers.external.lapse import seconds_of
from lattice.workers.processes.marks import RUN_MARK
from lattice.workers.run_view import RunView
from lattice.workers.runs import host_name
from lattice.workers.worktrees.git import Repository

ENGINE = "external"
DEADLINE_MINUTES = 60.0
MINUTES_MAX = 60.0 * 24 * 90
HEARTBEATS_EACH_LEASE = 4
"""A heartbeat is recorded once in a quarter of the time that it keeps the run, and where the log has the run end
before that time: an agent may send many more."""


class Begin(Record):
    """What an agent says as it begins: as which worker, on which task, and until when it will have ended."""

    worker: str
    task: str
    deadline_minutes: float = DEADLINE_MINUTES
    heartbeat_minutes: float | None = None
    commit: str | None = None


class Said(Record):
    """What became of a word of the agent's."""

    run: RunView
    claim: bool = False  # the run is supervised: it was noted as a claim, and ends nothing
    repeated: bool = False  # the log said so already
    stop_requested: str | None = None  # an external run is asked to end: the reason, or an empty text


def start(board: Board, begin: Begin, by: Signature) -> RunView:
    """Request and start an external run, as one act under the task's lock.

    Raises AlreadyRunning, NotFound, ValidationError and what a broken definition raises; nothing was written then.
    """
    _check_minutes(begin.deadline_minutes, "deadline")
    if begin.heartbeat_minutes is not None:
        _check_minutes(begin.heartbeat_minutes, "heartbeat")
    task_id = board.resolve(begin.task)
    repo = Repository.around(board.root)
    worker, digest = _named(begin.worker, repo.top if repo else board.root)
    if begin.commit is not None and repo is None:
        raise NotFound(
            f"{board.root} is not in a git repository: there is no commit {begin.commit[:80]!r}.",
            hint="Leave --commit out, or make a repository: git init",
        )
    commit_sha = repo.resolve(begin.commit) if repo and begin.commit is not None else None
    run_id, now_ms = board.ledger.new_id("run"), board.ledger.source.now_ms()
    heartbeat_s = begin.heartbeat_minutes * 60 if begin.heartbeat_minutes is not None else None
    requested = ProcessRequested(
        run_id=run_id,
        process_type=worker,
        definition_digest=digest,
        commit_sha=commit_sha,
        base_sha=None,
        timeout_s=begin.deadline_minutes * 60,
        host=host_name(board.folder),
        deadline=timestamp(now_ms + int(max(begin.deadline_minutes * 60, heartbeat_s or 0) * 1000)),
        external=True,
        heartbeat_s=heartbeat_s,
    )
    started = ProcessStarted(
        run_id=run_id, worktree_path=None, log_path="", pid=0, engine=ENGINE, argv=(), commit_sha=commit_sha,
        external=True,
    )  # fmt: skip

    def decide(task: Task) -> list[TaskEvent]:
        return [*launch.make_way(board, task, worker), requested, started]

    board.ledger.transact(task_id, decide, by)
    return overview.find(board, run_id)


def heartbeat(board: Board, ref: str, by: Signature, environ: Mapping[str, str]) -> Said:
    """Say that the run is alive. Raises NotFound, Fenced, ValidationError where it has no heartbeat."""
    run = overview.find(board, ref)
    if not run.external:
        if environ.get(RUN_MARK) == run.run_id and not run.ended:
            return Said(run, claim=True)  # The kernel knows that it lives.
        raise supervised(run, "needs no heartbeat")
    asked: list[str] = []

    def decide(task: Task, events: Sequence[Event]) -> list[TaskEvent]:
        active = task.run(run.run_id)
        if active is None:
            raise fenced(board, run, ())
        if active.state == "stopping":
            asked.append(stop_reason(events, run.run_id) or "")
        lease_s = _heartbeat_s(events, run.run_id)
        if lease_s is None:
            raise ValidationError(
                f"Run {run.run_id} was started without a heartbeat; it has until {active.deadline}.",
                hint="Start it with --heartbeat MINUTES.",
            )
        now_ms = board.ledger.source.now_ms()
        pause_s = lease_s / HEARTBEATS_EACH_LEASE
        kept = active.deadline is None or seconds_of(active.deadline) >= now_ms / 1000 + lease_s
        if kept and now_ms / 1000 - _last_word(events, active) < pause_s:
            return []
        # For so much longer as the next ones may go unrecorded: each of them, too, keeps the run for all of its time.
        return [ProcessHeartbeat(run_id=run.run_id, until=timestamp(now_ms + int((lease_s + pause_s) * 1000)))]

    written = board.ledger.transact_on_history(run.task_id, decide, by)
    said = Said(overview.find(board, run.run_id), repeated=not written.events)
    return said.replace(stop_requested=asked[0]) if asked else said


def fenced(board: Board, run: RunView, artifact_ids: tuple[str, ...]) -> Fenced:
    """The refusal of what is said of a run that has ended."""
    ended = overview.find(board, run.run_id)
    kept = f" Its artifacts stay attached to {run.task}: {', '.join(artifact_ids)}." if artifact_ids else ""
    return Fenced(
        f"Run {run.run_id} has ended already: {ended.state}, at {ended.ended_at}. What came now is not believed.{kept}",
        hint=f"lattice worker start {run.worker} {run.task}",
        run_id=run.run_id,
        state=ended.state,
        artifact_ids=list(artifact_ids),
    )


def supervised(run: RunView, what: str) -> Conflict:
    """The refusal of what somebody outside says of a run that has a supervisor."""
    return Conflict(
        f"Run {run.run_id} is supervised by Lattice: it {what}.",
        hint=f"lattice worker show {run.run_id}; lattice worker stop {run.run_id}",
        run_id=run.run_id,
    )


def _named(worker: str, top: Path) -> tuple[str, str]:
    """The worker's name and its definition's digest; a name that no definition has is as good."""
    if not is_worker_name(worker):
        raise ValidationError(
            f"{worker[:80]!r} cannot name a worker.",
            hint="A letter, then at most 63 letters, digits, '-' and '_'.",
        )
    everyone = catalogue.load_all(top).definitions
    defined = next((each for each in everyone if each.name.casefold() == worker.casefold()), None)
    return (defined.name, defined.digest) if defined else (worker, "")


def _check_minutes(minutes: float, what: str) -> None:
    if not 0 < minutes <= MINUTES_MAX:
        raise ValidationError(
            f"The {what} of {minutes:g} minutes is not more than 0 and at most {MINUTES_MAX:g}.",
            hint=f"--{what} 30",
        )


def _heartbeat_s(events: Sequence[Event], run_id: str) -> float | None:
    bodies = (event.body for event in events)
    return next((b.heartbeat_s for b in bodies if isinstance(b, ProcessRequested) and b.run_id == run_id), None)


def _last_word(events: Sequence[Event], run: ActiveRun) -> float:
    heard = [e.ts for e in events if isinstance(e.body, ProcessHeartbeat) and e.body.run_id == run.run_id]
    return float(seconds_of(heard[-1] if heard else run.requested_at))


def stop_reason(events: Sequence[Event], run_id: str) -> str | None:
    """Why the run was asked to end, where it was and a reason was given."""
    asked = [e.body for e in events if isinstance(e.body, ProcessStopRequested) and e.body.run_id == run_id]
    return asked[-1].reason if asked else None
