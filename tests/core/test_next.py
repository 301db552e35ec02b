"""Which task comes next."""

from __future__ import annotations

from typing import Any

from lattice.core.events import Event, RelationshipAdded, TaskCreated, evolve
from lattice.core.next import READY, candidates, may_take
from lattice.core.summary import Words
from lattice.core.task import Task
from lattice.store.view import ScannedView

VEGA = {"name": "Vega-1", "session": "sess_1"}


def made(number: int, *edges: tuple[str, int], **given: Any) -> Task:
    created = TaskCreated(**({"title": "x", "status": "planned", "type": "task", "priority": "medium"} | given))
    bodies = [created, *(RelationshipAdded(kind, f"task_{target}") for kind, target in edges)]
    task: Task | None = None
    for place, body in enumerate(bodies):
        task = evolve(task, Event(f"ev_{place}", "2026-11-20T23:39:05Z", f"task_{number}", "human:ann", body))
    assert task is not None
    return task


def order(tasks: list[Task], asker: Any = None, *statuses: str) -> list[int]:
    view, by_id = ScannedView(tasks, words), {task.id: task for task in tasks}
    found = [row.id for row in candidates(view, asker, statuses or READY)]
    return [int(one.removeprefix("task_")) for one in found if may_take(by_id[one], asker, statuses or READY)]


def words(task: Task) -> Words:
    raise AssertionError(f"nobody asks for the words of {task.id}")


def test_priority_comes_before_urgency_and_urgency_before_age() -> None:
    tasks = [
        made(1, priority="low", urgency="immediate"),
        made(2, priority="high"),
        made(3, priority="high", urgency="low"),
        made(4, priority="high", urgency="immediate"),
        made(5, priority="high"),
        made(6, priority="critical", status="backlog"),
    ]
    assert [6, 4, 3, 2, 5, 1] == order(tasks)


def test_what_is_begun_comes_first_whatever_statuses_are_asked_for() -> None:
    tasks = [
        made(1, priority="critical"),
        made(2, status="in_progress", priority="low", assigned_to="agent:a"),
        made(3, status="in_planning", priority="high", assigned_to="agent:a"),
        made(4, status="review", assigned_to="agent:a"),
    ]
    assert [3, 2, 1] == order(tasks, "agent:a")
    assert [3, 2] == order(tasks, "agent:a", "backlog")
    assert [1] == order(tasks, "agent:b")


def test_a_task_of_somebody_else_is_left_out() -> None:
    tasks = [made(1, assigned_to="agent:a"), made(2)]
    assert [1, 2] == order(tasks, "agent:a")
    assert [2] == order(tasks, "agent:b") == order(tasks)


def test_an_identity_is_known_by_its_session() -> None:
    assert [1] == order([made(1, assigned_to=VEGA)], VEGA | {"model": "newer"})
    assert [] == order([made(1, assigned_to=VEGA)], VEGA | {"session": "sess_2"})


def test_what_waits_for_another_task_is_left_out_until_that_is_closed() -> None:
    assert [2] == order([made(1, ("depends_on", 2)), made(2)])
    assert [1] == order([made(1, ("depends_on", 2)), made(2, status="done")])
    assert [1] == order([made(1, ("depends_on", 9))])  # archived
    assert [1] == order([made(1, ("blocks", 2)), made(2)])
    assert [2] == order([made(1, ("blocks", 2), status="cancelled"), made(2)])


def test_what_waits_or_is_closed_is_never_next() -> None:
    statuses = ("blocked", "needs_human", "done", "cancelled")
    assert [] == order([made(number, status=status) for number, status in enumerate(statuses)], None, *statuses)
