"""Each event: the facts it carries, and its effect on a task.

A field named with a trailing underscore stands for a JSON key that Python reserves (`from_`).
A field without a default is always written; one with a default is written where it differs from it.
"""

from __future__ import annotations

from collections.abc import Mapping

from lattice.core.actors import Actor
from lattice.core.config import STATUSES
from lattice.core.record import Record
from lattice.core.task import BranchLink, EvidenceRef, Relationship, Task
from lattice.errors import ValidationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar

KINDS: dict[str, type[TaskEvent]] = {}
"""The event types that were defined so far, by their names in the log; `every_kind` has all of them."""

OF_RUNS = "process_"
_OF_REVIEWS = ("review_", "finding_")


class TaskEvent(Record):
    """The body of an event. Subclasses name their `kind` and say what they do to a task."""

    kind: ClassVar[str] = ""

    def __init_subclass__(cls, kind: str, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.kind = kind
        KINDS[kind] = cls

    def apply(self, task: Task, event: Event) -> Task:
        """The task after this event, but for what every event changes. Most events leave it as it is."""
        del event
        return task


def kind_of(name: str) -> type[TaskEvent] | None:
    """The class of the events of this type; None where this version knows none."""
    kind = KINDS.get(name)
    if kind is None and name.startswith(OF_RUNS):
        return _of_runs().get(name)
    if kind is None and name.startswith(_OF_REVIEWS):
        return _of_reviews().get(name)
    return kind


def every_kind() -> Mapping[str, type[TaskEvent]]:
    """Every event type that this version knows, by its name in the log."""
    elsewhere = _of_runs() | _of_reviews()
    return {name: kind for name, kind in KINDS.items() if name not in elsewhere} | elsewhere


def _of_runs() -> dict[str, type[TaskEvent]]:
    from lattice.core import run_events  # many logs have none of them, and reading one waits for no class of theirs

    return {kind.kind: kind for kind in run_events.EVENTS}


def _of_reviews() -> dict[str, type[TaskEvent]]:
    from lattice.core import review_events  # as above: most logs have none

    return {kind.kind: kind for kind in review_events.EVENTS}


class Event(Record):
    """One line of a log: who, when, on which task, and the body."""

    id: str
    ts: str  # UTC, to the second: 2026-11-20T23:39:05Z
    task_id: str
    actor: Actor
    body: TaskEvent | Foreign
    agent_meta: Mapping[str, Any] | None = None
    provenance: Mapping[str, Any] | None = None
    batch: tuple[int, int] | None = None
    prev: str | None = None
    raw: Mapping[str, Any] | None = None  # as it was read, newer keys included

    @property
    def type(self) -> str:
        """The event's name in the log."""
        return self.body.type_name if isinstance(self.body, Foreign) else self.body.kind


class Foreign(Record):
    """The body of an event that this version has no class for: custom (`x_…`) or newer. Kept as it came."""

    type_name: str
    data: Mapping[str, Any]


def evolve(task: Task | None, event: Event) -> Task:
    """The task after `event`. Raises ValidationError where the event cannot follow."""
    body = event.body
    if isinstance(body, TaskCreated):
        if task is not None:
            raise ValidationError(f"Task {task.name} exists already; {event.id} would create it a second time.")
        return body.begin(event)
    if task is None:
        raise ValidationError(f"{event.id} ({event.type}) comes before the task was created.")
    changed = task if isinstance(body, Foreign) else body.apply(task, event)
    return changed.replace(updated_at=event.ts, last_event_id=event.id)


# Tasks


class TaskCreated(TaskEvent, kind="task_created"):
    """A task was made, with everything that was said of it then."""

    title: str
    status: str
    type: str
    priority: str
    short_id: str | None = None
    urgency: str | None = None
    complexity: str | None = None
    description: str | None = None
    tags: tuple[str, ...] | None = None
    assigned_to: Actor | None = None
    custom_fields: Mapping[str, Any] | None = None

    def begin(self, event: Event) -> Task:
        """The task that this event starts."""
        given = self.fields()
        return Task(
            **(given | {"custom_fields": self.custom_fields or {}}),
            id=event.task_id,
            created_by=event.actor,
            created_at=event.ts,
            updated_at=event.ts,
            done_at=event.ts if self.status == "done" else None,
            last_status_changed_at=event.ts,
            relationships_out=(),
            evidence_refs=(),
            branch_links=(),
            comment_count=0,
            reopened_count=0,
            last_event_id=event.id,
        )


class TaskArchived(TaskEvent, kind="task_archived"):
    """The task was put away, out of every list."""

    def apply(self, task: Task, event: Event) -> Task:
        return task.replace(archived=True)


class TaskUnarchived(TaskEvent, kind="task_unarchived"):
    """The task was brought back from the archive."""

    def apply(self, task: Task, event: Event) -> Task:
        return task.replace(archived=False)


class ShortIdAssigned(TaskEvent, kind="task_short_id_assigned"):
    """The task got a short id, or another one in place of one that two tasks had."""

    short_id: str

    def apply(self, task: Task, event: Event) -> Task:
        return task.replace(short_id=self.short_id)


class StatusChanged(TaskEvent, kind="status_changed"):
    """The task moved from one status to another."""

    from_: str
    to: str
    force: bool = False
    reason: str | None = None

    def apply(self, task: Task, event: Event) -> Task:
        return task.replace(
            status=self.to,
            last_status_changed_at=event.ts,
            done_at=event.ts if self.to == "done" else None,
            reopened_count=task.reopened_count + is_earlier(self.to, self.from_),
        )


class AssignmentChanged(TaskEvent, kind="assignment_changed"):
    """The task became somebody's, or nobody's."""

    from_: Actor | None
    to: Actor | None

    def apply(self, task: Task, event: Event) -> Task:
        return task.replace(assigned_to=self.to)


UPDATABLE = ("complexity", "description", "priority", "tags", "title", "type", "urgency")
CUSTOM = "custom_fields."


class FieldUpdated(TaskEvent, kind="field_updated"):
    """One field got another value; custom fields are named `custom_fields.NAME`."""

    field: str
    from_: Any
    to: Any

    def apply(self, task: Task, event: Event) -> Task:
        if self.field.startswith(CUSTOM):
            return task.replace(custom_fields={**task.custom_fields, self.field.removeprefix(CUSTOM): self.to})
        if self.field not in UPDATABLE:
            return task
        if not _suits(self.field, self.to):
            raise ValidationError(f"{event.id} sets {self.field} to what it cannot be.")
        return task.replace(**{self.field: tuple(self.to) if isinstance(self.to, (list, tuple)) else self.to})


def _suits(field: str, value: Any) -> bool:
    if field == "tags":
        return value is None or (isinstance(value, (list, tuple)) and all(isinstance(tag, str) for tag in value))
    return isinstance(value, str) or (value is None and field in {"complexity", "description", "urgency"})


# Talk and evidence


class CommentAdded(TaskEvent, kind="comment_added"):
    """Somebody said something; a comment with a role is evidence, such as of a review."""

    body: str
    role: str | None = None
    parent_id: str | None = None

    def apply(self, task: Task, event: Event) -> Task:
        counted = task.replace(comment_count=task.comment_count + 1)
        return _with_evidence(counted, event.id, self.role, "comment")


NOT_SAID = ""
"""What the log does not say, where null says something else."""


class CommentEdited(TaskEvent, kind="comment_edited"):
    """A comment was changed; what it said before stays in the event."""

    comment_id: str
    body: str
    previous_body: str | None = None
    role: str | None = None
    previous_role: str | None = NOT_SAID  # None, which the log writes down: it had no role

    def apply(self, task: Task, event: Event) -> Task:
        if self.role is None:
            return task
        return _with_evidence(_without_evidence(task, self.comment_id), self.comment_id, self.role, "comment")


class CommentDeleted(TaskEvent, kind="comment_deleted"):
    """A comment was taken back. Its event stays in the log."""

    comment_id: str

    def apply(self, task: Task, event: Event) -> Task:
        return _without_evidence(task, self.comment_id).replace(comment_count=max(0, task.comment_count - 1))


class ReactionAdded(TaskEvent, kind="reaction_added"):
    """Somebody reacted to a comment."""

    comment_id: str
    emoji: str


class ReactionRemoved(TaskEvent, kind="reaction_removed"):
    """A reaction was taken back."""

    comment_id: str
    emoji: str


class ArtifactAttached(TaskEvent, kind="artifact_attached"):
    """A file, a URL or a text was attached; with a role it counts as evidence, such as of a review."""

    artifact_id: str
    role: str | None = None

    def apply(self, task: Task, event: Event) -> Task:
        return task.replace(evidence_refs=(*task.evidence_refs, EvidenceRef(self.artifact_id, self.role, "artifact")))


# Edges


class RelationshipAdded(TaskEvent, kind="relationship_added"):
    """The task was bound to another. The other direction is derived."""

    type: str
    target_task_id: str
    note: str | None = None

    def apply(self, task: Task, event: Event) -> Task:
        edge = Relationship(self.type, self.target_task_id, event.ts, event.actor, self.note)
        return task.replace(relationships_out=(*task.relationships_out, edge))


class RelationshipRemoved(TaskEvent, kind="relationship_removed"):
    """A bond to another task was taken away."""

    type: str
    target_task_id: str

    def apply(self, task: Task, event: Event) -> Task:
        gone = (self.type, self.target_task_id)
        return task.replace(
            relationships_out=tuple(e for e in task.relationships_out if (e.type, e.target_task_id) != gone)
        )


class BranchLinked(TaskEvent, kind="branch_linked"):
    """A git branch belongs to the task."""

    branch: str
    repo: str | None = None

    def apply(self, task: Task, event: Event) -> Task:
        return task.replace(
            branch_links=(*task.branch_links, BranchLink(self.branch, self.repo, event.ts, event.actor))
        )


class BranchUnlinked(TaskEvent, kind="branch_unlinked"):
    """A git branch does not belong to the task any more."""

    branch: str
    repo: str | None = None

    def apply(self, task: Task, event: Event) -> Task:
        gone = (self.branch, self.repo)
        return task.replace(branch_links=tuple(b for b in task.branch_links if (b.branch, b.repo) != gone))


class GitEvent(TaskEvent, kind="git_event"):
    """Something happened in git that concerns the task; it changes nothing but the history."""

    action: str
    sha: str | None = None
    ref: str | None = None
    run_id: str | None = None


_ORDER = {status: place for place, status in enumerate(STATUSES)}


def is_earlier(to: str, from_: str) -> bool:
    """Whether a move goes back, in the standard order of statuses."""
    # The order is the standard one, not the board's: a fold hangs on the log alone, so that a
    # changed configuration does not change what a rebuild gives.
    return to in _ORDER and from_ in _ORDER and _ORDER[to] < _ORDER[from_]


def _with_evidence(task: Task, ref_id: str, role: str | None, source_type: str) -> Task:
    if role is None:
        return task
    return task.replace(evidence_refs=(*task.evidence_refs, EvidenceRef(ref_id, role, source_type)))


def _without_evidence(task: Task, ref_id: str) -> Task:
    return task.replace(evidence_refs=tuple(ref for ref in task.evidence_refs if ref.id != ref_id))
