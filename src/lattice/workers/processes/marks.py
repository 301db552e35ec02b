"""The mark of a run in its processes, `LATTICE_RUN_ID=<run>` in the environment block: found by it, and ended.

It finds what a dead supervisor left behind, which is below nobody any more. `kill_marked` checks each identity
again once a pidfd pins it, so that a reused pid is never signalled (pidfd_open(2)).
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping

from lattice.workers.processes import pidfds
from lattice.workers.processes.table import Stat, below, table_of_all

RUN_MARK = "LATTICE_RUN_ID"
_EXECUTED_LOOKS_MAX = 1_000  # execve(2) takes microseconds; one that is stopped amid it is not waited for


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
                if pid not in denied and pidfds.send_pinned(pidfd, signal.SIGKILL):
                    killed[pid] = None
            alive = [pidfd for (pid, _), pidfd in pinned.items() if pid not in denied and not pidfds.ended(pidfd)]
            if not alive and not set(_marked(run_id, pinned)) - denied.keys():
                break
            if time.monotonic() >= ends_at:
                raise TimeoutError(f"processes of run {run_id} did not end within {deadline_s:g} s of SIGKILL")
            pidfds.wait_for_one(alive, ends_at)
    finally:
        pidfds.close(pinned.values())
    if denied:
        raise pidfds.not_permitted(denied)
    return list(killed)


def _freeze(run_id: str, pinned: dict[tuple[int, int], int], ends_at: float) -> list[int]:
    """Pin and stop the run's processes until a scan finds no new one; returns those not permitted."""
    denied: list[int] = []
    while time.monotonic() < ends_at:
        found = _marked(run_id, pinned)
        new: dict[tuple[int, int], int] = {}
        for pid, started in found.items():
            if (pid, started) not in pinned and (pidfd := pidfds.pin(pid, started)) is not None:
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
                pidfds.send_pinned(pidfd, signal.SIGSTOP)
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
