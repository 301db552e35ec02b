"""`lattice worker …` as people and agents call it: real programs, real runs."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from lattice.testing.engines import install
from tests.workers.conftest import Bench, eventually
from tests.workers.conftest import bench as bench  # noqa: PLC0414  # a fixture is shared by its name

HOSTILE = r"printf '\033[31mred\033[0m \302\233 \342\200\256 end\n'"


def test_list_shows_every_worker_and_what_is_wrong_with_it(bench: Bench) -> None:
    bench.worker()
    bench.worker(name="Broken")
    (bench.repo / "workers" / "broken.sh").unlink()
    (bench.repo / "workers" / "junk.json").write_text("{", encoding="utf-8")
    rows = {row["name"]: row for row in bench.data("worker", "list")}
    assert rows["Sleeper"]["problem"] is None
    assert "INVALID_DEFINITION" == rows["Broken"]["problem"]["code"]
    assert rows["DiffCheck"]["builtin"]
    assert "junk.json" in bench.lattice("worker", "list").stderr


def test_check_names_what_could_not_run_and_exits_with_1(bench: Bench) -> None:
    bench.worker()
    assert 0 == bench.lattice("worker", "check", "sleeper").returncode
    (bench.repo / "workers" / "sleeper.sh").chmod(0o644)
    done = bench.lattice("worker", "check", "--quiet")
    assert (1, True) == (done.returncode, "Sleeper" in done.stdout.split())
    assert "INVALID_DEFINITION" == bench.error("worker", "check", "Sleeper")["code"]


@pytest.fixture
def two_agents(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Path:
    """claude and codex, beside the system's programs; no other agent."""
    place = install(bench.folder / "agents", ["claude", "codex"])
    monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin")
    return place


def test_list_says_what_auto_takes_and_how_many_of_a_team_are_here(bench: Bench, two_agents: Path) -> None:
    rows = {row["name"]: row for row in bench.data("worker", "list")}
    assert ("claude", "ok") == (rows["CodeReviewLite"]["takes"], rows["CodeReviewLite"]["state"])
    heavy = rows["CodeReviewHeavy"]
    assert ("ok", 2) == (heavy["state"], heavy["quorum"])
    assert ["gemini-standard", "gemini-critical"] == [one["name"] for one in heavy["members"] if not one["here"]]
    assert "'gemini' is not on PATH" in heavy["members"][-1]["reason"]
    shown = bench.lattice("worker", "list").stdout
    assert "auto: claude" in shown
    assert "team: 4 of 6 here, quorum 2" in shown


def test_a_built_in_worker_without_its_engines_is_not_here_and_not_broken(bench: Bench, two_agents: Path) -> None:
    for fake in ("claude", "codex"):
        (two_agents / fake).unlink()
    bench.worker()
    done = bench.lattice("worker", "check")
    assert 0 == done.returncode, done.stdout
    assert "not here  CodeReviewLite: not installed: claude, codex, gemini, opencode" in done.stdout
    assert "not here  CodeReviewHeavy: not installed: claude, codex, gemini" in done.stdout
    assert "" == bench.lattice("worker", "check", "--quiet").stdout.strip()
    states = {row["name"]: row["state"] for row in bench.data("worker", "list")}
    assert ("not here", "not here", "ok") == (states["CodeReviewLite"], states["TripleReview"], states["Sleeper"])
    assert 0 == bench.lattice("worker", "doctor").returncode
    assert "INVALID_DEFINITION" == bench.error("worker", "check", "CodeReviewLite")["code"]


def test_ones_own_worker_without_its_engine_is_broken(bench: Bench, two_agents: Path) -> None:
    (bench.repo / "workers").mkdir()
    (bench.repo / "workers" / "p.md").write_text("Review it.\n", encoding="utf-8")
    shape = '{"name": "Mine", "actor": "agent:mine", "engine": "gemini", "prompt_file": "workers/p.md"}'
    (bench.repo / "workers" / "mine.json").write_text(shape, encoding="utf-8")
    done = bench.lattice("worker", "check", "--quiet")
    assert (1, "Mine") == (done.returncode, done.stdout.strip())


def test_an_engine_that_is_too_old_is_no_absence(bench: Bench, two_agents: Path) -> None:
    (two_agents / "codex").unlink()
    (two_agents / "claude").write_text("#!/bin/sh\necho --nothing\n", encoding="utf-8")
    states = {row["name"]: row["state"] for row in bench.data("worker", "list")}
    assert ("broken", "broken") == (states["CodeReviewLite"], states["TripleReview"])


def test_a_dry_run_shows_what_would_run_and_leaves_no_trace(bench: Bench) -> None:
    bench.worker()
    before = bench.tree()
    shown = bench.data("worker", "run", "SLEEPER", "LAT-1", "--dry-run")
    assert [str(bench.repo / "workers" / "sleeper.sh")] == shown["argv"]
    told = bench.lattice("worker", "run", "SLEEPER", "LAT-1", "--dry-run").stdout
    assert f"argv: {bench.repo / 'workers' / 'sleeper.sh'}\n" in told
    assert not {"None", "[", "'"} & set(re.findall(r"None|\[|'", told))
    assert before == bench.tree()
    assert [] == bench.worktrees()


def test_run_answers_as_soon_as_the_run_is_supervised(bench: Bench) -> None:
    bench.worker()
    run_id = bench.lattice("worker", "run", "Sleeper", "LAT-1", "--quiet").stdout.strip()
    (row,) = bench.data("worker", "ps")
    assert run_id == row["run_id"]
    assert row["state"] in ("requested", "running")
    assert "cancelled" == bench.data("worker", "stop", run_id, "--wait")["state"]
    assert [] == bench.data("worker", "ps")
    assert [run_id] == [row["run_id"] for row in bench.data("worker", "ps", "--all")]
    bench.assert_clean()


def test_run_wait_exits_by_the_runs_end(bench: Bench) -> None:
    bench.worker("true")
    assert "succeeded" == bench.data("worker", "run", "Sleeper", "LAT-1", "--wait")["state"]
    bench.assert_clean()
    bench.worker("echo no >&2; exit 7")
    error = bench.error("worker", "run", "Sleeper", "LAT-1", "--wait")
    assert ("RUN_FAILED", 7) == (error["code"], error["run"]["exit"])
    bench.assert_clean()


def test_an_interrupted_wait_leaves_the_run_alone(bench: Bench) -> None:
    run = bench.running()
    waiter = subprocess.Popen(
        bench.command("worker", "wait", run.run_id),
        cwd=bench.repo,
        env=bench.environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    # It waits once its thread is blocked on the lease, which /proc/locks shows as a waiter ("->").
    inode = f":{run.lease.stat().st_ino} "
    eventually(lambda: any("->" in line and inode in line for line in _locks()))
    waiter.send_signal(signal.SIGINT)
    _, err = waiter.communicate(timeout=30)
    assert (130, True) == (waiter.returncode, "goes on without you" in err)
    assert run.alive()
    bench.data("worker", "stop", run.run_id, "--wait")


def _locks() -> list[str]:
    with open("/proc/locks", encoding="utf-8") as table:
        return table.readlines()


def test_wait_gives_up_when_told_to(bench: Bench) -> None:
    run = bench.running()
    assert "RUN_FAILED" == bench.error("worker", "wait", run.run_id, "--timeout", "1")["code"]
    assert run.alive()
    bench.data("worker", "stop", run.run_id, "--wait")


def test_show_tells_the_end_and_why(bench: Bench) -> None:
    seen = bench.ended("exit 3")
    shown = bench.data("worker", "show", seen.run_id[-6:])
    assert ("failed", 3, seen.run_id) == (shown["state"], shown["exit"], shown["run_id"])
    page = bench.lattice("worker", "show", seen.run_id).stdout
    assert "It exited with status 3." in page


def test_logs_show_control_characters_instead_of_sending_them(bench: Bench) -> None:
    seen = bench.ended(HOSTILE)
    shown = bench.lattice("worker", "logs", seen.run_id).stdout
    assert "red" in shown
    assert not {"\x1b", "\x9b", "\u202e"} & set(shown)
    raw = subprocess.run(
        bench.command("worker", "logs", seen.run_id, "--raw"), cwd=bench.repo, env=bench.environ(), check=True,
        capture_output=True,
    )  # fmt: skip
    assert b"\x1b[31mred" in raw.stdout


def test_logs_tail_gives_the_last_lines(bench: Bench) -> None:
    seen = bench.ended("seq 10")
    assert "9\n10\n" == bench.lattice("worker", "logs", seen.run_id, "--tail", "2").stdout


def test_logs_follow_prints_all_and_ends_with_the_run(bench: Bench) -> None:
    go = bench.notes / "go"
    os.mkfifo(go)
    run = bench.running('echo first; read -r _ < "$NOTES/go"; echo last')
    follower = subprocess.Popen(
        bench.command("worker", "logs", run.run_id, "--follow"),
        cwd=bench.repo,
        env=bench.environ(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert follower.stdout is not None
    assert "first\n" == follower.stdout.readline()
    go.write_text("on\n", encoding="utf-8")
    assert "last\n" == follower.communicate(timeout=60)[0]
    assert 0 == follower.returncode
    bench.finished(run)


@pytest.mark.parametrize("command", ["show", "logs", "wait", "stop"])
def test_a_run_that_does_not_exist_is_named(bench: Bench, command: str) -> None:
    error = bench.error("worker", command, "run_01K0000000000000000000000A")
    assert "NOT_FOUND" == error["code"]
    assert "run_01K0000000000000000000000A" in error["message"]


def test_gc_has_nothing_to_do_on_a_board_in_order(bench: Bench) -> None:
    bench.ended("true")
    cleared = bench.data("worker", "gc")
    assert [[], [], [], []] == [list(cleared[key]) for key in ("finished", "worktrees", "folders", "problems")]


def test_show_of_a_task_names_its_live_run(bench: Bench) -> None:
    run = bench.running()
    (active,) = bench.data("show", "LAT-1")["active_processes"]
    assert (run.run_id, "running") == (active["run_id"], active["state"])
    bench.data("worker", "stop", run.run_id, "--wait")
