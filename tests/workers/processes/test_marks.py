"""Processes found by their run's mark: exactly those, at any moment, and ended whatever they do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from io import BytesIO
from typing import BinaryIO

import pytest

from lattice.workers.processes import marks
from lattice.workers.processes.marks import RUN_MARK, kill_marked, marked
from tests.workers.conftest import eventually, is_alive
from tests.workers.processes.conftest import NESTED, SOURCE, Started, wait_until_ended


def test_marked_finds_the_mark_exactly_and_what_is_below(start: Started) -> None:
    process, (child, grandchild) = start(NESTED, LATTICE_RUN_ID="run_A")
    other, _ = start("print(0, flush=True); signal.pause()", LATTICE_RUN_ID="run_AB")
    decoy, _ = start("print(0, flush=True); signal.pause()", DECOY=f"{RUN_MARK}=run_A")
    assert {process.pid, child, grandchild} == set(marked("run_A"))
    assert [other.pid] == marked("run_AB")
    assert {process.pid, child, grandchild} == set(kill_marked("run_A"))
    assert -signal.SIGKILL == process.wait(60)
    assert not is_alive(child)
    assert not is_alive(grandchild)
    assert other.poll() is None
    assert decoy.poll() is None
    assert [] == kill_marked("run_A")


def test_a_child_without_the_mark_goes_with_its_marked_parent(start: Started) -> None:
    process, (bare,) = start(
        """
        command = ["env", "-i", "setsid", "/bin/sh", "-c", "echo; exec sleep 1000"]
        child = subprocess.Popen(command, stdout=subprocess.PIPE)
        child.stdout.readline()
        print(child.pid, flush=True)
        signal.pause()
        """,
        LATTICE_RUN_ID="run_bare",
    )
    assert {process.pid, bare} == set(kill_marked("run_bare"))
    wait_until_ended(bare)


def test_kill_marked_ends_a_stopped_and_a_forking_process(start: Started) -> None:
    stopped, _ = start("print(0, flush=True); signal.pause()", LATTICE_RUN_ID="run_stop")
    stopped.send_signal(signal.SIGSTOP)
    forking, _ = start(
        """
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        print(0, flush=True)
        while True:
            if os.fork() == 0:
                os.execve("/bin/sleep", ["sleep", "1"], {})
        """,
        LATTICE_RUN_ID="run_stop",
    )
    killed = kill_marked("run_stop", 20)
    assert {stopped.pid, forking.pid} <= set(killed)
    assert [] == [pid for pid in killed if is_alive(pid)]
    assert [] == marked("run_stop")


def test_a_marked_caller_spares_itself_and_its_ancestors(start: Started) -> None:
    process, (sibling, status) = start(
        """
        sibling = subprocess.Popen(["sleep", "1000"])
        code = "from lattice.workers.processes.marks import kill_marked; print(*kill_marked('run_self'))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.split() == [str(sibling.pid)], done
        print(sibling.pid, sibling.wait(), flush=True)
        signal.pause()
        """,
        LATTICE_RUN_ID="run_self",
    )
    assert -signal.SIGKILL == status
    assert process.poll() is None
    assert not is_alive(sibling)


def test_a_process_without_an_environment_or_a_program_is_not_between_programs() -> None:
    """An empty environment block is no reason to look again where the command line can be seen, or no program is."""
    bare = subprocess.Popen(["/bin/sleep", "1000"], env={})
    zombie = subprocess.Popen(["/bin/true"])
    try:
        os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
        # Popen is back as soon as the old program is gone, which may be before the new one's words are there.
        eventually(lambda: not marks._is_between_programs(bare.pid))
        assert [False, False] == [marks._is_between_programs(pid) for pid in (bare.pid, zombie.pid)]
    finally:
        bare.kill()
        bare.wait()
        zombie.wait()


def test_one_amid_its_exec_is_looked_at_again_until_its_environment_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """execve(2) shows a moment at which the old environment is gone and the new one not yet to be read."""
    process = subprocess.Popen(["/bin/sleep", "1000"], env={RUN_MARK: "run_between"})
    looks: list[int] = []

    def hidden_twice(path: str, mode: str) -> BinaryIO:
        looks.append(1)
        return BytesIO(b"") if len(looks) <= 4 else open(path, mode)  # type: ignore[return-value]  # always binary

    try:
        monkeypatch.setattr(marks, "open", hidden_twice, raising=False)
        assert marks._has(process.pid, f"{RUN_MARK}=run_between".encode())
        assert 5 == len(looks), "environment and command line, twice, then the environment"
    finally:
        process.kill()
        process.wait()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a process of another user")
def test_what_may_not_be_signalled_is_reported_after_the_others_are_dead(start: Started) -> None:
    # A process of `nobody` whose child belongs to root: a set-user-id program looks the same.
    process, (roots,) = start(
        """
        pid = os.fork()
        if pid == 0:
            signal.pause()
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
        os.write(1, b"%d\\n" % pid)
        os.execve("/bin/sleep", ["sleep", "1000"], {"LATTICE_RUN_ID": "run_perm"})
        """,
    )
    code = """
import os
from lattice.workers.processes.marks import kill_marked
os.setgroups([]); os.setgid(65534); os.setuid(65534)
while not b"run_perm" in open("/proc/%d/environ", "rb").read():
    os.sched_yield()
try:
    kill_marked("run_perm")
except PermissionError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code % process.pid],
        env={**os.environ, "PYTHONPATH": SOURCE},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    try:
        assert f"[{roots}]" in done.stdout, done.stderr
        assert -signal.SIGKILL == process.wait(60)
        assert is_alive(roots)
    finally:
        os.kill(roots, signal.SIGKILL)
