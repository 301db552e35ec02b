"""What was read once of the runs that wait is kept, and what may have changed is asked for again."""

from __future__ import annotations

import pytest

from lattice.store.files.board import FileStore
from lattice.workers.queueing.sight import Memory
from lattice.workers.runs import RunFolder
from tests.workers.conftest import Bench, eventually
from tests.workers.queueing.test_queue import tasks


def queued(bench: Bench) -> tuple[RunFolder, list[RunFolder]]:
    """A run that has the one slot, and two that wait."""
    running = bench.running("exec sleep 300", max_parallel=1, worktree=False)
    return running, [bench.start("Sleeper", name) for name in tasks(bench, 2)]


def test_a_second_look_reads_no_task_whose_log_stands_and_no_spec(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, waiting = queued(bench)
    memory = Memory()
    first = memory.look(bench.board)
    monkeypatch.delattr(FileStore, "task")
    monkeypatch.delattr(RunFolder, "spec")
    again = memory.look(bench.board)
    assert first == again
    assert [running.run_id] == [spec.run_id for spec in again.running]
    assert [run.run_id for run in waiting] == [run.run_id for run in again.waiting]
    assert [0, 0] == memory.due_times(bench.board)


def test_a_task_that_became_more_urgent_is_seen_by_whoever_looked_before(bench: Bench) -> None:
    _, (first, second) = queued(bench)
    memory = Memory()
    assert [first.run_id, second.run_id] == [run.run_id for run in memory.look(bench.board).waiting]
    spec = second.spec()
    assert spec is not None
    bench.data("update", spec.task_id, "priority=critical", "--actor", "human:ann")
    assert [second.run_id, first.run_id] == [run.run_id for run in memory.look(bench.board).waiting]


def test_a_run_that_left_the_queue_is_seen_to_run(bench: Bench) -> None:
    running, (first, second) = queued(bench)
    memory = Memory()
    memory.look(bench.board)
    bench.data("worker", "stop", running.run_id, "--wait", "--actor", "human:ann")
    eventually(lambda: bench.view(first).state == "running")
    seen = memory.look(bench.board)
    assert [first.run_id] == [spec.run_id for spec in seen.running]
    assert [second.run_id] == [run.run_id for run in seen.waiting]
