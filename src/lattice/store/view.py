"""A look at all tasks at once: what every store answers, and the plain way to answer it, by scanning."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from lattice.core.fulltext import Phrase, score
from lattice.core.record import Protocol
from lattice.core.summary import Document, Edge, Hit, Summary, Words, document, edges, rank, summary
from lattice.core.task import Task


class View(Protocol):
    """Tasks as they were when the view was opened. Archived ones are seen where they were asked for."""

    def rows(self, status_fits: Callable[[str], bool] | None = None) -> Iterator[Summary]:
        """Every task, or those whose status fits, oldest first."""

    def pressing(self, statuses: Collection[str]) -> Iterator[Summary]:
        """The tasks in these statuses that are not archived: by priority, urgency and age."""

    def assigned(self, name: str, statuses: Collection[str]) -> list[Summary]:
        """The tasks in these statuses that are not archived and somebody's who is called `name`."""

    def count(self, status: str) -> int:
        """How many tasks that are not archived are in this status."""

    def row(self, task_id: str) -> Summary | None:
        """One task."""

    def documents(self, ids: Sequence[str] | None = None) -> Iterator[Document]:
        """The JSON texts of these tasks, in this order; of every task, oldest first, where none are named."""

    def edges(self) -> list[Edge]:
        """Every edge, by its source, oldest first."""

    def incoming(self, task_id: str) -> list[Edge]:
        """The edges to one task."""

    def outgoing(self, task_id: str) -> list[Edge]:
        """The edges that one task holds."""

    def running(self) -> list[str]:
        """The ids of the tasks with runs that have no end, oldest first."""

    def search(self, phrases: Sequence[Phrase], limit: int | None = None) -> list[Hit]:
        """The tasks whose text has all of `phrases`, the best first; at most `limit`."""


class ScannedView:
    """A view over tasks in memory. `words_of` gives the text of a task, and is asked by `search` alone."""

    def __init__(self, tasks: Iterable[Task], words_of: Callable[[Task], Words]) -> None:
        self._tasks = {task.id: task for task in sorted(tasks, key=lambda task: task.id)}
        self._words_of = words_of

    def rows(self, status_fits: Callable[[str], bool] | None = None) -> Iterator[Summary]:
        tasks = self._tasks.values()
        return (summary(task) for task in tasks if status_fits is None or status_fits(task.status))

    def pressing(self, statuses: Collection[str]) -> Iterator[Summary]:
        found = [row for row in self.rows(statuses.__contains__) if not row.archived]
        return iter(sorted(found, key=lambda row: (rank(row.priority, row.urgency), row.id)))

    def assigned(self, name: str, statuses: Collection[str]) -> list[Summary]:
        return [row for row in self.rows(statuses.__contains__) if row.assigned_to == name and not row.archived]

    def count(self, status: str) -> int:
        return sum(task.status == status and not task.archived for task in self._tasks.values())

    def row(self, task_id: str) -> Summary | None:
        task = self._tasks.get(task_id)
        return summary(task) if task is not None else None

    def documents(self, ids: Sequence[str] | None = None) -> Iterator[Document]:
        tasks = self._tasks.values() if ids is None else (self._tasks[task_id] for task_id in ids)
        return (document(task) for task in tasks)

    def edges(self) -> list[Edge]:
        return [edge for task in self._tasks.values() for edge in edges(task)]

    def incoming(self, task_id: str) -> list[Edge]:
        return [edge for edge in self.edges() if edge.target == task_id]

    def outgoing(self, task_id: str) -> list[Edge]:
        task = self._tasks.get(task_id)
        return edges(task) if task is not None else []

    def running(self) -> list[str]:
        return [task.id for task in self._tasks.values() if task.active_processes]

    def search(self, phrases: Sequence[Phrase], limit: int | None = None) -> list[Hit]:
        scored = []
        for task in self._tasks.values():
            text = self._words_of(task)
            worth = score(phrases, text)
            if worth:
                scored.append((-worth, task.id, Hit(task.id, text)))
        return [hit for _, _, hit in sorted(scored)[:limit]]
