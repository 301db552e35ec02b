"""What is shown of a run is what the kernel knows, whatever the log says and whether or not it can be written."""

from __future__ import annotations

import os
import signal
import time

import pytest

from lattice.core.task import ActiveRun
from lattice.ledger import timestamp
from lattice.store.files.locks import locked
from lattice.workers import liveness
from lattice.workers.runs import RunFolder, host_name
from tests.workers.conftest import Bench, eventually


def killed(bench: Bench) -> RunFolder:
    run = bench.running()
    for pid in bench.supervision(run):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not run.alive())
    return run


def active(bench: Bench) -> ActiveRun:
    (run,) = bench.board.store.task(bench.task_id).active_processes
    return run


def test_the_state_of_a_live_run_is_its_events(bench: Bench) -> None:
    run = bench.running()
    assert "running" == liveness.state(bench.board, active(bench))
    assert liveness.blocks(bench.board, active(bench))
    assert not liveness.is_dead(bench.board, active(bench))
    bench.data("worker", "stop", run.run_id, "--wait")


def test_a_dead_run_is_lost_before_anybody_wrote_so(bench: Bench) -> None:
    killed(bench)
    assert "running" == active(bench).state
    assert "lost" == liveness.state(bench.board, active(bench))
    assert liveness.is_dead(bench.board, active(bench))
    assert not liveness.blocks(bench.board, active(bench))


def test_no_face_shows_a_dead_run_as_running_when_the_board_cannot_be_written(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = killed(bench)
    monkeypatch.setattr("lattice.workers.reconcile.record_end", _refuse)
    liveness.refresh(bench.board)
    assert "lost" == bench.view(run).state
    assert not bench.ends(run)
    assert "could not be mended" in run.guard_log.read_text(encoding="utf-8")


def _refuse(*_: object) -> bool:
    raise OSError("Read-only file system")


@pytest.mark.slow
def test_ps_does_not_lie_while_the_tasks_log_is_locked(bench: Bench) -> None:
    run = killed(bench)
    with locked(bench.repo / ".lattice" / "locks" / f"events_{bench.task_id}.lock"):
        (shown,) = bench.data("worker", "ps")
    assert "lost" == shown["state"]
    assert [] == bench.ends(run)
    assert 0 == bench.lattice("list").returncode
    assert "lost" == bench.finished(run).state


def test_a_lease_that_cannot_be_read_does_not_fail_a_reading_command(bench: Bench) -> None:
    run = killed(bench)
    run.lease.unlink()
    run.lease.symlink_to("lease")
    liveness.refresh(bench.board)
    run.lease.unlink()
    liveness.refresh(bench.board)
    assert "lost" == bench.finished(run).state


def of(bench: Bench, host: str, deadline_in_s: float) -> ActiveRun:
    now = timestamp(time.time_ns() // 1_000_000)
    deadline = timestamp(int((time.time() + deadline_in_s) * 1000))
    return ActiveRun("run_1", "W", "running", "agent:bot", None, host, now, now, None, 60.0, deadline)


def test_another_machines_run_is_elsewhere_and_judged_by_its_deadline_alone(bench: Bench) -> None:
    board = bench.board
    assert "elsewhere" == liveness.state(board, of(bench, "far/0", 600))
    assert "elsewhere (overdue)" == liveness.state(board, of(bench, "far/0", -600))
    assert liveness.blocks(board, of(bench, "far/0", 600))
    assert not liveness.blocks(board, of(bench, "far/0", -600))
    assert not liveness.is_dead(board, of(bench, "far/0", -600))


def test_two_copies_of_a_board_have_different_hosts(bench: Bench) -> None:
    assert host_name(bench.repo / ".lattice") != host_name(bench.folder / "copy" / ".lattice")
    assert host_name(bench.repo / ".lattice") == host_name(bench.repo / "." / ".lattice")


def test_a_stopped_supervisor_far_past_its_deadline_is_overdue(bench: Bench) -> None:
    run = bench.running(timeout_minutes=300)
    late = active(bench).replace(deadline=timestamp(0))
    assert "overdue" == liveness.state(bench.board, late)
    bench.data("worker", "stop", run.run_id, "--wait")
