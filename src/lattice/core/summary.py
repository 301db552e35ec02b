"""What a question about many tasks needs to know of each: one flat row, the edges, and the words.

Stores answer in these forms, from an index or from the states themselves; what a person or a program
asks is decided on them by pure functions, so that every store gives the same answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lattice.core.actors import Actor, actor_text
from lattice.core.config import PRIORITIES, URGENCIES
from lattice.core.events import ArtifactAttached, CommentAdded, CommentDeleted, CommentEdited, Event
from lattice.core.pretty import ITEM_PAD, pretty
from lattice.core.record import NamedTuple, Protocol
from lattice.core.task import ActiveRun, Task, to_snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class HasRuns(Protocol):
    """A task in any form that knows its runs."""

    @property
    def id(self) -> str:
        """The task's id."""

    @property
    def active_processes(self) -> tuple[ActiveRun, ...]:
        """The runs that have no end yet."""


class Summary(NamedTuple):
    """A task as one row. A tuple and not a Record: a listing makes ten thousand of them."""

    id: str
    short_id: str | None
    title: str
    status: str
    priority: str
    urgency: str | None
    complexity: str | None
    type: str
    description: str | None
    assigned_to: str | None
    created_by: str
    created_at: str
    updated_at: str
    done_at: str | None
    last_status_changed_at: str
    comment_count: int
    reopened_count: int
    tags: tuple[str, ...]
    branches: tuple[str, ...]
    custom_fields: Mapping[str, Any]
    active_processes: tuple[ActiveRun, ...]
    archived: bool

    @property
    def name(self) -> str:
        """What people call it: the short id, else the id."""
        return self.short_id or self.id


_PRIORITY = {name: place for place, name in enumerate(PRIORITIES)}
_URGENCY = {name: place for place, name in enumerate(URGENCIES)}


def rank(priority: str, urgency: str | None) -> int:
    """A number to sort by, the most pressing first: priority, then urgency (none comes last)."""
    place = _PRIORITY.get(priority, len(_PRIORITY))
    return place * (len(_URGENCY) + 1) + _URGENCY.get(urgency or "", len(_URGENCY))


class Edge(NamedTuple):
    """A relationship between two tasks, which need not both be there."""

    source: str
    type: str
    target: str
    note: str | None


class Words(NamedTuple):
    """The text of a task, for a search."""

    title: str
    description: str
    comments: str
    artifacts: str


class Document(NamedTuple):
    """The JSON text of a task's snapshot: sorted keys, two spaces, ASCII, `ITEM_PAD` before each line but the first."""

    id: str
    text: bytes
    has_runs: bool  # whether it has runs, whose state the text cannot know


NO_WORDS = Words("", "", "", "")


class Hit(NamedTuple):
    """A task that a search found, and its text."""

    task_id: str
    words: Words


_ACTORS = ("assigned_to", "created_by")
PLAIN = Summary._fields[: Summary._fields.index("tags")]
"""The fields that a row has as the snapshot has them, but for actors that are objects there."""


def flat(shape: Mapping[str, Any]) -> list[Any]:
    """The row of a task, of its snapshot's JSON value and as a JSON value itself."""
    row = [shape[name] for name in PLAIN]
    for place in _ACTOR_PLACES:
        row[place] = _actor(row[place])
    branches = [link["branch"] for link in shape["branch_links"]]
    archived = shape.get("archived", False)
    return [*row, shape["tags"] or [], branches, shape["custom_fields"], shape["active_processes"], archived]


_ACTOR_PLACES = [PLAIN.index(name) for name in _ACTORS]


def from_flat(fields: Sequence[Any]) -> Summary:
    """The row that `flat` gave."""
    *plain, tags, branches, custom, runs, archived = fields
    return Summary._make((
        *plain, tuple(tags), tuple(branches), custom, tuple([ActiveRun(**run) for run in runs]), archived
    ))  # fmt: skip


def summary(task: Task) -> Summary:
    """The row of a task."""
    return from_flat(flat(to_snapshot(task)))


def edges(task: Task) -> list[Edge]:
    """The edges that a task holds."""
    return [Edge(task.id, edge.type, edge.target_task_id, edge.note) for edge in task.relationships_out]


def shape_edges(shape: Mapping[str, Any]) -> list[Edge]:
    """The edges in a snapshot's JSON value."""
    return [Edge(shape["id"], one["type"], one["target_task_id"], one["note"]) for one in shape["relationships_out"]]


def document(task: Task) -> Document:
    """The JSON text of a task's snapshot, as an item of an answer."""
    return Document(task.id, item_text(to_snapshot(task)), bool(task.active_processes))


def item_text(shape: Mapping[str, Any]) -> bytes:
    """A snapshot's JSON value as the text of an item of an answer."""
    return pretty(shape, ITEM_PAD).encode("ascii")


def words(task: Task, events: Sequence[Event], artifact_titles: Mapping[str, str]) -> Words:
    """The text of a task: comments as they read now, and the titles of its artifacts."""
    comments: dict[str, str] = {}
    artifacts: list[str] = []
    for event in events:
        body = event.body
        if isinstance(body, CommentAdded):
            comments[event.id] = body.body
        elif isinstance(body, CommentEdited) and body.comment_id in comments:
            comments[body.comment_id] = body.body
        elif isinstance(body, CommentDeleted):
            comments.pop(body.comment_id, None)
        elif isinstance(body, ArtifactAttached):
            artifacts.append(artifact_titles.get(body.artifact_id, ""))
    return Words(
        task.title,
        task.description or "",
        "\n".join(comments.values()),
        "\n".join(title for title in dict.fromkeys(artifacts) if title),
    )


def _actor(actor: Actor | None) -> str | None:
    return None if actor is None else actor_text(actor)
