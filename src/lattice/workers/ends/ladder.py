"""The stop ladder: every descendant is asked to end, by SIGINT, then by SIGTERM, each with a grace of its own.

What is left after that, the sweep kills.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
from collections.abc import Callable

from lattice.core.record import Record
from lattice.workers.ends.limits import now_s
from lattice.workers.processes.guards import without_guards
from lattice.workers.processes.table import table_of_all
from lattice.workers.processes.tree import signal_tree
from lattice.workers.spec import RunSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PIDS_MAX = 100
"""How many pids of one rung are kept by number; the count is always told."""


class Rung(Record):
    """A signal that was sent: when, in seconds of the run's clock after its start, and to whom."""

    signal: str
    at_s: float
    pids: tuple[int, ...]

    def shape(self) -> dict[str, Any]:
        """As the certificate keeps it."""
        return {
            "signal": self.signal,
            "at_s": round(self.at_s, 3),
            "count": len(self.pids),
            "pids": self.pids[:PIDS_MAX],
        }


def climb(spec: RunSpec, started_at: float, note: Callable[[str], None]) -> list[Rung]:
    """Ask all descendants of this process to end, and wait for it. Returns what was sent; a refusal is noted."""
    interrupt_s = spec.grace_s / 2 if spec.interrupt_s is None else spec.interrupt_s
    rungs = []
    for signum, grace_s in ((signal.SIGINT, interrupt_s), (signal.SIGTERM, spec.grace_s - interrupt_s)):
        rungs.append(Rung(signum.name, now_s() - started_at, tuple(_send(signum, note))))
        if signum == signal.SIGTERM:
            _send(signal.SIGCONT, note)  # A stopped process does not see SIGTERM before it goes on.
        if _all_gone_within(grace_s):
            break
    return rungs


def _send(signum: signal.Signals, note: Callable[[str], None]) -> list[int]:
    asked = _asked()
    try:
        return signal_tree(os.getpid(), signum, spare_guards=True)
    except PermissionError as refused:
        note(f"{signum.name}: {refused}")  # A set-user-id program; the sweep says if it stays.
        return asked


def _asked() -> list[int]:
    """What is to end: every live descendant, but for other runs, which end by themselves."""
    table = table_of_all()
    return [pid for pid in without_guards([os.getpid()], table) if not table[pid].zombie]


def _all_gone_within(seconds: float) -> bool:
    ends_at = now_s() + seconds
    while alive := _asked():
        left_s = ends_at - now_s()
        if left_s <= 0:
            return False
        with contextlib.suppress(ProcessLookupError):
            pidfd = os.pidfd_open(alive[0])
            try:
                select.select([pidfd], [], [], left_s)
            finally:
                os.close(pidfd)
    return True
