"""The only writer. A change is decided on state read under the task's lock, and appended before it is released.

ledger.transact(task_id, partial(change_status, to="review"), by=Signature("human:ann"))
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from lattice.core.actors import Actor
from lattice.core.codec import body_data, same_payload
from lattice.core.events import Event, Foreign, ShortIdAssigned, TaskCreated, TaskEvent, evolve
from lattice.core.ids import next_id, parse_id, successor, ulid_ms
from lattice.core.record import Protocol, Record
from lattice.core.task import Task
from lattice.errors import Conflict, InvalidId, NotFound

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from lattice.store.protocol import Numbers, Store, Tail

Body = TaskEvent | Foreign
Decide = Callable[[Task], Sequence[Body]]
DecideOnHistory = Callable[[Task, Sequence[Event]], Sequence[Body]]
DecideOnEvents = Callable[[Task, Sequence[Event]], Sequence[Event]]

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


class Adopted(Record):
    """What became of a stream that was taken over; the task where anything was written."""

    stream: str
    outcome: str  # created, extended, unchanged, or diverged: both sides went on since
    task: Task | None = None


class Ledger:
    """Transactions over a store. A transaction writes one stream."""

    def __init__(self, store: Store, source: Source) -> None:
        self.store = store
        self.source = source
        self.after: list[Callable[[Written], None]] = []
        """Told of each transaction that wrote, outside its lock. What they do cannot undo it; they raise nothing."""

    def new_id(self, prefix: str) -> str:
        """A fresh id of this kind."""
        return next_id(prefix, self.source.now_ms(), self.source.chance(), None)

    def transact(
        self, stream: str, decide: Decide, by: Signature, *, event_id: str | None = None, archived: bool = False
    ) -> Written:
        """Decide on the fresh task, and append what was decided as one act.

        `decide` is pure and may raise to refuse; then nothing is written. With `event_id` the act has
        to be one event; if the log has that id with the same payload, the call is a retry and writes
        nothing. Only with `archived` is an archived task decided on.
        Raises NotFound, Archived, Conflict, LockTimeout, LogDamaged, StorageError, WriteUncertain.
        """
        with self.store.exclusive(stream, archived=archived) as tail:
            task = tail.task
            if task is None:
                raise NotFound(f"Task {stream} not found.")
            bodies = decide(task)
            if event_id is not None:
                repeated = self._repeated(tail, event_id, bodies)
                if repeated is not None:
                    return Written(task, (repeated,), True)
            written = self._append(tail, stream, task, bodies, by, event_id)
        return self._told(written)

    def transact_on_history(self, stream: str, decide: DecideOnHistory, by: Signature) -> Written:
        """As `transact`, for a decision that hangs on earlier events and not on the task's state alone."""
        with self.store.exclusive(stream) as tail:
            task = tail.task
            if task is None:
                raise NotFound(f"Task {stream} not found.")
            written = self._append(tail, stream, task, decide(task, tail.events()), by, None)
        return self._told(written)

    def assign_short_ids(self, streams: Sequence[str], prefix: str, by: Signature) -> list[Written]:
        """Give each of these tasks the next short id, archived ones too; one that has an id keeps it."""
        with self.store.numbering() as numbers:
            assigned = [self._assign_short_id(stream, prefix, by, numbers) for stream in streams]
        return [self._told(written) for written in assigned]

    def _assign_short_id(self, stream: str, prefix: str, by: Signature, numbers: Numbers) -> Written:
        with self.store.exclusive(stream, archived=True) as tail:
            task = tail.task
            if task is None:
                raise NotFound(f"Task {stream} not found.")
            if task.short_id is not None:
                return Written(task, ())
            short_id = numbers.next(prefix)
            written = self._append(tail, stream, task, [ShortIdAssigned(short_id)], by, None)
        numbers.assign(short_id, stream)
        return written

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
        return self._told(written)

    def adopt(self, histories: Sequence[Sequence[Event]], prefix: str | None) -> list[Adopted]:
        """Take over streams that were written elsewhere: ids, times and actors are theirs, and no hook is told.

        A stream that is there already is only ever continued, where all that it lacks is later than all
        it has. A new task without a short id gets the next of `prefix`; one whose short id is another's here, too.
        Raises ValidationError for events that cannot follow each other, and then the stream is not there.
        """
        with self.store.numbering() as numbers:
            return [self._adopt(history, prefix, numbers) for history in histories]

    def extend(self, stream: str, decide: DecideOnEvents) -> Adopted:
        """Append events that were made elsewhere: as `adopt`, and decided on under the stream's lock.

        Raises what `decide` raises, NotFound, Archived, LockTimeout, LogDamaged, StorageError, WriteUncertain.
        """
        with self.store.exclusive(stream) as tail:
            task = tail.task
            if task is None:
                raise NotFound(f"Task {stream} not found.")
            stored = tail.events()
            events = decide(task, stored)
            return self._take_over(tail, stream, events, stored[-1]) if events else Adopted(stream, "unchanged", task)

    def _adopt(self, history: Sequence[Event], prefix: str | None, numbers: Numbers) -> Adopted:
        from lattice.core.adoption import continuation, renumbered, short_ids  # an import alone pays for it

        stream = history[0].task_id
        if self.store.exists(stream):
            with self.store.exclusive(stream, archived=True) as tail:
                stored = tail.events()
                outcome, missing = continuation(stored, history)
                if outcome != "extended":
                    return Adopted(stream, outcome)
                return self._take_over(tail, stream, missing, stored[-1])
        clash = any(numbers.find(short_id) not in (None, stream) for short_id in short_ids(history))
        nameless = history[0].raw is None and not short_ids(history)
        if prefix is not None and (clash or nameless):
            history = renumbered(history, numbers.next(prefix))
        with self.store.exclusive(stream, create=True) as tail:
            adopted = self._take_over(tail, stream, history, None)
        for short_id in short_ids(history):
            numbers.assign(short_id, stream)
        return adopted

    def _take_over(self, tail: Tail, stream: str, history: Sequence[Event], after: Event | None) -> Adopted:
        from lattice.core.adoption import in_chain  # an import alone pays for it

        task, events = tail.task, in_chain(history, after)
        for event in events:
            task = evolve(task, event)
        if task is None:
            raise AssertionError("events were applied and gave no task")
        tail.append(events, task)
        return Adopted(stream, "extended" if after is not None else "created", task)

    def _told(self, written: Written) -> Written:
        if written.events:
            for tell in self.after:
                tell(written)
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
        events = self.stamp(stream, bodies, by, tail.last_event_id, event_id)
        for event in events:
            task = evolve(task, event)  # What cannot be replayed cannot be written.
        if task is None:
            raise AssertionError("events were applied and gave no task")
        tail.append(events, task)
        return Written(task, tuple(events))

    def stamp(
        self, stream: str, bodies: Sequence[Body], by: Signature, last: str | None, event_id: str | None
    ) -> list[Event]:
        now_ms = self.source.now_ms()
        ts = timestamp(now_ms)
        events: list[Event] = []
        this, prev = event_id or next_id("ev", now_ms, self.source.chance(), last), last
        for place, body in enumerate(bodies, start=1):
            batch = (place, len(bodies)) if len(bodies) > 1 else None
            events.append(Event(this, ts, stream, by.actor, body, by.agent_meta, by.provenance, batch, prev))
            this, prev = successor(this), this
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
