"""What ends a run by itself: the wall limit, silence, a result that is not followed by an exit, too much output.

The clock is CLOCK_BOOTTIME: nobody sets it, and it goes on while the machine sleeps. The log's time of
change is never compared with it: that is of the wall clock, which steps, and anybody's to set.
Nothing tells when a file grows or appears without waking for each line of it, so both are looked at
once a second; a poll of a second also notices soon after a sleep of the machine that a limit has passed.
An engine that has just begun is looked at sooner, and so is a log that will be full within that second: a
disk takes some hundred megabytes in one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from lattice.core.run import Ending, Lingered, LogFull, TimedOut
from lattice.workers.ends import steps
from lattice.workers.runs import RunFolder
from lattice.workers.spec import RunSpec

LOOK_S = 1.0
SOON_S = 0.01
CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now_s() -> float:
    """Seconds on the run's clock."""
    return time.clock_gettime(CLOCK)


class Limits:
    """The limits of one run. `has_result` says whether the engine has reported its result."""

    def __init__(
        self,
        folder: RunFolder,
        spec: RunSpec,
        has_result: Callable[[], bool],
        clock: Callable[[], float] = now_s,
    ) -> None:
        self.started_at = clock()
        self._deadline = self.started_at + spec.timeout_s
        self._folder = folder
        self._spec = spec
        self._has_result = has_result
        self._clock = clock
        self._said = (0, 0)
        self._grew_at = self.started_at
        self._began_at = self.started_at
        self._size, self._sized_at = 0, self.started_at
        self._full_in_s = float("inf")
        self._result_at: float | None = None
        shortest = min(limit for limit in (spec.idle_timeout_s, spec.after_result_s, LOOK_S * 4) if limit is not None)
        self._look_s = min(LOOK_S, max(0.01, shortest / 4))

    def elapsed_s(self) -> float:
        """Since the supervisor began."""
        return self._clock() - self.started_at

    def wall_passed(self) -> bool:
        return self._clock() >= self._deadline

    def engine_begins(self) -> None:
        """Silence counts from now on."""
        self._grew_at = self._began_at = self._clock()

    def engine_ended(self) -> None:
        """Note what was written since the last look, and when it was over."""
        self._silent(self._clock())
        steps.note(self._folder, "ended")

    def patience_s(self) -> float:
        """How long nobody needs to look."""
        now = self._clock()
        soon_s = max(SOON_S, min(now - self._began_at, self._full_in_s / 2))
        return max(0.0, min(self._deadline - now, self._look_s, soon_s)) + 0.001

    def passed(self) -> Ending | None:
        """The first limit that has passed."""
        now = self._clock()
        if now >= self._deadline:
            return TimedOut(self._spec.timeout_s)
        return self.log_full() or self._silent(now) or self._result_passed(now)

    def log_full(self) -> LogFull | None:
        """Whether too much was written, of an agent's stream and errors together."""
        size = _size(self._folder.output_log) + (_size(self._folder.stream) if self._spec.agent else 0)
        limit, now = self._spec.log_limit_bytes, self._clock()
        grew, took_s = size - self._size, now - self._sized_at
        if took_s > 0:
            self._full_in_s = (limit - size) * took_s / grew if grew > 0 else float("inf")
            self._size, self._sized_at = size, now
        return LogFull(limit) if size > limit else None

    def _silent(self, now: float) -> Ending | None:
        said = _size(self._folder.output_log), _size(self._folder.stream) if self._spec.agent else 0
        if said != self._said:
            self._said, self._grew_at = said, now
            steps.grew(self._folder, *(reversed(said) if self._spec.agent else said[:1]))
        idle_s = self._spec.idle_timeout_s
        return TimedOut(idle_s, idle=True) if idle_s is not None and now - self._grew_at >= idle_s else None

    def _result_passed(self, now: float) -> Ending | None:
        limit_s = self._spec.after_result_s
        if limit_s is None:
            return None
        if self._result_at is None:
            if self._has_result():
                self._result_at = now
                steps.note(self._folder, "result")
            return None
        return Lingered(limit_s) if now - self._result_at >= limit_s else None


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
