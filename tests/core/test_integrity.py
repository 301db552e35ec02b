"""What the tasks alone say about a board's links and names."""

from __future__ import annotations

from lattice.core.events import Event, RelationshipAdded, TaskCreated, evolve
from lattice.core.integrity import Card, card, circles, duplicate_names, edges
from lattice.core.task import Task, to_snapshot


def made(name: str, *links: tuple[str, str], short_id: str | None = None) -> Task:
    """A task whose id is `name`, with these links."""
    body = TaskCreated(title=name, status="backlog", type="task", priority="medium", short_id=short_id)
    task = evolve(None, Event(f"ev_{name}", "2026-11-21T00:00:00Z", name, "human:ann", body))
    for kind, target in links:
        task = evolve(task, Event(f"ev_{name}", task.created_at, name, "human:ann", RelationshipAdded(kind, target)))
    return task


def board(*tasks: Task) -> dict[str, Card]:
    return {task.id: card(to_snapshot(task)) for task in tasks}


def checks(*tasks: Task) -> list[str]:
    return [finding.check for finding in edges(board(*tasks))]


def test_sound_links_are_no_finding() -> None:
    assert [] == checks(made("a", ("depends_on", "b"), ("related_to", "b")), made("b", ("related_to", "a")))


def test_a_link_to_nowhere_to_itself_and_one_that_stands_twice_are_found() -> None:
    assert ["missing_target"] == checks(made("a", ("blocks", "gone")))
    assert ["self_link"] == checks(made("a", ("blocks", "a")))
    assert ["duplicate_edge"] == checks(made("a", ("blocks", "b"), ("blocks", "b")), made("b"))


def test_a_circle_is_found_whatever_the_links_are_called() -> None:
    # a waits for b, b blocks nobody but c waits for a, and c blocks b: b waits for c.
    tangle = board(made("a", ("depends_on", "b")), made("b"), made("c", ("depends_on", "a"), ("blocks", "b")))
    assert 1 == len(circles(tangle))
    assert {"a", "b", "c"} == set(circles(tangle)[0])


def test_blocks_and_depends_on_between_two_tasks_say_the_same_or_a_circle() -> None:
    assert [] == circles(board(made("a", ("depends_on", "b")), made("b", ("blocks", "a"))))
    assert 1 == len(circles(board(made("a", ("depends_on", "b")), made("b", ("depends_on", "a")))))


def test_a_chain_longer_than_pythons_stack_is_walked() -> None:
    names = [f"t{number:05}" for number in range(5_000)]
    chain = [made(name, ("depends_on", after)) for name, after in zip(names, [*names[1:], names[0]], strict=True)]
    assert 5_000 == len(circles(board(*chain))[0])


def test_of_two_tasks_with_one_short_id_the_younger_is_named() -> None:
    tasks = board(made("b", short_id="LAT-1"), made("a", short_id="LAT-1"), made("c", short_id="LAT-2"))
    assert [("b", "a")] == [(younger.id, older.id) for younger, older in duplicate_names(tasks)]
