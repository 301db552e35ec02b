"""What the verdict hung on is kept and told: for each kind of end, for lost runs, and for what came too late."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from typing import Any

import pytest

from lattice.core.run_events import ProcessFailed
from lattice.workers import control, liveness
from lattice.workers.ends import certificate, overdue
from lattice.workers.processes.table import is_stopped
from lattice.workers.runs import RunFolder
from tests.workers.conftest import ANN, Bench, eventually, is_alive

REVIEW = {"review": {"role": "review", "path": "review.md", "required": True}}


def why(bench: Bench, run_id: str) -> dict[str, Any]:
    shape: dict[str, Any] = bench.data("worker", "why", run_id)
    return shape


def test_a_success_names_its_exit_its_outputs_and_its_cost(bench: Bench) -> None:
    script = (
        'echo good > "$LATTICE_OUTPUT_DIR/review.md"; echo mine > b.txt\n'
        'echo \'{"state": "succeeded", "text": "fine", "usage": {"cost_usd": 0.25, "who": "x"}}\' '
        '> "$LATTICE_OUTPUT_DIR/result.json"'
    )
    seen = bench.ended(script, outputs=REVIEW)
    kept = why(bench, seen.run_id)
    assert ("succeeded", None) == (kept["state"], kept["error"])
    assert ("supervisor", False) == (kept["found_by"], kept["late"])
    assert {"is": "Exited", "code": 0} == kept["evidence"]["ending"] == kept["evidence"]["status"]
    (output,) = kept["outputs"]
    assert (True, 5, hashlib.sha256(b"good\n").hexdigest()) == (output["found"], output["size"], output["sha256"])
    assert ({"cost_usd": 0.25}, seen.salvage_ref) == (kept["usage"], kept["salvage_ref"])
    (end,) = [e for e in bench.events("process_completed") if e.raw is not None]
    assert {"cost_usd": 0.25} == (end.raw or {})["data"]["usage"]
    text = bench.lattice("worker", "why", seen.run_id).stdout
    assert "success: fine" in text
    assert output["sha256"] in text


def test_a_log_that_was_over_its_limit_at_a_normal_exit_was_cut_and_that_is_told(bench: Bench) -> None:
    seen = bench.ended("exec head -c 5000 /dev/zero", log_limit_mb=1 / 1024)
    kept = why(bench, seen.run_id)
    assert ("succeeded", 5000 - 1024) == (kept["state"], kept["log_cut_bytes"])
    said = "log          cut at 1,024 bytes; 3,976 more were not kept"
    assert said in bench.lattice("worker", "why", seen.run_id).stdout
    within = why(bench, bench.ended("echo a").run_id)
    assert (0, []) == (within["log_cut_bytes"], within["noted"])


def test_what_the_supervisor_noted_is_told(bench: Bench) -> None:
    seen = bench.ended('echo "not JSON" > "$LATTICE_OUTPUT_DIR/review.md"', outputs=REVIEW)
    RunFolder(bench.board.folder, seen.run_id).note("the output review was not recorded\x1b[2J")
    assert ["the output review was not recorded\x1b[2J"] == why(bench, seen.run_id)["noted"][-1:]
    told = bench.lattice("worker", "why", seen.run_id).stdout
    assert "noted        the output review was not recorded\\x1b[2J" in told


def test_an_end_by_a_limit_is_told_in_words(bench: Bench) -> None:
    seen = bench.ended("echo once; exec sleep 300", idle_timeout_minutes=0.5 / 60)
    assert "ended by     silence of 0.5 s\n" in bench.lattice("worker", "why", seen.run_id).stdout
    seen = bench.ended("exec sleep 300", timeout_minutes=3 / 60)
    assert "ended by     the wall limit of 3.0 s\n" in bench.lattice("worker", "why", seen.run_id).stdout
    done = 'echo "{\\"state\\": \\"succeeded\\"}" > "$LATTICE_OUTPUT_DIR/result.json"; exec sleep 300'
    seen = bench.ended(done, after_result_seconds=0.5)
    assert "ended by     the limit of 0.5 s after its result\n" in bench.lattice("worker", "why", seen.run_id).stdout
    seen = bench.ended("exit 3")
    assert "ended by     its exit with status 3\n" in bench.lattice("worker", "why", seen.run_id).stdout


def test_a_stop_tells_each_signal_with_its_time_and_the_engines_own_end(bench: Bench) -> None:
    run = bench.running(
        'trap "" INT TERM; echo up > "$NOTES/up"; while true; do sleep 300; done',
        grace_seconds=0.6,
        interrupt_seconds=0.2,
    )
    bench.note("up")
    bench.data("worker", "stop", run.run_id, "--reason", "enough", "--wait")
    kept = why(bench, run.run_id)
    assert ["SIGINT", "SIGTERM", "SIGKILL"] == [sent["signal"] for sent in kept["signals"]]
    first, second, third = (sent["at_s"] for sent in kept["signals"])
    assert second - first >= 0.2
    assert third - second >= 0.4
    assert {"is": "Signalled", "signum": signal.SIGKILL} == kept["evidence"]["status"]
    assert {"is": "Cancelled", "reason": "enough"} == kept["evidence"]["ending"]
    assert kept["killed_count"] == len(kept["killed"]) >= 2
    told = bench.lattice("worker", "why", run.run_id).stdout
    assert "ended by     a request to stop: enough\n" in told
    assert "engine       signal 9, SIGKILL\n" in told


def test_a_run_for_which_no_sandbox_was_asked_says_so(bench: Bench) -> None:
    seen = bench.ended("true")
    assert why(bench, seen.run_id)["sandbox"] is None
    assert "none; none was asked for" in bench.lattice("worker", "why", seen.run_id).stdout


def test_every_process_of_a_normal_end_is_counted(bench: Bench) -> None:
    script = (
        '"$PY" "$NOTES/daemon.py" "$NOTES/one.pid"; env -i "$PY" "$NOTES/daemon.py" "$NOTES/two.pid"\n'
        'while [ ! -e "$NOTES/one.pid" -o ! -e "$NOTES/two.pid" ]; do sleep 0.01; done'
    )
    seen = bench.ended(script)
    left = {int(bench.note(f"{name}.pid")) for name in ("one", "two")}
    kept = why(bench, seen.run_id)
    assert ("succeeded", left, 2) == (kept["state"], set(kept["killed"]), kept["killed_count"])
    assert [] == [pid for pid in left if is_alive(pid)]


def test_a_lost_run_says_what_is_known_and_who_found_it(bench: Bench) -> None:
    script = 'echo good > "$LATTICE_OUTPUT_DIR/review.md"; echo up > "$NOTES/up"; exec sleep 300'
    run = bench.running(script, outputs=REVIEW)
    bench.note("up")
    _, supervisor = bench.supervision(run)
    os.kill(supervisor, signal.SIGKILL)
    assert "lost" == bench.finished(run).state
    kept = why(bench, run.run_id)
    assert ("lost", "guard", True) == (kept["state"], kept["found_by"], kept["outputs"][0]["found"])
    assert () == bench.view(run).artifact_ids


def claiming(claim: str) -> str:
    """A script that says this of its own run, as `worker complete` and `worker fail` write it."""
    said = claim.removesuffix("}") + ', "run_id": "%s"}\\n'
    return f'printf \'{said}\' "$LATTICE_RUN_ID" > "$LATTICE_OUTPUT_DIR/claim.json"'


def test_a_claim_of_another_run_is_no_word_of_this_one(bench: Bench) -> None:
    claim = json.dumps({"state": "failed", "error": "no access", "run_id": "run_01ARZ3NDEKTSV4RRFFQ69G5FAV"})
    seen = bench.ended(f"echo '{claim}' > \"$LATTICE_OUTPUT_DIR/claim.json\"")
    assert "succeeded" == seen.state
    assert why(bench, seen.run_id)["evidence"]["claim"] is None


def test_a_claim_is_an_input_and_not_the_end(bench: Bench) -> None:
    claim = json.dumps({"state": "succeeded", "result": "all done", "at": "2026-01-01T00:00:00Z"})
    seen = bench.ended(claiming(claim), outputs=REVIEW)
    assert ("failed", {"kind": "verdict", "missing": ["review"]}) == (seen.state, seen.cause)
    assert "It said that it had succeeded: all done." in (seen.error or "")
    claimed = why(bench, seen.run_id)["evidence"]["claim"]
    assert (True, "all done", None) == (claimed["succeeded"], claimed["text"], claimed["usage"])


def test_an_agent_that_says_it_failed_has_failed(bench: Bench) -> None:
    claim = json.dumps({"state": "failed", "error": "no access"})
    seen = bench.ended(claiming(claim))
    assert ("failed", {"kind": "verdict", "claim": "failed"}) == (seen.state, seen.cause)


def test_the_late_result_of_a_run_that_was_ended_by_others_is_told_and_not_believed(bench: Bench) -> None:
    go = bench.notes / "go"
    os.mkfifo(go)
    run = bench.running('read -r _ < "$NOTES/go"; echo good > "$LATTICE_OUTPUT_DIR/review.md"', outputs=REVIEW)
    _, supervisor = bench.supervision(run)
    os.kill(supervisor, signal.SIGSTOP)
    # As another machine does that shares the board, once the deadline is long past.
    lost = ProcessFailed(run.run_id, None, None, 1.0, "Nobody heard of it.", {"kind": "lost"})
    bench.board.ledger.transact(bench.task_id, lambda _: [lost], ANN)
    go.write_text("on\n", encoding="utf-8")
    eventually((run.out / "review.md").exists)
    os.kill(supervisor, signal.SIGCONT)
    seen = bench.finished(run)
    assert ("lost", 1, ()) == (seen.state, len(bench.ends(run)), seen.artifact_ids)
    assert not bench.board.store.task(bench.task_id).has_role("review")
    kept = why(bench, run.run_id)
    assert (True, "succeeded", True) == (kept["late"], kept["state"], kept["outputs"][0]["found"])
    assert "good\n" == (run.out / "review.md").read_text(encoding="utf-8")
    assert "not believed" in bench.lattice("worker", "why", run.run_id).stdout


def test_gc_ends_a_run_whose_supervisor_and_guard_were_stopped_far_past_the_deadline(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = bench.running(
        'env -i "$PY" "$NOTES/daemon.py" "$NOTES/daemon.pid"; echo mine > b.txt; exec sleep 300',
        timeout_minutes=4 / 60,
    )
    daemon = int(bench.note("daemon.pid"))
    guard, supervisor = bench.supervision(run)
    for pid in (guard, supervisor):
        os.kill(pid, signal.SIGSTOP)
        eventually(lambda pid=pid: is_stopped(pid))  # type: ignore[misc]  # mypy cannot infer a default's type
    assert () == control.gc(bench.board, os.environ).finished  # not yet overdue
    assert is_alive(supervisor)
    holder = eventually(lambda: overdue.holder(run))
    assert holder is not None
    assert (supervisor, True) == (holder.pid, holder.stopped)
    limit_s = 4.0 + 0.4
    eventually(lambda: (found := overdue.holder(run)) is not None and found.age_s > limit_s)
    assert () == control.gc(bench.board, os.environ).finished  # The minute of patience has not passed.
    monkeypatch.setattr(overdue, "OVERDUE_AFTER_S", 0.0)
    assert (run.run_id,) == control.gc(bench.board, os.environ).finished
    seen = bench.finished(run)
    assert "lost" == seen.state
    assert "lattice worker gc ended it" in (seen.error or "")
    assert seen.salvage_ref is not None
    assert [False, False] == [is_alive(daemon), is_alive(guard)]
    assert "guard" == why(bench, run.run_id)["found_by"]


def test_gc_ends_all_of_an_overdue_run_whose_guard_is_gone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    run = bench.running(
        'env -i "$PY" "$NOTES/daemon.py" "$NOTES/daemon.pid"; echo $$ > "$NOTES/engine.pid"; exec sleep 300',
        timeout_minutes=4 / 60,
    )
    tree = [int(bench.note(f"{name}.pid")) for name in ("daemon", "engine")]
    guard, supervisor = bench.supervision(run)
    os.kill(supervisor, signal.SIGSTOP)
    os.kill(guard, signal.SIGKILL)
    monkeypatch.setattr(overdue, "OVERDUE_AFTER_S", 0.0)
    eventually(lambda: control.gc(bench.board, os.environ).finished)
    assert "lost" == bench.finished(run).state
    kept = why(bench, run.run_id)
    assert ("lattice worker gc", True) == (kept["found_by"], {supervisor, *tree} <= set(kept["killed"]))
    assert [] == [pid for pid in (supervisor, *tree) if is_alive(pid)]


def test_a_run_far_past_its_deadline_is_shown_as_overdue(bench: Bench) -> None:
    run = bench.running(timeout_minutes=4 / 60)
    _, supervisor = bench.supervision(run)
    os.kill(supervisor, signal.SIGSTOP)
    (active,) = bench.board.store.task(bench.task_id).active_processes
    assert "overdue" == liveness.state(bench.board, active.replace(deadline="2020-01-01T00:00:00Z"))
    os.kill(supervisor, signal.SIGCONT)
    assert "timed_out" == bench.finished(run).state


def test_a_supervisor_that_was_stopped_itself_hears_of_a_stop(bench: Bench) -> None:
    run = bench.running(grace_seconds=1)
    _, supervisor = bench.supervision(run)
    os.kill(supervisor, signal.SIGSTOP)
    eventually(lambda: is_stopped(supervisor))
    bench.data("worker", "stop", run.run_id, "--wait")
    assert "cancelled" == bench.finished(run).state


def test_a_running_run_has_no_certificate_yet(bench: Bench) -> None:
    run = bench.running()
    error = bench.error("worker", "why", run.run_id)
    assert ("NOT_FOUND", True) == (error["code"], "worker wait" in error["hint"])
    assert certificate.read(run) is None
    bench.data("worker", "stop", run.run_id, "--wait")


def test_an_end_with_more_to_say_than_there_is_room_for_is_still_an_end(bench: Bench) -> None:
    owed = {f"o{n}": {"path": f"{n}-" + "x" * 200, "required": True} for n in range(100)}
    claim = json.dumps({"state": "succeeded", "result": "\U0001f600" * 2_000})
    seen = bench.ended(claiming(claim), outputs=owed)
    assert ("failed", "verdict") == (seen.state, (seen.cause or {})["kind"])
    assert "failed" == why(bench, seen.run_id)["state"]
