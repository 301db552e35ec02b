"""Which task comes next: what somebody already has, then what is ready, the most pressing first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lattice.core.actors import Actor, same_actor
from lattice.core.config import PRIORITIES, URGENCIES
from lattice.core.task import Task
from lattice.core.workflow import WAITING

READY = ("backlog", "planned")
RESUMED = ("in_progress", "in_planning")
CLOSED = ("done", "cancelled")

_PRIORITY = {name: place for place, name in enumerate(PRIORITIES)}
_URGENCY = {name: place for place, name in enumerate(URGENCIES)}


def pressing(task: Task) -> tuple[int, int, str]:
    """A key to sort by: priority, then urgency (none comes last), then age."""
    urgency = _URGENCY.get(task.urgency or "", len(_URGENCY))
    return _PRIORITY.get(task.priority, len(_PRIORITY)), urgency, task.id


def resumable(task: Task, asker: Actor | None) -> bool:
    """Whether `asker` has begun the task."""
    return asker is not None and task.status in RESUMED and same_actor(task.assigned_to, asker)


def ready(task: Task, asker: Actor | None, statuses: Sequence[str]) -> bool:
    """Whether `asker` may begin the task: it waits for nothing, and it is nobody's or the asker's."""
    if task.status not in statuses or task.status in WAITING:
        return False
    return task.assigned_to is None or (asker is not None and same_actor(task.assigned_to, asker))


def candidates(tasks: Iterable[Task], asker: Actor | None, statuses: Sequence[str] = READY) -> list[Task]:
    """The tasks that `asker` may take up, the one to take first. What is begun comes before what is ready.

    A task that depends on one that is not closed is left out, and so is one that an open task blocks.
    """
    everything = list(tasks)
    held_up = _held_up(everything)
    begun = [task for task in everything if resumable(task, asker)]
    others = [
        task
        for task in everything
        if task.id not in held_up and ready(task, asker, statuses) and not resumable(task, asker)
    ]
    return sorted(begun, key=pressing) + sorted(others, key=pressing)


def _held_up(tasks: Sequence[Task]) -> set[str]:
    unfinished = {task.id for task in tasks if task.status not in CLOSED}
    found = set()
    for task in tasks:
        for edge in task.relationships_out:
            if edge.type == "depends_on" and edge.target_task_id in unfinished:
                found.add(task.id)
            if edge.type == "blocks" and task.id in unfinished:
                found.add(edge.target_task_id)
    return found
