"""Processes pinned by a pidfd: signalled without mistaking another for them, and waited for without a sleep.

A pidfd polls readable when its process has ended (pidfd_open(2)).
"""

from __future__ import annotations

import errno
import os
import select
import signal
import time
from collections.abc import Iterable

from lattice.workers.processes.table import start_time

_RESCAN_S = 0.005  # A pause only where there is no pidfd to wait on: a zombie held back by its tracer.


def pin(pid: int, started: int) -> int | None:
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


def send(pid: int, started: int, signum: int) -> bool:
    """Signal exactly the process that had this pid and start time; False if it has ended. Raises PermissionError."""
    pidfd = pin(pid, started)
    if pidfd is None:
        return False
    try:
        return deliver(pidfd, signum)
    finally:
        os.close(pidfd)


def deliver(pidfd: int, signum: int) -> bool:
    """Signal a pinned process; False if it has been reaped. Raises PermissionError."""
    try:
        signal.pidfd_send_signal(pidfd, signum)
    except ProcessLookupError:
        return False
    return True


def send_pinned(pidfd: int, signum: int) -> bool:
    """Signal a pinned process; False if it has ended, a zombie included (a signal to it does nothing)."""
    return not ended(pidfd) and deliver(pidfd, signum)


def ended(pidfd: int) -> bool:
    """Whether the process has ended, a zombie included."""
    return bool(_poll([pidfd], 0))


def wait_for_one(pidfds: list[int], ends_at: float) -> None:
    """Wait until one of them has ended, at most until `ends_at`."""
    left_s = max(0.0, ends_at - time.monotonic())
    _poll(pidfds, left_s if pidfds else min(left_s, _RESCAN_S))


def _poll(pidfds: Iterable[int], timeout_s: float) -> list[tuple[int, int]]:
    poller = select.poll()
    for pidfd in pidfds:
        poller.register(pidfd, select.POLLIN)
    return poller.poll(timeout_s * 1000)


def close(pidfds: Iterable[int]) -> None:
    """Let go of all of them."""
    for pidfd in pidfds:
        os.close(pidfd)


def not_permitted(pids: Iterable[int]) -> PermissionError:
    """The error that names the processes that may not be signalled."""
    return PermissionError(errno.EPERM, f"may not signal processes {sorted(pids)}")
