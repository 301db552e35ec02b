"""Processes as /proc tells them: the demo's own eyes, so that it need not believe the product it shows."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")


class Process(NamedTuple):
    """A process that is alive; a zombie is not."""

    pid: int
    ppid: int
    session: int
    command: str


def table() -> dict[int, Process]:
    """Every live process that can be read, by pid."""
    found = {}
    for pid in _pids():
        with suppress(OSError):  # It ended between the listing and the reading.
            # The name in parentheses may hold anything, spaces and parentheses too: proc_pid_stat(5).
            state, ppid, _, session, *_ = (
                (_PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
            )
            words = (_PROC / str(pid) / "cmdline").read_bytes().decode("utf-8", "replace").split("\0")
            if state not in "ZX":
                found[pid] = Process(pid, int(ppid), int(session), " ".join(" ".join(words).split()))
    return found


def tree(root: int) -> list[tuple[int, Process]]:
    """`root` and all below it, each with its depth, parents before their children; empty where it is not alive."""
    now = table()

    def below(pid: int, depth: int) -> Iterable[tuple[int, Process]]:
        yield depth, now[pid]
        for child in sorted(other.pid for other in now.values() if other.ppid == pid):
            yield from below(child, depth + 1)

    return list(below(root, 0)) if root in now else []


def in_environment(text: bytes) -> list[Process]:
    """Live processes, this one apart, that were executed with `text` somewhere in their environment."""
    return _having(lambda pid: (_PROC / str(pid) / "environ").read_bytes(), text)


def in_command_line(text: bytes) -> list[Process]:
    """Live processes, this one apart, with `text` somewhere in their arguments."""
    return _having(lambda pid: (_PROC / str(pid) / "cmdline").read_bytes(), text)


def gone(pids: Iterable[int], limit_s: float) -> bool:
    """Wait until each of these has ended, whosever child it is; False where one has not within `limit_s`."""
    ends_at = time.monotonic() + limit_s
    with ExitStack() as open_fds:
        for pid in pids:
            with suppress(ProcessLookupError):
                pidfd = os.pidfd_open(pid)
                open_fds.callback(os.close, pidfd)
                left_ms = max(0.0, ends_at - time.monotonic()) * 1000
                if not _readable(pidfd, left_ms):
                    return False
    return True


def end_all_of(folder: Path, limit_s: float) -> list[Process]:
    """SIGKILL what names `folder` in its environment or arguments, until nothing does; returns what would not end."""
    ends_at = time.monotonic() + limit_s
    name = os.fsencode(folder)
    while left := {found.pid: found for found in (*in_environment(name), *in_command_line(name))}:
        if time.monotonic() >= ends_at:
            return list(left.values())
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        gone(left, ends_at - time.monotonic())
    return []


def _pids() -> list[int]:
    return [int(name) for name in os.listdir(_PROC) if name.isdigit()]


def _having(read: Callable[[int], bytes], text: bytes) -> list[Process]:
    alive = table()
    found = []
    for pid in alive.keys() - {os.getpid()}:
        with suppress(OSError):  # It has ended, or is another user's.
            if text in read(pid):
                found.append(alive[pid])
    return sorted(found)


def _readable(pidfd: int, limit_ms: float) -> bool:
    poller = select.poll()
    poller.register(pidfd, select.POLLIN)
    return bool(poller.poll(limit_ms))
