"""The events of runs: what each carries, and its effect on a task.

A module of its own, since many logs have none: `core.events` asks for it where a log names one of these.
"""

from __future__ import annotations

from collections.abc import Mapping

from lattice.core.events import Event, TaskEvent
from lattice.core.task import ActiveRun, Task

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class ProcessRequested(TaskEvent, kind="process_requested"):
    """A run was asked for: which worker, which commits, and until when."""

    run_id: str
    process_type: str
    definition_digest: str
    commit_sha: str | None
    base_sha: str | None
    timeout_s: float
    host: str
    deadline: str
    queued: bool = False
    external: bool = False  # Lattice did not start it and does not supervise it
    heartbeat_s: float | None = None  # an external run's: for how long a heartbeat keeps it
    not_before: str | None = None  # a queued run's: when it may start
    retry_of: str | None = None  # the run that failed before it
    attempt: int = 1
    parent: str | None = None  # the run of the team that it belongs to
    prompt_sha256: str | None = None  # of what an agent is asked, and of the file that it was made from
    template_sha256: str | None = None

    def apply(self, task: Task, event: Event) -> Task:
        run = ActiveRun(
            run_id=self.run_id,
            process_type=self.process_type,
            state="queued" if self.queued else "requested",
            actor=event.actor,
            commit_sha=self.commit_sha,
            host=self.host,
            requested_at=event.ts,
            started_at=None,
            started_event_id=None,
            timeout_s=self.timeout_s,
            deadline=self.deadline,
            external=self.external,
        )
        return task.replace(active_processes=(*task.active_processes, run))


class ProcessStarted(TaskEvent, kind="process_started"):
    """The run's program was executed."""

    run_id: str
    worktree_path: str | None
    log_path: str  # empty for an external run, as its pid is 0: an earlier version wants a text and a number
    pid: int
    engine: str
    argv: tuple[str, ...]
    commit_sha: str | None = None
    external: bool = False
    deadline: str | None = None  # of a run that was queued: its time counts from here
    sandbox: str | None = None  # its mode; or "none: " and the reason, where it was asked for and not to be had
    budget_usd: float | None = None  # what an agent may use at most, and is ended for
    budget_tokens: int | None = None

    def apply(self, task: Task, event: Event) -> Task:
        counted = {"deadline": self.deadline} if self.deadline is not None else {}
        return _with_run(task, self.run_id, state="running", started_at=event.ts, started_event_id=event.id, **counted)


class ProcessHeartbeat(TaskEvent, kind="process_heartbeat"):
    """An external run is alive, and is not lost before `until`."""

    run_id: str
    until: str

    def apply(self, task: Task, event: Event) -> Task:
        run = task.run(self.run_id)
        if run is None or (run.deadline is not None and run.deadline >= self.until):
            return task  # A heartbeat never shortens the time that was given.
        return _with_run(task, self.run_id, deadline=self.until)


class ProcessStopRequested(TaskEvent, kind="process_stop_requested"):
    """Somebody asked the run to end; it is still there until its end is recorded."""

    run_id: str
    reason: str | None = None

    def apply(self, task: Task, event: Event) -> Task:
        return _with_run(task, self.run_id, state="stopping")


class ProcessCompleted(TaskEvent, kind="process_completed"):
    """The run succeeded."""

    run_id: str
    started_event_id: str | None
    commit_sha: str | None
    duration_s: float
    exit: int | None
    result: str | None = None
    artifact_ids: tuple[str, ...] = ()
    usage: Mapping[str, Any] | None = None
    salvage_ref: str | None = None
    killed: tuple[int, ...] = ()
    external: bool = False
    model: str | None = None  # what an agent said it was, or was asked to be

    def apply(self, task: Task, event: Event) -> Task:
        return _without_run(task, self.run_id)


class ProcessFailed(TaskEvent, kind="process_failed"):
    """The run ended in any other way; `cause` says which, and the first cause counts."""

    run_id: str
    started_event_id: str | None
    commit_sha: str | None
    duration_s: float
    error: str
    cause: Mapping[str, Any]  # {"kind": setup|spawn|exit|signal|timeout|idle|cancelled|lost|verdict, …}
    exit: int | None = None
    artifact_ids: tuple[str, ...] = ()
    usage: Mapping[str, Any] | None = None
    salvage_ref: str | None = None
    killed: tuple[int, ...] = ()
    external: bool = False
    model: str | None = None  # what an agent said it was, or was asked to be

    def apply(self, task: Task, event: Event) -> Task:
        return _without_run(task, self.run_id)


EVENTS: tuple[type[TaskEvent], ...] = (
    ProcessRequested, ProcessStarted, ProcessHeartbeat, ProcessStopRequested, ProcessCompleted, ProcessFailed,
)  # fmt: skip


def _with_run(task: Task, run_id: str, **changes: Any) -> Task:
    return task.replace(
        active_processes=tuple(run.replace(**changes) if run.run_id == run_id else run for run in task.active_processes)
    )


def _without_run(task: Task, run_id: str) -> Task:
    return task.replace(active_processes=tuple(run for run in task.active_processes if run.run_id != run_id))
