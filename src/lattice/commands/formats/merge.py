"""What is newer at a source, merged into a task that was imported from it before: pure but for the ids it is given.

A three-way merge, a field at a time: the base is what the source said at the last import, which the
log's imported events add up to. What changed there and not here is taken; what changed on both sides
is a conflict, and stays as it is here. Tags and links are sets, and cannot conflict.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from lattice.core.events import (
    CUSTOM,
    UPDATABLE,
    AssignmentChanged,
    CommentAdded,
    Event,
    FieldUpdated,
    Foreign,
    RelationshipAdded,
    RelationshipRemoved,
    StatusChanged,
    TaskEvent,
    evolve,
)
from lattice.core.ids import next_id, ulid_ms
from lattice.core.record import Record
from lattice.core.task import Task
from lattice.core.text import visible
from lattice.ledger import Signature, Source, timestamp

IMPORTED_FROM = "imported_from"
"""The member of an event's provenance that names the source, and in it the item, that said so."""

SEEN = "x_upstream_seen"
"""An event that records what the source says where that came to be the same on both sides, each by its own way."""

SINGLE = (*(name for name in UPDATABLE if name != "tags"), "status", "assigned_to")
VALUE_CHARS_MAX = 60


class Merge(Record):
    """What has to be written, the names of what it changes, and what stays as it is though the source disagrees."""

    events: tuple[Event, ...]
    changes: tuple[str, ...]
    conflicts: tuple[str, ...]


def source_in(event: Event) -> str | None:
    """The source that an event was imported from; None for an event of this board's own."""
    said = event.provenance or {}
    reason = str(said.get("reason", ""))
    before = reason.removeprefix("imported from ") if reason.startswith("imported from ") else None
    found = said.get(IMPORTED_FROM, before)  # Imports of earlier versions gave the reason alone.
    return str(found) if found is not None else None


def merge(ours: Task, stored: Sequence[Event], history: Sequence[Event], by: Signature, source: Source) -> Merge | None:
    """How `stored` goes on to take over what `history`, the source's present state, says anew.

    None where the task was not imported from there, so that there is no base.
    """
    name = source_in(history[0])
    imported = [event for event in stored if source_in(event) == name]
    if not imported or imported[0].id != stored[0].id:
        return None
    found = _Differences(_replayed(imported), ours, _replayed(history))
    moves = {event.body.to: ulid_ms(event.id) for event in history if isinstance(event.body, StatusChanged)}
    importer = (by.actor, by.agent_meta, marked(name or "", by.provenance))
    drafts = [(ulid_ms(event.id), event) for event in _unknown_remarks(imported, history)]
    remarks = len(drafts)
    for body in found.bodies:
        now_ms = source.now_ms()
        at_ms = moves.get(body.to, now_ms) if isinstance(body, StatusChanged) else now_ms
        actor, meta, provenance = importer
        drafts.append((at_ms, Event("", "", ours.id, actor, body, meta, provenance)))
    events: list[Event] = []
    for at_ms, draft in sorted(drafts, key=lambda pair: pair[0]):
        last = events[-1] if events else stored[-1]
        ms = max(at_ms, ulid_ms(last.id))
        events.append(draft.replace(id=next_id("ev", ms, source.chance(), last.id), ts=max(timestamp(ms), last.ts)))
    changes = (*found.changes, *(("comments",) if remarks else ()))
    return Merge(tuple(events), changes, tuple(found.conflicts))


def marked(source: str, said: Mapping[str, Any] | None) -> dict[str, Any]:
    """The provenance of an event that was imported from `source`, beside what the importer said."""
    return {"reason": f"imported from {source}", **(said or {}), IMPORTED_FROM: source}


class _Differences:
    """What a source says anew, against what it said before and what is said here."""

    def __init__(self, base: Task, ours: Task, theirs: Task) -> None:
        self.bodies: list[TaskEvent | Foreign] = []
        self.changes: list[str] = []
        self.conflicts: list[str] = []
        agreed: dict[str, Any] = {}
        was, here, there = (_values(task) for task in (base, ours, theirs))
        for name in sorted(was.keys() | here.keys() | there.keys()):
            old, mine, new = was.get(name), here.get(name), there.get(name)
            if new == old:
                continue
            if mine == new:
                agreed[name] = new
            elif mine == old:
                self._take(name, _change(name, mine, new))
            else:
                self.conflicts.append(f"{name} is {_shown(mine)} here and {_shown(new)} there; it was {_shown(old)}")
        tags = self._tags(base.tags or (), ours.tags or (), theirs.tags or ())
        if tags != list(theirs.tags or ()):
            agreed["tags"] = list(theirs.tags or ())  # else tags of ours would count as the source's from now on
        self._links(base, ours, theirs)
        if agreed:
            self.bodies.append(Foreign(SEEN, {"fields": agreed}))

    def _take(self, name: str, body: TaskEvent) -> None:
        self.bodies.append(body)
        if name not in self.changes:
            self.changes.append(name)

    def _tags(self, old: Sequence[str], mine: Sequence[str], new: Sequence[str]) -> list[str]:
        """Merge them; returns what the imported events make of the tags so far."""
        kept = [tag for tag in mine if tag in new or tag not in old]
        merged = [*kept, *(tag for tag in new if tag not in old and tag not in mine)]
        if merged != list(mine):
            self._take("tags", FieldUpdated(field="tags", from_=list(mine), to=merged))
            return merged
        return list(old)

    def _links(self, base: Task, ours: Task, theirs: Task) -> None:
        old, mine, new = (
            {(edge.type, edge.target_task_id): None for edge in task.relationships_out} for task in (base, ours, theirs)
        )
        for kind, target in [edge for edge in new if edge not in old and edge not in mine]:
            self._take("links", RelationshipAdded(type=kind, target_task_id=target))
        for kind, target in [edge for edge in old if edge not in new and edge in mine]:
            self._take("links", RelationshipRemoved(type=kind, target_task_id=target))


def _replayed(events: Sequence[Event]) -> Task:
    """The task as the source's events alone make it."""
    task: Task | None = None
    for event in events:
        task = evolve(task, event)
        if isinstance(event.body, Foreign) and event.body.type_name == SEEN:
            task = _with(task, event.body.data.get("fields", {}))
    if task is None:
        raise AssertionError("a history without events")
    return task


def _with(task: Task, fields: Mapping[str, Any]) -> Task:
    custom = {name.removeprefix(CUSTOM): value for name, value in fields.items() if name.startswith(CUSTOM)}
    single = {name: value for name, value in fields.items() if name in SINGLE}
    if "tags" in fields:
        single["tags"] = tuple(fields["tags"])
    return task.replace(**single, custom_fields={**task.custom_fields, **custom})


def _values(task: Task) -> dict[str, Any]:
    """Each value that can differ by itself, by the name that an update gives it; without those that are unset."""
    custom = {f"{CUSTOM}{name}": value for name, value in task.custom_fields.items()}
    values = {name: getattr(task, name) for name in SINGLE} | custom
    return {name: value for name, value in values.items() if value is not None}


def _change(name: str, old: Any, new: Any) -> TaskEvent:
    match name:
        case "status":
            return StatusChanged(from_=old, to=new, force=True, reason="imported")
        case "assigned_to":
            return AssignmentChanged(from_=old, to=new)
        case _:
            return FieldUpdated(field=name, from_=old, to=new)


def _unknown_remarks(imported: Sequence[Event], history: Sequence[Event]) -> list[Event]:
    """Comments of the source that no import brought here; one that was edited there counts as a new one."""
    known = Counter(_remark(event) for event in imported if isinstance(event.body, CommentAdded))
    unknown = []
    for event in history:
        if isinstance(event.body, CommentAdded):
            known[_remark(event)] -= 1
            if known[_remark(event)] < 0:
                unknown.append(event)
    return unknown


def _remark(event: Event) -> str:
    return str(event.body.fields()["body"])  # Not by whom: an unnamed author is whoever imports.


def _shown(value: Any) -> str:
    text = "unset" if value is None else visible(str(value))
    return repr(text if len(text) <= VALUE_CHARS_MAX else f"{text[: VALUE_CHARS_MAX - 1]}…")
