"""Process trees on Linux: find them in /proc, end them through pidfds, and know when they are gone.

Two ways reach a run's processes, because neither alone reaches all (design §5):

- A *subreaper* (prctl(2), PR_SET_CHILD_SUBREAPER) inherits every orphan below it, whatever session or
  group the orphan made for itself. `sweep` ends all of them; the kernel's ECHILD is the proof.
- The *mark*, `LATTICE_RUN_ID=<run>` in a process's environment block, finds what a dead supervisor
  left behind. `kill_marked` checks each identity again once a pidfd pins it, so that a reused pid
  is never signalled (pidfd_open(2)).

Nothing here sleeps: a pidfd polls readable when its process has ended.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import select
import signal
import time
from collections.abc import Callable, Iterable, Mapping

from lattice.workers.processes.guards import is_guard, without_guards
from lattice.workers.processes.table import Stat, below, descendants, own_children, start_time, stat_of, table_of_all

RUN_MARK = "LATTICE_RUN_ID"
_Find = Callable[[Iterable[int], Mapping[int, Stat]], list[int]]

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_EXECUTED_LOOKS_MAX = 1_000  # execve(2) takes microseconds; one that is stopped amid it is not waited for
_RESCAN_S = 0.005  # A pause only where there is no pidfd to wait on: a zombie held back by its tracer.


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
            if _send(pid, table[pid].started, signum):
                sent.append(pid)
        except PermissionError:
            denied.append(pid)
    if denied:
        raise _not_permitted(denied)
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
            _wait_for_one([], ends_at)
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
            if not table[pid].zombie and (pidfd := _pin(pid, table[pid].started)) is not None:
                pinned[pid] = pidfd
        alive = {pid: pidfd for pid, pidfd in pinned.items() if not _ended(pidfd)}
        for pidfd in alive.values():
            with contextlib.suppress(PermissionError):  # A set-user-id one that stays shows at the deadline.
                _deliver(pidfd, signal.SIGKILL)
        if alive:
            _wait_for_one(list(alive.values()), ends_at)
        return list(alive)
    finally:
        _close(pinned.values())


def marked(run_id: str) -> list[int]:
    """Live processes of the run: those whose environment carries its mark, and all below them.

    Never this process or an ancestor of it. /proc/<pid>/environ is what the process was executed
    with: `env -i` loses the mark, and a process of another user cannot be read.
    """
    return list(_marked(run_id, {}))


def kill_marked(run_id: str, deadline_s: float = 10.0) -> list[int]:
    """End every process that `marked` finds, from a process that is not their ancestor.

    All are stopped before the first is killed: a parent's death would cut what it has just forked
    from its mark, and a stopped process cannot fork (a fork with a signal pending is restarted).
    Raises PermissionError if some may not be signalled, after the others are dead; TimeoutError if
    some survive past the deadline.
    """
    ends_at = time.monotonic() + deadline_s
    pinned: dict[tuple[int, int], int] = {}  # (pid, start time) to pidfd
    killed: dict[int, None] = {}
    denied: dict[int, None] = {}
    try:
        while True:
            denied.update(dict.fromkeys(_freeze(run_id, pinned, ends_at)))
            for (pid, _), pidfd in pinned.items():
                if pid not in denied and _send_pinned(pidfd, signal.SIGKILL):
                    killed[pid] = None
            alive = [pidfd for (pid, _), pidfd in pinned.items() if pid not in denied and not _ended(pidfd)]
            if not alive and not set(_marked(run_id, pinned)) - denied.keys():
                break
            if time.monotonic() >= ends_at:
                raise TimeoutError(f"processes of run {run_id} did not end within {deadline_s:g} s of SIGKILL")
            _wait_for_one(alive, ends_at)
    finally:
        _close(pinned.values())
    if denied:
        raise _not_permitted(denied)
    return list(killed)


def _freeze(run_id: str, pinned: dict[tuple[int, int], int], ends_at: float) -> list[int]:
    """Pin and stop the run's processes until a scan finds no new one; returns those not permitted."""
    denied: list[int] = []
    while time.monotonic() < ends_at:
        found = _marked(run_id, pinned)
        new: dict[tuple[int, int], int] = {}
        for pid, started in found.items():
            if (pid, started) not in pinned and (pidfd := _pin(pid, started)) is not None:
                new[pid, started] = pidfd
        pinned.update(new)
        if not new:
            break
        # Only now is each identity pinned; what is no longer of the run by the same rule is a stranger.
        again = _marked(run_id, {key: fd for key, fd in pinned.items() if key not in new})
        for (pid, started), pidfd in new.items():
            if again.get(pid) != started:
                os.close(pinned.pop((pid, started)))
                continue
            try:
                _send_pinned(pidfd, signal.SIGSTOP)
            except PermissionError:
                denied.append(pid)
    return denied


def _marked(run_id: str, known: Mapping[tuple[int, int], int]) -> dict[int, int]:
    """The run's live processes and their start times, those `known` to be of it counted as marked."""
    entry = f"{RUN_MARK}={run_id}".encode()
    table = table_of_all()
    roots = [
        pid for pid, stat in table.items() if not stat.zombie and ((pid, stat.started) in known or _has(pid, entry))
    ]
    own = _ancestry(table)
    everyone = dict.fromkeys([*roots, *below(roots, table)])
    return {pid: table[pid].started for pid in everyone if pid not in own and not table[pid].zombie}


def _has(pid: int, entry: bytes) -> bool:
    try:
        for _ in range(_EXECUTED_LOOKS_MAX):
            with open(f"/proc/{pid}/environ", "rb") as block:
                environment = block.read()
            if environment or not _is_between_programs(pid):
                break
            os.sched_yield()
    except OSError:
        return False  # It has ended, or is another user's: then its environment is not ours to read.
    return entry in environment.split(b"\0")


def _is_between_programs(pid: int) -> bool:
    """Whether it is amid execve(2): the old environment is gone, and the new one not yet to be seen. Raises OSError."""
    with open(f"/proc/{pid}/cmdline", "rb") as words:
        if words.read():
            return False  # It was executed without an environment.
    try:
        return bool(os.readlink(f"/proc/{pid}/exe"))
    except FileNotFoundError:
        return False  # A thread of the kernel has none.


def _ancestry(table: Mapping[int, Stat]) -> set[int]:
    """This process and all above it."""
    own: set[int] = set()
    pid = os.getpid()
    while pid > 0 and pid not in own:
        own.add(pid)
        pid = table[pid].ppid if pid in table else 0
    return own


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


def _pin(pid: int, started: int) -> int | None:
    """A pidfd of exactly the process that had this pid and start time; None if it has ended."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError as error:
        if error.errno in (errno.ESRCH, errno.EINVAL):  # EINVAL: the number is a thread's by now
            return None
        raise
    if start_time(pid) == started:
        return pidfd
    os.close(pidfd)
    return None


def _send(pid: int, started: int, signum: int) -> bool:
    pidfd = _pin(pid, started)
    if pidfd is None:
        return False
    try:
        return _deliver(pidfd, signum)
    finally:
        os.close(pidfd)


def _deliver(pidfd: int, signum: int) -> bool:
    try:
        signal.pidfd_send_signal(pidfd, signum)
    except ProcessLookupError:
        return False
    return True


def _send_pinned(pidfd: int, signum: int) -> bool:
    """Signal a pinned process; False if it has ended, a zombie included (a signal to it does nothing)."""
    return not _ended(pidfd) and _deliver(pidfd, signum)


def _ended(pidfd: int) -> bool:
    return bool(_poll([pidfd], 0))


def _wait_for_one(pidfds: list[int], ends_at: float) -> None:
    """Wait until one of them has ended, at most until `ends_at`."""
    left_s = max(0.0, ends_at - time.monotonic())
    _poll(pidfds, left_s if pidfds else min(left_s, _RESCAN_S))


def _poll(pidfds: Iterable[int], timeout_s: float) -> list[tuple[int, int]]:
    poller = select.poll()
    for pidfd in pidfds:
        poller.register(pidfd, select.POLLIN)
    return poller.poll(timeout_s * 1000)


def _close(pidfds: Iterable[int]) -> None:
    for pidfd in pidfds:
        os.close(pidfd)


def _not_permitted(pids: Iterable[int]) -> PermissionError:
    return PermissionError(errno.EPERM, f"may not signal processes {sorted(pids)}")
