"""Where events live: what every store offers. Memory and files are proven by one conformance suite.

A *stream* is the log of one task, named by the task's id.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager

from lattice.core.record import Protocol
from lattice.errors import LatticeError

TYPE_CHECKING = False
if TYPE_CHECKING:  # Only names of types: every command imports this module, and few use them all.
    from lattice.core.events import Event
    from lattice.core.progress import Progress
    from lattice.core.resource import Resource
    from lattice.core.task import Task
    from lattice.store.view import View

Unread = dict[str, LatticeError]
"""Tasks whose logs cannot be read, by id, each with what is wrong: they are missing from the answer beside it."""


class Tail(Protocol):
    """The end of one stream, held exclusively."""

    @property
    def task(self) -> Task | None:
        """The fresh state, replayed to the last event; None for a stream without events."""

    @property
    def last_event_id(self) -> str | None:
        """The id of the last event."""

    def events(self) -> Sequence[Event]:
        """Every event of the stream, in order."""

    def find(self, event_id: str) -> Event | None:
        """The event of this id in the stream, or None."""

    def append(self, events: Sequence[Event], task: Task) -> None:
        """Write all `events` or none, durably. `task` is the state after them.

        Raises StorageError where nothing was written, WriteUncertain where nobody can say.
        """


class Numbers(Protocol):
    """The allocation of short ids, held exclusively."""

    def find(self, short_id: str) -> str | None:
        """The task that has this short id, or None."""

    def next(self, prefix: str) -> str:
        """The next free short id of this prefix."""

    def assign(self, short_id: str, task_id: str) -> None:
        """Note that the id is taken. The truth is the event that says so."""


class Store(Protocol):
    """Streams of events, and the states they add up to."""

    def exclusive(self, stream: str, *, create: bool = False, archived: bool = False) -> AbstractContextManager[Tail]:
        """Hold a stream for writing; one that its events leave archived is put away at the end.

        Raises NotFound, unless `create`; Archived for an archived stream, unless `archived`; LockTimeout;
        LogDamaged.
        """

    def numbering(self) -> AbstractContextManager[Numbers]:
        """Hold the allocation of short ids. Taken before a stream, never after it."""

    def exists(self, stream: str) -> bool:
        """Whether the stream has been begun, archived ones included."""

    def task(self, stream: str) -> Task:
        """The fresh state of a task, archived or not. Raises NotFound, LogDamaged."""

    def history(self, stream: str) -> tuple[Task, Sequence[Event]]:
        """The fresh state and every event, in order. Raises NotFound, LogDamaged."""

    def tasks(self, *, archived: bool = False, unread: Unread | None = None) -> Iterator[Task]:
        """The fresh state of every task that is not archived, or of every one that is, oldest first.

        A task whose log cannot be read is put in `unread`; where that is None, LogDamaged or StorageError is raised.
        """

    def view(
        self, *, archived: bool = False, texts: bool = False, unread: Unread | None = None
    ) -> AbstractContextManager[View]:
        """A look at all tasks at once; archived ones too where asked for. `texts` is needed to search.

        What cannot be read is told of as by `tasks`.
        """

    def histories(
        self,
        *,
        since: str | None = None,
        having: str | None = None,
        progress: Progress | None = None,
        unread: Unread | None = None,
    ) -> Iterator[tuple[Task, Sequence[Event]]]:
        """Every task, archived ones too, with all of its events, oldest first, in one pass.

        With `since`, a time as events have it, a task without an event from then on may be left out; with `having`,
        one without an event of this type. `progress` counts them all the same. What cannot be read is told of as
        by `tasks`.
        """

    def resolve(self, short_id: str) -> str | None:
        """The task that has this short id, or None."""

    def short_id(self, stream: str) -> str | None:
        """A short id of the task, as far as one is known without its log."""


class ResourceTail(Protocol):
    """The end of one resource's log, held exclusively."""

    @property
    def resource(self) -> Resource | None:
        """The fresh state; None where there is none of the name yet."""

    def events(self) -> Sequence[Event]:
        """Every event of the resource, in order."""

    def append(self, events: Sequence[Event], resource: Resource) -> None:
        """Write all `events` or none, durably. `resource` is the state after them.

        Raises StorageError where nothing was written, WriteUncertain where nobody can say.
        """


class ResourceStore(Protocol):
    """Shared resources, each a stream of its own."""

    def exclusive(self, name: str, resource_id: str | None = None) -> AbstractContextManager[ResourceTail]:
        """Hold a resource for writing; `resource_id` is the id of one to be made.

        Raises NotFound for a name that is not there, without `resource_id`; Conflict for an id that another
        name has; LockTimeout; LogDamaged.
        """

    def find(self, name: str) -> Resource | None:
        """The fresh state of a resource, or None. Raises LogDamaged."""

    def all(self) -> Sequence[Resource]:
        """Every resource, by name. Raises LogDamaged."""

    def histories(self) -> Sequence[tuple[Resource, Sequence[Event]]]:
        """Every resource with all of its events, by name. Raises LogDamaged."""
