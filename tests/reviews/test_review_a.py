"""The first review of an earlier attempt (docs/explanation/reviews.md): one test for each of its findings."""

from __future__ import annotations

import os
import shutil
import signal
import tomllib
from pathlib import Path

import pytest

from lattice.errors import RunSetupError, ValidationError
from lattice.workers import control, launch, preflight
from lattice.workers.runs import RunFolder
from lattice.workers.worktrees.worktree_root import worktrees_of
from tests.conftest import git
from tests.workers.conftest import ANN, Bench, eventually, is_alive

REFUSE_ADD = 'case "$*" in *"worktree add"*) echo "fatal: No space left on device" >&2; exit 128 ;; esac'


def test_a1_a_comment_made_while_a_run_is_being_started_survives(bench: Bench) -> None:
    bench.worker("true")
    board = bench.board
    plan = preflight.plan(board, preflight.Request("Sleeper", "LAT-1"), os.environ)
    bench.data("comment", "LAT-1", "in between")
    launch.start(board, plan, ANN)
    seen = bench.finished(RunFolder(board.folder, plan.spec.run_id))
    assert "succeeded" == seen.state
    assert 1 == bench.board.store.task(bench.task_id).comment_count
    assert 1 == bench.data("show", "LAT-1")["comment_count"]


def test_a2_a_worktree_that_cannot_be_made_is_an_end_on_the_board(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.worker("true")
    switch = bench.fake_git(monkeypatch, REFUSE_ADD)
    run = bench.start()
    seen = bench.finished(run)
    assert ("failed", True) == (seen.state, "No space left on device" in (seen.error or ""))
    assert () == bench.board.store.task(bench.task_id).active_processes
    switch.unlink()
    assert "succeeded" == bench.finished(bench.start()).state


def test_a3_worktrees_lie_in_a_private_folder_of_the_user_under_no_link(bench: Bench, tmp_path: Path) -> None:
    run = bench.running()
    (tree,) = bench.worktrees()
    assert run.run_id == tree.name
    for folder in (tree.parent, tree.parent.parent, tree.parent.parent.parent):
        assert 0o700 == folder.stat().st_mode & 0o777, folder
    bench.data("worker", "stop", run.run_id, "--wait")
    for shared in ("/tmp", "/var/tmp"):
        assert "VALIDATION_ERROR" == bench.error("worker", "run", "Sleeper", "LAT-1", XDG_STATE_HOME=shared)["code"]
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "precious").touch()
    elsewhere = tmp_path / "linked"
    elsewhere.mkdir(mode=0o700)
    (elsewhere / "lattice").symlink_to(victim)
    with pytest.raises(ValidationError, match="symbolic link"):
        worktrees_of(bench.board, {"XDG_STATE_HOME": str(elsewhere)})
    assert ["precious"] == os.listdir(victim)


def test_a4_a_worktree_somebody_removed_does_not_stop_the_next_run(bench: Bench) -> None:
    git(bench.repo, "worktree", "add", "--quiet", "--detach", str(bench.folder / "theirs"))
    shutil.rmtree(bench.folder / "theirs")
    run = bench.running()
    (tree,) = bench.worktrees()
    shutil.rmtree(tree)
    for pid in bench.supervision(run):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not run.alive())
    again = bench.start(bench.worker("true"))
    eventually(lambda: again.is_closed() and not again.alive())
    assert "succeeded" == bench.view(again).state
    # Ours are gone; another's record stays, because a bare prune is never called.
    assert ["theirs"] == os.listdir(bench.repo / ".git" / "worktrees")


def test_a5_an_engine_that_fails_soon_after_its_start_is_a_failed_run(bench: Bench) -> None:
    seen = bench.ended("kill -SEGV $$")
    assert ("failed", {"kind": "signal", "signal": signal.SIGSEGV}) == (seen.state, seen.cause)
    assert "succeeded" == bench.ended("true").state


def test_a6_the_time_limit_is_enforced_on_the_whole_tree(bench: Bench) -> None:
    run = bench.running(
        '"$PY" "$NOTES/daemon.py" "$NOTES/daemon.pid"; trap "" TERM INT; while true; do sleep 300; done',
        timeout_minutes=4 / 60,
    )
    daemon = int(bench.note("daemon.pid"))
    seen = bench.finished(run)
    assert ("timed_out", 4.0) == (seen.state, seen.timeout_s)
    assert not is_alive(daemon)


def test_aw1_a_status_change_made_while_a_run_is_being_started_is_not_undone(bench: Bench) -> None:
    bench.worker("true")
    board = bench.board
    plan = preflight.plan(board, preflight.Request("Sleeper", "LAT-1"), os.environ)
    bench.data("status", "LAT-1", "in_planning")
    launch.start(board, plan, ANN)
    bench.finished(RunFolder(board.folder, plan.spec.run_id))
    assert "in_planning" == bench.board.store.task(bench.task_id).status
    assert "in_planning" == bench.data("show", "LAT-1")["status"]


def test_aw3_a_worktree_that_a_cleaner_took_leaves_no_record_in_git(bench: Bench) -> None:
    run = bench.running()
    shutil.rmtree(bench.worktrees()[0])
    bench.data("worker", "stop", run.run_id, "--wait")
    assert "cancelled" == bench.finished(run).state


def test_aw4_a_supervisor_that_dies_does_not_leave_a_task_running(bench: Bench) -> None:
    run = bench.running()
    _, supervisor = bench.supervision(run)
    os.kill(supervisor, signal.SIGKILL)
    assert "lost" == bench.finished(run).state
    assert () == bench.board.store.task(bench.task_id).active_processes


def test_am2_a_guard_that_does_not_come_is_compensated_by_an_end(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.worker("true")
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(RunSetupError) as refused:
        bench.start()
    seen = bench.finished(RunFolder(bench.board.folder, str(refused.value.details["run_id"])))
    assert ("failed", {"kind": "setup"}) == (seen.state, seen.cause)


def test_am3_stuck_runs_and_stale_worktrees_are_collected(bench: Bench) -> None:
    run = bench.running()
    for pid in bench.supervision(run):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not run.alive())
    assert (run.run_id,) == control.gc(bench.board, os.environ).finished
    assert "lost" == bench.finished(run).state


def test_am4_types_are_checked_strictly_everywhere() -> None:
    settings = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]
    assert settings["strict"] is True
    assert {"src", "tests"} <= set(settings["files"])
    assert not settings.get("exclude")
    assert not [key for key in settings if key.startswith("ignore")]


def test_an1_what_git_does_not_remove_is_removed_and_seen_to_be_gone(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.fake_git(monkeypatch, 'case "$*" in *"worktree remove"*) exit 0 ;; esac')
    assert "succeeded" == bench.ended("true").state


def test_an2_what_is_stripped_is_a_list_that_a_definition_extends_and_overrides(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CLAUDECODE", "CLAUDE_CONFIG_DIR", "GEMINI_CLI", "MY_SECRET"):
        monkeypatch.setenv(name, "given")
    values = {"NOTES": str(bench.notes)}
    bench.ended('env > "$NOTES/env"', env={"strip": ["MY_*"], "keep": ["GEMINI_CLI"], "set": values})
    names = {line.split("=")[0] for line in bench.note("env").splitlines()}
    assert {"CLAUDE_CONFIG_DIR", "GEMINI_CLI"} <= names
    assert not {"CLAUDECODE", "MY_SECRET"} & names


def test_an3_the_recorded_limit_is_the_one_that_ends_the_run(bench: Bench) -> None:
    seen = bench.ended("exec sleep 300", timeout_minutes=0.05)
    assert {"kind": "timeout", "limit_s": seen.timeout_s} == seen.cause
