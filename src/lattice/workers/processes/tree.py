"""Process trees on Linux: end all that is below a process, whatever session or group it is in.

A *subreaper* (prctl(2), PR_SET_CHILD_SUBREAPER) inherits every orphan below it, whatever session or
group the orphan made for itself. `sweep` ends all of them; the kernel's ECHILD is the proof. What a dead
supervisor left behind is below nobody: that is `marks.py`. Neither alone reaches all (design §5).
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping

from lattice.workers.processes import pidfds
from lattice.workers.processes.guards import is_guard, without_guards
from lattice.workers.processes.table import Stat, below, descendants, own_children, stat_of, table_of_all

_Find = Callable[[Iterable[int], Mapping[int, Stat]], list[int]]

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> None:
    """Make this process the parent of every orphan among its descendants. Raises OSError."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with(parent: int) -> None:
    """Have the kernel kill this process when `parent`, which forked it and is single-threaded, ends. Raises OSError.

    The kernel goes by the thread that forked (prctl(2)), hence the one thread.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)  # It ended before the kernel was asked.


def _prctl(option: int, value: int) -> None:
    import ctypes  # who starts a run signals a tree in the worst case, and becomes nobody's reaper

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl({option}): {os.strerror(number)}")


def signal_tree(root: int, signum: int, *, spare_guards: bool = False) -> list[int]:
    """Send `signum` to every descendant of `root`, not to `root`; returns those it was sent to.

    With `spare_guards` not to the guards of other runs, and what is below them.

    Raises PermissionError for the first that we may not signal, after the others have been.
    """
    sent: list[int] = []
    denied: list[int] = []
    table = table_of_all()
    for pid in (without_guards if spare_guards else below)([root], table):
        if table[pid].zombie:
            continue
        try:
            if pidfds.send(pid, table[pid].started, signum):
                sent.append(pid)
        except PermissionError:
            denied.append(pid)
    if denied:
        raise pidfds.not_permitted(denied)
    return sent


def sweep(deadline_s: float = 10.0, statuses: dict[int, int] | None = None, *, spare_guards: bool = False) -> list[int]:
    """End and reap every descendant of this process, which must be a subreaper; returns those killed.

    Holds afterwards: waitpid(2) says ECHILD, so no descendant is left, in any session or state; an
    orphan would be our child. Whoever died of a signal to another, as all of a PID namespace do with its
    first process, is counted too. With `spare_guards` the guards of other runs live on, and what is below
    them (`guards.py`), and no other descendant is left. `statuses` gets what waitpid said of each that was reaped.
    Raises TimeoutError if some survive past the deadline (uninterruptible sleep, a tracer).
    """
    if not _has_children():
        return []
    ends_at = time.monotonic() + deadline_s
    me = os.getpid()
    find = without_guards if spare_guards else below
    killed: dict[int, None] = dict.fromkeys(_kill_below(me, ends_at, find))
    while _reap(statuses) and not (spare_guards and _guards_alone(me)):
        # Children first, and without the full scan: a chain that forks and exits outruns the scan,
        # and a child's pid cannot be reused while only we can reap it.
        for pid in own_children():
            stat = stat_of(pid)
            if stat is None or stat.zombie or (spare_guards and is_guard(pid)):
                continue
            if _kill_child(pid):
                killed[pid] = None
        found = _kill_below(me, ends_at, find)
        killed.update(dict.fromkeys(found))
        if not found:
            pidfds.wait_for_one([], ends_at)
        if time.monotonic() >= ends_at and _reap(statuses):
            left = descendants(me) or own_children()
            raise TimeoutError(f"processes {left} did not end within {deadline_s:g} s of SIGKILL")
    return list(killed)


def _guards_alone(root: int) -> bool:
    """Whether all that is left below the root is spared."""
    return not without_guards([root], table_of_all())


def _kill_below(root: int, ends_at: float, find: _Find = below) -> list[int]:
    """Kill what is below `root` now, and wait until one of it has ended; returns those that were alive.

    All are pinned before the first is killed: one death may be many.
    """
    pinned: dict[int, int] = {}
    try:
        table = table_of_all()
        for pid in find([root], table):
            if not table[pid].zombie and (pidfd := pidfds.pin(pid, table[pid].started)) is not None:
                pinned[pid] = pidfd
        alive = {pid: pidfd for pid, pidfd in pinned.items() if not pidfds.ended(pidfd)}
        for pidfd in alive.values():
            with contextlib.suppress(PermissionError):  # A set-user-id one that stays shows at the deadline.
                pidfds.deliver(pidfd, signal.SIGKILL)
        if alive:
            pidfds.wait_for_one(list(alive.values()), ends_at)
        return list(alive)
    finally:
        pidfds.close(pinned.values())


def _kill_child(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return False  # A set-user-id child that we may not kill shows at the deadline.
    return True


def _has_children() -> bool:
    """Whether a child is left, a dead one included; none is reaped. Most runs leave none: /proc is then not read."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _reap(statuses: dict[int, int] | None = None) -> bool:
    """Reap what has ended, and note its status; whether a child is left."""
    try:
        while (reaped := os.waitpid(-1, os.WNOHANG))[0]:
            if statuses is not None:
                statuses[reaped[0]] = reaped[1]
    except ChildProcessError:
        return False
    return True
