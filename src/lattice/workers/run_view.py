"""A run as people see it: what the log says of it, corrected by what the kernel knows."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence

from lattice.commands.board import Board
from lattice.core.codec import BadLine, parse
from lattice.core.events import Event, GitEvent
from lattice.core.record import Record
from lattice.core.run import end_state
from lattice.core.run_events import (
    ProcessCompleted,
    ProcessFailed,
    ProcessHeartbeat,
    ProcessRequested,
    ProcessStarted,
)
from lattice.core.task import Task
from lattice.errors import NotFound
from lattice.store.files import disk
from lattice.workers import liveness
from lattice.workers.external.lapse import seconds_of
from lattice.workers.runs import RunFolder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ENDS = ("succeeded", "failed", "timed_out", "cancelled", "lost")


class RunView(Record):
    """One run. `state` is the truth of this moment; times are the log's, durations in seconds."""

    run_id: str
    worker: str
    task: str
    task_id: str
    state: str
    requested_by: str
    commit_sha: str | None
    base_sha: str | None
    host: str
    requested_at: str
    queued: bool = False  # it waits
    not_before: str | None = None  # of a run that was queued: when it may start
    retry_of: str | None = None
    retried_as: str | None = None  # the run that followed it
    attempt: int = 1
    because: str | None = None  # why it was asked for: the reason that somebody gave, the move that triggered it
    parent: str | None = None  # the run of the team that it belongs to
    prompt_sha256: str | None = None
    template_sha256: str | None = None
    model: str | None = None
    progress: dict[str, Any] | None = None  # what an agent does, while it runs
    started_at: str | None = None
    ended_at: str | None = None
    timeout_s: float | None = None
    duration_s: float | None = None
    engine: str | None = None
    argv: tuple[str, ...] | None = None
    worktree: str | None = None
    sandbox: str | None = None
    log: str | None = None
    silent_s: float | None = None  # since the last output, or an external run's last heartbeat, while it runs
    external: bool = False
    deadline: str | None = None  # while it runs
    heartbeat_s: float | None = None
    heard_at: str | None = None  # an external run's last recorded heartbeat
    result: str | None = None
    usage: dict[str, Any] | None = None
    budget_usd: float | None = None  # what it may use at most
    budget_tokens: int | None = None
    exit: int | None = None
    error: str | None = None
    cause: dict[str, Any] | None = None
    killed: tuple[int, ...] = ()
    salvage_ref: str | None = None
    salvage_dropped: bool = False  # by worker salvage drop
    merged_into: str | None = None  # the branch that took its branch over last
    merged_sha: str | None = None
    discarded: bool = False  # its branch, by worker discard
    artifact_ids: tuple[str, ...] = ()

    @property
    def ended(self) -> bool:
        return self.state in ENDS and self.ended_at is not None

    @property
    def used(self) -> dict[str, Any] | None:
        """What it used, or, while it runs, has used by now, as far as that is known."""
        said = self.usage or (self.progress or {}).get("usage")
        return said if isinstance(said, dict) else None

    @property
    def said_model(self) -> str | None:
        """The model that its agent says it is."""
        said = self.model or (self.progress or {}).get("model")
        return said if isinstance(said, str) else None

    @property
    def activity(self) -> str | None:
        """What its agent does now."""
        said = (self.progress or {}).get("activity")
        return said if isinstance(said, str) else None


def view(board: Board, task: Task, events: Sequence[Event], run_id: str) -> RunView:
    """The run of this id in a task's history. Raises NotFound."""
    seen: RunView | None = None
    for event in events:
        body = event.body
        if isinstance(body, ProcessRequested) and body.run_id == run_id:
            seen = _requested(task, event, body)
        elif seen is None:
            continue
        elif isinstance(body, ProcessStarted) and body.run_id == run_id:
            seen = seen.replace(
                started_at=event.ts,
                engine=body.engine,
                argv=body.argv,
                worktree=body.worktree_path,
                sandbox=body.sandbox,
                log=body.log_path or None,
                budget_usd=body.budget_usd,
                budget_tokens=body.budget_tokens,
            )
        elif isinstance(body, ProcessHeartbeat) and body.run_id == run_id:
            seen = seen.replace(heard_at=event.ts)
        elif isinstance(body, ProcessRequested) and body.retry_of == run_id:
            seen = seen.replace(retried_as=body.run_id)
        elif isinstance(body, GitEvent) and body.run_id == run_id:
            seen = _in_git(seen, body)
        elif isinstance(body, (ProcessCompleted, ProcessFailed)) and body.run_id == run_id and not seen.ended:
            seen = _ended(seen, event, body)
    if seen is None:
        raise NotFound(f"{task.name} has no run {run_id}.")
    return seen if seen.ended else _alive(board, task, seen)


def _requested(task: Task, event: Event, body: ProcessRequested) -> RunView:
    by = event.actor if isinstance(event.actor, str) else str(event.actor.get("name", "unknown"))
    return RunView(
        run_id=body.run_id,
        worker=body.process_type,
        task=task.name,
        task_id=task.id,
        state="requested",
        requested_by=by,
        commit_sha=body.commit_sha,
        base_sha=body.base_sha,
        host=body.host,
        requested_at=event.ts,
        timeout_s=body.timeout_s,
        external=body.external,
        heartbeat_s=body.heartbeat_s,
        not_before=body.not_before,
        retry_of=body.retry_of,
        because=str((event.provenance or {}).get("reason") or "") or None,
        attempt=body.attempt,
        parent=body.parent,
        prompt_sha256=body.prompt_sha256,
        template_sha256=body.template_sha256,
    )


def _ended(seen: RunView, event: Event, body: ProcessCompleted | ProcessFailed) -> RunView:
    failed = body if isinstance(body, ProcessFailed) else None
    return seen.replace(
        state=end_state(str(failed.cause.get("kind")) if failed else None),
        ended_at=event.ts,
        duration_s=body.duration_s,
        exit=body.exit,
        error=failed.error if failed else None,
        cause=dict(failed.cause) if failed else None,
        killed=body.killed,
        salvage_ref=body.salvage_ref,
        artifact_ids=body.artifact_ids,
        result=body.result if isinstance(body, ProcessCompleted) else None,
        usage=dict(body.usage) if body.usage else None,
        model=body.model or (_model_in(event) if body.external else None),
        deadline=None,
    )


def _in_git(seen: RunView, body: GitEvent) -> RunView:
    """What became of the run's work since."""
    match body.action:
        case "merge":
            return seen.replace(merged_into=(body.ref or "").removeprefix("refs/heads/"), merged_sha=body.sha)
        case "discard":
            # What no merge took over is kept by it, under the same ref.
            return seen.replace(discarded=True, salvage_dropped=seen.salvage_dropped and seen.merged_into is not None)
        case "drop_salvage":
            return seen.replace(salvage_dropped=True)
        case _:
            return seen


def _model_in(event: Event) -> str | None:
    """The model that whoever wrote the event said it was."""
    model = (event.agent_meta or {}).get("model")
    return model if isinstance(model, str) else None


def _alive(board: Board, task: Task, seen: RunView) -> RunView:
    run = task.run(seen.run_id)
    if run is None:
        return seen
    silent_s = None
    if seen.external:
        silent_s = max(0.0, time.time() - seconds_of(seen.heard_at or seen.requested_at))
    else:
        with contextlib.suppress(OSError):
            silent_s = max(0.0, time.time() - _heard_s(RunFolder(board.folder, run.run_id)))
    state = liveness.state(board, run)
    return seen.replace(
        state=state,
        queued=state == "queued",
        duration_s=max(0.0, time.time() - seconds_of(seen.requested_at)),
        silent_s=silent_s,
        progress=progress_of(RunFolder(board.folder, run.run_id)),
        deadline=run.deadline,
    )


def _heard_s(folder: RunFolder) -> float:
    """When the engine last said something. Raises OSError where it has no log yet."""
    at_s = folder.output_log.stat().st_mtime
    with contextlib.suppress(FileNotFoundError):
        at_s = max(at_s, folder.stream.stat().st_mtime)
    return at_s


def progress_of(folder: RunFolder) -> dict[str, Any] | None:
    """What the run's supervisor noted last of what its agent does, or its team; None where it has none."""
    try:
        return parse(disk.read(folder.progress) or b"")
    except (BadLine, OSError):
        return None


def activity_of(folder: RunFolder) -> str | None:
    """What the run's agent does now, in a line, as far as it said so."""
    said = (progress_of(folder) or {}).get("activity")
    return said if isinstance(said, str) else None
