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

import ctypes
import errno
import os
import select
import signal
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

RUN_MARK = "LATTICE_RUN_ID"

_PR_SET_CHILD_SUBREAPER = 36
_RESCAN_S = 0.005  # A pause only where there is no pidfd to wait on: a zombie held back by its tracer.


class _Stat(NamedTuple):
    """What of proc_pid_stat(5) identifies a process and places it in the tree."""

    ppid: int
    started: int  # clock ticks after boot, field 22
    zombie: bool


def become_subreaper() -> None:
    """Make this process the parent of every orphan among its descendants. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl(PR_SET_CHILD_SUBREAPER): {os.strerror(number)}")


def start_time(pid: int) -> int | None:
    """When `pid` started, in clock ticks after boot; None if there is no such process."""
    stat = _stat(pid)
    return stat.started if stat is not None else None


def descendants(root: int) -> list[int]:
    """Every live descendant of `root`, parents before their children; zombies are not alive."""
    table = _table()
    return [pid for pid in _below([root], table) if not table[pid].zombie]


def signal_tree(root: int, signum: int) -> list[int]:
    """Send `signum` to every descendant of `root`, not to `root`; returns those it was sent to.

    Raises PermissionError for the first that we may not signal, after the others have been.
    """
    sent: list[int] = []
    denied: list[int] = []
    table = _table()
    for pid in _below([root], table):
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


def sweep(deadline_s: float = 10.0) -> list[int]:
    """End and reap every descendant of this process, which must be a subreaper; returns those killed.

    Holds afterwards: waitpid(2) says ECHILD, so no descendant is left, in any session or state; an
    orphan would be our child. It reaps with waitpid(-1): take a status you need before you call.
    Raises TimeoutError if some survive past the deadline (uninterruptible sleep, a tracer).
    """
    ends_at = time.monotonic() + deadline_s
    me = os.getpid()
    killed: dict[int, None] = {}
    while _reap():
        # Children first, and without the full scan: a chain that forks and exits outruns the scan,
        # and a child's pid cannot be reused while only we can reap it.
        for pid in _children():
            stat = _stat(pid)
            if stat is not None and not stat.zombie and _kill_child(pid):
                killed[pid] = None
        pidfds: list[int] = []
        try:
            table = _table()
            for pid in _below([me], table):
                if not table[pid].zombie and (pidfd := _pin(pid, table[pid].started)) is not None:
                    pidfds.append(pidfd)
                    if _send_pinned(pidfd, signal.SIGKILL):
                        killed[pid] = None
            _wait_for_one(pidfds, ends_at)
        finally:
            _close(pidfds)
        if time.monotonic() >= ends_at and _reap():
            left = descendants(me) or _children()
            raise TimeoutError(f"processes {left} did not end within {deadline_s:g} s of SIGKILL")
    return list(killed)


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
    table = _table()
    roots = [
        pid for pid, stat in table.items() if not stat.zombie and ((pid, stat.started) in known or _has(pid, entry))
    ]
    own = _ancestry(table)
    everyone = dict.fromkeys([*roots, *_below(roots, table)])
    return {pid: table[pid].started for pid in everyone if pid not in own and not table[pid].zombie}


def _has(pid: int, entry: bytes) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb") as block:
            return entry in block.read().split(b"\0")
    except OSError:
        return False  # It has ended, or is another user's: then its environment is not ours to read.


def _ancestry(table: Mapping[int, _Stat]) -> set[int]:
    """This process and all above it."""
    own: set[int] = set()
    pid = os.getpid()
    while pid > 0 and pid not in own:
        own.add(pid)
        pid = table[pid].ppid if pid in table else 0
    return own


def _below(roots: Iterable[int], table: Mapping[int, _Stat]) -> list[int]:
    """All below the roots, breadth first, without the roots unless one is below another."""
    children: dict[int, list[int]] = {}
    for pid, stat in table.items():
        children.setdefault(stat.ppid, []).append(pid)
    found: dict[int, None] = {}
    level = list(roots)
    while level:
        level = [child for pid in level for child in children.get(pid, ()) if child not in found]
        found.update(dict.fromkeys(level))
    return list(found)


def _table() -> dict[int, _Stat]:
    with os.scandir("/proc") as entries:
        pids = [int(entry.name) for entry in entries if entry.name.isdigit()]
    return {pid: stat for pid in pids if (stat := _stat(pid))}


def _stat(pid: int) -> _Stat | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            line = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command name may hold spaces and parentheses: the fields begin after the last one.
    fields = line[line.rindex(b")") + 2 :].split()
    # A leader whose main thread has ended reads as a zombie while its other threads still run.
    return _Stat(int(fields[1]), int(fields[19]), fields[0] in (b"Z", b"X") and int(fields[17]) <= 1)


def _children() -> list[int]:
    """Our own children, quickly; empty where the kernel lacks CONFIG_PROC_CHILDREN (the scan finds them)."""
    found: list[int] = []
    for thread in Path("/proc/self/task").iterdir():
        try:
            found += [int(pid) for pid in (thread / "children").read_bytes().split()]
        except FileNotFoundError:
            continue
    return found


def _kill_child(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return False  # A set-user-id child that we may not kill shows at the deadline.
    return True


def _reap() -> bool:
    """Reap what has ended; whether a child is left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue
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
