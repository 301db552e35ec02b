"""What one may ask about the board without changing it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lattice.commands.artifacts import described
from lattice.commands.board import Board
from lattice.core.config import Config
from lattice.core.events import ArtifactAttached, Event
from lattice.core.record import Record
from lattice.core.task import Task
from lattice.core.workflow import valid_targets


class Listing(Record):
    """Which tasks: each given value must fit."""

    status: str | None = None
    assigned: str | None = None
    tag: str | None = None
    type: str | None = None
    priority: str | None = None
    limit: int | None = None

    def run(self, board: Board) -> Iterator[Task]:
        """The tasks that fit, oldest first."""
        found = 0
        for task in board.store.tasks():
            if self.limit is not None and found >= self.limit:
                return
            if self._fits(task):
                found += 1
                yield task

    def warnings(self, config: Config) -> list[str]:
        """What in the question can never fit on this board."""
        if self.status is None or self.status in config.statuses:
            return []
        return [f"{self.status!r} is not a configured status. Valid statuses: {', '.join(config.statuses)}."]

    def _fits(self, task: Task) -> bool:
        wanted = (
            (self.status, task.status),
            (self.assigned, task.assigned_to),
            (self.type, task.type),
            (self.priority, task.priority),
        )
        return all(value is None or value == found for value, found in wanted) and (
            self.tag is None or self.tag in (task.tags or ())
        )


class Detail(Record):
    """A task with its history and what belongs to it."""

    task: Task
    events: tuple[Event, ...]
    artifacts: tuple[dict[str, Any], ...]
    valid_transitions: tuple[str, ...]


def show(board: Board, ref: str) -> Detail:
    """Everything about one task. Raises InvalidId, NotFound, LogDamaged."""
    task, events = board.store.history(board.resolve(ref))
    attached = [event.body for event in events if isinstance(event.body, ArtifactAttached)]
    artifacts = []
    for body in attached:
        meta = described(board, body.artifact_id) or {"id": body.artifact_id, "title": None, "missing": True}
        artifacts.append({**meta, "role": body.role})
    return Detail(
        task=task,
        events=tuple(events),
        artifacts=tuple(artifacts),
        valid_transitions=valid_targets(board.config, task.status),
    )
