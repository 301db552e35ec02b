"""Real process trees: daemons, ignorers, stopped ones, chains that fork while they are killed."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pytest

from lattice.workers.processes import tree
from lattice.workers.processes.table import descendants, start_time
from lattice.workers.processes.tree import RUN_MARK, kill_marked, marked, signal_tree

SOURCE = str(Path(__file__).parents[2] / "src")

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


def alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def wait_until_ended(pid: int) -> None:
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([pidfd], [], [], 10)[0], f"{pid} is still there"
    finally:
        os.close(pidfd)


class Started:
    """Processes a test starts; each says `ready` when it is as the test needs it."""

    def __init__(self) -> None:
        self.all: list[subprocess.Popen[str]] = []

    def __call__(self, code: str, **env: str) -> tuple[subprocess.Popen[str], list[int]]:
        process = subprocess.Popen(
            [sys.executable, "-c", "import os, signal, subprocess, sys\n" + textwrap.dedent(code)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": SOURCE, **env},
        )
        self.all.append(process)
        assert process.stdout is not None
        return process, [int(word) for word in process.stdout.readline().split()]


@pytest.fixture
def start() -> Iterator[Started]:
    started = Started()
    yield started
    for process in started.all:
        process.kill()
        process.communicate()


NESTED = """
child = subprocess.Popen([sys.executable, "-c",
    "import os, signal; pid = os.fork(); pid and print(os.getpid(), pid, flush=True); signal.pause()"],
    stdout=subprocess.PIPE, text=True, start_new_session=True)
print(child.stdout.readline(), end="", flush=True)
signal.pause()
"""


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
    told, _ = sweeper.communicate("go", timeout=20)
    assert f"processes [{daemon}] did not end within 0.3 s of SIGKILL\n" == told


def test_marked_finds_the_mark_exactly_and_what_is_below(start: Started) -> None:
    process, (child, grandchild) = start(NESTED, LATTICE_RUN_ID="run_A")
    other, _ = start("print(0, flush=True); signal.pause()", LATTICE_RUN_ID="run_AB")
    decoy, _ = start("print(0, flush=True); signal.pause()", DECOY=f"{RUN_MARK}=run_A")
    assert {process.pid, child, grandchild} == set(marked("run_A"))
    assert [other.pid] == marked("run_AB")
    assert {process.pid, child, grandchild} == set(kill_marked("run_A"))
    assert -signal.SIGKILL == process.wait(10)
    assert not alive(child)
    assert not alive(grandchild)
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
    assert [] == [pid for pid in killed if alive(pid)]
    assert [] == marked("run_stop")


def test_a_marked_caller_spares_itself_and_its_ancestors(start: Started) -> None:
    process, (sibling, status) = start(
        """
        sibling = subprocess.Popen(["sleep", "1000"])
        code = "from lattice.workers.processes.tree import kill_marked; print(*kill_marked('run_self'))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.split() == [str(sibling.pid)], done
        print(sibling.pid, sibling.wait(), flush=True)
        signal.pause()
        """,
        LATTICE_RUN_ID="run_self",
    )
    assert -signal.SIGKILL == status
    assert process.poll() is None
    assert not alive(sibling)


def test_a_process_without_an_environment_or_a_program_is_not_between_programs() -> None:
    """An empty environment block is no reason to look again where the command line can be seen, or no program is."""
    bare = subprocess.Popen(["/bin/sleep", "1000"], env={})
    zombie = subprocess.Popen(["/bin/true"])
    try:
        os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
        assert [False, False] == [tree._is_between_programs(pid) for pid in (bare.pid, zombie.pid)]
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
        monkeypatch.setattr(tree, "open", hidden_twice, raising=False)
        assert tree._has(process.pid, f"{RUN_MARK}=run_between".encode())
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
from lattice.workers.processes.tree import kill_marked
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
        timeout=30,
        check=False,
    )
    try:
        assert f"[{roots}]" in done.stdout, done.stderr
        assert -signal.SIGKILL == process.wait(10)
        assert alive(roots)
    finally:
        os.kill(roots, signal.SIGKILL)


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
