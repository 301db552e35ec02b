"""Faults in storage calls: a function runs in a forked process, and its k-th call fails or is its last.

What the process was told is kept is said through a pipe before the next call, so that it is known also
when the process is killed. The counted calls are those that change or sync files.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from typing import Any, Literal

from lattice.core.record import Record
from lattice.errors import LatticeError
from lattice.store.files import disk

Kind = Literal["kill before", "kill after", "torn write", "short write", "enospc", "eio"]
KINDS: tuple[Kind, ...] = ("kill before", "kill after", "torn write", "short write", "enospc", "eio")
CALLS = (
    "open",
    "write",
    "pwrite",
    "fdatasync",
    "fsync",
    "ftruncate",
    "posix_fallocate",
    "rename",
    "unlink",
    "mkdir",
    "utime",
)
WRITES = ("write", "pwrite")
CRASHED = 70

Acknowledge = Callable[[str], None]


class Outcome(Record):
    """What was acknowledged, in order; the refusals' codes; the exit status, negative for a signal."""

    acknowledged: tuple[str, ...]
    refused: tuple[str, ...]
    status: int
    names: tuple[str, ...]  # the counted calls up to the end, where the process was not killed
    crash: str = ""  # the traceback of what is not an answer

    @property
    def calls(self) -> int:
        return len(self.names)

    @property
    def killed(self) -> bool:
        return self.status == -signal.SIGKILL


def run_with_fault(fn: Callable[[Acknowledge], None], k: int, kind: Kind) -> Outcome:
    """Run `fn` in a forked process whose k-th storage call (from 1; 0 for none) meets the fault.

    `fn` is given a function that notes what was acknowledged. A LatticeError ends `fn` and is noted.
    """
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receive)
        _in_child(fn, k, kind, send)
    os.close(send)
    with os.fdopen(receive, "rb") as pipe:
        said = [json.loads(line) for line in pipe.read().splitlines()]
    _, status = os.waitpid(child, 0)
    words: dict[str, list[Any]] = {"acknowledged": [], "refused": [], "names": [], "crash": []}
    for word, value in said:
        words[word].append(value)
    return Outcome(
        acknowledged=tuple(words["acknowledged"]),
        refused=tuple(words["refused"]),
        status=os.waitstatus_to_exitcode(status),
        names=tuple(name for names in words["names"] for name in names),
        crash="".join(words["crash"]),
    )


def kinds_of(name: str) -> tuple[Kind, ...]:
    """The faults that a call of this name can meet: only what writes is torn."""
    return KINDS if name in WRITES else tuple(kind for kind in KINDS if kind not in ("torn write", "short write"))


def sweep(fn: Callable[[Acknowledge], None], kind: Kind, renew: Callable[[], None]) -> Iterator[tuple[int, Outcome]]:
    """Every k at which `fn` makes a storage call, each after `renew` has put the files back."""
    renew()
    calls = run_with_fault(fn, 0, kind).calls
    for k in range(1, calls + 1):
        renew()
        yield k, run_with_fault(fn, k, kind)


def _in_child(fn: Callable[[Acknowledge], None], k: int, kind: Kind, send: int) -> None:
    write = os.write  # the pipe is not storage: its writes are not counted

    def say(word: str, value: object) -> None:
        write(send, json.dumps([word, value]).encode() + b"\n")

    status = CRASHED
    try:
        faults = _Faults(k, kind)
        faults.install()
        try:
            fn(lambda value: say("acknowledged", value))
        except LatticeError as refused:
            say("refused", refused.code)
        say("names", faults.names)
        status = 0
    except BaseException:  # noqa: BLE001  # the child must never return into the test runner
        say("crash", traceback.format_exc())
    finally:
        os._exit(status)


class _Faults:
    """Counts the storage calls of this process, and fails the k-th."""

    def __init__(self, k: int, kind: Kind) -> None:
        self.names: list[str] = []
        self._k = k
        self._kind = kind
        self._full = False  # a disk that took half a write takes no more

    def install(self) -> None:
        for name in CALLS:
            setattr(os, name, self._counted(name, getattr(os, name)))
        disk._sync = os.fdatasync

    def _counted(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def faulty(*args: Any, **kwargs: Any) -> Any:
            self.names.append(name)
            if self._full and name in WRITES:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if len(self.names) != self._k:
                return call(*args, **kwargs)
            return self._fault(name, call, *args, **kwargs)

        return faulty

    def _fault(self, name: str, call: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        match self._kind:
            case "kill before":
                os.kill(os.getpid(), signal.SIGKILL)
            case "kill after":
                call(*args, **kwargs)
                os.kill(os.getpid(), signal.SIGKILL)
            case "torn write" if name in WRITES:
                descriptor, data, *place = args
                call(descriptor, data[: len(data) // 2], *place)
                os.kill(os.getpid(), signal.SIGKILL)
            case "short write" if name in WRITES:
                self._full = True
                descriptor, data, *place = args
                return call(descriptor, data[: len(data) // 2], *place)
            case "torn write" | "short write":
                return call(*args, **kwargs)
            case "enospc":
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            case "eio":
                raise OSError(errno.EIO, os.strerror(errno.EIO))
        return None
