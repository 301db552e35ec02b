"""Work on many files with every processor.

A part of the list whose helper did not come to its end is done again here: no answer is missing, and what it raises
is raised by the caller's own call.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import pairwise

from lattice.core.progress import Progress, told

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeVar

    _T = TypeVar("_T")
    _R = TypeVar("_R")

PART_MIN = 500
"""Fewer items than this are not worth a process."""

_progress: ContextVar[Progress | None] = ContextVar("progress", default=None)


@contextmanager
def telling(progress: Progress | None) -> Iterator[None]:
    """Within, `in_parts` tells `progress` how far it is.

    Not an argument of `in_parts`: it would be one of every scan above it, for the sake of a line on a terminal.
    """
    before = _progress.set(progress)
    try:
        yield
    finally:
        _progress.reset(before)


def in_parts(work: Callable[[Iterable[_T]], _R], items: Sequence[_T]) -> list[_R]:
    """`work` on consecutive parts of `items`, by all processors; the answers in the order of the parts.

    `work` runs in other processes too: what it changes in memory stays there, and its answer must be
    picklable. Raises what `work` raises.
    """
    return list(each_part(work, items))


def each_part(work: Callable[[Iterable[_T]], _R], items: Sequence[_T]) -> Generator[_R, None, None]:
    """As `in_parts`, each answer as it comes: what the caller does with it, it does while the others go on."""
    tally = _Tally(_progress.get(), len(items))
    count = len(items) // PART_MIN
    processors = min(_processors(), count)
    if processors < 2 or not _may_fork():
        with without_collection():
            yield work(tally.counted(items))
        return
    from lattice.store.files.helpers import PARTS_MAX, Helpers  # a few items pay for none of it

    count = min(count, PARTS_MAX)
    parts = [items[start:stop] for start, stop in pairwise(len(items) * place // count for place in range(count + 1))]
    own: dict[int, _R] = {}
    with without_collection(), Helpers(lambda place: work(parts[place]), count, processors - 1) as helpers:
        for place in range(count):
            while place not in own and not helpers.has(place):
                todo = helpers.claim()
                news = helpers.news(wait=todo is None)
                tally.add(sum(len(parts[one]) for one in news))
                if todo is None and not news:
                    todo = place  # Whoever had it is gone.
                if todo is not None:
                    own[todo] = work(tally.counted(parts[todo]))
            yield own.pop(place) if place in own else helpers.take(place)


class _Tally:
    """How many items are done, here and elsewhere."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._done = 0
        self._total = total

    def add(self, number: int) -> None:
        """So many more are done."""
        self._done += number
        if self._progress is not None and number:
            self._progress(self._done, self._total)

    def counted(self, part: Sequence[_T]) -> Iterable[_T]:
        """The part, whose items are added as they are done."""
        return part if self._progress is None else told(part, lambda *_: self.add(1))


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
