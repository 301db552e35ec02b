"""What a question about many tasks needs to know of each: one flat row, the edges, and the words.

Stores answer in these forms, from an index or from the states themselves; what a person or a program
asks is decided on them by pure functions, so that every store gives the same answer.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from lattice.core.actors import Actor, actor_text
from lattice.core.events import ArtifactAttached, CommentAdded, CommentDeleted, CommentEdited, Event
from lattice.core.task import ActiveRun, Task, to_snapshot


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


class Hit(NamedTuple):
    """A task that a search found, and its text."""

    task_id: str
    words: Words


def summary(task: Task) -> Summary:
    """The row of a task."""
    return Summary(
        id=task.id,
        short_id=task.short_id,
        title=task.title,
        status=task.status,
        priority=task.priority,
        urgency=task.urgency,
        complexity=task.complexity,
        type=task.type,
        description=task.description,
        assigned_to=_actor(task.assigned_to),
        created_by=actor_text(task.created_by),
        created_at=task.created_at,
        updated_at=task.updated_at,
        done_at=task.done_at,
        last_status_changed_at=task.last_status_changed_at,
        comment_count=task.comment_count,
        reopened_count=task.reopened_count,
        tags=task.tags or (),
        branches=tuple(link.branch for link in task.branch_links),
        custom_fields=task.custom_fields,
        active_processes=task.active_processes,
        archived=task.archived,
    )


def edges(task: Task) -> list[Edge]:
    """The edges that a task holds."""
    return [Edge(task.id, edge.type, edge.target_task_id, edge.note) for edge in task.relationships_out]


def snapshot_text(task: Task) -> str:
    """The JSON text of a task's snapshot, as an answer shows it: sorted keys, two spaces."""
    return json.dumps(to_snapshot(task), sort_keys=True, indent=2)


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
