"""Work in several processes: nothing is missing or done twice, and nothing is left of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

import pytest

from lattice.errors import NotFound
from lattice.store.files import parallel
from lattice.store.files.parallel import each_part, in_parts, telling
from tests.workers.conftest import eventually, is_alive

Answer = tuple[int, list[int]]


def work(items: Iterable[int]) -> Answer:
    return os.getpid(), [item + 1 for item in items]


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three processors, and parts of two items."""
    monkeypatch.setattr(parallel, "PART_MIN", 2)
    monkeypatch.setattr(parallel, "_processors", lambda: 3)
    monkeypatch.setattr(parallel, "_may_fork", lambda: True)


def together(folder: Path) -> Callable[[Iterable[int]], Answer]:
    """Work that goes on once three processes are at it."""

    def wait_for_the_others(items: Iterable[int]) -> Answer:
        (folder / str(os.getpid())).touch()
        eventually(lambda: len(list(folder.iterdir())) == 3)
        return work(items)

    return wait_for_the_others


@pytest.mark.usefixtures("three")
def test_every_processor_is_at_work_and_the_answers_are_in_order(tmp_path: Path) -> None:
    answers = in_parts(together(tmp_path), range(13))
    assert [2, 2, 2, 2, 2, 3] == sorted(len(part) for _, part in answers)
    assert list(range(1, 14)) == [number for _, part in answers for number in part]
    assert {int(path.name) for path in tmp_path.iterdir()} == {pid for pid, _ in answers}


@pytest.mark.usefixtures("three")
def test_there_are_no_more_parts_than_have_a_number() -> None:
    assert list(range(1, 1001)) == [number for _, part in in_parts(work, range(1000)) for number in part]


def test_few_items_stay_here() -> None:
    assert [(os.getpid(), [2, 3])] == in_parts(work, [1, 2])
    assert [(os.getpid(), [])] == in_parts(work, [])


@pytest.mark.usefixtures("three")
def test_what_the_caller_has_no_time_for_the_others_do(tmp_path: Path) -> None:
    def noted(items: Iterable[int]) -> Answer:
        (tmp_path / str(min(items))).touch()
        return work(items)

    with closing(each_part(noted, range(40))) as answers:
        first = next(answers)
        eventually(lambda: len(list(tmp_path.iterdir())) == 20)  # It is still at the first answer.
        assert list(range(1, 41)) == [number for _, part in (first, *answers) for number in part]


@pytest.mark.usefixtures("three")
def test_what_a_helper_left_undone_is_done_here(tmp_path: Path) -> None:
    at_work = together(tmp_path)

    def dies_elsewhere(items: Iterable[int]) -> Answer:
        answer = at_work(items)
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    here = os.getpid()
    assert [(here, [item + 1, item + 2]) for item in range(0, 12, 2)] == in_parts(dies_elsewhere, range(12))


@pytest.mark.usefixtures("three")
def test_what_is_raised_elsewhere_is_raised_here(tmp_path: Path) -> None:
    at_work = together(tmp_path)

    def refuses(items: Iterable[int]) -> Answer:
        at_work(items)
        if 7 in items:
            raise NotFound(f"seven, said {os.getpid()}")
        return os.getpid(), []

    with pytest.raises(NotFound, match=f"seven, said {os.getpid()}"):
        in_parts(refuses, range(12))
    nothing_is_left_of(tmp_path)


@pytest.mark.usefixtures("three")
def test_a_machine_without_processes_to_spare_does_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    before = len(os.listdir("/proc/self/fd"))

    def refused() -> int:
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(os, "fork", refused)
    assert [(os.getpid(), [item + 1, item + 2]) for item in range(0, 12, 2)] == in_parts(work, range(12))
    assert before == len(os.listdir("/proc/self/fd"))


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize("stops", [StopIteration, KeyboardInterrupt])
def test_who_stops_leaves_no_process(stops: type[BaseException], tmp_path: Path) -> None:
    here, before = os.getpid(), len(os.listdir("/proc/self/fd"))

    def slow_elsewhere(items: Iterable[int]) -> Answer:
        if os.getpid() != here and min(items):
            (tmp_path / str(os.getpid())).touch()
            signal.pause()
        elif os.getpid() == here:
            eventually(lambda: len(list(tmp_path.iterdir())) == 2)
            if stops is KeyboardInterrupt:
                raise stops
        return work(items)

    def first() -> Answer:
        with closing(each_part(slow_elsewhere, range(12))) as answers:
            return next(answers)

    if stops is KeyboardInterrupt:
        with pytest.raises(stops):
            first()
    else:
        assert [1, 2] == first()[1]
    nothing_is_left_of(tmp_path)
    assert before == len(os.listdir("/proc/self/fd"))


def test_the_helpers_of_a_caller_that_was_killed_end_by_themselves(tmp_path: Path) -> None:
    program = f"""
import os, pathlib, signal, sys, time
from lattice.store.files import parallel
parallel.PART_MIN, parallel._processors = 2, lambda: 3
def work(items):
    (pathlib.Path({str(tmp_path)!r}) / str(os.getpid())).open("a").write("part")
    if os.getpid() == here:
        signal.pause()
    time.sleep(0.05)  # the work itself
here = os.getpid()
parallel.in_parts(work, range(64 * 2))
"""
    with subprocess.Popen([sys.executable, "-c", program]) as caller:
        try:
            eventually(lambda: len(list(tmp_path.iterdir())) == 3)
        finally:
            caller.kill()
    eventually(lambda: not any(is_alive(int(path.name)) for path in tmp_path.iterdir()))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 64 * len("part")


def nothing_is_left_of(folder: Path) -> None:
    """Of the processes that are named by files there."""
    pids = {int(path.name) for path in folder.iterdir()} - {os.getpid()}
    assert 2 == len(pids)
    for pid in pids:
        with pytest.raises(ChildProcessError):  # It was waited for: no process, and no zombie.
            os.waitpid(pid, os.WNOHANG)


@pytest.mark.parametrize("processors", [1, 3])
def test_it_is_told_how_far_it_is(monkeypatch: pytest.MonkeyPatch, processors: int) -> None:
    monkeypatch.setattr(parallel, "PART_MIN", 2)
    monkeypatch.setattr(parallel, "_processors", lambda: processors)
    monkeypatch.setattr(parallel, "_may_fork", lambda: True)
    said: list[tuple[int, int]] = []
    with telling(lambda done, total: said.append((done, total))):
        in_parts(work, range(9))
    assert (9, 9) == said[-1]
    assert sorted(set(said)) == said


def test_nobody_is_told_of_what_comes_afterwards() -> None:
    said: list[int] = []
    with telling(lambda done, _: said.append(done)):
        in_parts(work, [1])
    in_parts(work, [1, 2, 3])
    assert [1] == said
