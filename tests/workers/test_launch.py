"""The start of a run: one of many wins, and a starter may die at any step."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from lattice.errors import AlreadyRunning, RunSetupError
from lattice.workers.runs import RunFolder
from tests.workers.conftest import Bench, eventually


def test_one_of_twenty_simultaneous_starters_wins(bench: Bench) -> None:
    bench.worker()
    starters = [
        subprocess.Popen(
            bench.command("worker", "run", "Sleeper", "LAT-1", "--json"),
            cwd=bench.repo,
            env=bench.environ(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(20)
    ]
    answers = []
    for starter in starters:
        out, err = starter.communicate(timeout=120)
        assert "" == err
        answers.append((starter.returncode, json.loads(out)))
    (won,) = [answer["data"] for status, answer in answers if status == 0]
    lost = [(status, answer["error"]) for status, answer in answers if status != 0]
    assert [(1, "ALREADY_RUNNING", won["run_id"])] * 19 == [(s, e["code"], e["run_id"]) for s, e in lost]
    runs = bench.repo / ".lattice" / "runs"
    assert {"open", won["run_id"]} == {path.name for path in runs.iterdir()}
    assert [won["run_id"]] == [path.name for path in (runs / "open").iterdir()]
    assert 1 == len(bench.events("process_requested"))
    eventually(lambda: bench.events("process_started"))
    assert [won["run_id"]] == [path.name for path in bench.worktrees()]
    bench.data("worker", "stop", won["run_id"], "--wait")
    assert "cancelled" == bench.finished(RunFolder(bench.board.folder, won["run_id"])).state
    again = bench.running()
    bench.data("worker", "stop", again.run_id, "--wait")
    bench.finished(again)


def test_a_second_start_names_the_run_that_is_there(bench: Bench) -> None:
    run = bench.running()
    before = bench.tree()
    with pytest.raises(AlreadyRunning, match=run.run_id) as refused:
        bench.start()
    assert run.run_id == refused.value.details["run_id"]
    after = bench.tree()
    assert before.keys() == after.keys()
    bench.data("worker", "stop", run.run_id, "--wait")


def test_another_worker_and_another_task_are_not_kept_from_starting(bench: Bench) -> None:
    bench.lattice("create", "Second")
    runs = [bench.start(bench.worker()), bench.start(bench.worker(name="Other")), bench.start("Sleeper", "LAT-2")]
    assert 3 == len(bench.data("worker", "ps"))
    for run in runs:
        bench.data("worker", "stop", run.run_id, "--wait")


def test_comments_and_status_changes_survive_runs_that_begin_and_end_among_them(bench: Bench) -> None:
    bench.worker("true")
    script = (
        "import sys\nfrom lattice.cli.main import main\n"
        "for n in range(25):\n    assert 0 == main(['comment', 'LAT-1', f'{sys.argv[1]}-{n}'])\n"
    )
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(number)],
            cwd=bench.repo,
            env=bench.environ(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(8)
    ]
    moves = ["in_planning", "planned", "in_progress", "review"]
    for move in moves:
        bench.finished(bench.start())
        done = bench.lattice("status", "LAT-1", move, "--force", "--reason", "test")
        assert 0 == done.returncode, done
    for writer in writers:
        assert (0, "") == (writer.wait(120), writer.communicate()[1])
    texts = {str((e.raw or {})["data"]["body"]) for e in bench.events("comment_added")}
    assert {f"{writer}-{n}" for writer in range(8) for n in range(25)} == texts
    task = bench.board.store.task(bench.task_id)
    snapshot = json.loads((bench.repo / ".lattice" / "tasks" / f"{bench.task_id}.json").read_text(encoding="utf-8"))
    assert (200, 200) == (task.comment_count, snapshot["comment_count"])
    assert ("review", "review") == (task.status, snapshot["status"])
    assert 4 == len(bench.events("process_completed"))


# --- a starter that dies, a guard that does not come ----------------------------------------------


def test_a_starter_killed_before_its_request_leaves_a_folder_that_is_cleared_away(bench: Bench) -> None:
    bench.worker()
    done = bench.python(
        "launch._request = die\n"
        "launch.start(board, preflight.plan(board, preflight.Request('Sleeper', 'LAT-1'), os.environ), by)"
    )
    assert -9 == done.returncode
    (left,) = (bench.repo / ".lattice" / "runs").glob("run_*")
    assert left.is_dir()
    assert 0 == bench.lattice("list").returncode
    assert [] == list((bench.repo / ".lattice" / "runs").glob("*run_*"))
    assert [] == bench.events("process_requested")
    bench.assert_clean()


def test_a_starter_killed_after_its_request_leaves_a_run_that_ends_as_lost(bench: Bench) -> None:
    bench.worker()
    done = bench.python(
        "launch.handover.start_guard = die\n"
        "launch.start(board, preflight.plan(board, preflight.Request('Sleeper', 'LAT-1'), os.environ), by)"
    )
    assert -9 == done.returncode
    (run,) = bench.board.store.task(bench.task_id).active_processes
    shown = bench.data("show", "LAT-1")
    assert [] == shown.get("active_processes", [])
    assert "lost" == bench.finished(RunFolder(bench.board.folder, run.run_id)).state


def test_the_next_start_ends_a_dead_run_and_goes_on(bench: Bench) -> None:
    bench.worker("true")
    bench.python(
        "launch.handover.start_guard = die\n"
        "launch.start(board, preflight.plan(board, preflight.Request('Sleeper', 'LAT-1'), os.environ), by)"
    )
    (dead,) = bench.board.store.task(bench.task_id).active_processes
    assert "succeeded" == bench.finished(bench.start()).state
    assert "lost" == bench.end(RunFolder(bench.board.folder, dead.run_id))["cause"]["kind"]


def test_a_write_that_may_have_happened_is_settled_by_what_the_log_says(bench: Bench) -> None:
    bench.worker()
    done = bench.python(
        "from lattice.errors import WriteUncertain\n"
        "request = launch._request\n"
        "def uncertain(*args, **more):\n    request(*args, **more)\n    raise WriteUncertain('the sync failed')\n"
        "launch._request = uncertain\n"
        "launch.start(board, preflight.plan(board, preflight.Request('Sleeper', 'LAT-1'), os.environ), by)"
    )
    assert "WriteUncertain" in done.stderr
    (run,) = bench.board.store.task(bench.task_id).active_processes
    assert 0 == bench.lattice("list").returncode
    assert "lost" == bench.finished(RunFolder(bench.board.folder, run.run_id)).state


@pytest.mark.parametrize("interpreter", ["/bin/false", "/nowhere/python"])
def test_a_guard_that_cannot_start_is_a_failed_run_with_its_end_on_the_board(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, interpreter: str
) -> None:
    bench.worker("true")
    with monkeypatch.context() as patched:
        patched.setattr("sys.executable", interpreter)
        with pytest.raises(RunSetupError) as refused:
            bench.start()
    run = RunFolder(bench.board.folder, str(refused.value.details["run_id"]))
    seen = bench.finished(run)
    assert ("failed", {"kind": "setup"}) == (seen.state, seen.cause)
    assert 1 == len(bench.ends(run))
    assert "succeeded" == bench.finished(bench.start()).state


def test_a_starter_that_is_killed_as_soon_as_it_may_go_does_not_take_the_run_with_it(bench: Bench) -> None:
    bench.worker("true")
    done = bench.python(
        "launch.handover.ready = die\n"
        "launch.start(board, preflight.plan(board, preflight.Request('Sleeper', 'LAT-1'), os.environ), by)"
    )
    assert -9 == done.returncode
    (run_id,) = [str(getattr(e.body, "run_id", "")) for e in bench.events("process_requested")]
    assert "succeeded" == bench.finished(RunFolder(bench.board.folder, run_id)).state


def test_a_request_is_private_to_its_owner(bench: Bench) -> None:
    run = bench.start(bench.worker("true"))
    bench.finished(run)
    assert 0o700 == run.path.stat().st_mode & 0o777
    for path in run.path.iterdir():
        assert 0 == path.stat().st_mode & 0o077, path
