"""Lock files. Waiting has an end, and the file is never unlinked.

`flock` and not POSIX record locks: those fall as soon as *any* descriptor of the file in the process
is closed. A lock file that is removed and made again can be held by two at once, so it stays.
The names are those of the earlier tool, which locks with flock too: both keep out of each other's way.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

from lattice.errors import LockTimeout, StorageError
from lattice.store.files.disk import StrPath

WAIT_S = 10.0
_PAUSE_FIRST_S = 0.0005
_PAUSE_MAX_S = 0.02


@contextmanager
def locked(path: StrPath, wait_s: float = WAIT_S) -> Iterator[None]:
    """Hold the lock file exclusively. Raises LockTimeout after `wait_s` seconds."""
    descriptor = _opened(path)
    try:
        _wait_for(descriptor, path, wait_s)
        yield
    finally:
        os.close(descriptor)  # which lets the lock go


def _opened(path: StrPath) -> int:
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        try:
            return os.open(path, flags, 0o600)
        except FileNotFoundError:
            # A fresh clone: git carries no empty folders.
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            return os.open(path, flags, 0o600)
    except OSError as refused:
        raise StorageError(
            f"The lock {os.path.basename(path)} cannot be opened: {refused.strerror}. Nothing was recorded.",
            hint="See that the board can be written: ls -ld .lattice .lattice/locks",
        ) from refused


def _wait_for(descriptor: int, path: StrPath, wait_s: float) -> None:
    # flock has no time limit of its own, and an alarm signal would not work in a server's threads.
    give_up_at = time.monotonic() + wait_s
    pause_s = _PAUSE_FIRST_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= give_up_at:
                raise LockTimeout(
                    f"Somebody else has held {os.path.basename(path)} for {wait_s:g} s.",
                    hint=f"Try again; to see who holds it: lsof {path}",
                ) from None
        time.sleep(pause_s)
        pause_s = min(pause_s * 1.5, _PAUSE_MAX_S)
