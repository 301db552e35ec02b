"""Telling how far a long act is."""

from __future__ import annotations

from lattice.core.progress import told


def test_an_item_counts_as_done_when_the_next_is_asked_for() -> None:
    said: list[tuple[int, int]] = []
    items = told("abc", lambda done, total: said.append((done, total)))
    assert "a" == next(items)
    assert [] == said
    assert "b" == next(items)
    assert [(1, 3)] == said
    assert ["c"] == list(items)
    assert [(1, 3), (2, 3), (3, 3)] == said


def test_nobody_has_to_be_told() -> None:
    assert list("ab") == list(told("ab", None))
