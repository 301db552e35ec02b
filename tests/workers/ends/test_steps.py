"""A run's timeline, and when its log was how long."""

from __future__ import annotations

from lattice.workers.ends import steps
from lattice.workers.run_view import RunView
from lattice.workers.runs import RunFolder
from tests.workers.conftest import Bench, eventually


def folder_of(bench: Bench, run: RunView) -> RunFolder:
    return RunFolder(bench.board.folder, run.run_id)


def test_a_run_goes_through_its_steps_in_order(bench: Bench) -> None:
    folder = folder_of(bench, bench.ended("echo one"))
    seen = steps.of(folder, folder.spec())
    names = [step.name for step in seen]
    assert [
        "requested", "guard", "worktree", "setup", "spawned", "output", "ended", "swept", "recorded", "removed",
    ] == names  # fmt: skip
    times = [step.at_ms for step in seen]
    assert sorted(times) == times
    assert seen[0].took_s is None
    total_s = (times[-1] - times[0]) / 1000
    assert abs(sum(step.took_s or 0 for step in seen) - total_s) < 0.001


def test_a_run_that_said_nothing_has_no_first_output(bench: Bench) -> None:
    folder = folder_of(bench, bench.ended("true"))
    assert "output" not in [step.name for step in steps.of(folder, folder.spec())]


def test_a_run_whose_program_could_not_be_executed_has_no_such_step(bench: Bench) -> None:
    bench.worker()
    script = bench.repo / "workers" / "sleeper.sh"
    script.write_text("#!/no/such/interpreter\n", encoding="utf-8")
    run = bench.start()
    bench.finished(run)
    names = [step.name for step in steps.of(run, run.spec())]
    assert "spawned" not in names
    assert ["swept", "recorded", "removed"] == names[-3:]


def test_a_step_noted_twice_counts_as_first_done_and_a_torn_line_as_none(bench: Bench) -> None:
    run = bench.start(bench.worker("true"))
    bench.finished(run)
    (run.path / "steps").write_bytes(b"100 guard\n300 guard\nx swept\n200 wor\xff\n400")
    assert [("guard", 100)] == [(step.name, step.at_ms) for step in steps.of(run, None)]


def test_the_log_is_found_from_a_moment_on(bench: Bench) -> None:
    run = bench.start(bench.worker("true"))
    bench.finished(run)
    (run.path / "output.times").write_bytes(b"1000 10\n2000 25\n3000 40\n")
    assert [0, 10, 10, 25, 40] == [steps.offset_at(run, at) for at in (999, 1000, 1999, 2500, 9000)]


def test_what_is_written_between_two_looks_is_shown_rather_than_left_out(bench: Bench) -> None:
    run = bench.running("echo first; until [ -e $NOTES/go ]; do sleep 0.05; done; echo second; exec sleep 300")
    eventually(lambda: [step for step in steps.of(run, run.spec()) if step.name == "output"])
    (at_ms,) = (step.at_ms for step in steps.of(run, run.spec()) if step.name == "output")
    (bench.notes / "go").touch()
    eventually(lambda: b"second" in run.output_log.read_bytes())
    assert b"second\n" == run.output_log.read_bytes()[steps.offset_at(run, at_ms) :]
    assert b"first\nsecond\n" == run.output_log.read_bytes()[steps.offset_at(run, at_ms - 1) :]
    bench.data("worker", "stop", run.run_id, "--wait")


def test_show_has_the_timeline(bench: Bench) -> None:
    seen = bench.ended("echo one")
    shown = bench.data("worker", "show", seen.run_id)
    assert "removed" == shown["steps"][-1]["name"]
    page = bench.lattice("worker", "show", seen.run_id).stdout
    assert "its program was executed" in page
