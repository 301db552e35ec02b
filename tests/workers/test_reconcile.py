"""The crash points of a run: killed at each, it is finished by whoever looks next, once, with the true end."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from lattice.commands.board import Board, read_config
from lattice.workers import liveness, reconcile
from lattice.workers.ends import certificate
from lattice.workers.processes.table import parent_of
from lattice.workers.runs import RunFolder
from tests.conftest import git
from tests.workers.conftest import Bench, eventually, is_alive, supervision

REVIEW = {"review": {"role": "review", "path": "review.md", "required": True}}
GOOD = 'echo good > "$LATTICE_OUTPUT_DIR/review.md"; echo mine > b.txt'


def dying(bench: Bench, patch: str, script: str = GOOD) -> RunFolder:
    """A run without a guard, whose supervisor was killed at the place that `patch` says."""
    bench.worker(script, outputs=REVIEW)
    code = (
        "from lattice.workers.supervisor import Supervisor\n"
        "plan = preflight.plan(board, preflight.Request('Sleeper', 'LAT-1'), os.environ)\n"
        "folder = RunFolder(board.folder, plan.spec.run_id)\n"
        "fd = folder.create(plan.spec)\nlaunch._request(board, plan, by)\n"
        "print(plan.spec.run_id, flush=True)\n"
        f"{patch}\n"
        "ready, go = os.pipe()\n"
        "supervisor.run(board, folder, fd, go, dict(plan.environment))\n"
    )
    done = bench.python(code)
    assert -9 == done.returncode, done.stderr
    return RunFolder(bench.board.folder, done.stdout.split()[0])


AFTER = "real = {name}\ndef then_die(*a, **k):\n    real(*a, **k)\n    die()\n{name} = then_die"


def test_a_death_before_the_outcome_is_a_lost_run_whose_work_is_kept(bench: Bench) -> None:
    run = dying(bench, "Supervisor._outcome = die")
    assert 1 == len(bench.worktrees())
    liveness.refresh(bench.board)
    seen = bench.finished(run)
    assert "lost" == seen.state
    assert "mine" == git(bench.repo, "show", f"{seen.salvage_ref}:b.txt")


def test_a_death_between_outcome_and_event_keeps_the_true_end_and_its_artifacts(bench: Bench) -> None:
    run = dying(bench, "Supervisor._record = die")
    assert [] == bench.ends(run)
    liveness.refresh(bench.board)
    seen = bench.finished(run)
    assert ("succeeded", 1) == (seen.state, len(seen.artifact_ids))
    assert bench.board.store.task(bench.task_id).has_role("review")
    assert "mine" == git(bench.repo, "show", f"{seen.salvage_ref}:b.txt")


def test_a_death_after_the_event_is_cleaned_up_without_a_second_end(bench: Bench) -> None:
    run = dying(bench, "supervisor.remove_worktree = die")
    assert 1 == len(bench.ends(run))
    assert 1 == len(bench.worktrees())
    assert "succeeded" == bench.view(run).state
    liveness.refresh(bench.board)
    assert "succeeded" == bench.finished(run).state
    assert 1 == len(bench.ends(run))


def test_a_death_after_the_removal_is_only_closed(bench: Bench) -> None:
    run = dying(bench, AFTER.format(name="supervisor.remove_worktree"))
    assert not run.is_closed()
    liveness.refresh(bench.board)
    assert "succeeded" == bench.finished(run).state
    assert 1 == len(bench.ends(run))


def test_a_death_before_the_worktree_is_lost(bench: Bench) -> None:
    run = dying(bench, "Supervisor._prepare = die", script="true")
    liveness.refresh(bench.board)
    assert "lost" == bench.finished(run).state


def test_a_death_between_spawn_and_its_event_leaves_no_process(bench: Bench) -> None:
    run = dying(bench, "Supervisor._announce = die", script='echo $$ > "$NOTES/engine.pid"; exec sleep 300')
    engine = int(bench.note("engine.pid"))
    assert is_alive(engine)
    liveness.refresh(bench.board)
    assert "lost" == bench.finished(run).state
    assert not is_alive(engine)


@pytest.mark.parametrize("place", ["kill_marked", "rescue", "record_end", "remove_worktree"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_mender_that_dies_is_mended_by_the_next(bench: Bench, place: str, when: str) -> None:
    run = bench.running("echo mine > b.txt; echo up > $NOTES/up; exec sleep 300")
    bench.note("up")
    for pid in bench.supervision(run):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not run.alive())
    name = f"reconcile.{place}"
    patch = f"{name} = die" if when == "before" else AFTER.format(name=name)
    assert -9 == bench.python(f"{patch}\nliveness.refresh(board)").returncode
    assert 0 == bench.lattice("list").returncode
    seen = bench.finished(run)
    assert ("lost", 1) == (seen.state, len(bench.ends(run)))
    assert "mine" == git(bench.repo, "show", f"{seen.salvage_ref}:b.txt")


def test_a_copy_of_a_board_touches_nothing_of_the_originals_run(bench: Bench) -> None:
    run = bench.running('echo $$ > "$NOTES/engine.pid"; exec sleep 300')
    engine = int(bench.note("engine.pid"))
    copy = bench.folder / "copy"
    shutil.copytree(bench.repo, copy, symlinks=True, ignore=shutil.ignore_patterns("control", "index.sqlite*"))
    copied = Board(copy, read_config(copy))
    copied_run = RunFolder(copied.folder, run.run_id)
    assert not copied_run.alive()
    liveness.refresh(copied)
    assert not reconcile.mend(copied, copied_run)
    (active,) = copied.store.task(bench.task_id).active_processes
    assert "elsewhere" == liveness.state(copied, active)
    assert is_alive(engine)
    assert run.alive()
    assert [run.run_id] == [path.name for path in bench.worktrees()]
    assert "running" == bench.view(run).state
    bench.data("worker", "stop", run.run_id, "--wait")


def test_a_damaged_spec_is_named_and_nothing_is_removed(bench: Bench) -> None:
    run = bench.running()
    for pid in bench.supervision(run):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not run.alive())
    spec = run.path / "spec.json"
    whole = spec.read_bytes()
    spec.write_bytes(whole[:40])
    done = bench.lattice("worker", "gc", "--json")
    assert 1 == done.returncode
    assert "spec.json is missing or damaged" in done.stdout
    spec.write_bytes(whole)
    assert 0 == bench.lattice("list").returncode
    assert "lost" == bench.finished(run).state


def test_a_task_that_went_does_not_keep_a_run_from_being_cleared(bench: Bench) -> None:
    run = bench.running()
    for pid in bench.supervision(run):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not run.alive())
    for path in (bench.repo / ".lattice").rglob(f"*{bench.task_id}*"):
        if path.is_file() and "locks" not in path.parts:
            path.unlink()
    liveness.refresh(Board(bench.repo, read_config(bench.repo)))
    assert run.is_closed()
    bench.assert_clean()


@pytest.mark.parametrize("change", ["vanishes", "changes"])
def test_a_success_whose_output_goes_between_verdict_and_reading_is_none(bench: Bench, change: str) -> None:
    run = dying(bench, "Supervisor._record = die")
    if change == "vanishes":
        (run.out / "review.md").unlink()
    else:
        (run.out / "review.md").write_text("better\n", encoding="utf-8")
    liveness.refresh(bench.board)
    seen = bench.finished(run)
    assert ("failed", {"kind": "verdict", "missing": ["review"]}, ()) == (seen.state, seen.cause, seen.artifact_ids)
    assert not bench.board.store.task(bench.task_id).has_role("review")
    assert "was not kept" in Path(run.guard_log).read_text(encoding="utf-8")
    kept = certificate.read(run) or {}
    assert ("failed", seen.error, False) == (kept["state"], kept["error"], kept["late"])


def test_a_run_found_dead_by_the_next_starter_keeps_the_artifacts_of_its_end(bench: Bench) -> None:
    run = dying(bench, "Supervisor._record = die")
    unlooked = (
        "liveness.refresh = lambda *_: None\n"  # It died after the starter had looked.
        "plan = preflight.plan(board, preflight.Request('Sleeper', 'LAT-1'), os.environ)\n"
        "fd = RunFolder(board.folder, plan.spec.run_id).create(plan.spec)\n"
        "launch._request(board, plan, by)\ndie()\n"
    )
    assert -9 == bench.python(unlooked).returncode
    seen = bench.view(run)
    assert ("succeeded", 1, 1) == (seen.state, len(seen.artifact_ids), len(bench.ends(run)))
    assert bench.board.store.task(bench.task_id).has_role("review")
    liveness.refresh(bench.board)
    assert 1 == len(bench.ends(run))
    assert seen.artifact_ids == bench.finished(run).artifact_ids
    assert False is (certificate.read(run) or {})["late"]


def test_a_setup_that_dies_with_its_supervisor_makes_no_worktree_later(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = bench.notes / "here"
    bench.worker("true")
    bench.fake_git(monkeypatch, f'case "$*" in *"worktree add"*) touch "{here}"; exec sleep 300 ;; esac')
    run = bench.start()
    eventually(here.exists)
    everyone = supervision(run)
    (setup,) = [pid for pid in everyone if parent_of(parent_of(pid) or 0) in everyone]
    for pid in everyone:
        if pid != setup:
            os.kill(pid, signal.SIGKILL)
    eventually(lambda: not run.alive() and not is_alive(setup))
    liveness.refresh(bench.board)
    assert "lost" == bench.finished(run).state
