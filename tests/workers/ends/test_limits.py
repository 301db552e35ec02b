"""The limits of a run on a clock that nobody sets, and the run that is ended by each."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lattice.core.run import Lingered, LogFull, Reported, TimedOut
from lattice.workers.ends.limits import Limits
from lattice.workers.ends.reported import BYTES_MAX, claim_of, file_result_of
from lattice.workers.runs import RunFolder
from lattice.workers.spec import RunSpec
from tests.workers.conftest import Bench, eventually
from tests.workers.test_runs import SPEC

REPORTS = (
    'echo \'{"state": "succeeded"}\' > "$LATTICE_OUTPUT_DIR/new"; '
    'mv "$LATTICE_OUTPUT_DIR/new" "$LATTICE_OUTPUT_DIR/result.json"; echo up > "$NOTES/up"; exec sleep 300'
)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Case:
    """Limits on a folder of a run, and the clock they go by."""

    def __init__(self, folder: Path, spec: RunSpec, result: Reported | None = None) -> None:
        self.clock = Clock()
        self.folder = RunFolder(folder, spec.run_id)
        self.folder.path.mkdir(parents=True)
        self.log = self.folder.output_log
        self.result = result
        self.limits = Limits(self.folder, spec, lambda: self.result is not None, self.clock)

    def after(self, seconds: float) -> object:
        self.clock.now += seconds
        return self.limits.passed()


def test_the_wall_limit_counts_from_the_supervisors_beginning(tmp_path: Path) -> None:
    case = Case(tmp_path, SPEC.replace(timeout_s=10.0))
    assert case.after(9.9) is None
    assert TimedOut(10.0) == case.after(0.1)
    assert case.limits.patience_s() < 0.01


def test_silence_is_that_of_the_log_whatever_its_time_of_change_says(tmp_path: Path) -> None:
    case = Case(tmp_path, SPEC.replace(timeout_s=3600.0, idle_timeout_s=10.0))
    case.log.write_text("one\n", encoding="utf-8")
    assert case.after(9.0) is None
    for stamp in (0, 4_000_000_000):  # a wall clock that steps, or an engine that touches its log
        os.utime(case.log, (stamp, stamp))
        assert case.after(4.0) is None
    assert TimedOut(10.0, idle=True) == case.after(2.0)
    with case.log.open("a", encoding="utf-8") as log:
        log.write("two\n")
    assert case.after(0.0) is None


def test_the_limit_after_the_result_counts_from_its_appearance(tmp_path: Path) -> None:
    case = Case(tmp_path, SPEC.replace(timeout_s=3600.0, after_result_s=5.0))
    assert case.after(100.0) is None
    case.result = Reported(True)
    assert case.after(1.0) is None
    assert case.after(4.9) is None
    assert Lingered(5.0) == case.after(0.1)


def test_a_log_is_looked_at_before_it_is_full_and_once_a_second_where_it_does_not_grow(tmp_path: Path) -> None:
    case = Case(tmp_path, SPEC.replace(timeout_s=3600.0, log_limit_bytes=1000))
    case.clock.now += 5.0  # the worktree is made
    case.limits.engine_begins()
    assert pytest.approx(0.01, abs=0.002) == case.limits.patience_s()  # What begins with a flood shows at once.
    assert case.after(0.1) is None
    assert pytest.approx(0.1, abs=0.002) == case.limits.patience_s()
    assert case.after(10.0) is None
    assert pytest.approx(1.0, abs=0.002) == case.limits.patience_s()
    case.log.write_bytes(b"x" * 800)
    assert case.after(1.0) is None
    assert pytest.approx(0.125, abs=0.002) == case.limits.patience_s()  # 200 bytes are left, at 800 in a second
    assert case.after(1.0) is None
    assert pytest.approx(1.0, abs=0.002) == case.limits.patience_s()
    case.log.write_bytes(b"x" * 1001)
    assert LogFull(1000) == case.after(1.0)


def test_a_log_that_is_too_long_is_a_limit_of_its_own(tmp_path: Path) -> None:
    case = Case(tmp_path, SPEC.replace(log_limit_bytes=3))
    case.log.write_bytes(b"123")
    assert case.after(0.0) is None
    case.log.write_bytes(b"1234")
    assert LogFull(3) == case.after(0.0)


def test_an_engine_that_reported_its_result_and_hangs_is_ended_and_judged_by_its_work(bench: Bench) -> None:
    run = bench.running(REPORTS, after_result_seconds=0.2)
    bench.note("up")
    seen = bench.finished(run)
    assert "succeeded" == seen.state
    owed = {"review": {"path": "review.md", "required": True}}
    seen = bench.ended(REPORTS, after_result_seconds=0.2, outputs=owed)
    assert ("failed", {"kind": "verdict", "missing": ["review"]}) == (seen.state, seen.cause)
    assert "did not exit within 0.2 s" in (seen.error or "")


def test_without_the_limit_a_result_ends_nothing(bench: Bench) -> None:
    run = bench.running(REPORTS)
    bench.note("up")
    bench.data("worker", "stop", run.run_id, "--wait")
    assert "cancelled" == bench.finished(run).state


def test_an_engine_that_exits_with_0_and_reported_a_failure_has_failed(bench: Bench) -> None:
    told = json.dumps({"state": "failed", "text": "rate limit"})
    seen = bench.ended(f"echo '{told}' > \"$LATTICE_OUTPUT_DIR/result.json\"")
    assert ("failed", {"kind": "verdict", "result": "failed"}) == (seen.state, seen.cause)
    assert "rate limit" in (seen.error or "")


def test_a_touched_log_is_no_output(bench: Bench) -> None:
    touching = "echo once; while true; do touch /proc/self/fd/1; sleep 0.05; done"
    seen = bench.ended(touching, idle_timeout_minutes=0.5 / 60)
    assert ("timed_out", {"kind": "idle", "limit_s": 0.5}) == (seen.state, seen.cause)


@pytest.mark.parametrize(
    "data",
    [b"", b"[]", b'{"state": "done"}', b'{"state": ["succeeded"]}', b"\xff", b'{"state": "failed"', b"{" * 9_999],
    ids=["empty", "list", "other state", "listed state", "bytes", "torn", "deep"],
)
def test_what_is_not_a_report_says_nothing(tmp_path: Path, data: bytes) -> None:
    run = Case(tmp_path, SPEC).folder
    run.out.mkdir()
    run.result.write_bytes(data)
    run.claim.write_bytes(data)
    assert (None, None) == (file_result_of(run), claim_of(run))


def test_a_report_is_read_from_a_plain_file_of_some_size_alone(tmp_path: Path) -> None:
    run = Case(tmp_path, SPEC).folder
    run.out.mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text('{"state": "succeeded"}', encoding="utf-8")
    run.result.symlink_to(elsewhere)
    assert file_result_of(run) is None
    run.result.unlink()
    os.mkfifo(run.result)
    assert file_result_of(run) is None
    run.result.unlink()
    run.result.write_text('{"state": "succeeded"}' + " " * BYTES_MAX, encoding="utf-8")
    assert file_result_of(run) is None
    run.result.write_text('{"state": "succeeded", "usage": {"a": 1, "b": true, "c": -1, "d": "x"}}', encoding="utf-8")
    assert Reported(True, None, {"a": 1}) == file_result_of(run)


def test_a_wall_clock_that_steps_ends_no_run(bench: Bench) -> None:
    """The log is of the future, then of the past, by the wall clock; the engine speaks five times a second."""
    go = bench.notes / "go"
    os.mkfifo(go)
    script = 'for n in $(seq 10); do echo $n; touch -d "@$((n % 2 * 4000000000))" /proc/self/fd/1; sleep 0.2; done'
    run = bench.running(f'{script}; read -r _ < "$NOTES/go"', idle_timeout_minutes=1)
    eventually(lambda: run.output_log.read_text(encoding="utf-8").endswith("10\n"))
    go.write_text("on\n", encoding="utf-8")
    assert "succeeded" == bench.finished(run).state
