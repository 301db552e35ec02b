"""Real process trees: daemons, ignorers, stopped ones, chains that fork while they are killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from lattice.workers.processes.table import descendants, start_time
from lattice.workers.processes.tree import signal_tree
from tests.workers.processes.conftest import NESTED, SOURCE, Started, wait_until_ended

# Runs in a process of its own, because a sweep ends every child of the caller: pytest's too.
SWEEPER = """
import os, signal, sys, time
from lattice.workers.processes.table import descendants
from lattice.workers.processes.tree import become_subreaper, sweep
become_subreaper()
ready, go = os.pipe()
def daemon(act):
    '''A double fork into a session of its own; returns when `act` has run in it.'''
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            act()
            os.write(go, b'%d\\n' % os.getpid())
            while True:
                signal.pause()
        os._exit(0)
    os.wait()
    return int(os.read(ready, 32))
"""


def in_a_sweeper(body: str) -> str:
    """What the script prints; it asserts by itself."""
    done = subprocess.run(
        [sys.executable, "-c", SWEEPER + textwrap.dedent(body)],
        env={**os.environ, "PYTHONPATH": SOURCE},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (0, "") == (done.returncode, done.stderr)
    return done.stdout


def test_descendants_are_found_across_sessions_parents_first(start: Started) -> None:
    process, (child, grandchild) = start(NESTED)
    assert [child, grandchild] == descendants(process.pid)
    assert [child, grandchild] == signal_tree(process.pid, signal.SIGKILL)
    wait_until_ended(child)
    wait_until_ended(grandchild)
    assert process.poll() is None, "the root itself is not signalled"


def test_a_command_name_with_spaces_and_parentheses_is_parsed(start: Started) -> None:
    process, _ = start("""
        open("/proc/self/comm", "w").write("a) Z 1 (b")
        pid = os.fork()
        if pid: print(pid, flush=True)
        signal.pause()
    """)
    found = descendants(process.pid)
    assert 1 == len(found)
    assert process.pid in descendants(os.getpid())
    assert start_time(process.pid) is not None
    os.kill(found[0], signal.SIGKILL)


def test_a_zombie_is_not_alive(start: Started) -> None:
    process, (zombie,) = start("""
        pid = os.fork()
        if pid == 0: os._exit(0)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        print(pid, flush=True)
        signal.pause()
    """)
    assert Path(f"/proc/{zombie}").exists()
    assert [] == descendants(process.pid)


def test_the_start_time_of_no_process_is_none() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    assert start_time(child.pid) is None


def test_sweep_ends_a_daemon_in_a_session_of_its_own() -> None:
    in_a_sweeper("""
        pid = daemon(lambda: None)
        assert [pid] == sweep()
        assert not os.path.exists(f"/proc/{pid}")
        assert [] == sweep()
    """)


def test_sweep_ends_one_that_ignores_every_signal_it_can() -> None:
    in_a_sweeper("""
        def deaf():
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        pid = daemon(deaf)
        assert [pid] == sweep()
    """)


def test_sweep_ends_a_stopped_process() -> None:
    in_a_sweeper("""
        pid = daemon(lambda: None)
        os.kill(pid, signal.SIGSTOP)
        os.waitid(os.P_PID, pid, os.WSTOPPED)
        assert [pid] == sweep()
    """)


def test_sweep_ends_one_that_lost_its_environment() -> None:
    in_a_sweeper("""
        import subprocess
        process = subprocess.Popen(["env", "-i", "/bin/sh", "-c", "setsid sleep 1000 & echo $!; wait"],
                                   stdout=subprocess.PIPE, start_new_session=True)
        process.stdout.readline()
        assert len(sweep()) >= 2
        process.returncode = 0
        process.stdout.close()
    """)


def test_sweep_catches_a_chain_that_forks_and_exits() -> None:
    in_a_sweeper("""
        if os.fork() == 0:
            os.setsid()
            os.write(go, b"1")
            while True:
                if os.fork():
                    os._exit(0)
        os.read(ready, 1)
        assert sweep(30)
        try:
            os.waitpid(-1, os.WNOHANG)
            raise SystemExit("a child is left")
        except ChildProcessError:
            assert [] == descendants(os.getpid())
    """)


@pytest.mark.skipif(os.geteuid() != 0, reason="tracing a stranger needs root")
def test_sweep_names_what_it_cannot_end(start: Started) -> None:
    # The parent cannot reap a zombie while a tracer outside the tree has not looked at its end.
    sweeper, (daemon,) = start(
        SWEEPER
        + """
print(daemon(lambda: None), flush=True)
sys.stdin.readline()
try:
    sweep(0.3)
except TimeoutError as error:
    print(error, flush=True)
"""
    )
    tracer, _ = start(f"""
        import ctypes
        assert 0 == ctypes.CDLL(None).ptrace(0x4206, {daemon}, 0, 0)  # PTRACE_SEIZE
        print(0, flush=True)
        signal.pause()
    """)
    assert tracer.poll() is None
    told, _ = sweeper.communicate("go", timeout=60)
    assert f"processes [{daemon}] did not end within 0.3 s of SIGKILL\n" == told


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
def test_a_sweep_counts_all_of_a_pid_namespace_though_one_death_ends_it() -> None:
    """Two sleepers in a namespace of their own, which dies with its first process."""
    in_a_sweeper(
        """
        import subprocess
        command = ["bwrap", "--dev-bind", "/", "/", "--unshare-pid", "--die-with-parent",
                   "sh", "-c", "sleep 300 & sleep 300 & echo up; wait"]
        inside = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert inside.stdout.readline() == b"up\\n"
        before = set(descendants(os.getpid()))
        assert len(before) >= 4, before
        statuses = {}
        assert before == set(sweep(30, statuses))
        assert os.WTERMSIG(statuses[inside.pid]) == signal.SIGKILL
        inside.returncode = -9
        """
    )
