"""Reused process numbers: in a PID namespace of its own a stranger gets the number of whom Lattice is about to signal.

The number is forced through /proc/sys/kernel/ns_last_pid, at the worst moment: between the look at a process and
the descriptor that pins it, or while nobody supervises the run. Who signals has to notice.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from lattice.workers import control
from lattice.workers.ends import overdue
from lattice.workers.processes import marks, pidfds, tree
from lattice.workers.processes.table import descendants, start_time
from lattice.workers.runs import open_runs
from tests.torture.arena import Finding, forked
from tests.torture.breaks import BREAKS, put
from tests.torture.inject import TOP
from tests.torture.site import TASK, Site, wrongs
from tests.torture.victims import Victims

CASES = ("signal_tree", "kill_marked", "sweep", "overdue", "gc")
_RUN = "run_01ARZ3NDEKTSV4RRFFQ69G5FAV"
_NEXT = Path("/proc/sys/kernel/ns_last_pid")
_WITHIN_S = 60.0


def reused(case: str, template: Site, folder: Path, broken: tuple[str, ...] = ()) -> Finding:
    """One case, in namespaces of its own. Runs in an arena."""
    folder.mkdir()
    site = template.copy(folder)
    words = [sys.executable, "-m", "tests.torture.strangers", case, str(folder), *broken]
    isolated = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", *words]
    environ = {**os.environ, "HOME": str(folder), "XDG_STATE_HOME": str(folder / "state"), "PYTHONPATH": str(TOP)}
    done = subprocess.run(isolated, cwd=TOP, env=environ, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return Finding("reused numbers", f"{case}: {done.stderr.strip()[-1500:]}", False)
    found = json.loads(done.stdout)
    if not found and case in ("overdue", "gc"):
        found = wrongs(site)
    return Finding("reused numbers", case + (f" [{folder}]" if found else ""), True, tuple(found))


class Stage:
    """Victims that die at the worst moment, and the strangers that get their numbers."""

    def __init__(self) -> None:
        self.strangers: list[int] = []

    def replace(self, pid: int) -> None:
        """End the process, wait until its number is free, and have a stranger get it."""
        began = start_time(pid)
        os.kill(pid, signal.SIGKILL)
        _until(lambda: _reaped(pid))
        # A start time counts in ticks of 10 ms; nothing brings a number round within one.
        _until(lambda: time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK") > (began or 0) + 2)
        _NEXT.write_text(str(pid - 1), encoding="ascii")
        stranger = _sleeper()
        if stranger != pid:
            raise AssertionError(f"the stranger is {stranger}, not {pid}")
        self.strangers.append(stranger)

    def hurt(self) -> list[str]:
        """The strangers that were signalled. They are ended now; a signal that came before ours is what ended them."""
        for pid in self.strangers:
            os.kill(pid, signal.SIGTERM)
        ended = [(pid, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])) for pid in self.strangers]
        return [f"process {pid}, a stranger: {status}" for pid, status in ended if status != -signal.SIGTERM]


def main(case: str, folder: Path) -> list[str]:
    """What is wrong; this process is the first of its namespace."""
    stage, site = Stage(), Site(folder)
    if case in ("signal_tree", "kill_marked", "sweep"):
        _pinned_late(case, stage)
    elif case == "overdue":
        _overdue(site, stage)
    else:
        _all_dead(site, stage)
    return stage.hurt() if stage.strangers else ["nobody was replaced"]


def _pinned_late(case: str, stage: Stage) -> None:
    """The victim is replaced after the scan that found it, and before it is pinned."""
    victim = _sleeper({marks.RUN_MARK: _RUN})
    pin = pidfds.pin

    def late(pid: int, started: int) -> int | None:
        if pid == victim and not stage.strangers:
            stage.replace(victim)
        return pin(pid, started)

    put(pidfds, "pin", late)
    if case == "signal_tree":
        tree.signal_tree(os.getpid(), signal.SIGKILL)
    elif case == "kill_marked":
        marks.kill_marked(_RUN)
    else:
        with contextlib.suppress(TimeoutError):  # The stranger is our child here, and sweep ends those in the end.
            tree._kill_below(os.getpid(), time.monotonic() + 1)


def _overdue(site: Site, stage: Stage) -> None:
    """The supervisor dies, and its guard, while somebody is about to kill it for being overdue."""
    _start(site)
    (run,) = open_runs(site.board.folder)
    guard, supervisor = _keepers(site, run.run_id)
    pinned = overdue._pinned

    def late(pid: int) -> contextlib.AbstractContextManager[int | None]:
        if pid == supervisor and not stage.strangers:
            os.kill(guard, signal.SIGKILL)
            _until(lambda: _reaped(guard))
            stage.replace(supervisor)
        return pinned(pid)

    put(overdue, "_pinned", late)
    put(overdue, "OVERDUE_AFTER_S", -1e9)
    put(overdue, "HANGING_AFTER_S", -1e9)
    overdue.end_overdue(run, "a test")
    _gc(site)


def _all_dead(site: Site, stage: Stage) -> None:
    """All of a run died, strangers got every number of it, and the next command clears up."""
    _start(site)
    (run,) = open_runs(site.board.folder)
    guard, supervisor = _keepers(site, run.run_id)
    engine = Victims(site.board.folder).agents(run.run_id)[0]
    os.kill(guard, signal.SIGKILL)
    _until(lambda: _reaped(guard))
    for pid in (supervisor, engine):
        stage.replace(pid)
    _gc(site)


def _start(site: Site) -> None:
    starter = forked(lambda: site.run("Gated"))
    _until(lambda: _reaped(starter))
    task_id = site.board.resolve(TASK)
    _until(lambda: [run.state for run in site.board.store.task(task_id).active_processes] == ["running"])


def _gc(site: Site) -> None:
    def clear() -> None:
        control.gc(site.board, os.environ)

    mender = forked(clear)
    _until(lambda: _reaped(mender))


def _keepers(site: Site, run_id: str) -> tuple[int, int]:
    victims = Victims(site.board.folder)
    return victims.guard(run_id), victims.supervisor(run_id)


def _sleeper(environ: dict[str, str] | None = None) -> int:
    return os.posix_spawn("/bin/sleep", ["sleep", "600"], environ or {}, setpgroup=0)


def _reaped(pid: int) -> bool:
    """Whether the number is free; children of the dead are this process's, the namespace's first."""
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    return start_time(pid) is None


def _until(done: Callable[[], bool]) -> None:
    ends_at = time.monotonic() + _WITHIN_S
    while not done():
        if time.monotonic() > ends_at:
            raise AssertionError(f"it did not come to pass; below this process are {descendants(os.getpid())}")
        os.sched_yield()


if __name__ == "__main__":
    for name in sys.argv[3:]:
        BREAKS[name]()
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]))))
