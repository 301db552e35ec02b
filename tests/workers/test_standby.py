"""A guard that is begun before its run is planned: it holds nothing, and without a run nothing is left of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lattice.errors import RunSetupError
from lattice.workers import handover, launch, lease, preflight, standby
from lattice.workers.processes.table import is_stopped
from lattice.workers.runs import RunFolder, all_runs
from lattice.workers.standby import Standby
from tests.workers.conftest import ANN, Bench, eventually, is_alive, open_files
from tests.workers.queueing.test_queue import tasks

# Runs a command line, and notes the process of each guard that it begins in $NOTES/begun.
NOTING = """
import json, os, signal, subprocess, sys
from pathlib import Path
from lattice.cli.main import main
from lattice.workers import handover, launch, preflight, standby
real = standby.Standby.begin
def die(*_args, **_kwargs):
    os.kill(os.getpid(), signal.SIGKILL)
def interrupted(*_args, **_kwargs):
    raise KeyboardInterrupt
def note(pid):
    file = Path(os.environ["NOTES"], "begun")
    file.with_suffix(".new").write_text(str(pid))
    file.with_suffix(".new").rename(file)
def begin(guard, root):
    real(guard, root)
    note(guard.pid)
standby.Standby.begin = begin
"""
# The process still lives when it looks: what it did not reap is there, as a zombie.
LOOKING = """
status = main(sys.argv[1:])
file = Path(os.environ["NOTES"], "begun")
pid = file.read_text() if file.exists() else None
print(json.dumps([status, pid is not None, pid is not None and os.path.exists(f"/proc/{pid}")]))
"""
RUN = ("worker", "run", "Sleeper", "LAT-1", "--actor", "human:ann", "--quiet")


def noting(bench: Bench, code: str, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", NOTING + code, *words],
        cwd=bench.repo,
        env=bench.environ(NOTES=str(bench.notes)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def looked(bench: Bench, code: str, *words: str) -> list[object]:
    """The exit status, whether a guard was begun, and whether anything of it was left."""
    out, err = noting(bench, code + LOOKING, *words).communicate(timeout=120)
    assert out, err
    said: list[object] = json.loads(out.splitlines()[-1])
    return said


def in_main(pid: int) -> bool:
    """Whether the guard has read its modules: it answers for SIGTERM by then."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt")).split()[1]
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


def pid_of(guard: Standby) -> int:
    assert guard.pid is not None
    return guard.pid


def stopped(guard: Standby) -> int:
    """Stop the guard, so that it takes no order; its process."""
    pid = pid_of(guard)
    os.kill(pid, signal.SIGSTOP)
    eventually(lambda: is_stopped(pid))
    return pid


@pytest.mark.parametrize(
    "words",
    [
        ("worker", "run", "Nobody", "LAT-1"),
        ("worker", "run", "Sleeper", "LAT-99"),
        ("worker", "run", "Sleeper", "LAT-1", "--commit", "nowhere"),
        ("worker", "run", "Sleeper", "LAT-1", "--resume", "run_X"),
        ("worker", "run", "Engineless", "LAT-1"),
    ],
)
def test_a_plan_that_is_refused_leaves_no_process_no_folder_and_no_event(bench: Bench, words: tuple[str, ...]) -> None:
    bench.worker()
    shape = {"name": "Engineless", "actor": "agent:bot", "engine": "command", "command": ["no-such-program"]}
    (bench.repo / "workers" / "engineless.json").write_text(json.dumps(shape), encoding="utf-8")
    before = bench.tree()
    assert [1, True, False] == looked(bench, "", *words, "--actor", "human:ann")
    assert before == bench.tree()


def test_a_run_that_is_there_already_and_a_queue_that_is_full_leave_no_process(bench: Bench) -> None:
    run = bench.running("exec sleep 300", max_parallel=1)
    second = tasks(bench, 1)[0]
    assert [1, True, False] == looked(bench, "", *RUN)
    full = ("worker", "run", "Sleeper", second, "--no-queue", "--actor", "human:ann")
    assert [1, True, False] == looked(bench, "", *full)
    assert [run.run_id] == [one.run_id for one in all_runs(bench.board.folder)]
    bench.data("worker", "stop", run.run_id, "--wait")


def test_a_dry_run_begins_no_guard(bench: Bench) -> None:
    bench.worker()
    assert [0, False, False] == looked(bench, "", *RUN, "--dry-run")


def test_a_run_that_waits_in_the_queue_has_no_guard_though_its_starter_waits_for_its_end(bench: Bench) -> None:
    running = bench.running("exec sleep 300", max_parallel=1)
    second = tasks(bench, 1)[0]
    words = ("worker", "run", "Sleeper", second, "--wait", "--actor", "human:ann")
    starter = noting(bench, "sys.exit(main(sys.argv[1:]))", *words)
    begun = int(bench.note("begun"))
    eventually(lambda: not Path(f"/proc/{begun}").exists())
    (queued,) = eventually(lambda: [run for run in all_runs(bench.board.folder) if run.waits()])
    assert starter.poll() is None
    assert not queued.alive()
    bench.data("worker", "cancel", queued.run_id)
    starter.communicate(timeout=120)
    bench.data("worker", "stop", running.run_id, "--wait")


@pytest.mark.parametrize("gap", ["preflight.plan", "launch._request", "handover.hand_over", "standby.Standby.order"])
def test_a_starter_that_is_killed_before_the_hand_over_leaves_no_process(bench: Bench, gap: str) -> None:
    bench.worker()
    starter = noting(bench, f"{gap} = die\nmain(sys.argv[1:])", *RUN)
    starter.communicate(timeout=120)
    assert -signal.SIGKILL == starter.returncode
    begun = int(bench.note("begun"))
    eventually(lambda: not is_alive(begun))
    assert 0 == bench.lattice("worker", "gc").returncode
    bench.assert_clean()
    requested = gap in ("handover.hand_over", "standby.Standby.order")
    assert (["lost"] if requested else []) == [
        str((event.raw or {})["data"]["cause"]["kind"]) for event in bench.events("process_failed")
    ]


def test_a_starter_that_is_killed_when_its_order_is_given_does_not_take_the_run_with_it(bench: Bench) -> None:
    bench.worker("true")
    starter = noting(
        bench,
        "order = standby.Standby.order\n"
        "standby.Standby.order = lambda *given: (order(*given), die())\n"
        "main(sys.argv[1:])",
        *RUN,
    )
    starter.communicate(timeout=120)
    assert -signal.SIGKILL == starter.returncode
    (run,) = all_runs(bench.board.folder)
    assert "succeeded" == bench.finished(run).state


@pytest.mark.parametrize("place", ["preflight.plan", "launch.start"])
def test_an_interrupt_before_the_hand_over_ends_the_guard_and_writes_nothing(bench: Bench, place: str) -> None:
    bench.worker()
    before = bench.tree()
    assert [130, True, False] == looked(bench, f"{place} = interrupted\n", *RUN)
    assert before == bench.tree()


def test_an_interrupt_in_the_very_call_that_begins_the_guard_leaves_it_to_end_by_itself(bench: Bench) -> None:
    bench.worker()
    code = (
        "popen = subprocess.Popen.__init__\n"
        "def begun(process, *args, **more):\n    popen(process, *args, **more)\n"
        "    note(process.pid)\n    raise KeyboardInterrupt\n"
        "subprocess.Popen.__init__ = begun\n"
    )
    starter = noting(bench, code + "status = main(sys.argv[1:])\nprint(status, flush=True)\nsys.stdin.read()", *RUN)
    assert starter.stdout is not None
    assert "130\n" == starter.stdout.readline()
    begun = int(bench.note("begun"))
    eventually(lambda: not is_alive(begun))
    starter.kill()
    starter.communicate()


def test_it_holds_nothing_but_its_socket_and_is_deaf_to_the_terminal(bench: Bench) -> None:
    bench.worker("true")
    board = bench.board
    with standby.begun(board.root, board.ledger.new_id("run")) as guard:
        pid = pid_of(guard)
        eventually(lambda: in_main(pid))
        eventually(lambda: [*["/dev/null"] * 3, "socket"] == open_files(pid))  # It may have a module open for a moment.
        assert ("/", pid) == (os.readlink(f"/proc/{pid}/cwd"), os.getsid(pid))
        assert guard.run_id.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        for signum in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            os.kill(pid, signum)
        plan = preflight.plan(board, preflight.Request("Sleeper", "LAT-1"), os.environ, guard.run_id)
        launch.start(board, plan, ANN, guard)
    assert "succeeded" == bench.finished(RunFolder(board.folder, guard.run_id)).state


def test_one_that_waits_for_its_order_goes_when_its_starter_is_killed(bench: Bench) -> None:
    """The starter of the tests above may be dead before its guard has read a module."""
    bench.worker()
    starter = noting(bench, "preflight.plan = lambda *_: signal.pause()\nmain(sys.argv[1:])", *RUN)
    begun = int(bench.note("begun"))
    eventually(lambda: in_main(begun))
    starter.kill()
    starter.communicate(timeout=120)
    eventually(lambda: not is_alive(begun))
    assert [] == all_runs(bench.board.folder)


def test_a_lease_is_held_while_it_is_on_its_way(tmp_path: Path) -> None:
    path = tmp_path / "lease"
    with standby.begun(tmp_path, "run_X") as guard:
        pid = stopped(guard)
        fd = lease.acquire(path)
        guard.order(fd, fd)
        os.close(fd)
        assert lease.held(path)
        guard.end()
    assert not lease.held(path)
    assert not Path(f"/proc/{pid}").exists()


def test_an_order_that_cannot_be_sent_is_an_error_and_ends_the_guard_with_its_block(tmp_path: Path) -> None:
    with standby.begun(tmp_path, "run_X") as guard:
        pid = pid_of(guard)
        with pytest.raises(OSError, match="Bad file descriptor"):
            guard.order(1 << 30, 1 << 30)
    assert not Path(f"/proc/{pid}").exists()


def killed(guard: Standby, _patch: pytest.MonkeyPatch) -> None:
    os.kill(pid_of(guard), signal.SIGKILL)
    eventually(lambda: not is_alive(pid_of(guard)))


def killed_with_its_order(guard: Standby, patch: pytest.MonkeyPatch) -> None:
    """It ends with its order unread, which its starter hears as a connection that was reset."""
    stopped(guard)
    real = handover.ready

    def ready(read_fd: int) -> bool:
        killed(guard, patch)
        return real(read_fd)

    patch.setattr(handover, "ready", ready)


def hung(guard: Standby, patch: pytest.MonkeyPatch) -> None:
    stopped(guard)
    patch.setattr(handover, "READY_WITHIN_S", 0.05)


@pytest.mark.parametrize("fate", [killed, killed_with_its_order, hung])
def test_a_guard_that_ends_or_hangs_before_it_guards_is_a_failed_run_with_its_end_on_the_board(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, fate: Callable[[Standby, pytest.MonkeyPatch], None]
) -> None:
    bench.worker("true")
    board = bench.board
    with standby.begun(board.root, board.ledger.new_id("run")) as guard, monkeypatch.context() as patch:
        plan = preflight.plan(board, preflight.Request("Sleeper", "LAT-1"), os.environ, guard.run_id)
        fate(guard, patch)
        with pytest.raises(RunSetupError, match="ended, or hung"):
            launch.start(board, plan, ANN, guard)
    assert not Path(f"/proc/{guard.pid}").exists()
    seen = bench.finished(RunFolder(board.folder, guard.run_id))
    assert ("failed", {"kind": "setup"}) == (seen.state, seen.cause)
