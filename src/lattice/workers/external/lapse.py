"""External runs that lapsed: their deadline and their last heartbeat are past, so they are lost.

Nobody supervises an external run, so no lock of the kernel tells whether it lives; its log does
(`docs/decisions/0009-external-runs.md`). Only the machine that requested it ends it as lost: another's log may
lack a heartbeat that git has not brought yet.
"""

from __future__ import annotations

import time

from lattice.commands.board import Board
from lattice.core.run_events import ProcessFailed
from lattice.core.task import ActiveRun, Task
from lattice.ledger import Signature, timestamp
from lattice.workers.runs import host_name

_PLACES = ((0, 4), (5, 2), (8, 2), (11, 2), (14, 2), (17, 2))
_EPOCH_DAYS = 719469
"""Days from the first of March of a year 0 to the day before 1970 began, as `seconds_of` counts them."""


def seconds_of(ts: str) -> int:
    """A time of the log, as seconds since 1970. Raises ValueError.

    Counted here: `calendar` and `time.strptime` cost a run's start more than the rest of what it reads.
    """
    year, month, day, hour, minute, second = (int(ts[at : at + width]) for at, width in _PLACES)
    march = (month + 9) % 12  # With years that begin in March, a leap day is a year's last.
    years = year - (month <= 2)
    days = 365 * years + years // 4 - years // 100 + years // 400 + (153 * march + 2) // 5 + day - _EPOCH_DAYS
    seconds = ((days * 24 + hour) * 60 + minute) * 60 + second
    if timestamp(seconds * 1000) != ts:
        raise ValueError(f"{ts[:40]!r} is no time of a log")
    return seconds


def is_past(run: ActiveRun) -> bool:
    """Whether its deadline and the end of its last heartbeat are over: the log keeps the later of the two."""
    return run.deadline is not None and time.time() > seconds_of(run.deadline)


def lost(run: ActiveRun) -> ProcessFailed:
    """The end of a run that lapsed."""
    return ProcessFailed(
        run_id=run.run_id,
        started_event_id=run.started_event_id,
        commit_sha=run.commit_sha,
        duration_s=float(max(0, int(time.time()) - seconds_of(run.requested_at))),
        error=f"It was not heard of before {run.deadline}, when its deadline and its last heartbeat were over.",
        cause={"kind": "lost"},
        external=True,
    )


def end_lapsed(board: Board, task_id: str) -> bool:
    """End the task's external runs of this machine that lapsed. Whether there was one.

    Raises LatticeError where the board cannot be written.
    """
    here = host_name(board.folder)

    def decide(task: Task) -> list[ProcessFailed]:
        return [lost(run) for run in task.active_processes if run.external and run.host == here and is_past(run)]

    by = Signature("agent:lattice", None, {"reason": "external runs that lapsed"})
    return bool(board.ledger.transact(task_id, decide, by).events)
