"""Faults at exact calls of one process of a run: its starter, its guard, its supervisor, its setup, or its mender.

The product knows nothing of this. The starter is a process of the harness; the guard is started by the
product itself, with a boot text that installs the faults and then calls the guard's own `main`. Every
counted call is noted in a trace file, so that a sweep knows how many there are, and whether a fault was met.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from lattice.core.record import Record
from lattice.store.files import disk
from lattice.workers import standby
from lattice.workers.worktrees import git
from tests.torture import breaks

Role = Literal["starter", "guard", "supervisor", "setup", "mender", "next"]
Kind = Literal["kill before", "kill after", "enospc", "eio"]
TOP = Path(__file__).absolute().parents[2]
CALLS = (
    *("open", "write", "pwrite", "fsync", "fdatasync", "ftruncate", "posix_fallocate", "rename", "mkdir"),
    *("mkfifo", "unlink", "rmdir", "utime", "fork", "waitid"),
)
_REFUSED = {"enospc": errno.ENOSPC, "eio": errno.EIO}


class Fault(Record):
    """The k-th counted call (from 1) of a process fails, or is its last; `also` are killed before it."""

    role: Role
    k: int
    kind: Kind
    also: tuple[Role, ...] = ()

    def __str__(self) -> str:
        others = f" with {' and '.join(self.also)}" if self.also else ""
        return f"{self.role} call {self.k}: {self.kind}{others}"


class Orders(Record):
    """What the processes of one run are to suffer."""

    trace: str
    faults: tuple[Fault, ...] = ()
    broken: tuple[str, ...] = ()  # names in `breaks.BREAKS`
    git_limit_s: float | None = None

    def encode(self) -> str:
        return json.dumps(self.fields() | {"faults": [fault.fields() for fault in self.faults]})


def boot_text(orders: Orders, pids: Mapping[str, int]) -> str:
    """The text with which `standby` is to start the guard."""
    return guard_text(
        f"from tests.torture.inject import install; install({orders.encode()!r}, 'guard', {dict(pids)!r})"
    )


def guard_text(first: str) -> str:
    """The text with which `standby` is to start a guard, to do this first. It has no site, which the tests need."""
    return (
        f"import sys; sys.path.insert(0, sys.argv.pop(1)); sys.path.extend({[str(TOP), *sys.path[1:]]!r}); "
        f"{first}; from lattice.workers.guard import main; main(sys.argv[1:])"
    )


def install(encoded: str, role: Role, pids: Mapping[str, int]) -> None:
    """Put this process under orders."""
    shape = json.loads(encoded)
    faults = tuple(Fault(**(fault | {"also": tuple(fault["also"])})) for fault in shape.pop("faults"))
    orders = Orders(**(shape | {"faults": faults, "broken": tuple(shape["broken"])}))
    for name in orders.broken:
        breaks.BREAKS[name]()
    if orders.git_limit_s is not None:
        _limit_git(orders.git_limit_s)
    Injector(orders, role, pids).install()
    if role == "starter":
        standby._BOOT = boot_text(orders, {**pids, "starter": os.getpid()})


class Injector:
    """Counts the calls of one process; follows it through the fork that makes the supervisor."""

    def __init__(self, orders: Orders, role: Role, pids: Mapping[str, int]) -> None:
        self._orders = orders
        self._role: Role = role
        self._pids = {**pids, role: os.getpid()}
        self._count = 0
        self._write = os.write  # the trace is not the run's: it is not counted
        self._trace = os.open(orders.trace, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def install(self) -> None:
        """Replace the counted calls in this process."""
        for name in CALLS:
            breaks.put(os, name, self._counted(name, getattr(os, name)))
        breaks.put(subprocess.Popen, "__init__", self._counted("Popen", subprocess.Popen.__init__))
        breaks.put(standby.Standby, "order", self._counted("order", standby.Standby.order))
        breaks.put(standby, "receive", self._counted("receive", standby.receive))
        disk._sync = os.fdatasync  # It was bound when the module was imported.

    def _counted(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self._count += 1
            self._say(self._role, self._count, name)
            fault = next((f for f in self._orders.faults if (f.role, f.k) == (self._role, self._count)), None)
            if fault is None:
                return self._known(name, call(*args, **kwargs))
            self._say("met", fault.role, time.monotonic())
            if fault.kind in _REFUSED:
                number = _REFUSED[fault.kind]
                raise OSError(number, os.strerror(number))
            made = self._known(name, call(*args, **kwargs)) if fault.kind == "kill after" else None
            if self._role == fault.role:  # and not the child of the fork that was to be the last call
                self._die(fault)
            return made

        return counted

    def _known(self, name: str, made: Any) -> Any:
        if name == "fork" and self._role == "guard":
            # Its first fork is the supervisor; one that comes later is the guard of another run, which is not tortured.
            first = "supervisor" not in self._pids
            self._pids.setdefault("supervisor", made or os.getpid())
            if made == 0:
                self._role, self._count = "supervisor" if first else "next", 0
        elif name == "fork" and self._role == "supervisor" and made == 0:
            self._role, self._count = "setup", 0
        return made

    def _die(self, fault: Fault) -> None:
        for role in fault.also:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pids[role], signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)

    def _say(self, *words: object) -> None:
        self._write(self._trace, (" ".join(map(str, words)) + "\n").encode())


class Trace(Record):
    """What a trace file says: the calls of each role, in order, and when each fault was met."""

    calls: Mapping[str, tuple[str, ...]]
    met: tuple[tuple[str, float], ...]


def read_trace(path: Path) -> Trace:
    """The trace so far; nothing where nothing was started."""
    calls: dict[str, list[str]] = {"starter": [], "guard": [], "supervisor": [], "setup": [], "mender": [], "next": []}
    met: list[tuple[str, float]] = []
    for line in path.read_text(encoding="ascii").splitlines() if path.exists() else ():
        role, number, name = line.split(" ")
        if role == "met":
            met.append((number, float(name)))
        else:
            calls[role].append(name)
    return Trace({role: tuple(names) for role, names in calls.items()}, tuple(met))


def _limit_git(limit_s: float) -> None:
    communicate = git._communicate

    def limited(
        process: subprocess.Popen[bytes], data: bytes | None, subcommand: str, timeout_s: float
    ) -> tuple[bytes, bytes]:
        return communicate(process, data, subcommand, min(timeout_s, limit_s))

    breaks.put(git, "_communicate", limited)
