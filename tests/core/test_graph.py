"""What waits for what, and what waits for itself."""

from __future__ import annotations

from lattice.core.graph import Graph, components
from lattice.core.summary import Edge, Summary
from tests.core.test_query import CONFIG, row


def tasks(**statuses: str) -> list[Summary]:
    return [row(id=name, short_id=name, status=status, priority="medium") for name, status in statuses.items()]


def graph(rows: list[Summary], *edges: tuple[str, str, str]) -> Graph:
    return Graph(rows, [Edge(source, kind, target, None) for source, kind, target in edges], CONFIG)


def names(rows: list[Summary]) -> list[str]:
    return [one.id for one in rows]


def test_ready_is_what_waits_for_nothing_unfinished() -> None:
    made = graph(
        tasks(a="backlog", b="planned", c="backlog", d="done", e="in_progress", f="backlog"),
        ("a", "depends_on", "b"), ("b", "depends_on", "d"), ("e", "blocks", "c"), ("f", "related_to", "a"),
    )  # fmt: skip
    assert ["b", "f"] == names(made.ready())
    assert ["e"] == names(made.ready(("in_progress",)))
    assert [("a", ["b"]), ("c", ["e"])] == [(one.row.id, names(list(one.blockers))) for one in made.blocked()]


def test_the_most_important_comes_first() -> None:
    rows = [*tasks(a="backlog", b="backlog"), row(id="c", status="planned", priority="critical")]
    assert ["c", "a", "b"] == names(graph(rows).ready())


def test_what_is_cancelled_archived_or_not_there_holds_nobody_up() -> None:
    rows = [*tasks(a="backlog", b="cancelled"), row(id="c", status="backlog", archived=True)]
    edges = [("a", "depends_on", target) for target in ("b", "c", "gone")]
    assert ["a"] == names(graph(rows, *edges).ready())


def test_a_status_of_blocked_waits_by_itself() -> None:
    assert [("a", ())] == [(one.row.id, one.blockers) for one in graph(tasks(a="blocked")).blocked()]


def test_circles_are_found_and_finished_ones_are_not() -> None:
    rows = tasks(a="backlog", b="backlog", c="backlog", d="done", e="backlog")
    made = graph(
        rows, ("a", "depends_on", "b"), ("c", "blocks", "b"), ("a", "blocks", "c"), ("d", "blocks", "e"),
        ("e", "blocks", "d"), ("e", "depends_on", "e"),
    )  # fmt: skip
    assert [["a", "b", "c"]] == [names(list(cycle)) for cycle in made.cycles()]
    assert ["e"] == names(made.ready())


def test_a_chain_longer_than_the_stack_is_walked() -> None:
    chain = {str(number): [str(number + 1)] for number in range(5000)} | {"5000": ["0"]}
    assert [5001] == [len(component) for component in components(chain)]


def test_around_goes_along_edges_in_both_directions() -> None:
    made = graph(
        tasks(a="backlog", b="backlog", c="backlog", d="backlog"), ("a", "blocks", "b"), ("c", "subtask_of", "b")
    )
    assert {"a", "b", "c"} == made.around("a")
