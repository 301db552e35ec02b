"""A run that is tried again: asked for in the very transaction that ends the run before it.

So it is neither forgotten nor asked for twice, whoever records that end and wherever he is killed. It is a run of
its own, on the same commits, that waits in the queue until its time. A rate limit also pauses the runs of its
engine until the limit is over, and uses up no retry.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping

from lattice.commands.board import Board
from lattice.core.run_events import ProcessRequested
from lattice.core.task import Task
from lattice.errors import WriteUncertain
from lattice.workers.ends.outcome import Outcome
from lattice.workers.external.lapse import seconds_of
from lattice.workers.queueing import queue
from lattice.workers.queueing.admission import note, request_of
from lattice.workers.runs import RunFolder
from lattice.workers.spec import RunSpec, decode_spec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LIMITED_MAX = 20
"""How many rate limits in a row a run waits for."""

LIMITED_S = 300.0
"""How long a rate limit lasts that did not say until when."""

LIMITED_S_MAX = 8 * 24 * 3600.0
"""The longest that it may ask for: a limit of a week, and a day."""

BACKOFF_S_MAX = 24 * 3600.0
_SHORT = 8  # of a run's id, as a branch's name has it


class Retry:
    """The next run of a worker, whose folder is there, and which is not yet on the board."""

    def __init__(self, folder: RunFolder, spec: RunSpec, due_ms: int) -> None:
        self.folder = folder
        self.spec = spec
        self.due_ms = due_ms
        self.requested = False

    def events(self, task: Task) -> list[ProcessRequested]:
        """Its request, where nobody wanted the run before it to end, and no other of the worker is there."""
        failed = task.run(self.spec.retry_of or "")
        named = self.spec.process_type.casefold()
        others = [run for run in task.active_processes if run is not failed and run.process_type.casefold() == named]
        self.requested = failed is not None and failed.state != "stopping" and not others
        return [request_of(self.spec, queued=True, due_ms=self.due_ms)] if self.requested else []


@contextlib.contextmanager
def following(board: Board, folder: RunFolder, spec: RunSpec, outcome: Outcome) -> Iterator[Retry | None]:
    """The run that follows this end, if one does; the block records both, or neither.

    A folder that cannot be made costs the retry and not the end.
    """
    due_ms = _due_ms(board, spec, outcome)
    if due_ms is None:
        yield None
        return
    try:
        if _is_limited(outcome):
            queue.pause(board, spec, due_ms)
        used = (outcome.certificate or {}).get("usage")
        retry = _prepared(board, spec, due_ms, used, limited=_is_limited(outcome)) if _again(spec, outcome) else None
    except OSError as refused:
        folder.note(f"it cannot be tried again: {refused}")
        retry = None
    if retry is None:
        yield None
        return
    made, lease_fd = retry
    try:
        yield made
    except WriteUncertain:
        made.requested = True  # Whether it is on the board, only the log can say later: the queue asks it.
        raise
    except BaseException:
        made.requested = False
        raise
    finally:
        os.close(lease_fd)
        if not made.requested:
            made.folder.discard()


def _again(spec: RunSpec, outcome: Outcome) -> bool:
    """Whether the definition has it that the run is tried again after this end."""
    if spec.retries is None or outcome.cause is None:
        return False
    if _is_limited(outcome):
        return spec.limited < LIMITED_MAX
    return outcome.cause.get("kind") in spec.retries.on and spec.attempt <= spec.retries.times


def _due_ms(board: Board, spec: RunSpec, outcome: Outcome) -> int | None:
    """When the next try may begin, or the limit is over; None where the end concerns nobody further."""
    now_ms = board.ledger.source.now_ms()
    if _is_limited(outcome):
        resets_at = (outcome.cause or {}).get("resets_at")
        return min(max(_ms_of(resets_at) or now_ms + int(LIMITED_S * 1000), now_ms), now_ms + int(LIMITED_S_MAX * 1000))
    if spec.retries is None or not _again(spec, outcome):
        return None
    wait_s = min(spec.retries.backoff_seconds * spec.retries.backoff_factor ** (spec.attempt - 1), BACKOFF_S_MAX)
    return now_ms + int(wait_s * 1000)


def _is_limited(outcome: Outcome) -> bool:
    return outcome.cause is not None and outcome.cause.get("kind") == "rate_limit"


def _ms_of(ts: object) -> int | None:
    if not isinstance(ts, str):
        return None
    try:
        return seconds_of(ts) * 1000
    except ValueError:
        return None


def _prepared(
    board: Board, spec: RunSpec, due_ms: int, used: Mapping[str, Any] | None, *, limited: bool
) -> tuple[Retry, int]:
    """The next run, its folder in the queue and its lease held; `used` is what the last one did. Raises OSError."""
    run_id = board.ledger.new_id("run")
    # What the run was resolved to names it by its id, which nothing else can contain: paths, arguments, branch.
    renamed = decode_spec(spec.encode().replace(spec.run_id.encode(), run_id.encode()))
    branch = renamed.branch.replace(spec.run_id[-_SHORT:].lower(), run_id[-_SHORT:].lower()) if renamed.branch else None
    following_it = renamed.replace(
        branch=branch,
        requested_ms=board.ledger.source.now_ms(),
        attempt=spec.attempt if limited else spec.attempt + 1,
        limited=spec.limited + 1 if limited else 0,
        retry_of=spec.run_id,
    )
    folder = RunFolder(board.folder, run_id)
    if following_it.agent is not None:
        from lattice.workers import repeating  # only the retries of agents pay for it

        following_it = repeating.asked_anew(following_it, folder, used)
    lease_fd = folder.create(following_it, note(due_ms))
    return Retry(folder, following_it, due_ms), lease_fd
