"""Who may start now, and who has to wait: what whoever asks for a run needs of the queue, and no more.

runs/queue/lock             held while slots are counted and taken, and while a run joins or leaves the queue
runs/queue/paused-<whom>  until when an engine, or a worker, is under a rate limit, in milliseconds since 1970
runs/<run_id>/queued        the run waits; in it, the time before which it does not start
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from lattice.commands.board import Board
from lattice.core.record import Record
from lattice.core.run_events import ProcessRequested
from lattice.core.task import Task
from lattice.ledger import timestamp
from lattice.store.files import disk
from lattice.store.files.locks import locked
from lattice.workers.queueing.purse import Purse
from lattice.workers.queueing.sight import Memory, Seen, waiting_of
from lattice.workers.queueing.turns import Limits, Waiting, choose, limited_with
from lattice.workers.spec import RunSpec

QUEUE_S = 24 * 3600.0
"""For how long another machine takes a run to wait here, before it counts as given up."""


class Turn(Record):
    """Whether a run that is asked for may start now: what it has to wait for, or nothing; and with which ceilings."""

    spec: RunSpec
    waits_for: tuple[str, ...] = ()


@contextlib.contextmanager
def admission(board: Board, spec: RunSpec, task: Task) -> Iterator[Turn]:
    """Whether the run may start now. Until the block is left nobody else takes a slot, or joins the queue.

    The caller makes the run's folder inside: from then on its lease, or its place in the queue, counts.
    Raises LockTimeout; BudgetExceeded where it does not fit below a ceiling.
    """
    limits = _limits(board, [limited_with(spec.process_type, spec.engine)])
    free = limits.board is None and limits.engines.get(spec.engine) is None and spec.max_parallel is None
    if free and not limits.paused_ms and not Purse.is_needed(board, spec):
        yield Turn(spec)
        return
    with locked(lock(board)):
        memory = Memory()
        seen = memory.look(board)
        asks = waiting_of(spec, task, 0)
        purse = Purse(board, seen, memory, spec)
        waits_for = chosen(board, seen, [*seen.waiting, asks], purse)[spec.run_id]
        if (refused := purse.refused(spec.run_id)) is not None:
            raise refused
        yield Turn(purse.granted(spec), waits_for)


def note(due_ms: int = 0) -> bytes:
    """What `queued` in the run's folder says."""
    return json.dumps({"due_ms": due_ms}).encode() + b"\n"


def request_of(spec: RunSpec, *, queued: bool, due_ms: int = 0) -> ProcessRequested:
    """The event that asks for the run."""
    begins_ms = max(spec.requested_ms, due_ms) + int(QUEUE_S * 1000 if queued else 0)
    return ProcessRequested(
        run_id=spec.run_id,
        process_type=spec.process_type,
        definition_digest=spec.definition_digest,
        commit_sha=spec.commit_sha,
        base_sha=spec.base_sha,
        timeout_s=spec.timeout_s,
        host=spec.host,
        deadline=deadline_of(spec, begins_ms),
        queued=queued,
        not_before=timestamp(due_ms) if due_ms else None,
        retry_of=spec.retry_of,
        attempt=spec.attempt,
        parent=spec.parent,
        prompt_sha256=spec.agent.prompt_sha256 if spec.agent else None,
        template_sha256=spec.agent.template_sha256 if spec.agent else None,
    )


def deadline_of(spec: RunSpec, begins_ms: int) -> str:
    """When a run that begins then has ended at the latest."""
    return timestamp(begins_ms + int((spec.timeout_s + spec.grace_s) * 1000))


def chosen(board: Board, seen: Seen, waiting: Sequence[Waiting], purse: Purse) -> dict[str, tuple[str, ...]]:
    """What each of these runs has to wait for: nothing where its turn is now. Under the queue's lock."""
    limits = _limits(board, {limited_with(run.worker, run.engine) for run in waiting})
    running = [(spec.process_type, spec.engine) for spec in seen.running]
    return choose(waiting, running, limits, board.ledger.source.now_ms(), purse.afford)


def _limits(board: Board, limited: Iterable[str]) -> Limits:
    times = {whom: until(paused(board, whom)) for whom in limited}
    now_ms = board.ledger.source.now_ms()
    to_come = {whom: until_ms for whom, until_ms in times.items() if until_ms > now_ms}
    return Limits(board.config.max_parallel, board.config.engine_limits, to_come)


def paused(board: Board, whom: str) -> Path:
    """The one of `whom`."""
    return board.folder / "runs" / "queue" / f"paused-{whom}"


def pauses(board_folder: Path) -> Iterator[Path]:
    """The files that say until when somebody is under a rate limit."""
    return (board_folder / "runs" / "queue").glob("paused-*")


def until(path: Path) -> int:
    """The time in it, in milliseconds since 1970; 0 where there is none."""
    said = (disk.read(path) or b"").strip()
    return int(said) if said.isdigit() else 0


def lock(board: Board) -> Path:
    """The file that is held while slots are counted and taken."""
    return board.folder / "runs" / "queue" / "lock"
