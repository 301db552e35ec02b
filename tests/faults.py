"""Faults in storage calls: functions run in a forked process, and the k-th call of one fails or is its last.

What the process was told is kept is said through a pipe before the next call, so that it is known also
when the process is killed. The counted calls are those that change or sync files.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
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
KILLS: tuple[Kind, ...] = ("kill before", "kill after", "torn write")
CRASHED = 70

Acknowledge = Callable[[str], None]
Try = tuple[Callable[[Acknowledge], None], int, Kind]


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
    (outcome,) = run_with_faults([(fn, k, kind)])
    return outcome


def run_with_faults(tries: Sequence[Try]) -> list[Outcome]:
    """The same for several in one process, one after another: only the last of them may be killed."""
    assert not any(kind in KILLS for _, _, kind in tries[:-1])
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receive)
        _in_child(tries, send)
    os.close(send)
    with os.fdopen(receive, "rb") as pipe:
        said = [json.loads(line) for line in pipe.read().splitlines()]
    _, status = os.waitpid(child, 0)
    heard: list[dict[str, list[Any]]] = [{"acknowledged": [], "refused": [], "names": [], "crash": []} for _ in tries]
    for number, word, value in said:
        heard[number][word].append(value)
    ended = os.waitstatus_to_exitcode(status)
    return [
        Outcome(
            acknowledged=tuple(words["acknowledged"]),
            refused=tuple(words["refused"]),
            status=0 if words["names"] else CRASHED if words["crash"] else ended,
            names=tuple(name for names in words["names"] for name in names),
            crash="".join(words["crash"]),
        )
        for words in heard
    ]


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


def _in_child(tries: Sequence[Try], send: int) -> None:
    write = os.write  # the pipe is not storage: its writes are not counted
    status = CRASHED
    try:
        faults = _Faults()
        faults.install()
        for number, (fn, k, kind) in enumerate(tries):

            def say(word: str, value: object, number: int = number) -> None:
                write(send, json.dumps([number, word, value]).encode() + b"\n")

            faults.aim(k, kind)
            _tried(fn, faults, say)
        status = 0
    finally:
        os._exit(status)  # It must never return into the test runner.


def _tried(fn: Callable[[Acknowledge], None], faults: _Faults, say: Callable[[str, object], None]) -> None:
    try:
        try:
            fn(lambda value: say("acknowledged", value))
        except LatticeError as refused:
            say("refused", refused.code)
        say("names", faults.names)
    except BaseException:  # noqa: BLE001  # whatever it is, the caller is to be told
        say("crash", traceback.format_exc())


class _Faults:
    """Counts the storage calls of this process, and fails the k-th."""

    def __init__(self) -> None:
        self.aim(0, "eio")

    def aim(self, k: int, kind: Kind) -> None:
        """Count from here on."""
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
                signal.raise_signal(signal.SIGKILL)
            case "kill after":
                call(*args, **kwargs)
                signal.raise_signal(signal.SIGKILL)
            case "torn write" if name in WRITES:
                descriptor, data, *place = args
                call(descriptor, data[: len(data) // 2], *place)
                signal.raise_signal(signal.SIGKILL)
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
