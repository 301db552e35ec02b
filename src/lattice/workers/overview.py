"""The runs of a board as people see them: what the log says of each, corrected by what the kernel knows."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

from lattice.commands.board import Board
from lattice.core.codec import BadLine, parse
from lattice.core.events import Event
from lattice.core.ids import is_id, ulid_ms
from lattice.core.record import Record
from lattice.core.run import end_state
from lattice.core.run_events import ProcessCompleted, ProcessFailed, ProcessHeartbeat, ProcessRequested, ProcessStarted
from lattice.core.task import Task
from lattice.errors import NotFound
from lattice.ledger import timestamp
from lattice.store.files import disk
from lattice.workers import liveness
from lattice.workers.external.lapse import seconds_of
from lattice.workers.runs import RunFolder, all_runs, find_run

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
    attempt: int = 1
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
        elif isinstance(body, (ProcessCompleted, ProcessFailed)) and body.run_id == run_id and not seen.ended:
            seen = _ended(seen, event, body)
    if seen is None:
        raise NotFound(f"{task.name} has no run {run_id}.")
    return seen if seen.ended else _alive(board, task, seen)


def find(board: Board, ref: str) -> RunView:
    """The run that `ref` names: one of this machine, else one that the log alone knows. Raises NotFound."""
    try:
        return _of_folder(board, find_run(board.folder, ref))
    except NotFound:
        wanted = ref.upper().removeprefix("RUN_")
        hits = {run.run_id: run for run in active(board) if wanted and run.run_id.endswith(wanted)}
        if not hits and wanted:
            run_id = f"run_{wanted}"
            since = timestamp(ulid_ms(run_id)) if is_id("run", run_id) else None
            hits = {run.run_id: run for run in _in_log(board, since) if run.run_id.endswith(wanted)}
        if len(hits) != 1:
            raise
        return next(iter(hits.values()))


def history(
    board: Board, task_id: str | None = None, worker: str | None = None, since: str | None = None
) -> list[RunView]:
    """Every run that ended, as the log has it, the newest first; of one task, of one worker, of those from `since` on.

    A run that ended before may be among them.
    """
    if task_id is not None:
        runs: Iterator[RunView] = _of_events(board, *board.store.history(task_id))
    else:
        runs = _in_log(board, since)
    fits = [run for run in runs if run.ended and (worker is None or run.worker.casefold() == worker.casefold())]
    return sorted(fits, key=lambda run: run.run_id, reverse=True)


def families(runs: Sequence[RunView]) -> list[RunView]:
    """The same runs, in their order, but the members of a team that is among them right after it, oldest first."""
    here = {run.run_id for run in runs}
    members: dict[str, list[RunView]] = {}
    for run in sorted(runs, key=lambda run: run.run_id):
        if run.parent in here:
            members.setdefault(str(run.parent), []).append(run)
    return [each for run in runs if run.parent not in here for each in (run, *members.get(run.run_id, ()))]


def members(board: Board, run: RunView) -> list[RunView]:
    """The runs of a team's members, oldest first."""
    task, events = board.store.history(run.task_id)
    bodies = [event.body for event in events if isinstance(event.body, ProcessRequested)]
    return [view(board, task, events, body.run_id) for body in bodies if body.parent == run.run_id]


def templates_before(runs: Sequence[RunView]) -> dict[str, str]:
    """Of each run, the hash of the prompt's file of the run before it of the same worker, where there was one."""
    last: dict[str, str] = {}
    found = {}
    for run in sorted(runs, key=lambda run: run.run_id):
        worker = run.worker.casefold()
        if run.template_sha256 is not None:
            if worker in last:
                found[run.run_id] = last[worker]
            last[worker] = run.template_sha256
    return found


def _in_log(board: Board, since: str | None) -> Iterator[RunView]:
    """Every run that any task's log has, of those that have an event from `since` on."""
    for task, events in board.store.histories(since=since, having=ProcessRequested.kind):
        yield from _of_events(board, task, events)


def _of_events(board: Board, task: Task, events: Sequence[Event]) -> Iterator[RunView]:
    for event in events:
        if isinstance(event.body, ProcessRequested):
            yield view(board, task, events, event.body.run_id)


def active(board: Board) -> list[RunView]:
    """Every run of the board that has no end yet, oldest first."""
    runs = []
    with board.store.view() as tasks:
        running = tasks.running()
    for task_id in running:
        with contextlib.suppress(NotFound):  # It went with a branch.
            task, events = board.store.history(task_id)
            runs += [view(board, task, events, run.run_id) for run in task.active_processes]
    return sorted(runs, key=lambda run: run.run_id)


def on_this_machine(board: Board) -> list[RunView]:
    """Every run whose folder is here, ended ones too, oldest first."""
    runs = []
    for folder in all_runs(board.folder):
        with contextlib.suppress(NotFound):  # Its task went with a branch, or the request never came.
            runs.append(_of_folder(board, folder))
    return runs


def _of_folder(board: Board, folder: RunFolder) -> RunView:
    spec = folder.spec()
    if spec is None:
        raise NotFound(f"What run {folder.run_id} was asked for cannot be read: {folder.path}/spec.json")
    task, events = board.store.history(spec.task_id)
    return view(board, task, events, folder.run_id)


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
