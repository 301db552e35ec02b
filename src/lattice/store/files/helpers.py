"""Processes that take one part of a work after the other, by `fork`: they inherit what they need.

Whose part is next is a byte in a pipe that all read, the caller too, so that a process that is slower, or has
something else to do, takes fewer parts. Answers go to files without names: nobody waits for a reader.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable

from lattice.store.files.disk import read_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PARTS_MAX = 64
"""The number of a part is one byte; in so many, what the last process does alone is little."""

_NEWS = 10  # The helper, the part, and in eight bytes where its answer ends. A pipe takes them whole or not at all.


class Helpers:
    """Up to `count` processes at work on the parts 0 to `parts` - 1, in that order.

    `work` gets the number of a part. Its answer must be picklable. At the exit nothing is left of any process.
    """

    def __init__(self, work: Callable[[int], object], parts: int, count: int) -> None:
        self._answers: dict[int, tuple[int, int, int]] = {}
        self._files: list[int] = []
        self._ends: list[int] = []
        self._pids: list[int] = []
        self._todo, todo = os.pipe()
        os.write(todo, bytes(range(parts)))
        os.close(todo)
        self._news, tell = os.pipe()
        try:
            for _ in range(count):
                self._begin(work, tell)
        except OSError:
            return  # No more processes or files are to be had: whoever asked does the rest alone.
        except BaseException:
            self.__exit__()
            raise
        finally:
            os.close(tell)  # The last helper's end is the end of the news.

    def __enter__(self) -> Helpers:
        return self

    def __exit__(self, *_: object) -> None:
        for pid in self._pids:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
        for descriptor in (self._todo, self._news, *self._files):
            os.close(descriptor)

    def claim(self) -> int | None:
        """The next part, which nobody else will do; None where there is none."""
        part = os.read(self._todo, 1)
        return part[0] if part else None

    def news(self, *, wait: bool) -> list[int]:
        """The parts that were done since the last call; with `wait` at least one, but where no helper is left."""
        found: list[int] = []
        os.set_blocking(self._news, wait)
        try:
            while said := os.read(self._news, _NEWS):
                helper, part, end = said[0], said[1], int.from_bytes(said[2:], "big")
                self._answers[part] = (self._files[helper], self._ends[helper], end)
                self._ends[helper] = end
                found.append(part)
                os.set_blocking(self._news, False)
        except BlockingIOError:
            return found
        return found

    def has(self, part: int) -> bool:
        """Whether the answer to this part is there, as far as the news told."""
        return part in self._answers

    def take(self, part: int) -> Any:  # what `work` answers
        """The answer to this part. Raises KeyError where it is not there."""
        return pickle.loads(read_from(*self._answers.pop(part)))  # noqa: S301  # our own helper's

    def _begin(self, work: Callable[[int], object], tell: int) -> None:
        number = len(self._files)
        self._files.append(_nameless())
        self._ends.append(0)
        pid = os.fork()
        if pid:
            self._pids.append(pid)
            return
        status = 1
        try:
            self._help(work, number, tell)
            status = 0
        finally:
            # Neither the caller's handlers nor its buffers are this process's to run or to write.
            os._exit(status)

    def _help(self, work: Callable[[int], object], number: int, tell: int) -> None:
        os.close(self._news)  # To tell nobody is refused: a helper outlives its caller by one part at most.
        with open(self._files[number], "wb", closefd=False) as answers:
            while (part := self.claim()) is not None:
                pickle.dump(work(part), answers, pickle.HIGHEST_PROTOCOL)
                answers.flush()
                os.write(tell, bytes((number, part)) + answers.tell().to_bytes(_NEWS - 2, "big"))


def _nameless() -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create("lattice")
    import tempfile  # macOS

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
