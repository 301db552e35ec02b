"""Liveness as a fact of the kernel: a lease is a lock, and a process that dies drops it at that moment.

No pid to be reused, no clock to be wrong, no heartbeat to be late: whoever can lock the file knows
that nobody holds it (design §1.5). Why it is built like this:

- flock(2), not POSIX locks (fcntl(2)): those fall when *any* descriptor of the file is closed by the
  process, and are not inherited. A flock belongs to the open file description: it is handed on by a message
  or to a child without a gap, and lives until the last copy of the descriptor is closed. For the same reason
  a lease must not leak into a worker, or the worker would keep it; see `keep`.
- A lock file is never unlinked while it may be in use: between unlink and create, two processes lock
  two files of one name, and both hold "the" lock.
- A probe is shared and on a descriptor of its own: two probers never take each other for a holder,
  and an acquirer that meets only probers tries again.
"""

from __future__ import annotations

import fcntl
import os
import signal
import time
from pathlib import Path
from types import FrameType

from lattice.store.files.disk import StrPath

PROBERS_S = 2.0
"""For how long an acquirer meets probers, each of them gone in microseconds, before it gives up."""


def acquire(path: Path) -> int:
    """Create the lease (0600) and lock it without waiting; returns the descriptor, not inheritable.

    Closing the last copy of the descriptor frees it. Raises BlockingIOError if it is held, OSError
    if the path is a symbolic link or cannot be made.
    """
    fd = _open(path)
    try:
        gives_up_at = time.monotonic() + PROBERS_S
        while time.monotonic() < gives_up_at:
            if _try(fd, fcntl.LOCK_EX):
                return fd
            if not _try(fd, fcntl.LOCK_SH):
                break
            fcntl.flock(fd, fcntl.LOCK_UN)  # Only probers were there; each is gone in microseconds.
            os.sched_yield()
        raise BlockingIOError(f"lease {path} is held")
    except BaseException:
        os.close(fd)
        raise


def held(path: StrPath) -> bool:
    """Whether a process holds the lease now. A missing file is not held. Raises OSError."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    try:
        return not _try(fd, fcntl.LOCK_SH)
    finally:
        os.close(fd)


def wait_until_free(path: StrPath, within_s: float) -> bool:
    """Wait until nobody holds the lease; whether it came to that. For a process of one thread. Raises OSError.

    flock(2) wakes at once and has no time limit of its own: an alarm interrupts it, and its handler ends the wait.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return True
    before = signal.signal(signal.SIGALRM, _too_late)
    try:
        signal.setitimer(signal.ITIMER_REAL, within_s)
        fcntl.flock(fd, fcntl.LOCK_SH)
    except TimeoutError:
        return False
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        os.close(fd)
    return True


def _too_late(_signum: int, _frame: FrameType | None) -> None:
    raise TimeoutError


def keep(fd: int) -> None:
    """Let no child inherit the lease, so that it ends with this process. Call it before the first spawn."""
    os.set_inheritable(fd, False)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)


def _try(fd: int, mode: int) -> bool:
    try:
        fcntl.flock(fd, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
