"""The end of an external run, as its agent tells it; inside a supervised run, a claim."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from lattice.commands.artifacts import Payload, describe, discard, keep, read_payload
from lattice.commands.board import Board
from lattice.core.events import ArtifactAttached, Event, TaskEvent
from lattice.core.record import Record
from lattice.core.run_events import ProcessCompleted, ProcessFailed
from lattice.core.task import ActiveRun, Task
from lattice.core.text import check_line, check_prose
from lattice.errors import LatticeError, ValidationError, WriteUncertain
from lattice.ledger import DecideOnHistory, Signature, Written, timestamp
from lattice.store.files import disk
from lattice.workers import overview, run_view
from lattice.workers.external.agent import Said, fenced, stop_reason, supervised
from lattice.workers.external.lapse import seconds_of
from lattice.workers.processes.marks import RUN_MARK
from lattice.workers.run_view import RunView
from lattice.workers.runs import RunFolder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_USAGE_MEMBERS_MAX = 32


class Finish(Record):
    """How an agent says that it ended: with a result, or, where there is an `error`, without one."""

    result: str | None = None
    error: str | None = None
    artifacts: tuple[Path, ...] = ()
    usage: Mapping[str, Any] | None = None


def finish(board: Board, ref: str, finish: Finish, by: Signature, environ: Mapping[str, str]) -> Said:
    """Say that the run ended. Inside a supervised run it becomes a claim.

    Raises NotFound; Fenced where the run has another end, and then the artifacts stay attached to the task;
    Conflict for a run that Lattice supervises; ValidationError, StorageError.
    """
    if finish.result is not None:
        check_prose(finish.result, "result")
    if finish.error is not None and not check_prose(finish.error, "error").strip():
        raise ValidationError("The error is empty.", hint='Say what went wrong: --error "the tests fail"')
    run = overview.find(board, ref)
    if not run.external:
        return _claim(board, run, finish, environ)
    kept = _keep(board, run, finish.artifacts, by)
    repeats: list[str] = []

    def decide(task: Task, events: Sequence[Event]) -> list[TaskEvent]:
        active = task.run(run.run_id)
        if active is not None:
            return [*kept, _end(active, finish, tuple(each.artifact_id for each in kept), events)]
        if _repeats(run_view.view(board, task, events, run.run_id), finish):
            repeats.append(run.run_id)
            return []
        return list(kept)

    written = _written(board, run, decide, by, kept)
    if repeats:
        _drop(board, kept)
    elif not any(isinstance(event.body, (ProcessCompleted, ProcessFailed)) for event in written.events):
        raise fenced(board, run, tuple(each.artifact_id for each in kept))
    return Said(overview.find(board, run.run_id), repeated=bool(repeats))


def parse_usage(text: str) -> Mapping[str, Any]:
    """What a run used, from a JSON object of numbers, as `{"cost_usd": 0.2}`. Raises ValidationError."""
    try:
        shape = json.loads(text)
    except (ValueError, RecursionError):
        shape = None
    if not isinstance(shape, dict) or not shape or len(shape) > _USAGE_MEMBERS_MAX:
        raise ValidationError("The usage is not a JSON object of numbers.", hint=_USAGE_HINT)
    for name, value in shape.items():
        check_line(name, "name in the usage", chars_max=100)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not (is_number and math.isfinite(value) and value >= 0):
            raise ValidationError(f"{name!r} of the usage is not a number from 0.", hint=_USAGE_HINT)
    return shape


_USAGE_HINT = """--usage '{"tokens_in": 900, "tokens_out": 120, "cost_usd": 0.2}'"""


def _end(run: ActiveRun, finish: Finish, artifact_ids: tuple[str, ...], events: Sequence[Event]) -> TaskEvent:
    common: dict[str, Any] = {
        "run_id": run.run_id,
        "started_event_id": run.started_event_id,
        "commit_sha": run.commit_sha,
        "duration_s": float(max(0, int(time.time()) - seconds_of(run.requested_at))),
        "exit": None,
        "artifact_ids": artifact_ids,
        "usage": finish.usage,
        "external": True,
    }
    if finish.error is None:
        return ProcessCompleted(**common, result=finish.result)
    cause: dict[str, Any] = {"kind": "reported"}
    if run.state == "stopping":
        cause = {"kind": "cancelled", "reason": stop_reason(events, run.run_id)}
    return ProcessFailed(**common, error=finish.error[:2_000], cause=cause)


def _repeats(ended: RunView, finish: Finish) -> bool:
    """Whether the log's end of the run is this one: then the agent asks a second time, unsure of the first."""
    same_word = ended.error == finish.error[:2_000] if finish.error is not None else (
        ended.state == "succeeded" and ended.result == finish.result
    )  # fmt: skip
    return same_word and len(ended.artifact_ids) == len(finish.artifacts) and ended.usage == finish.usage


def _claim(board: Board, run: RunView, finish: Finish, environ: Mapping[str, str]) -> Said:
    if environ.get(RUN_MARK) != run.run_id:
        raise supervised(run, "is ended by its supervisor")
    if run.ended:
        raise fenced(board, run, ())
    if finish.artifacts:
        raise ValidationError(
            "A run that Lattice supervises leaves its files in $LATTICE_OUTPUT_DIR.",
            hint="Write them there, or lattice attach TASK FILE.",
        )
    said: dict[str, Any] = {
        "run_id": run.run_id,
        "at": timestamp(board.ledger.source.now_ms()),
        "usage": finish.usage,
    }
    if finish.error is None:
        said |= {"state": "succeeded", "result": finish.result}
    else:
        said |= {"state": "failed", "error": finish.error}
    folder = RunFolder(board.folder, run.run_id)
    disk.replace(folder.claim, json.dumps(said, sort_keys=True).encode() + b"\n", durable=True)
    return Said(run, claim=True)


def _keep(board: Board, run: RunView, paths: Sequence[Path], by: Signature) -> list[ArtifactAttached]:
    """Keep the files as artifacts that no log names yet. Raises NotFound, ValidationError, StorageError."""
    payloads: list[tuple[Path, Payload]] = [(path, read_payload(path)) for path in paths]
    kept: list[ArtifactAttached] = []
    try:
        for path, payload in payloads:
            artifact_id = board.ledger.new_id("art")
            meta = describe(
                artifact_id,
                kind="file",
                title=check_line(f"{run.worker}: {path.name}", "name of the artifact"),
                summary=f"of run {run.run_id}",
                payload=payload,
                sensitive=False,
                by=by.actor,
                ms=board.ledger.source.now_ms(),
                custom_fields={"run_id": run.run_id},
            )
            keep(board, meta, payload)
            kept.append(ArtifactAttached(artifact_id=artifact_id, role=None))
    except LatticeError:
        _drop(board, kept)
        raise
    return kept


def _written(
    board: Board, run: RunView, decide: DecideOnHistory, by: Signature, kept: Sequence[ArtifactAttached]
) -> Written:
    try:
        return board.ledger.transact_on_history(run.task_id, decide, by)
    except WriteUncertain:
        raise  # The log may yet say that they are there.
    except LatticeError:
        _drop(board, kept)
        raise


def _drop(board: Board, kept: Sequence[ArtifactAttached]) -> None:
    for each in kept:
        discard(board, each.artifact_id)
