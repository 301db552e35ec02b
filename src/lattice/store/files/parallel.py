"""Work on many files with every processor: children by `fork`, each with a part of the list.

A child inherits what it needs and writes one answer, to a file without a name, so that nobody waits for
a reader. A part whose child did not come to its end is done again here: no answer is missing, and what
it raises is raised by the caller's own call.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import pairwise

from lattice.core.progress import Progress, told

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import IO, TypeVar, overload

    _T = TypeVar("_T")
    _T_co = TypeVar("_T_co", covariant=True)
    _R = TypeVar("_R")

PART_MIN = 500
"""Fewer items than this are not worth a process."""

_progress: ContextVar[Progress | None] = ContextVar("progress", default=None)


@contextmanager
def telling(progress: Progress | None) -> Iterator[None]:
    """Within, `in_parts` tells `progress` how far it is: by the part that is done in this process.

    Not an argument of `in_parts`: it would be one of every scan above it, for the sake of a line on a terminal.
    """
    before = _progress.set(progress)
    try:
        yield
    finally:
        _progress.reset(before)


def in_parts(work: Callable[[Sequence[_T]], _R], items: Sequence[_T]) -> list[_R]:
    """`work` on consecutive parts of `items`, one a processor; the answers in the order of the parts.

    `work` runs in other processes too: what it changes in memory stays there, and its answer must be
    picklable. The first part is done in this process. Raises what `work` raises.
    """
    return list(each_part(work, items))


def each_part(work: Callable[[Sequence[_T]], _R], items: Sequence[_T], own: float = 1.0) -> Generator[_R, None, None]:
    """As `in_parts`, each answer as it comes.

    `own` is how large this process's part is beside each of the others: smaller than they are, where the caller has
    something else to do after the first answer.
    """
    count = max(1, min(_processors(), len(items) // PART_MIN))
    if count == 1 or not _may_fork():
        with without_collection():
            yield work(_counted(items, len(items)))
        return
    first = int(len(items) * own / (count - 1 + own))
    others = [first + (len(items) - first) * place // (count - 1) for place in range(count)]
    parts = [items[start:stop] for start, stop in pairwise((0, *others))]
    children = [_begun(work, part) for part in parts[1:]]
    try:
        with without_collection():
            yield work(_counted(parts[0], len(items)))
            for child, part in zip(children, parts[1:], strict=True):
                yield _answer(child, work, part)
    finally:
        for child in children:
            child.end()


def _counted(part: Sequence[_T], total: int) -> Sequence[_T]:
    progress = _progress.get()
    return part if progress is None else _Counted(part, progress, total)


class _Counted(Sequence["_T_co"]):
    """A part that tells how much of the whole was done when its items are gone through."""

    def __init__(self, part: Sequence[_T_co], progress: Progress, total: int) -> None:
        self._part = part
        self._progress = progress
        self._total = total

    def __iter__(self) -> Iterator[_T_co]:
        return told(self._part, self._progress, self._total)

    def __len__(self) -> int:
        return len(self._part)

    if TYPE_CHECKING:

        @overload
        def __getitem__(self, place: int) -> _T_co: ...

        @overload
        def __getitem__(self, place: slice) -> Sequence[_T_co]: ...

    def __getitem__(self, place: int | slice) -> _T_co | Sequence[_T_co]:
        return self._part[place]


class _Child:
    """A process at work on a part, and the file that its answer comes in."""

    def __init__(self, pid: int, file: IO[bytes]) -> None:
        self._pid: int | None = pid
        self._file = file

    def wait(self) -> bool:
        """Wait for its end. Returns whether it did its part."""
        if self._pid is None:
            return False
        pid, self._pid = self._pid, None
        return os.waitpid(pid, 0)[1] == 0

    def read(self) -> bytes:
        self._file.seek(0)
        return self._file.read()

    def end(self) -> None:
        """Leave neither the process nor its file, whatever happened."""
        if self._pid is not None:
            os.kill(self._pid, 9)
            self.wait()
        self._file.close()


def _begun(work: Callable[[Sequence[_T]], _R], part: Sequence[_T]) -> _Child:
    import pickle  # a few items pay for none of it

    file = _nameless()
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return _Child(pid, file)
    status = 1
    try:
        with without_collection():
            pickle.dump(work(part), file, pickle.HIGHEST_PROTOCOL)
        file.flush()
        status = 0
    finally:
        # Neither the caller's handlers nor its buffers are this process's to run or to write.
        os._exit(status)


def _answer(child: _Child, work: Callable[[Sequence[_T]], _R], part: Sequence[_T]) -> _R:
    if not child.wait():
        return work(part)
    import pickle  # as above

    answer: _R = pickle.loads(child.read())  # noqa: S301  # our own child wrote it, to a file without a name
    return answer


def _nameless() -> IO[bytes]:
    if hasattr(os, "memfd_create"):
        return open(os.memfd_create("lattice"), "w+b")
    import tempfile  # macOS

    return tempfile.TemporaryFile()


def _may_fork() -> bool:
    # A fork of a process with threads may inherit a lock that nobody will release.
    threading = sys.modules.get("threading")
    return hasattr(os, "fork") and (threading is None or threading.active_count() == 1)


def _processors() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        return os.cpu_count() or 1


@contextmanager
def without_collection() -> Iterator[None]:
    """Without the search for circles of garbage, of which logs and states make none. A decorator, too."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
