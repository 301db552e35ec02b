"""Runs that Lattice did not start: begun, kept, ended and fenced by what their agents say."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lattice.commands.board import Board
from lattice.core.run_events import ProcessHeartbeat
from lattice.core.task import ActiveRun
from lattice.errors import AlreadyRunning, Conflict, Fenced, NotFound, ValidationError
from lattice.ledger import Signature, timestamp
from lattice.workers import control, liveness, overview
from lattice.workers.ends import unstarted
from lattice.workers.external import agent as external
from lattice.workers.external import end as external_end
from lattice.workers.external import lapse
from lattice.workers.external.agent import Begin
from lattice.workers.external.end import Finish
from lattice.workers.run_view import RunView
from tests.workers.conftest import ANN, Bench, eventually

BOT = Signature("agent:bot")
OUTSIDE: Mapping[str, str] = {}
BRIEF = 0.001  # minutes: over as soon as its second is


def begun(bench: Bench, deadline_minutes: float = 60.0, heartbeat_minutes: float | None = None) -> RunView:
    begin = Begin("Helper", "LAT-1", deadline_minutes=deadline_minutes, heartbeat_minutes=heartbeat_minutes)
    return external.start(bench.board, begin, BOT)


def lapsed(bench: Bench) -> RunView:
    """A run whose deadline is past, and whose end nobody wrote yet."""
    run = begun(bench, deadline_minutes=BRIEF)
    eventually(lambda: "lost" == liveness.state(bench.board, active(bench)))
    return run


def active(bench: Bench) -> ActiveRun:
    (run,) = bench.board.store.task(bench.task_id).active_processes
    return run


def kinds(bench: Bench, run: RunView) -> list[str]:
    return [event.type for event in bench.events(run_id=run.run_id)]


def moved(bench: Bench, by_s: float) -> Board:
    """The board, with a ledger whose clock is so far ahead."""
    board = bench.board
    board.ledger.source = Ahead(by_s)
    return board


class Ahead:
    """A clock that is ahead."""

    def __init__(self, by_s: float) -> None:
        self._by_ms = int(by_s * 1000)
        self._chance = 0

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self._by_ms

    def chance(self) -> int:
        self._chance += 1
        return self._chance


def test_it_begins_and_ends_by_the_agents_word(bench: Bench) -> None:
    run = begun(bench)
    assert ("running", True, "external") == (run.state, run.external, run.engine)
    assert [run.run_id] == [seen.run_id for seen in overview.active(bench.board)]
    report = bench.folder / "report.md"
    report.write_text("fine\n", encoding="utf-8")
    word = Finish(result="No findings", artifacts=(report,), usage={"cost_usd": 0.2})
    ended = external_end.finish(bench.board, run.run_id, word, BOT, OUTSIDE).run
    assert ("succeeded", "No findings", {"cost_usd": 0.2}) == (ended.state, ended.result, ended.usage)
    assert 1 == len(ended.artifact_ids)
    assert ["process_requested", "process_started", "process_completed"] == kinds(bench, run)
    for event in bench.events(run_id=run.run_id):
        assert event.raw is not None
        assert event.raw["data"]["external"] is True
    assert [] == overview.active(bench.board)


def test_what_is_said_twice_is_recorded_once(bench: Bench) -> None:
    run = begun(bench)
    for repeated in (False, True):
        assert repeated == external_end.finish(bench.board, run.run_id, Finish(result="fine"), BOT, OUTSIDE).repeated
    assert 1 == kinds(bench, run).count("process_completed")


def test_a_failure_has_its_reason(bench: Bench) -> None:
    run = begun(bench)
    ended = external_end.finish(bench.board, run.run_id[-8:], Finish(error="no database"), BOT, OUTSIDE).run
    assert ("failed", "no database", {"kind": "reported"}) == (ended.state, ended.error, ended.cause)


def test_one_that_is_asked_to_stop_hears_of_it_and_ends_as_cancelled(bench: Bench) -> None:
    run = begun(bench, heartbeat_minutes=10)
    control.stop(bench.board, run.run_id, "enough", ANN)
    assert "enough" == external.heartbeat(bench.board, run.run_id, BOT, OUTSIDE).stop_requested
    ended = external_end.finish(bench.board, run.run_id, Finish(error="I was told to"), BOT, OUTSIDE).run
    assert ("cancelled", {"kind": "cancelled", "reason": "enough"}) == (ended.state, ended.cause)


def test_one_of_eight_starters_wins(bench: Bench) -> None:
    def attempt(_: int) -> bool:
        try:
            begun(bench)
        except AlreadyRunning:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert 1 == sum(pool.map(attempt, range(8)))


def test_a_supervised_run_and_an_external_one_of_a_worker_exclude_each_other(bench: Bench) -> None:
    run = bench.running()
    with pytest.raises(AlreadyRunning):
        external.start(bench.board, Begin("sleeper", "LAT-1"), BOT)
    bench.data("worker", "stop", run.run_id, "--wait")
    external.start(bench.board, Begin("sleeper", "LAT-1"), BOT)
    with pytest.raises(AlreadyRunning):
        bench.start()


def test_a_lapsed_run_is_shown_as_lost_and_ended_by_the_next_look(bench: Bench) -> None:
    run = lapsed(bench)
    (row,) = bench.data("list")
    assert [] == row.get("active_processes", [])
    seen = overview.find(bench.board, run.run_id)
    assert ("lost", True) == (seen.state, seen.ended)
    assert "agent:lattice" == bench.events("process_failed")[0].actor


def test_a_lapsed_run_does_not_keep_the_next_from_starting(bench: Bench) -> None:
    run = lapsed(bench)
    second = begun(bench)
    assert ["process_requested", "process_started", "process_failed"] == kinds(bench, run)
    assert "running" == second.state


def test_a_word_after_the_end_is_refused_and_its_artifacts_are_kept(bench: Bench) -> None:
    run = lapsed(bench)
    liveness.refresh_all(bench.board)
    late = bench.folder / "late.md"
    late.write_text("late\n", encoding="utf-8")
    with pytest.raises(Fenced) as refused:
        external_end.finish(bench.board, run.run_id, Finish(result="fine", artifacts=(late,)), BOT, OUTSIDE)
    (attached,) = bench.events("artifact_attached")
    artifact_id = getattr(attached.body, "artifact_id", None)
    assert [artifact_id] == refused.value.as_dict()["artifact_ids"]
    assert str(artifact_id) in refused.value.message
    assert "lost" == overview.find(bench.board, run.run_id).state
    with pytest.raises(Fenced):
        external.heartbeat(bench.board, run.run_id, BOT, OUTSIDE)


def test_a_heartbeat_keeps_a_run_past_its_deadline(bench: Bench) -> None:
    run = begun(bench, deadline_minutes=BRIEF, heartbeat_minutes=1)
    until = timestamp(int((time.time() + 30 + 60) * 1000))
    external.heartbeat(moved(bench, 30), run.run_id, BOT, OUTSIDE)
    assert (active(bench).deadline or "") >= until
    assert not lapse.is_past(active(bench))


def test_heartbeats_are_recorded_once_in_a_quarter_of_their_time(bench: Bench) -> None:
    run = begun(bench, heartbeat_minutes=10)
    said = [external.heartbeat(moved(bench, s), run.run_id, BOT, OUTSIDE) for s in (10, 100, 160, 170, 290, 320)]
    assert [True, True, False, True, True, False] == [each.repeated for each in said]
    assert 2 == kinds(bench, run).count("process_heartbeat")


def test_each_heartbeat_keeps_the_run_for_all_of_its_time_recorded_or_not(bench: Bench) -> None:
    run = begun(bench, deadline_minutes=BRIEF, heartbeat_minutes=10)
    for at_s in (1, 100, 160, 310, 315, 464, 465, 900):
        external.heartbeat(moved(bench, at_s), run.run_id, BOT, OUTSIDE)
        kept_until = timestamp(int((time.time() + at_s + 599) * 1000))
        assert kept_until <= (active(bench).deadline or ""), f"heard of at {at_s} s"
    assert 8 > kinds(bench, run).count("process_heartbeat")


def test_a_heartbeat_never_shortens_what_was_given(bench: Bench) -> None:
    run = begun(bench, deadline_minutes=600, heartbeat_minutes=1)
    before = active(bench).deadline
    external.heartbeat(moved(bench, 60), run.run_id, BOT, OUTSIDE)
    assert 1 == kinds(bench, run).count("process_heartbeat")
    assert before == active(bench).deadline


def test_a_run_without_a_heartbeat_has_none(bench: Bench) -> None:
    run = begun(bench)
    with pytest.raises(ValidationError, match="without a heartbeat"):
        external.heartbeat(bench.board, run.run_id, BOT, OUTSIDE)


def test_another_machines_run_is_never_ended_by_a_guess(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    lapsed(bench)
    for module in (liveness, lapse, unstarted):
        monkeypatch.setattr(module, "host_name", lambda _: "far/0")
    liveness.refresh_all(bench.board)
    assert [] == bench.events("process_failed")
    assert liveness.state(bench.board, active(bench)).startswith("elsewhere")
    late = active(bench).replace(deadline=timestamp(0))
    assert not liveness.blocks(bench.board, late)


def test_a_heartbeat_that_git_brought_counts(bench: Bench) -> None:
    run = begun(bench, deadline_minutes=BRIEF, heartbeat_minutes=1)
    until = timestamp(int((time.time() + 600) * 1000))
    bench.board.ledger.transact(bench.task_id, lambda _: [ProcessHeartbeat(run_id=run.run_id, until=until)], BOT)
    assert until == active(bench).deadline
    assert "running" == overview.find(bench.board, run.run_id).state


def test_inside_a_supervised_run_the_word_is_a_claim(bench: Bench) -> None:
    lattice = " ".join(bench.command("worker"))
    script = (
        f"cd '{bench.repo}' && PYTHONPATH={bench.environ()['PYTHONPATH']} {lattice} fail --error 'no luck'"
        f" --json > $NOTES/said.new; mv $NOTES/said.new $NOTES/said; exec sleep 300"
    )
    run = bench.running(script)
    said = json.loads(bench.note("said"))
    assert (True, True) == (said["ok"], said["data"]["claim"])
    claim = json.loads(run.claim.read_text(encoding="utf-8"))
    assert ("failed", "no luck") == (claim["state"], claim["error"])
    assert [] == bench.ends(run)
    bench.data("worker", "stop", run.run_id, "--wait")


def test_a_supervised_run_is_not_ended_from_outside(bench: Bench) -> None:
    run = bench.running()
    with pytest.raises(Conflict, match="supervised"):
        external_end.finish(bench.board, run.run_id, Finish(result="fine"), BOT, OUTSIDE)
    with pytest.raises(Conflict, match="supervised"):
        external.heartbeat(bench.board, run.run_id, BOT, OUTSIDE)
    assert not run.claim.exists()
    inside = {"LATTICE_RUN_ID": run.run_id}
    assert external.heartbeat(bench.board, run.run_id, BOT, inside).claim
    bench.data("worker", "stop", run.run_id, "--wait")


@pytest.mark.parametrize(
    "begin",
    [
        Begin("no such\nname", "LAT-1"), Begin("", "LAT-1"), Begin("Helper", "LAT-1", deadline_minutes=0.0),
        Begin("Helper", "LAT-1", heartbeat_minutes=-1.0), Begin("Helper", "LAT-1", deadline_minutes=float("nan")),
        Begin("Helper", "LAT-1", commit="nothing-is-called-so"), Begin("Helper", "LAT-9"),
    ],
)  # fmt: skip
def test_what_cannot_begin_leaves_no_trace(bench: Bench, begin: Begin) -> None:
    before = bench.tree()
    with pytest.raises((ValidationError, NotFound)):
        external.start(bench.board, begin, BOT)
    assert before == bench.tree()


def test_a_missing_artifact_ends_nothing(bench: Bench) -> None:
    run = begun(bench)
    there = bench.folder / "there.md"
    there.write_text("x", encoding="utf-8")
    before = bench.tree()
    with pytest.raises(NotFound):
        external_end.finish(bench.board, run.run_id, Finish(artifacts=(there, Path("missing.md"))), BOT, OUTSIDE)
    after = bench.tree()
    assert before == after


@pytest.mark.parametrize("text", ["", "[]", "{}", "{", '{"a": "b"}', '{"a": -1}', '{"a": true}', '{"a": NaN}'])
def test_a_usage_is_an_object_of_numbers(text: str) -> None:
    with pytest.raises(ValidationError):
        external_end.parse_usage(text)
    assert {"tokens_in": 3, "cost_usd": 0.5} == external_end.parse_usage('{"tokens_in": 3, "cost_usd": 0.5}')


def test_the_command_line_tells_the_whole_story(bench: Bench) -> None:
    started = bench.data("worker", "start", "Helper", "LAT-1", "--heartbeat", "10", "--actor", "agent:bot")
    run_id = started["run_id"]
    assert "ALREADY_RUNNING" == bench.error("worker", "start", "helper", "LAT-1", "--actor", "agent:x")["code"]
    assert [run_id] == [row["run_id"] for row in bench.data("worker", "ps")]
    assert "USAGE" == bench.error("worker", "heartbeat", "--actor", "agent:bot")["code"]
    assert "was not started by Lattice" in bench.error("worker", "logs", run_id)["message"]
    assert not bench.data("worker", "heartbeat", run_id, "--actor", "agent:bot")["stop_requested"]
    assert "succeeded" == bench.data("worker", "complete", run_id, "--result", "ok", "--actor", "agent:bot")["state"]
    assert "FENCED" == bench.error("worker", "fail", run_id, "--error", "no", "--actor", "agent:bot")["code"]
    assert "succeeded" == bench.data("worker", "wait", run_id)["state"]
    assert [run_id] == [row["run_id"] for row in bench.data("worker", "history")]
    assert "NOT_FOUND" == bench.error("worker", "logs", run_id)["code"]
    assert [] == bench.data("worker", "gc")["problems"]


def test_waiting_for_an_external_run_ends_with_it(bench: Bench) -> None:
    run = begun(bench)
    waiting = control.ended(bench.board, run.run_id)
    assert not waiting.wait(0.1)
    external_end.finish(bench.board, run.run_id, Finish(), BOT, OUTSIDE)
    assert waiting.wait(30)
