"""What dies, and who mends it: each process of a run is killed, and nothing may be left or wrongly said."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

import lattice
from lattice.workers import handover
from lattice.workers.processes.table import is_stopped
from lattice.workers.runs import RunFolder, open_runs
from tests.conftest import git
from tests.workers.conftest import SOURCES, Bench, eventually, is_alive, supervision

TREE = """
trap "" TERM INT HUP
"$PY" "$NOTES/daemon.py" "$NOTES/daemon.pid"
env -i "$PY" "$NOTES/daemon.py" "$NOTES/unmarked.pid"
echo changed >> a.txt
echo $$ > "$NOTES/engine.pid"
while true; do sleep 300; done
"""


def pids(bench: Bench) -> list[int]:
    return [int(bench.note(name)) for name in ("engine.pid", "daemon.pid", "unmarked.pid")]


def test_a_killed_supervisor_is_mended_by_its_guard_with_nobody_watching(bench: Bench) -> None:
    run = bench.running(TREE)
    tree = pids(bench)
    guard, supervisor = bench.supervision(run)
    at = time.monotonic()
    os.kill(supervisor, signal.SIGKILL)
    eventually(lambda: run.is_closed() and not is_alive(guard))
    took_s = time.monotonic() - at
    print(f"killed supervisor: mended in {took_s:.3f} s")
    assert [] == [pid for pid in tree if is_alive(pid)]
    bench.assert_clean()
    data = bench.end(run)
    assert "lost" == data["cause"]["kind"]
    assert set(tree) <= set(data["killed"])
    assert "one\nchanged\n" == git(bench.repo, "show", f"{data['salvage_ref']}:a.txt") + "\n"
    assert () == bench.board.store.task(bench.task_id).active_processes


def test_a_supervisor_that_dies_while_its_starter_still_holds_the_lease_is_mended_too(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = handover.ready

    def ready(read_fd: int) -> bool:
        told = real(read_fd)
        (run,) = open_runs(bench.board.folder)
        guard, supervisor = supervision(run)[:2]  # It may be preparing the run by now, in a third process.
        os.kill(supervisor, signal.SIGKILL)
        gives_up_at = time.monotonic() + 1.0
        while is_alive(guard) and time.monotonic() < gives_up_at:
            os.sched_yield()  # A guard that does not wait for us is gone long before.
        return told

    monkeypatch.setattr("lattice.workers.handover.ready", ready)
    run = bench.start(bench.worker("exec sleep 300"))
    eventually(lambda: run.is_closed() and not run.alive())
    assert "lost" == bench.finished(run).state


def test_the_run_of_a_killed_guard_goes_on_to_its_normal_end(bench: Bench) -> None:
    go = bench.notes / "go"
    os.mkfifo(go)
    run = bench.running('read -r _ < "$NOTES/go"')
    guard, supervisor = bench.supervision(run)
    os.kill(guard, signal.SIGKILL)
    eventually(lambda: not is_alive(guard))
    assert run.alive()
    assert is_alive(supervisor)
    assert "running" == bench.view(run).state
    go.write_text("on\n", encoding="utf-8")
    assert "succeeded" == bench.finished(run).state
    assert 1 == len(bench.ends(run))


def test_a_killed_engine_is_a_failure_by_signal(bench: Bench) -> None:
    run = bench.running('echo $$ > "$NOTES/engine.pid"; exec sleep 300')
    os.kill(int(bench.note("engine.pid")), signal.SIGKILL)
    seen = bench.finished(run)
    assert ("failed", {"kind": "signal", "signal": 9}) == (seen.state, seen.cause)


def test_with_guard_and_supervisor_killed_ps_tells_the_truth_and_ends_the_run(bench: Bench) -> None:
    run = bench.running('"$PY" "$NOTES/daemon.py" "$NOTES/daemon.pid"; echo $$ > "$NOTES/engine.pid"; exec sleep 300')
    left = [int(bench.note(name)) for name in ("engine.pid", "daemon.pid")]
    guard, supervisor = bench.supervision(run)
    for pid in (guard, supervisor):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not is_alive(supervisor))
    assert not run.alive()
    assert "lost" == bench.view(run).state
    assert [is_alive(pid) for pid in left] == [True, True]
    assert [] == bench.data("worker", "ps")
    assert [] == [pid for pid in left if is_alive(pid)]
    assert "lost" == bench.finished(run).state
    assert 1 == len(bench.ends(run))


def test_any_reading_command_ends_a_dead_run(bench: Bench) -> None:
    for words in (["list"], ["show", "LAT-1"], ["worker", "gc"], ["worker", "ps"]):
        run = bench.running()
        for pid in bench.supervision(run):
            os.kill(pid, signal.SIGKILL)
        eventually(lambda run=run: not run.alive())  # type: ignore[misc]  # mypy cannot infer a default's type
        assert 0 == bench.lattice(*words).returncode
        assert "lost" == bench.finished(run).state
        assert 1 == len(bench.ends(run)), words


def test_the_engine_can_be_asked_to_end(bench: Bench) -> None:
    """What a parent ignores, a child ignores: the guard's own deafness must not reach the engine."""
    run = bench.running('grep SigIgn /proc/self/status > "$NOTES/ignored"; exec sleep 300')
    ignored = int(bench.note("ignored").split()[1], 16)
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        assert not ignored >> (signum - 1) & 1, signum
    bench.data("worker", "stop", run.run_id)
    assert "cancelled" == bench.finished(run).state


def test_guard_and_supervisor_outlive_a_terminal_that_closes(bench: Bench) -> None:
    run = bench.running()
    for pid in bench.supervision(run):
        for signum in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            os.kill(pid, signum)
    bench.data("worker", "stop", run.run_id, "--wait")
    assert "cancelled" == bench.finished(run).state


def test_a_run_started_inside_a_run_goes_on_when_that_ends(bench: Bench) -> None:
    bench.worker('echo $$ > "$NOTES/inner.pid"; exec sleep 300', name="Inner")
    outer = bench.running(
        f'cd "$LATTICE_MAIN_CHECKOUT"; {" ".join(bench.command("worker", "run", "Inner", "LAT-1", "--json"))}'
        ' > "$NOTES/inner.json"; exit 0',
        name="Outer",
        env={"set": {"NOTES": str(bench.notes), "PYTHONPATH": bench.environ()["PYTHONPATH"]}},
    )
    run_id = json.loads(bench.note("inner.json"))["data"]["run_id"]
    inner = RunFolder(bench.board.folder, run_id)
    eventually(outer.is_closed)
    assert "succeeded" == bench.view(outer).state
    assert inner.alive()
    assert is_alive(int(bench.note("inner.pid")))
    bench.data("worker", "stop", run_id)
    assert "cancelled" == bench.finished(inner).state


def test_a_guard_that_was_stopped_goes_on_when_its_supervisor_ends(bench: Bench) -> None:
    """Nobody else would let it go on: its run would stay open, and the queue would stay where it is."""
    run = bench.running('while [ ! -e "$NOTES/go" ]; do sleep 0.02; done')
    guard, _ = bench.supervision(run)
    os.kill(guard, signal.SIGSTOP)
    eventually(lambda: is_stopped(guard))
    (bench.notes / "go").touch()
    eventually(lambda: not is_alive(guard))
    assert "succeeded" == bench.finished(run).state


def test_a_guard_writes_no_compiled_module(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk it would be cut short, and nobody could import that module any more."""
    copy = bench.folder / "installed"
    shutil.copytree(Path(SOURCES) / "lattice", copy / "lattice", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(lattice, "__file__", str(copy / "lattice" / "__init__.py"))
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    run = bench.start(bench.worker("exit 1", worktree=False, retries={"times": 1, "backoff_seconds": 3600}))
    eventually(lambda: run.is_closed() and not run.alive())
    assert "failed" == bench.view(run).state
    compiled = {path.name.partition(".")[0] for path in copy.rglob("*.pyc")}
    assert "guard" in compiled, "what is imported before it is one is compiled, as ever"
    assert "retries" not in compiled
