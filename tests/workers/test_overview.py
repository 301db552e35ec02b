"""Runs of a board: found by their names, and listed."""

from __future__ import annotations

from lattice.workers import overview
from tests.workers.conftest import Bench


def test_a_run_is_shown_from_its_request_to_its_end(bench: Bench) -> None:
    run = bench.running()
    live = bench.view(run)
    assert ("running", "Sleeper", "LAT-1", "script") == (live.state, live.worker, live.task, live.engine)
    assert not live.ended
    assert live.silent_s is not None
    assert [run.run_id] == [seen.run_id for seen in overview.active(bench.board)]
    bench.data("worker", "stop", run.run_id, "--wait")
    ended = bench.finished(run)
    assert ended.ended
    assert ended.ended_at is not None
    assert ended.requested_by == "human:ann"
    assert [] == overview.active(bench.board)
    assert [run.run_id] == [seen.run_id for seen in overview.on_this_machine(bench.board)]


def test_runs_are_listed_oldest_first(bench: Bench) -> None:
    ids = [bench.ended("true").run_id for _ in range(3)]
    assert sorted(ids) == ids == [seen.run_id for seen in overview.on_this_machine(bench.board)]


def test_a_run_without_a_readable_spec_is_known_by_the_log_alone(bench: Bench) -> None:
    first, second = bench.start(bench.worker("true")), None
    bench.finished(first)
    second = bench.start()
    bench.finished(second)
    (first.path / "spec.json").unlink()
    assert ("succeeded", first.run_id) == (
        overview.find(bench.board, first.run_id).state, overview.find(bench.board, first.run_id[-8:]).run_id,
    )  # fmt: skip
    assert [second.run_id] == [seen.run_id for seen in overview.on_this_machine(bench.board)]
