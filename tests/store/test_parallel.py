"""Work in several processes tells how far it is."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from lattice.store.files import parallel
from lattice.store.files.parallel import each_part, in_parts, telling
from tests.workers.conftest import eventually


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


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three processors, and parts of two items."""
    monkeypatch.setattr(parallel, "PART_MIN", 2)
    monkeypatch.setattr(parallel, "_processors", lambda: 3)
    monkeypatch.setattr(parallel, "_may_fork", lambda: True)


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(("own", "expected"), [(1.0, [4, 4, 4]), (0.5, [2, 5, 5]), (0.0, [0, 6, 6])])
def test_who_has_other_work_takes_a_smaller_part(own: float, expected: list[int]) -> None:
    answers = list(each_part(work, range(12), own))
    assert expected == [len(part) for _, part in answers]
    assert list(range(1, 13)) == [number for _, part in answers for number in part]
    assert os.getpid() == answers[0][0]


@pytest.mark.usefixtures("three")
def test_who_stops_asking_leaves_no_process(tmp_path: Path) -> None:
    def slow_elsewhere(items: Sequence[int]) -> int:
        if items[0]:
            (tmp_path / str(os.getpid())).touch()
            signal.pause()
        return len(items)

    with closing(each_part(slow_elsewhere, range(9))) as answers:
        assert 3 == next(answers)
        eventually(lambda: len(list(tmp_path.iterdir())) == 2)
    for path in tmp_path.iterdir():
        with pytest.raises(ChildProcessError):  # It was waited for: nothing of it is left, and no zombie.
            os.waitpid(int(path.name), os.WNOHANG)
