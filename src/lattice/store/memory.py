"""The store in memory: a double for tests that ships with the product, held to the same suite as the files."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from lattice.core.codec import encode
from lattice.core.events import Event
from lattice.core.progress import Progress, told
from lattice.core.resource import Resource
from lattice.core.summary import words
from lattice.core.task import Task
from lattice.errors import Archived, Conflict, NotFound
from lattice.store.protocol import Unread
from lattice.store.view import ScannedView, View


class MemoryStore:
    """Streams in dictionaries. Implements `lattice.store.protocol.Store`."""

    def __init__(self) -> None:
        self._streams: dict[str, tuple[Task, list[Event]]] = {}
        self._lock = threading.RLock()
        self._numbers = MemoryNumbers()

    def exists(self, stream: str) -> bool:
        return stream in self._streams

    def task(self, stream: str) -> Task:
        return self._stored(stream)[0]

    def history(self, stream: str) -> tuple[Task, Sequence[Event]]:
        task, events = self._stored(stream)
        return task, list(events)

    def tasks(self, *, archived: bool = False, unread: Unread | None = None) -> Iterator[Task]:
        for stream in sorted(self._streams):
            if self._streams[stream][0].archived == archived:
                yield self._streams[stream][0]

    @contextmanager
    def view(self, *, archived: bool = False, texts: bool = False, unread: Unread | None = None) -> Iterator[View]:
        tasks = [*self.tasks(), *(self.tasks(archived=True) if archived else ())]
        yield ScannedView(tasks, lambda task: words(task, self._stored(task.id)[1], {}))

    def histories(
        self,
        *,
        since: str | None = None,
        having: str | None = None,
        progress: Progress | None = None,
        unread: Unread | None = None,
    ) -> Iterator[tuple[Task, Sequence[Event]]]:
        for stream in told(sorted(self._streams), progress):
            task, events = self.history(stream)
            if having is not None and all(event.type != having for event in events):
                continue
            if since is None or any(event.ts >= since for event in events):
                yield task, events

    def resolve(self, short_id: str) -> str | None:
        return self._numbers.tasks.get(short_id)

    def short_id(self, stream: str) -> str | None:
        return next((short_id for short_id, task_id in self._numbers.tasks.items() if task_id == stream), None)

    @contextmanager
    def exclusive(self, stream: str, *, create: bool = False, archived: bool = False) -> Iterator[MemoryTail]:
        with self._lock:
            if not create and stream not in self._streams:
                raise NotFound(f"Task {stream} not found.")
            tail = MemoryTail(self, stream)
            if not archived and tail.task is not None and tail.task.archived:
                raise Archived(f"Task {tail.task.name} is archived.")
            yield tail

    @contextmanager
    def numbering(self) -> Iterator[MemoryNumbers]:
        with self._lock:
            yield self._numbers

    def _stored(self, stream: str) -> tuple[Task, list[Event]]:
        if stream not in self._streams:
            raise NotFound(f"Task {stream} not found.")
        return self._streams[stream]


class MemoryNumbers:
    """The allocation of short ids."""

    def __init__(self) -> None:
        self.tasks: dict[str, str] = {}
        self._next: dict[str, int] = {}

    def find(self, short_id: str) -> str | None:
        return self.tasks.get(short_id)

    def next(self, prefix: str) -> str:
        number = self._next.get(prefix, 1)
        self._next[prefix] = number + 1
        return f"{prefix}-{number}"

    def assign(self, short_id: str, task_id: str) -> None:
        self.tasks[short_id] = task_id


class MemoryTail:
    """The end of one stream."""

    def __init__(self, store: MemoryStore, stream: str) -> None:
        self._store = store
        self._stream = stream

    @property
    def task(self) -> Task | None:
        kept = self._store._streams.get(self._stream)
        return kept[0] if kept else None

    @property
    def last_event_id(self) -> str | None:
        return self.task.last_event_id if self.task is not None else None

    def events(self) -> Sequence[Event]:
        kept = self._store._streams.get(self._stream)
        return list(kept[1]) if kept else []

    def find(self, event_id: str) -> Event | None:
        return next((event for event in self.events() if event.id == event_id), None)

    def append(self, events: Sequence[Event], task: Task) -> None:
        for event in events:
            encode(event)  # What the files could not hold is refused here too.
        kept = self._store._streams.get(self._stream)
        self._store._streams[self._stream] = (task, [*(kept[1] if kept else []), *events])


class MemoryResources:
    """Shared resources in a dictionary. Implements `lattice.store.protocol.ResourceStore`."""

    def __init__(self) -> None:
        self._streams: dict[str, tuple[Resource, tuple[Event, ...]]] = {}
        self._lock = threading.RLock()

    def find(self, name: str) -> Resource | None:
        return next((resource for resource in self.all() if resource.name == name), None)

    def all(self) -> list[Resource]:
        return [resource for resource, _ in self.histories()]

    def histories(self) -> list[tuple[Resource, Sequence[Event]]]:
        return sorted(self._streams.values(), key=lambda one: (one[0].name, one[0].id))

    @contextmanager
    def exclusive(self, name: str, resource_id: str | None = None) -> Iterator[MemoryResourceTail]:
        with self._lock:
            found = self.find(name)
            if found is None and resource_id is None:
                raise NotFound(f"Resource {name} not found.")
            taken = self._streams.get(resource_id or "") if found is None else None
            if taken is not None:
                raise Conflict(f"Resource id {resource_id} is already used by {taken[0].name}.")
            yield MemoryResourceTail(self, found)

    def events(self, resource_id: str) -> tuple[Event, ...]:
        """Every event of a resource that is there."""
        return self._streams[resource_id][1]

    def keep(self, resource: Resource, events: Sequence[Event]) -> None:
        """Put the state and all events of a resource in place of what there was."""
        self._streams[resource.id] = (resource, tuple(events))


class MemoryResourceTail:
    """The end of one resource's stream."""

    def __init__(self, resources: MemoryResources, resource: Resource | None) -> None:
        self.resource = resource
        self._resources = resources

    def events(self) -> Sequence[Event]:
        return self._resources.events(self.resource.id) if self.resource is not None else ()

    def append(self, events: Sequence[Event], resource: Resource) -> None:
        for event in events:
            encode(event)  # What the files could not hold is refused here too.
        self._resources.keep(resource, (*self.events(), *events))
        self.resource = resource
