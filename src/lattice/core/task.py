"""A task: the state that its events add up to, and the form of its snapshot."""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter

from lattice.core.actors import Actor
from lattice.core.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from lattice.core.reviews.standing import RecordedReview, StandingFinding

SNAPSHOT_SCHEMA = 1
RELATIONSHIP_TYPES = (
    "blocks", "depends_on", "duplicate_of", "related_to", "spawned_by", "subtask_of", "supersedes",
)  # fmt: skip


class Relationship(Record):
    """An edge from the task that holds it."""

    type: str
    target_task_id: str
    created_at: str
    created_by: Actor
    note: str | None = None


class EvidenceRef(Record):
    """A comment that plays a role, such as `review`, or an artifact, with or without one."""

    id: str
    role: str | None
    source_type: str


class BranchLink(Record):
    """A git branch that belongs to the task."""

    branch: str
    repo: str | None
    linked_at: str
    linked_by: Actor


class ActiveRun(Record):
    """A run that has no end yet: what its events say. Whether it is alive, its lease says."""

    run_id: str
    process_type: str
    state: str  # queued, requested, running, stopping
    actor: Actor
    commit_sha: str | None
    host: str | None
    requested_at: str
    started_at: str | None
    started_event_id: str | None
    timeout_s: float | None
    deadline: str | None
    external: bool = False  # Lattice does not supervise it: it lives by its deadline and its heartbeats


class Task(Record):
    """The state of a task after its last event. Times are those of events, never of a clock."""

    id: str
    short_id: str | None
    title: str
    status: str
    priority: str
    urgency: str | None
    complexity: str | None
    type: str
    description: str | None
    tags: tuple[str, ...] | None
    assigned_to: Actor | None
    created_by: Actor
    created_at: str
    updated_at: str
    done_at: str | None
    last_status_changed_at: str
    relationships_out: tuple[Relationship, ...]
    evidence_refs: tuple[EvidenceRef, ...]
    branch_links: tuple[BranchLink, ...]
    comment_count: int
    reopened_count: int
    custom_fields: Mapping[str, Any]
    last_event_id: str
    active_processes: tuple[ActiveRun, ...] = ()
    archived: bool = False
    reviews: tuple[RecordedReview, ...] = ()
    findings: tuple[StandingFinding, ...] = ()

    @property
    def name(self) -> str:
        """What people call it: the short id, else the id."""
        return self.short_id or self.id

    @property
    def own_branch(self) -> str | None:
        """The branch of this repository that was linked last; None where none is."""
        return next((link.branch for link in reversed(self.branch_links) if link.repo is None), None)

    def run(self, run_id: str) -> ActiveRun | None:
        """The run of this id, while it has no end."""
        return next((run for run in self.active_processes if run.run_id == run_id), None)

    def finding(self, number: int) -> StandingFinding | None:
        """The finding of this number."""
        return next((one for one in self.findings if one.number == number), None)

    def has_role(self, role: str) -> bool:
        """Whether a comment or artifact plays this role."""
        return any(ref.role == role for ref in self.evidence_refs)


_OF_REVIEWS = ("reviews", "findings")
PRESENT = tuple(name for name in Task._fields if name not in ("archived", *_OF_REVIEWS))
"""The fields that every snapshot has."""

_present = itemgetter(*PRESENT)
_LISTS: Mapping[str, type[Record]] = {
    "relationships_out": Relationship,
    "evidence_refs": EvidenceRef,
    "branch_links": BranchLink,
    "active_processes": ActiveRun,
}


def to_snapshot(task: Task) -> dict[str, Any]:
    """The snapshot's JSON value (`format.md`), without the store's mark."""
    shape = task.fields()
    for key in _LISTS:
        shape[key] = [item.fields() for item in shape[key]]
    shape["tags"] = None if task.tags is None else list(task.tags)
    shape["schema_version"] = SNAPSHOT_SCHEMA
    if not task.archived:
        del shape["archived"]  # as the earlier tool has it: said of archived tasks alone
    for key in _OF_REVIEWS:  # likewise, said of tasks that were reviewed alone
        if shape[key]:
            shape[key] = [item.to_shape() for item in shape[key]]
        else:
            del shape[key]
    return shape


def from_snapshot(shape: Mapping[str, Any]) -> Task:
    """The task in a snapshot that this version wrote. Raises KeyError or TypeError where it is another's."""
    values = dict(zip(PRESENT, _present(shape), strict=True))
    for key, kind in _LISTS.items():
        values[key] = tuple([kind(**item) for item in values[key]])
    if values["tags"] is not None:
        values["tags"] = tuple(values["tags"])
    values["archived"] = shape.get("archived", False)
    values["reviews"] = values["findings"] = ()
    if "reviews" in shape:
        from lattice.core.reviews.standing import parse_recorded, parse_standing  # most tasks have no review

        values["reviews"] = tuple(map(parse_recorded, shape["reviews"]))
        values["findings"] = tuple(map(parse_standing, shape.get("findings", ())))
    return Task.made_of(values)


_COUNTED = ("branch_links", "evidence_refs", "relationships_out")
_COMPACT = (
    "id", "short_id", "title", "status", "priority", "urgency", "complexity", "type", "assigned_to", "tags",
    "comment_count", "reopened_count", "done_at", "last_status_changed_at",
)  # fmt: skip


def compact(task: Task) -> dict[str, Any]:
    """The short JSON form: scalars, and counts in place of lists."""
    return compact_shape(to_snapshot(task))


def compact_shape(shape: Mapping[str, Any]) -> dict[str, Any]:
    """The short form of a snapshot."""
    return (
        {key: shape[key] for key in _COMPACT}
        | {f"{key[:-1]}_count": len(shape[key]) for key in _COUNTED[:2]}
        | {"relationships_out_count": len(shape["relationships_out"])}
        | ({"archived": True} if shape.get("archived") else {})
    )
