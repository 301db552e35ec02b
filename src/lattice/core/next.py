"""Which task comes next: what somebody already has, then what is ready, the most pressing first."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from lattice.core.actors import Actor, actor_text, same_actor
from lattice.core.record import Protocol
from lattice.core.summary import Edge, Summary, rank
from lattice.core.task import Task
from lattice.core.workflow import WAITING

READY = ("backlog", "planned")
RESUMED = ("in_progress", "in_planning")
CLOSED = ("done", "cancelled")


class Tasks(Protocol):
    """What is asked about many tasks to find the one to take; of those that are not archived."""

    def pressing(self, statuses: Collection[str]) -> Iterator[Summary]:
        """Those in these statuses, by `rank` and age."""

    def assigned(self, name: str, statuses: Collection[str]) -> list[Summary]:
        """Those in these statuses that belong to whoever is called so."""

    def incoming(self, task_id: str) -> list[Edge]:
        """The edges to a task."""

    def outgoing(self, task_id: str) -> list[Edge]:
        """The edges that a task holds."""

    def row(self, task_id: str) -> Summary | None:
        """One task, archived or not."""


def resumable(task: Task, asker: Actor | None) -> bool:
    """Whether `asker` has begun the task."""
    return asker is not None and task.status in RESUMED and same_actor(task.assigned_to, asker)


def ready(task: Task, asker: Actor | None, statuses: Sequence[str]) -> bool:
    """Whether `asker` may begin the task: it waits for nothing, and it is nobody's or the asker's."""
    if task.status not in statuses or task.status in WAITING:
        return False
    return task.assigned_to is None or (asker is not None and same_actor(task.assigned_to, asker))


def may_take(task: Task, asker: Actor | None, statuses: Sequence[str]) -> bool:
    """Whether `asker` has begun the task, or may begin it."""
    return not task.archived and (resumable(task, asker) or ready(task, asker, statuses))


def candidates(
    tasks: Tasks, asker: Actor | None, statuses: Sequence[str] = READY, unknown: Collection[str] = ()
) -> Iterator[Summary]:
    """The tasks that `asker` may take up, the one to take first. What is begun comes before what is ready.

    A task that depends on one that is not closed is left out, and so is one that an open task blocks. Nobody can
    say of the `unknown` whether they are closed: what depends on them is left out. A row
    knows its owner by name alone: whether he is the asker, `may_take` says of the task itself.
    """
    name = None if asker is None else actor_text(asker)
    begun = [] if name is None else tasks.assigned(name, RESUMED)
    yield from sorted(begun, key=lambda row: (rank(row.priority, row.urgency), row.id))
    seen = {row.id for row in begun}
    for row in tasks.pressing([status for status in dict.fromkeys(statuses) if status not in WAITING]):
        if row.id not in seen and row.assigned_to in (None, name) and not _is_held_up(tasks, row, unknown):
            yield row


def _is_held_up(tasks: Tasks, row: Summary, unknown: Collection[str]) -> bool:
    before = [edge.target for edge in tasks.outgoing(row.id) if edge.type == "depends_on"]
    before += [edge.source for edge in tasks.incoming(row.id) if edge.type == "blocks"]
    if not set(before).isdisjoint(unknown):
        return True
    found = (tasks.row(task_id) for task_id in before)
    return any(other is not None and not other.archived and other.status not in CLOSED for other in found)
