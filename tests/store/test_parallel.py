"""Work in several processes tells how far it is."""

from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from lattice.store.files import parallel
from lattice.store.files.parallel import in_parts, telling


def work(items: Sequence[int]) -> tuple[int, list[int]]:
    return os.getpid(), [item + 1 for item in items]


@pytest.mark.parametrize("processors", [1, 3])
def test_the_part_done_here_stands_for_the_whole(monkeypatch: pytest.MonkeyPatch, processors: int) -> None:
    monkeypatch.setattr(parallel, "PART_MIN", 2)
    monkeypatch.setattr(parallel, "_processors", lambda: processors)
    monkeypatch.setattr(parallel, "_may_fork", lambda: True)
    said: list[tuple[int, int]] = []
    with telling(lambda done, total: said.append((done, total))):
        answers = in_parts(work, range(9))
    assert list(range(1, 10)) == [number for _, part in answers for number in part]
    assert processors == len({pid for pid, _ in answers})
    assert [(9 * done // (9 // processors), 9) for done in range(1, 9 // processors + 1)] == said


def test_nobody_is_told_of_what_comes_afterwards() -> None:
    said: list[int] = []
    with telling(lambda done, _: said.append(done)):
        in_parts(work, [1])
    in_parts(work, [1, 2, 3])
    assert [1] == said
