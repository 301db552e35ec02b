"""A supervisor that hangs, or was stopped by SIGSTOP, far past its run's deadline: who it is, and its end.

A lease that is held says that a process lives, not that it does its work. The holder is the process that
was started for this run and has the lease open; its age is counted by the clock of its own start, which
nobody sets, so that a step of the wall clock makes no run overdue.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from lattice.core.record import Record
from lattice.store.files import disk
from lattice.workers.liveness import OVERDUE_AFTER_S
from lattice.workers.processes.table import age_s, descendants, is_stopped, parent_of
from lattice.workers.processes.tree import signal_tree
from lattice.workers.runs import RunFolder

HANGING_AFTER_S = 900.0
"""How far past its deadline a supervisor that was not stopped counts as one that hangs: ends may be slow."""

GUARD_S = 120.0
"""How long the guard may take to finish the run before others do."""

TREE_S = 30.0
"""How long a killed tree may take to be dead."""


class Holder(Record):
    """The process that holds a run's lease."""

    pid: int
    age_s: float
    stopped: bool


def holder(folder: RunFolder) -> Holder | None:
    """The supervisor that holds the run's lease now; None where none can be named for certain.

    /proc/locks would name the starter, which took the lock and handed it on, and hides it in a container.
    """
    if not folder.alive():
        return None
    found = [pid for pid in _pids() if _supervises(pid, folder)]
    if len(found) != 1:
        return None
    age = age_s(found[0])
    return None if age is None else Holder(found[0], age, is_stopped(found[0]))


def let_go_on(folder: RunFolder) -> int | None:
    """Let the run's supervisor go on where it was stopped by SIGSTOP; its number. Raises OSError."""
    found = holder(folder)
    if found is None or not found.stopped:
        return None
    with _pinned(found.pid) as pidfd:
        if pidfd is None or not _supervises(found.pid, folder):
            return None  # It ended, and the number may be a stranger's.
        signal.pidfd_send_signal(pidfd, signal.SIGCONT)
    return found.pid


def end_overdue(folder: RunFolder, by: str) -> list[int]:
    """Kill the run's supervisor if it is long past its deadline; returns what was killed.

    The guard then finishes the run, and is let go on where it was stopped, too; it is waited for. A guard
    that takes too long leaves the run to be mended; where it is gone, the run's tree is killed here. Raises OSError.
    """
    spec, found = folder.spec(), holder(folder)
    if spec is None or found is None:
        return []
    late_s = found.age_s - spec.timeout_s - spec.grace_s
    if late_s < (OVERDUE_AFTER_S if found.stopped else HANGING_AFTER_S):
        return []
    how = "was stopped" if found.stopped else "hung"
    with _pinned(found.pid) as pidfd:
        if pidfd is None or not _supervises(found.pid, folder):
            return []  # It ended, and the number may be a stranger's.
        guard = parent_of(found.pid)
        guarded = guard is not None and _is_of(guard, folder)
        said = f"Its supervisor, process {found.pid}, {how} for {late_s:.0f} s past the deadline; {by} ended it."
        disk.replace(folder.overdue, said.encode() + b"\n")
        killed = [] if guarded else _kill_below(found.pid)
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    if guarded and guard is not None:
        with _pinned(guard) as pidfd:
            if pidfd is not None and _is_of(guard, folder):
                signal.pidfd_send_signal(pidfd, signal.SIGCONT)
                select.select([pidfd], [], [], GUARD_S)  # It ends what has no mark, which nobody else finds.
    return [found.pid, *killed]


def _kill_below(supervisor: int) -> list[int]:
    """Kill the run's tree while its supervisor still holds it together: without a guard, its death would scatter it."""
    killed: dict[int, None] = {}
    ends_at = time.monotonic() + TREE_S
    while (alive := descendants(supervisor)) and (left_s := ends_at - time.monotonic()) > 0:
        killed.update(dict.fromkeys(signal_tree(supervisor, signal.SIGKILL)))
        with _pinned(alive[0]) as pidfd:
            if pidfd is not None:
                select.select([pidfd], [], [], left_s)
    return list(killed)


@contextlib.contextmanager
def _pinned(pid: int) -> Iterator[int | None]:
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        yield None
        return
    try:
        yield pidfd
    finally:
        os.close(pidfd)


def _supervises(pid: int, folder: RunFolder) -> bool:
    return _is_of(pid, folder) and _has_open(pid, folder.lease)


def _is_of(pid: int, folder: RunFolder) -> bool:
    """Whether the process was started as guard or supervisor of the run."""
    try:
        return folder.run_id.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def _has_open(pid: int, path: Path) -> bool:
    try:
        wanted = path.stat()
        opened = [os.stat(f"/proc/{pid}/fd/{name}") for name in os.listdir(f"/proc/{pid}/fd")]
    except OSError:
        return False  # It ended, or is not ours to look at: then it is not ours to kill either.
    return any(os.path.samestat(wanted, one) for one in opened)


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]
