"""A forked process in which a fault may do its worst: it is the reaper of all that is started in it.

So it knows without polling when everything is over (wait(2) says ECHILD), and nothing gets out of it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from lattice.core.record import Record
from lattice.workers.processes.table import descendants
from lattice.workers.processes.tree import become_subreaper, sweep

SETTLED_WITHIN_S = 60.0
_GUARD = b"lattice.workers.guard"


class Finding(Record):
    """What one trial saw. Without a fault that was met it says nothing of the design."""

    group: str
    label: str
    met: bool
    violations: tuple[str, ...] = ()
    healed_s: float | None = None
    seen: dict[str, Any] | None = None


def settle(until: Callable[[], bool] | None = None, within_s: float = SETTLED_WITHIN_S) -> bool:
    """Wait until every process started here has ended, or `until` says so. False where the time ran out first."""
    ends_at = time.monotonic() + within_s
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                continue
        except ChildProcessError:
            return True
        if until is not None and until():
            return True
        left_s = ends_at - time.monotonic()
        if left_s <= 0:
            return False
        # SIGCHLD tells of our own children's ends; below an engine that lives, nothing does.
        signal.sigtimedwait([signal.SIGCHLD], left_s if until is None else min(left_s, 0.02))


def nobody_supervises() -> bool:
    """Whether all that is left below this process are engines, their children and git.

    Two looks: one that falls into the moment in which a guard gets another parent sees neither it nor its children.
    """
    return not any(_is_ours(pid) for _ in range(2) for pid in descendants(os.getpid()))


def _is_ours(pid: int) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False  # It ended meanwhile.
    # A process that is ending has given back its memory, command line and all, before its locks.
    return not words or _GUARD in words or words == Path("/proc/self/cmdline").read_bytes()


def forked(act: Callable[[], None]) -> int:
    """Run `act` in a child, which never returns into the caller; its pid."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
            act()
            status = 0
        except BaseException:  # noqa: BLE001  # the child must never return into the harness
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(status)
    return pid


def contained(trials: Iterable[Callable[[], Finding]], jobs: int = 1) -> Iterator[Finding]:
    """Each trial in an arena of its own, `jobs` at a time; findings as they come. One that raises is a violation."""
    waiting = iter(trials)
    running: dict[int, tuple[int, list[bytes]]] = {}
    try:
        while True:
            while len(running) < jobs and (trial := next(waiting, None)) is not None:
                descriptor, pid = _opened(trial)
                running[descriptor] = (pid, [])
            if not running:
                return
            for descriptor in select.select(list(running), [], [])[0]:
                pid, parts = running[descriptor]
                part = os.read(descriptor, 1 << 16)
                parts.append(part)
                if not part:
                    os.close(descriptor)
                    del running[descriptor]
                    os.waitpid(pid, 0)
                    yield _decoded(b"".join(parts))
    finally:
        for descriptor, (pid, _) in running.items():
            os.close(descriptor)
            os.kill(pid, signal.SIGTERM)
            os.waitpid(pid, 0)


def _opened(trial: Callable[[], Finding]) -> tuple[int, int]:
    receive, send = os.pipe()

    def act() -> None:
        os.close(receive)
        become_subreaper()
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
        signal.signal(signal.SIGTERM, _end)
        try:
            finding = trial()
        except Exception:  # noqa: BLE001  # what the trial could not deal with is what it found
            finding = Finding("harness", "a trial raised", True, (traceback.format_exc(),))
        finally:
            sweep(30)
        with os.fdopen(send, "wb") as pipe:
            pipe.write(json.dumps(finding.fields()).encode())

    pid = forked(act)
    os.close(send)
    return receive, pid


def _end(_signum: int, _frame: object) -> None:
    sweep(30)
    os._exit(1)


def _decoded(data: bytes) -> Finding:
    if not data:
        return Finding("harness", "an arena died", True, ("it said nothing",))
    shape = json.loads(data)
    return Finding(**(shape | {"violations": tuple(shape["violations"])}))
