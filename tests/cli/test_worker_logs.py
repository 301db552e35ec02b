"""`worker logs` and `worker history`: real runs, real programs."""

from __future__ import annotations

import subprocess

from tests.workers.conftest import Bench, eventually
from tests.workers.conftest import bench as bench  # noqa: PLC0414  # a fixture is shared by its name

TALK = "printf 'one\\ntwo error\\nthree\\nfour error'"


def text(bench: Bench, *words: str) -> str:
    shown: str = bench.data("worker", "logs", *words)["text"]
    return shown


def test_grep_shows_the_lines_that_it_is_found_in(bench: Bench) -> None:
    run_id = bench.ended(TALK).run_id
    assert "two error\nfour error" == text(bench, run_id, "--grep", "err.r")
    assert "four error" == text(bench, run_id, "--grep", "error", "--tail", "1")
    assert "" == text(bench, run_id, "--grep", "nothing")
    assert "USAGE" == bench.error("worker", "logs", run_id, "--grep", "(")["code"]


def test_grep_finds_what_lies_across_two_reads_and_tail_takes_the_last_of_it(bench: Bench) -> None:
    run = bench.start(bench.worker("true"))
    bench.finished(run)
    lines = [f"{number} {'odd' if number % 2 else 'even'} {'x' * (number % 97)}" for number in range(40_000)]
    run.output_log.write_text("\n".join(lines), encoding="ascii")
    odd = [each for each in lines if "odd" in each]
    assert odd == text(bench, run.run_id, "--grep", "odd").splitlines()
    assert odd[-3:] == text(bench, run.run_id, "--grep", "odd", "--tail", "3").splitlines()
    assert lines[-3:] == text(bench, run.run_id, "--tail", "3").splitlines()
    raw = bench.lattice("worker", "logs", run.run_id, "--raw").stdout
    assert lines == raw.splitlines()


def test_since_shows_what_came_from_then_on(bench: Bench) -> None:
    run_id = bench.ended(TALK).run_id
    times = bench.repo / ".lattice" / "runs" / run_id / "output.times"
    times.write_bytes(b"1700000000000 4\n1700000100000 14\n")  # 2023-11-14T22:13:20Z, and 100 s later
    assert "two error\nthree\nfour error" == text(bench, run_id, "--since", "2023-11-14T22:13:20")
    assert "three\nfour error" == text(bench, run_id, "--since", "2m")
    assert text(bench, run_id) == text(bench, run_id, "--since", "2023-11-14")
    assert "VALIDATION_ERROR" == bench.error("worker", "logs", run_id, "--since", "once")["code"]
    assert "USAGE" == bench.error("worker", "logs", run_id, "--since", "2m", "--guard")["code"]


def test_follow_with_grep_waits_for_the_ends_of_lines(bench: Bench) -> None:
    run = bench.running(
        "printf 'an err'; until [ -e $NOTES/go ]; do sleep 0.05; done; "
        "printf 'or\\nfine\\nlast \\303'; printf '\\251 error'"
    )
    eventually(lambda: b"an err" in run.output_log.read_bytes())
    follower = subprocess.Popen(
        bench.command("worker", "logs", run.run_id, "--follow", "--grep", "error"),
        cwd=bench.repo, env=bench.environ(), stdout=subprocess.PIPE, text=True, encoding="utf-8",
    )  # fmt: skip
    (bench.notes / "go").touch()
    said, _ = follower.communicate(timeout=60)
    assert (0, "an error\nlast \u00e9 error") == (follower.returncode, said)
    bench.finished(run)


def test_history_has_all_that_ended_the_newest_first(bench: Bench) -> None:
    first, second = bench.ended("true"), bench.ended("exit 3", name="Other")
    going = bench.running()
    rows = bench.data("worker", "history")
    assert [second.run_id, first.run_id] == [row["run_id"] for row in rows]
    assert ["failed", "succeeded"] == [row["state"] for row in rows]
    assert {"human:ann"} == {row["requested_by"] for row in rows}
    assert [first.run_id] == [row["run_id"] for row in bench.data("worker", "history", "--worker", "sleeper")]
    assert [second.run_id] == [row["run_id"] for row in bench.data("worker", "history", "LAT-1", "--limit", "1")]
    assert "It exited with status 3." in bench.lattice("worker", "history").stdout
    assert "NOT_FOUND" == bench.error("worker", "history", "LAT-7")["code"]
    assert "No run of Slepper has ended.\n" == bench.lattice("worker", "history", "--worker", "Slepper").stdout
    bench.data("worker", "stop", going.run_id, "--wait")


def test_history_does_not_need_the_runs_folders(bench: Bench) -> None:
    seen = bench.ended("true")
    folder = bench.repo / ".lattice" / "runs" / seen.run_id
    folder.rename(bench.folder / "elsewhere")
    assert [seen.run_id] == [row["run_id"] for row in bench.data("worker", "history")]
    assert seen.run_id == bench.data("worker", "show", seen.run_id)["run_id"]
    assert seen.run_id == bench.data("worker", "show", seen.run_id[-8:])["run_id"]
