"""A look at all tasks at once: what every store answers, and the plain way to answer it, by scanning."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Protocol

from lattice.core.fulltext import Phrase, score
from lattice.core.summary import Edge, Hit, Summary, Words, edges, snapshot_text, summary
from lattice.core.task import Task


class View(Protocol):
    """Tasks as they were when the view was opened. Archived ones are seen where they were asked for."""

    def rows(self) -> list[Summary]:
        """Every task, oldest first."""

    def row(self, task_id: str) -> Summary | None:
        """One task."""

    def snapshots(self, ids: Sequence[str]) -> Mapping[str, str]:
        """The JSON text of these tasks' snapshots, by id."""

    def edges(self) -> list[Edge]:
        """Every edge, by its source, oldest first."""

    def incoming(self, task_id: str) -> list[Edge]:
        """The edges to one task."""

    def running(self) -> list[str]:
        """The ids of the tasks with runs that have no end, oldest first."""

    def search(self, phrases: Sequence[Phrase]) -> list[Hit]:
        """The tasks whose text has all of `phrases`, the best first."""


class ScannedView:
    """A view over tasks in memory. `words_of` gives the text of a task, and is asked by `search` alone."""

    def __init__(self, tasks: Iterable[Task], words_of: Callable[[Task], Words]) -> None:
        self._tasks = {task.id: task for task in sorted(tasks, key=lambda task: task.id)}
        self._words_of = words_of

    def rows(self) -> list[Summary]:
        return [summary(task) for task in self._tasks.values()]

    def row(self, task_id: str) -> Summary | None:
        task = self._tasks.get(task_id)
        return summary(task) if task is not None else None

    def snapshots(self, ids: Sequence[str]) -> Mapping[str, str]:
        return {task_id: snapshot_text(self._tasks[task_id]) for task_id in ids}

    def edges(self) -> list[Edge]:
        return [edge for task in self._tasks.values() for edge in edges(task)]

    def incoming(self, task_id: str) -> list[Edge]:
        return [edge for edge in self.edges() if edge.target == task_id]

    def running(self) -> list[str]:
        return [task.id for task in self._tasks.values() if task.active_processes]

    def search(self, phrases: Sequence[Phrase]) -> list[Hit]:
        scored = []
        for task in self._tasks.values():
            text = self._words_of(task)
            worth = score(phrases, text)
            if worth:
                scored.append((-worth, task.id, Hit(task.id, text)))
        return [hit for _, _, hit in sorted(scored)]
