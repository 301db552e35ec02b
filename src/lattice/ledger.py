"""The only writer. A change is decided on state read under the task's lock, and appended before it is released.

ledger.transact(task_id, partial(change_status, to="review"), by=Signature("human:ann"))
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from lattice.core.actors import Actor
from lattice.core.codec import body_data, same_payload
from lattice.core.events import Event, Foreign, TaskCreated, TaskEvent, evolve
from lattice.core.ids import next_id, parse_id, ulid_ms
from lattice.core.record import Record
from lattice.core.task import Task
from lattice.errors import Conflict, InvalidId, NotFound
from lattice.store.protocol import Store, Tail

Body = TaskEvent | Foreign
Decide = Callable[[Task], Sequence[Body]]

FUTURE_MS_MAX = 24 * 3600 * 1000
"""How far ahead of the clock a caller's own event id may be: ids after it have to be greater still."""


class Signature(Record):
    """Who acts, and why: what each event of a transaction says beside its facts."""

    actor: Actor
    agent_meta: Mapping[str, Any] | None = None
    provenance: Mapping[str, Any] | None = None


class Source(Protocol):
    """Time and chance, handed in so that a test can hold them."""

    def now_ms(self) -> int:
        """Milliseconds since 1970."""

    def chance(self) -> int:
        """80 random bits."""


class Written(Record):
    """What a transaction did: the state after it, and the events it wrote (none: nothing to change)."""

    task: Task
    events: tuple[Event, ...]
    repeated: bool = False  # a retry found its event there already


class Ledger:
    """Transactions over a store. A transaction writes one stream."""

    def __init__(self, store: Store, source: Source) -> None:
        self.store = store
        self.source = source

    def new_id(self, prefix: str) -> str:
        """A fresh id of this kind."""
        return next_id(prefix, self.source.now_ms(), self.source.chance(), None)

    def transact(self, stream: str, decide: Decide, by: Signature, *, event_id: str | None = None) -> Written:
        """Decide on the fresh task, and append what was decided as one act.

        `decide` is pure and may raise to refuse; then nothing is written. With `event_id` the act has
        to be one event; if the log has that id with the same payload, the call is a retry and writes
        nothing. Raises NotFound, Conflict, LockTimeout, LogDamaged, StorageError, WriteUncertain.
        """
        with self.store.exclusive(stream) as tail:
            task = tail.task
            if task is None:
                raise NotFound(f"Task {stream} not found.")
            bodies = decide(task)
            if event_id is not None:
                repeated = self._repeated(tail, event_id, bodies)
                if repeated is not None:
                    return Written(task, (repeated,), True)
            return self._append(tail, stream, task, bodies, by, event_id)

    def create(
        self, stream: str, make: Callable[[str | None], TaskCreated], by: Signature, prefix: str | None
    ) -> Written:
        """Begin a task's stream. `make` is given the short id, None where `prefix` is None.

        If the stream exists and was begun with the same payload the call is a retry; with another
        payload it raises Conflict. A short id that was taken by a create that failed stays unused.
        """
        with self.store.numbering() as numbers:
            if self.store.exists(stream):
                return self._created_before(stream, make)
            short_id = numbers.next(prefix) if prefix else None
            with self.store.exclusive(stream, create=True) as tail:
                written = self._append(tail, stream, None, [make(short_id)], by, None)
            if short_id:
                numbers.assign(short_id, stream)
            return written

    def _created_before(self, stream: str, make: Callable[[str | None], TaskCreated]) -> Written:
        task, events = self.store.history(stream)
        first = events[0]
        body = make(first.body.short_id if isinstance(first.body, TaskCreated) else None)
        if not same_payload(first, body.kind, body_data(body)):
            raise Conflict(f"Task {stream} exists with different data.", hint=f"lattice show {task.name}")
        return Written(task, (first,), True)

    def _append(
        self, tail: Tail, stream: str, task: Task | None, bodies: Sequence[Body], by: Signature, event_id: str | None
    ) -> Written:
        if not bodies:
            if task is None:
                raise NotFound(f"Task {stream} not found.")
            return Written(task, ())
        events = self._stamp(stream, bodies, by, tail.last_event_id, event_id)
        for event in events:
            task = evolve(task, event)  # What cannot be replayed cannot be written.
        if task is None:
            raise AssertionError("events were applied and gave no task")
        tail.append(events, task)
        return Written(task, tuple(events))

    def _stamp(
        self, stream: str, bodies: Sequence[Body], by: Signature, last: str | None, event_id: str | None
    ) -> list[Event]:
        now_ms = self.source.now_ms()
        ts = timestamp(now_ms)
        events: list[Event] = []
        newest, prev = last, last
        for place, body in enumerate(bodies, start=1):
            this = event_id or next_id("ev", now_ms, self.source.chance(), newest)
            batch = (place, len(bodies)) if len(bodies) > 1 else None
            events.append(Event(this, ts, stream, by.actor, body, by.agent_meta, by.provenance, batch, prev))
            newest = prev = this
        return events

    def _repeated(self, tail: Tail, event_id: str, bodies: Sequence[Body]) -> Event | None:
        parse_id("ev", event_id)
        if ulid_ms(event_id) > self.source.now_ms() + FUTURE_MS_MAX:
            raise InvalidId(f"Event id {event_id} lies in the future.", hint="Make the id from the present time.")
        if len(bodies) != 1:
            raise Conflict(f"Event id {event_id} was given for an act of {len(bodies)} events; it can name one.")
        stored = tail.find(event_id)
        if stored is None:
            return None
        body = bodies[0]
        kind = body.type_name if isinstance(body, Foreign) else body.kind
        if same_payload(stored, kind, body_data(body)):
            return stored
        raise Conflict(f"Event {event_id} exists with different data.", hint="Use a new id for a new event.")


def timestamp(ms: int) -> str:
    """Milliseconds since 1970 as the log writes time: UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ms // 1000))
