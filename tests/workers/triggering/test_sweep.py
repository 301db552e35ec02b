"""Sweeps: what is due is started, once, and a timer's texts say exactly what they have to."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lattice.commands.tasks import CreateTask
from lattice.errors import ValidationError
from lattice.workers.runs import RunFolder, all_runs
from lattice.workers.triggering import timers
from tests.conftest import make_board
from tests.workers.conftest import ANN, Bench, eventually

DUE = {"when": "status:backlog missing:review", "every_hours": 24, "limit": 2}
PROGRAM = (sys.executable, "-m", "lattice.cli.main", "worker", "sweep")


@pytest.fixture(autouse=True)
def _own_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def define(bench: Bench, script: str = "true", name: str = "Stale", *, trusted: bool = True, **more: Any) -> None:
    """A worker with a sweep, and trust in it."""
    bench.worker(script, name, **({"sweep": DUE} | more))
    if trusted:
        assert 0 == bench.lattice("worker", "trust", name, "--yes").returncode


def tasks(bench: Bench, count: int) -> None:
    """So many tasks in all."""
    for number in range(2, count + 1):
        CreateTask(f"Task {number}").run(bench.board, ANN)


def sweep(bench: Bench, *words: str, fine: int = 0) -> Any:
    """What a sweep answers, with this exit status."""
    done = bench.lattice("worker", "sweep", "--json", *words)
    assert fine == done.returncode, done
    return json.loads(done.stdout)["data"]


def on(started: Sequence[Any]) -> list[str]:
    return [one["task"] for one in started]


def finish(bench: Bench) -> None:
    """Wait for the end of every run."""
    for run in all_runs(bench.board.folder):
        eventually(lambda run=run: run.is_closed() and not run.alive())  # type: ignore[misc]  # the default binds the loop's run


def test_a_sweep_starts_what_is_due_up_to_its_limit_and_each_once(bench: Bench) -> None:
    tasks(bench, 3)
    define(bench)
    first = sweep(bench)
    assert ["LAT-1", "LAT-2"] == on(first["started"])
    finish(bench)
    assert ["LAT-3"] == on(sweep(bench)["started"])
    finish(bench)
    assert [] == sweep(bench)["started"]
    states = {bench.view(RunFolder(bench.board.folder, one["run_id"])).state for one in first["started"]}
    assert {"succeeded"} == states


def test_a_log_that_cannot_be_read_is_named_and_keeps_no_other_task_from_its_sweep(bench: Bench) -> None:
    tasks(bench, 3)
    define(bench)
    bench.damage("LAT-2")
    swept = sweep(bench, fine=1)
    assert ["LAT-1", "LAT-3"] == on(swept["started"])
    [problem] = swept["problems"]
    assert problem.startswith("LAT-2 is left out, as its log cannot be read: ")
    finish(bench)


def test_the_condition_asks_for_evidence_and_age(bench: Bench) -> None:
    tasks(bench, 3)
    define(bench, sweep={"when": "missing:review updated:<1d -tag:wip"})
    assert 0 == bench.lattice("comment", "LAT-1", "fine", "--role", "review").returncode
    assert 0 == bench.lattice("update", "LAT-2", "tags=wip").returncode
    assert ["LAT-3"] == on(sweep(bench, "--dry-run")["due"])
    define(bench, sweep={"when": "updated:>1d"})
    assert [] == sweep(bench, "--dry-run")["due"]


def test_a_worker_that_is_due_and_not_trusted_is_not_said_to_be_not_due(bench: Bench) -> None:
    define(bench, trusted=False)
    foreseen, done = bench.lattice("worker", "sweep", "--dry-run"), bench.lattice("worker", "sweep")
    assert ("Due: Stale on LAT-1\n", "Nothing was started.\n") == (foreseen.stdout, done.stdout)
    for answer in (foreseen, done):
        assert "Stale: not trusted, and not started. See what would run" in answer.stderr
        assert 1 == answer.returncode


def test_a_dry_run_writes_nothing(bench: Bench) -> None:
    tasks(bench, 2)
    define(bench)
    assert 0 == bench.lattice("list").returncode  # which makes the index
    before = bench.tree()
    assert ["LAT-1", "LAT-2"] == on(sweep(bench, "--dry-run")["due"])
    assert before == bench.tree()


def test_it_is_due_again_when_its_hours_are_over(bench: Bench) -> None:
    define(bench, sweep={"when": "status:backlog", "every_hours": 0.0001})  # a third of a second
    assert ["LAT-1"] == on(sweep(bench)["started"])
    finish(bench)
    again = eventually(lambda: sweep(bench)["started"])
    assert ["LAT-1"] == on(again)


def test_a_sweep_starts_the_runs_of_the_queue_and_a_dry_run_leaves_them(bench: Bench) -> None:
    tasks(bench, 2)
    run = bench.running("exec sleep 300", max_parallel=1)
    queued = bench.start("Sleeper", "LAT-2")
    for pid in bench.supervision(run):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not run.alive())
    assert [] == sweep(bench, "--dry-run")["from_queue"]
    assert queued.waits()
    assert [queued.run_id] == sweep(bench)["from_queue"]
    assert not queued.waits()
    assert [] == sweep(bench)["from_queue"]


def test_two_sweeps_at_once_start_nothing_twice(bench: Bench) -> None:
    tasks(bench, 4)
    define(bench, sweep=DUE | {"limit": 10})
    sweeps = [
        subprocess.Popen(
            bench.command("worker", "sweep", "--json"), cwd=bench.repo, env=bench.environ(), stdout=subprocess.PIPE
        )
        for _ in range(3)
    ]
    answers = [json.loads(one.communicate(timeout=120)[0])["data"] for one in sweeps]
    assert ["LAT-1", "LAT-2", "LAT-3", "LAT-4"] == sorted(name for one in answers for name in on(one["started"]))
    finish(bench)
    assert 4 == len(all_runs(bench.board.folder))


def test_a_task_whose_run_goes_on_is_not_due(bench: Bench) -> None:
    define(bench, "exec sleep 300", sweep={"when": "status:backlog", "every_hours": 0.0001})
    assert ["LAT-1"] == on(sweep(bench)["started"])
    assert [] == sweep(bench)["started"]


def test_what_is_not_trusted_is_told_by_the_exit_status(bench: Bench) -> None:
    define(bench, trusted=False)
    swept = sweep(bench, fine=1)
    assert [] == swept["started"]
    assert ["lattice worker trust Stale" in problem for problem in swept["problems"]] == [True]


def test_one_that_cannot_start_keeps_no_other_from_it(bench: Bench) -> None:
    define(bench, name="Aa")
    define(bench, name="Bb")
    (bench.repo / "workers" / "aa.sh").chmod(0o644)
    (bench.repo / "workers" / "cc.json").write_text("{")
    swept = sweep(bench, fine=1)
    assert [("Bb", "LAT-1")] == [(one["worker"], one["task"]) for one in swept["started"]]
    assert 2 == len(swept["problems"])


def test_named_workers_alone_are_swept(bench: Bench) -> None:
    define(bench, name="Aa")
    define(bench, name="Bb")
    define(bench, name="Cc", sweep=None)
    assert ["Bb"] == [one["worker"] for one in sweep(bench, "bb")["started"]]
    assert "VALIDATION_ERROR" == bench.error("worker", "sweep", "Cc")["code"]
    assert "NOT_FOUND" == bench.error("worker", "sweep", "Dd")["code"]


def test_a_sweep_inside_a_run_is_refused(bench: Bench) -> None:
    define(bench)
    assert "VALIDATION_ERROR" == bench.error("worker", "sweep", LATTICE_RUN_ID="run_x")["code"]
    assert [] == all_runs(bench.board.folder)


def test_a_sweep_escalates_as_a_trigger_does(bench: Bench) -> None:
    define(bench, name="Heavy", sweep=None)
    define(bench, escalate=[{"to": "Heavy", "when": "status:backlog"}])
    assert [("Heavy", "Stale")] == [(one["worker"], one["asked_by"]) for one in sweep(bench)["started"]]


HOSTILE = "a b%d;$(touch pwned)'\"\\é"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_reads_the_units_and_means_the_same(tmp_path: Path) -> None:
    board = make_board(tmp_path / HOSTILE)
    units = timers.systemd_units(board, ("/bin/echo", *PROGRAM[1:], HOSTILE), {"PATH": "/usr/bin:/bin"})
    for unit in units:
        (tmp_path / unit.name).write_text(unit.text, encoding="utf-8")
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / unit.name) for unit in units)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    said = [words for words in checked.stderr.splitlines() if "lattice-sweep" in words]
    assert [] == said


def test_the_service_is_quoted_and_leaves_runs_alone(tmp_path: Path) -> None:
    board = make_board(tmp_path / HOSTILE)
    service, timer = timers.systemd_units(board, ("/x/$py", "50%"), {"PATH": "/bin"})
    text = service.text.splitlines()
    assert 'ExecStart="/x/$$py" "50%%"' in text
    root = str(board.root).replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    assert f'Environment="LATTICE_ROOT={root}"' in text
    assert "KillMode=process" in text
    assert "OnCalendar=hourly" in timer.text.splitlines()
    assert f"{service.name.removesuffix('.service')}.timer" == timer.name
    assert "/" not in service.name + timer.name
    assert service.name.isascii()


def test_a_line_of_the_crontab_sweeps_the_board(bench: Bench) -> None:
    """As cron does it: the five fields taken off, `\\%` read as a percent sign, the rest given to a shell."""
    define(bench)
    hostile = bench.folder / HOSTILE
    hostile.mkdir()
    moved = hostile / "repo"
    bench.repo.rename(moved)
    bench.repo = moved
    assert 0 == bench.lattice("worker", "trust", "Stale", "--yes").returncode
    line = bench.lattice("worker", "sweep", "--print-timer", "--cron").stdout
    fields, command = line.split(" ", 5)[:5], line.split(" ", 5)[5]
    assert ["0", "*", "*", "*", "*"] == fields
    assert "%" not in command.replace("\\%", "")
    done = subprocess.run(
        ["/bin/sh", "-c", command.replace("\\%", "%")], cwd="/", env={"HOME": str(bench.folder)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert 0 == done.returncode, done
    assert "Started Stale on LAT-1" in done.stdout
    assert [] == list(bench.folder.rglob("pwned"))
    finish(bench)


def test_a_worker_that_is_due_often_is_looked_at_often(bench: Bench) -> None:
    define(bench, sweep=DUE | {"every_hours": 0.5}, trusted=False)
    assert "OnCalendar=*:0/15" in bench.lattice("worker", "sweep", "--print-timer").stdout
    assert bench.lattice("worker", "sweep", "--print-timer", "--cron").stdout.startswith("*/15 * * * * ")


@pytest.mark.parametrize("name", ["a\nExecStart=/bin/sh", "a\x07"])
def test_what_cannot_stand_in_a_unit_is_refused(tmp_path: Path, name: str) -> None:
    board = make_board(tmp_path / name)
    with pytest.raises(ValidationError, match="control character"):
        timers.systemd_units(board, PROGRAM, {})
    with pytest.raises(ValidationError, match="control character"):
        timers.crontab_line(board, PROGRAM, {})


def test_the_words_of_a_crontab_are_words_of_a_shell(tmp_path: Path) -> None:
    board = make_board(tmp_path / HOSTILE)
    command = timers.crontab_line(board, PROGRAM, {"PATH": "/bin:/with space"}).split(" ", 5)[5]
    expected = [f"LATTICE_ROOT={board.root.resolve()}", "PATH=/bin:/with space", *PROGRAM]
    assert expected == shlex.split(command.replace("\\%", "%"))
