"""Streams that were written elsewhere: how they relate to ours, and how they are taken over."""

from __future__ import annotations

from collections.abc import Sequence

from lattice.core.codec import chained
from lattice.core.events import Event, ShortIdAssigned, TaskCreated, evolve
from lattice.core.task import Task


def continuation(stored: Sequence[Event], history: Sequence[Event]) -> tuple[str, list[Event]]:
    """How a stream relates to a history of it from elsewhere, and the events that it lacks."""
    if stored[0].id != history[0].id:
        return "diverged", []  # the same task by its id, and not by its beginning
    known = {event.id for event in stored}
    missing = [event for event in history if event.id not in known]
    if not missing:
        return "unchanged", []
    return ("extended" if missing[0].id > stored[-1].id else "diverged"), missing


def short_ids(history: Sequence[Event]) -> list[str]:
    """The short ids that the history gives to its task, in order."""
    bodies = [event.body for event in history if isinstance(event.body, (TaskCreated, ShortIdAssigned))]
    return [body.short_id for body in bodies if body.short_id is not None]


def renumbered(history: Sequence[Event], short_id: str) -> list[Event]:
    """The history with this short id in place of what it gave; in the first event, where it gave none."""
    events = []
    for event in history:
        body = event.body
        gives = isinstance(body, ShortIdAssigned) or (isinstance(body, TaskCreated) and event is history[0])
        events.append(event.replace(body=body.replace(short_id=short_id)) if gives else event)
    return events


def in_chain(history: Sequence[Event], after: Event | None) -> list[Event]:
    """Events to append after one: as they were read, and those that no log has held yet as one act."""
    fresh = [event.id for event in history if event.raw is None]
    events: list[Event] = []
    newest = after.id if after is not None else None
    for event in history:
        place = (fresh.index(event.id) + 1, len(fresh)) if event.raw is None and len(fresh) > 1 else event.batch
        prev = event.prev if chained(event) else newest
        events.append(event.replace(batch=place, prev=prev))
        newest = event.id
    return events


_SAID = (
    "title", "status", "priority", "urgency", "complexity", "type", "description", "tags", "assigned_to",
    "custom_fields",
)  # fmt: skip


def says_the_same(task: Task, history: Sequence[Event]) -> bool:
    """Whether a history from elsewhere comes to what the task says, by whatever way."""
    other: Task | None = None
    for event in history:
        other = evolve(other, event)
    return other is not None and all(getattr(task, name) == getattr(other, name) for name in _SAID)
