"""Where events live: what every store offers. Memory and files are proven by one conformance suite.

A *stream* is the log of one task, named by the task's id.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from lattice.core.events import Event
from lattice.core.task import Task


class Tail(Protocol):
    """The end of one stream, held exclusively."""

    @property
    def task(self) -> Task | None:
        """The fresh state, replayed to the last event; None for a stream without events."""

    @property
    def last_event_id(self) -> str | None:
        """The id of the last event."""

    def find(self, event_id: str) -> Event | None:
        """The event of this id in the stream, or None."""

    def append(self, events: Sequence[Event], task: Task) -> None:
        """Write all `events` or none, durably. `task` is the state after them.

        Raises StorageError where nothing was written, WriteUncertain where nobody can say.
        """


class Numbers(Protocol):
    """The allocation of short ids, held exclusively."""

    def next(self, prefix: str) -> str:
        """The next free short id of this prefix."""

    def assign(self, short_id: str, task_id: str) -> None:
        """Note that the id is taken. The truth is the event that says so."""


class Store(Protocol):
    """Streams of events, and the states they add up to."""

    def exclusive(self, stream: str, *, create: bool = False) -> AbstractContextManager[Tail]:
        """Hold a stream for writing. Raises NotFound, unless `create`; LockTimeout; LogDamaged."""

    def numbering(self) -> AbstractContextManager[Numbers]:
        """Hold the allocation of short ids. Taken before a stream, never after it."""

    def exists(self, stream: str) -> bool:
        """Whether the stream has been begun."""

    def task(self, stream: str) -> Task:
        """The fresh state of a task. Raises NotFound, LogDamaged."""

    def history(self, stream: str) -> tuple[Task, Sequence[Event]]:
        """The fresh state and every event, in order. Raises NotFound, LogDamaged."""

    def tasks(self) -> Iterator[Task]:
        """The fresh state of every task, oldest first. Raises LogDamaged."""

    def resolve(self, short_id: str) -> str | None:
        """The task that has this short id, or None."""
