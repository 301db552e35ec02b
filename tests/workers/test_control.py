"""Asking a run to end: before its spawn, while it runs, twice, after its end; and clearing away strays."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time

import pytest

from lattice.workers import control
from lattice.workers.runs import RunFolder
from tests.conftest import git
from tests.workers.conftest import ANN, WITHIN_S, Bench, eventually, is_alive


def test_a_stop_ends_a_running_run_with_its_reason(bench: Bench) -> None:
    run = bench.running()
    seen, asked = control.stop(bench.board, run.run_id, "wrong commit", ANN)
    assert (True, "stopping") == (asked, seen.state)
    ended = bench.finished(run)
    assert ("cancelled", {"kind": "cancelled", "reason": "wrong commit"}) == (ended.state, ended.cause)


def test_a_second_stop_changes_nothing(bench: Bench) -> None:
    run = bench.running('trap "" INT TERM; while true; do sleep 300; done', grace_seconds=2)
    for reason in ("first", "second"):
        control.stop(bench.board, run.run_id, reason, ANN)
    assert "first" == (bench.finished(run).cause or {})["reason"]
    assert 1 == len(bench.events("process_stop_requested"))


def test_a_stop_after_the_end_says_so_and_writes_nothing(bench: Bench) -> None:
    run = bench.start(bench.worker("true"))
    bench.finished(run)
    before = bench.tree()
    seen, asked = control.stop(bench.board, run.run_id, None, ANN)
    assert (False, "succeeded") == (asked, seen.state)
    assert before == bench.tree()


def test_a_stop_while_git_hangs_ends_it_within_the_grace_and_keeps_the_engine_from_starting(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.worker('touch "$NOTES/executed"')
    here = bench.notes / "git-is-here"
    hang = f'trap "" INT TERM; touch "{here}"; while true; do sleep 300; done'
    bench.fake_git(monkeypatch, f'case "$*" in *"worktree add"*) {hang} ;; esac')
    run = bench.start()
    eventually(here.exists)
    asked_at = time.monotonic()
    control.stop(bench.board, run.run_id, None, ANN)
    assert "cancelled" == bench.finished(run).state
    assert time.monotonic() - asked_at < 60  # git has 120 s; the grace is 0.4 s
    assert not (bench.notes / "executed").exists()
    assert [] == bench.events("process_started")


def test_a_stop_in_the_middle_of_a_checkout_keeps_no_half_of_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.worker("true")
    here = bench.notes / "git-is-here"
    bench.fake_git(monkeypatch, f'case "$*" in *"reset --hard"*) touch "{here}"; exec sleep 300 ;; esac')
    run = bench.start()
    eventually(here.exists)
    assert 1 == len(bench.worktrees())
    control.stop(bench.board, run.run_id, None, ANN)
    seen = bench.finished(run)
    assert ("cancelled", None) == (seen.state, seen.salvage_ref)
    assert "" == git(bench.repo, "for-each-ref", "refs/lattice")


def test_an_engine_may_end_in_its_own_way_when_asked(bench: Bench) -> None:
    run = bench.running(
        'trap \'echo bye > "$NOTES/bye"; exit 0\' INT; echo up > "$NOTES/up"; while true; do sleep 0.05; done',
        grace_seconds=20,
    )
    bench.note("up")
    control.stop(bench.board, run.run_id, None, ANN)
    assert "cancelled" == bench.finished(run).state
    assert "bye" == bench.note("bye")


def test_waiters_learn_of_an_end_from_the_kernel(bench: Bench) -> None:
    run = bench.running()
    ended = control.Ended(run)
    assert not ended.wait(0.05)
    for pid in bench.supervision(run):
        os.kill(pid, signal.SIGKILL)
    assert ended.wait(WITHIN_S)
    assert "lost" == control.finish(bench.board, run.run_id).state
    bench.assert_clean()


def test_finish_waits_for_whoever_is_mending_the_run(bench: Bench) -> None:
    run = bench.running()
    _, supervisor = bench.supervision(run)
    os.kill(supervisor, signal.SIGKILL)
    eventually(lambda: not is_alive(supervisor))
    seen = control.finish(bench.board, run.run_id)
    assert ("lost", True) == (seen.state, seen.ended)
    bench.finished(run)


def test_gc_removes_a_worktree_no_live_run_owns_and_keeps_its_changes(bench: Bench) -> None:
    run = bench.running("echo mine > b.txt; echo up > $NOTES/up; exec sleep 300")
    bench.note("up")
    for pid in bench.supervision(run):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not run.alive())
    shutil.rmtree(run.path)
    cleared = control.gc(bench.board, os.environ)
    assert ((), 1) == (cleared.problems, len(cleared.worktrees))
    assert "mine" == git(bench.repo, "show", f"refs/lattice/salvage/{run.run_id}:b.txt")
    bench.assert_clean()


def test_a_run_whose_folder_somebody_removed_is_ended_and_its_processes_with_it(bench: Bench) -> None:
    run = bench.running('echo $$ > "$NOTES/engine.pid"; exec sleep 300')
    engine = int(bench.note("engine.pid"))
    for pid in bench.supervision(run):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not run.alive())
    shutil.rmtree(run.path)
    control.gc(bench.board, os.environ)
    assert "lost" == bench.end(run)["cause"]["kind"]
    assert not is_alive(engine)
    assert "succeeded" == bench.ended("true").state


def test_gc_leaves_a_live_run_alone(bench: Bench) -> None:
    run = bench.running()
    assert control.Cleared((), (), (), ()) == control.gc(bench.board, os.environ)
    assert run.alive()
    bench.data("worker", "stop", run.run_id, "--wait")


def test_gc_removes_the_draft_of_a_starter_that_died(bench: Bench) -> None:
    draft = bench.repo / ".lattice" / "runs" / ".new-run_01K0000000000000000000000A"
    draft.mkdir(parents=True)
    assert () == control.gc(bench.board, os.environ).folders  # it may be at work
    os.utime(draft, (0, 0))
    assert (draft.name,) == control.gc(bench.board, os.environ).folders
    assert not draft.exists()


def test_two_collectors_at_once_end_a_run_once(bench: Bench) -> None:
    run = bench.running()
    for pid in bench.supervision(run):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not run.alive())
    threads = [threading.Thread(target=lambda: control.gc(bench.board, os.environ)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "lost" == bench.finished(RunFolder(bench.board.folder, run.run_id)).state
    assert 1 == len(bench.ends(run))
