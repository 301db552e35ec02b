"""Everything about one task: its history, what is attached to it, and the tasks around it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from lattice.commands.board import Board
from lattice.core.events import ArtifactAttached, Event, StatusChanged, is_earlier
from lattice.core.record import Record
from lattice.core.task import Task
from lattice.core.workflow import valid_targets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from lattice.store.protocol import Unread


class Incoming(Record):
    """An edge from another task."""

    source_task_id: str
    type: str
    note: str | None
    title: str | None


class Neighbours(Record):
    """What other tasks have to do with one: their edges to it, and the titles of those it points at."""

    incoming: tuple[Incoming, ...] = ()
    titles: Mapping[str, str] = {}
    warnings: tuple[str, ...] = ()  # why some may be missing


def neighbours(board: Board, task: Task) -> Neighbours:
    """The neighbours of a task, archived ones included. Damage of another task's log is a warning here."""
    unread: Unread = {}
    with board.store.view(archived=True, unread=unread) as view:
        edges = view.incoming(task.id)
        others = {edge.source for edge in edges} | {edge.target_task_id for edge in task.relationships_out}
        rows = {other: row for other in sorted(others) if (row := view.row(other)) is not None}
    titles = {other: row.title for other, row in rows.items()}
    edges.sort(key=lambda edge: edge.source in rows and rows[edge.source].archived)
    incoming = tuple(Incoming(e.source, e.type, e.note, titles.get(e.source)) for e in edges)
    return Neighbours(incoming, titles, board.left_out(unread))


class Detail(Record):
    """A task with its history and what belongs to it."""

    task: Task
    events: tuple[Event, ...]
    artifacts: tuple[dict[str, Any], ...]
    valid_transitions: tuple[str, ...]

    @property
    def latest_reopen(self) -> tuple[Event, StatusChanged] | None:
        """The last move back to an earlier status, or None where there was none."""
        for event in reversed(self.events):
            if isinstance(event.body, StatusChanged) and is_earlier(event.body.to, event.body.from_):
                return event, event.body
        return None


def text_files(board: Board, task: Task) -> dict[str, str]:
    """The task's files of free text that are there: `plan_path`, `notes_path`, from the board's folder."""
    home = "archive/" if task.archived else ""
    paths = {f"{kind}_path": f"{home}{folder}/{task.id}.md" for kind, folder in (("plan", "plans"), ("notes", "notes"))}
    return {name: path for name, path in paths.items() if os.path.isfile(board.path(path))}


def show(board: Board, ref: str, at: str | None = None) -> Detail:
    """Everything about one task, now or at a moment. Raises InvalidId, NotFound, LogDamaged."""
    task, events = board.store.history(board.resolve(ref)) if at is None else _past(board, ref, at)
    attached = [event.body for event in events if isinstance(event.body, ArtifactAttached)]
    artifacts = []
    for body in attached:
        from lattice.commands.artifacts import described  # most tasks have none

        meta = described(board, body.artifact_id) or {"id": body.artifact_id, "title": None, "missing": True}
        artifacts.append({**meta, "role": body.role})
    return Detail(
        task=task,
        events=tuple(events),
        artifacts=tuple(artifacts),
        valid_transitions=valid_targets(board.config, task.status),
    )


def _past(board: Board, ref: str, at: str) -> tuple[Task, Sequence[Event]]:
    from lattice.commands.history import state_at  # the present does without

    return state_at(board, ref, at)
