"""The battle of the soak: runs are started, hit as the plan has it, and given one command to heal by."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from lattice.errors import LatticeError
from lattice.workers import control
from lattice.workers.processes.table import descendants
from lattice.workers.runs import RunFolder, all_runs
from tests.torture.arena import forked, settle
from tests.torture.crew import Crew, under_fire
from tests.torture.plan import Order, Wave
from tests.torture.site import ANN
from tests.torture.victims import Victims

QUIET_WITHIN_S = 90.0
FULL_S = 0.4
TICK_S = 0.01
AIM_S = 2.0
"""How long a blow waits for somebody to hit."""


class _Fought:
    """A run of a wave: its starter, its id once it has one, and the blows to come."""

    def __init__(self, order: Order, starter: int) -> None:
        self.order = order
        self.starter = starter
        self.began = time.monotonic()
        self.left = sorted(order.blows, key=lambda blow: blow.after_s)
        self.hit_at: float | None = None


class Battle:
    """The waves, one after the other, and the figures."""

    def __init__(self, crew: Crew, broken: tuple[str, ...], *, capacity: bool) -> None:
        self.faults: Counter[str] = Counter()
        self.heals: list[float] = []
        self.late = 0
        self._crew = crew
        self._broken = broken
        self._capacity = capacity  # whether the disk is ours to fill
        self.let_go = 0
        self._stopped: dict[str, list[int]] = {}  # the guards of each run that were stopped for good
        self._later: list[tuple[float, int]] = []  # when to let go on what was stopped

    def wave(self, wave: Wave) -> list[str]:
        """Start its runs, deal its blows, and see that all is over after one command."""
        site = self._crew.site
        before = {run.run_id for run in all_runs(site.board.folder)}
        for kind in wave.gits:
            self._crew.spoil_git(kind)
        began = time.monotonic()
        fought = [self._start(order) for order in wave.orders]
        full = wave.full_at_s if self._capacity else None
        while any(one.left for one in fought) or full is not None or self._later:
            settle(lambda: True)
            full = self._fill(full, time.monotonic() - began)
            self._strike(fought)
            time.sleep(TICK_S)  # the pace of the blows: it waits for nothing
        self._crew.empty_disk()
        hits = self._runs_of(fought, before)
        found = self._quiet(hits)
        if {run.run_id for run in all_runs(site.board.folder)} == before:
            found.append("a wave started no run")
        self.faults.update(self._crew.spoiled())
        return found

    def _start(self, order: Order) -> _Fought:
        site = self._crew.site

        def start() -> None:
            under_fire(self._broken)
            with contextlib.suppress(LatticeError, OSError):  # The board says what came of it; it is looked at.
                site.run(order.worker, order.task)

        return _Fought(order, forked(start))

    def _fill(self, at_s: float | None, now_s: float) -> float | None:
        if at_s is None or now_s < at_s:
            return at_s
        if now_s < at_s + FULL_S:
            if self._crew.fill_disk():
                self.faults["full disk"] += 1
            return at_s
        self._crew.empty_disk()
        return None

    def _strike(self, fought: list[_Fought]) -> None:
        now = time.monotonic()
        for pid in [pid for at, pid in self._later if now >= at]:
            _signalled([pid], signal.SIGCONT)
        self._later = [(at, pid) for at, pid in self._later if now < at]
        victims: Victims | None = None
        for one in fought:
            while one.left and (late_s := now - one.began - one.left[0].after_s) >= 0:
                victims = victims or Victims(self._crew.site.board.folder)
                dealt = self._deal(one.left[0].kind, one, victims)
                if not dealt and late_s < AIM_S:
                    break
                blow = one.left.pop(0)
                if dealt:
                    self.faults[blow.kind] += 1
                    one.hit_at = now

    def _deal(self, kind: str, one: _Fought, victims: Victims) -> bool:
        """Whether there was somebody to hit."""
        if kind == "kill starter":
            return _signalled([one.starter], signal.SIGKILL)
        run = victims.run_of(one.order.worker, one.order.task)
        if run is None:
            return False
        guard, supervisor = victims.guard(run), victims.supervisor(run)
        match kind:
            case "kill guard":
                return _signalled([guard], signal.SIGKILL)
            case "kill supervisor":
                return _signalled([supervisor], signal.SIGKILL)
            case "kill guard and supervisor":
                return _signalled([guard, supervisor], signal.SIGKILL)
            case "kill all three":
                return _signalled([one.starter, guard, supervisor], signal.SIGKILL)
            case "kill agent":
                return _signalled(victims.agents(run)[-1:], signal.SIGKILL)
            case "SIGSTOP supervisor":
                return _signalled([supervisor], signal.SIGSTOP)
            case "SIGSTOP guard":
                self._stopped.setdefault(run, []).append(guard)
                return _signalled([guard], signal.SIGSTOP)
            case "SIGSTOP, then SIGCONT":
                self._later.append((time.monotonic() + 0.5, supervisor))
                return _signalled([supervisor], signal.SIGSTOP)
            case "small files only":
                return _small_files_only(supervisor)
            case "stop run":
                forked(lambda: self._stop(run))
                return True
        raise AssertionError(kind)

    def _stop(self, run: str) -> None:
        with contextlib.suppress(LatticeError, OSError):  # It ended meanwhile, or the disk is full.
            control.stop(self._crew.site.board, run, "the soak wants it", ANN)

    def _runs_of(self, fought: list[_Fought], before: set[str]) -> dict[str, float]:
        """When the runs of this wave that were hit were hit last."""
        hits: dict[str, float] = {}
        for run in all_runs(self._crew.site.board.folder):
            spec = run.spec() if run.run_id not in before else None
            for one in fought:
                if spec and (spec.process_type, spec.short_id) == (one.order.worker, one.order.task) and one.hit_at:
                    hits[run.run_id] = one.hit_at
        return hits

    def _quiet(self, hits: dict[str, float]) -> list[str]:
        """Wait until every process is gone; what was stopped for good, or died with its guard, a command ends."""
        board = self._crew.site.board.folder
        open_hits = dict(hits)

        def looked() -> bool:
            for run_id in [one for one in open_hits if RunFolder(board, one).is_closed()]:
                self.heals.append(max(0.0, time.monotonic() - open_hits.pop(run_id)))
            return False

        ends_at = time.monotonic() + QUIET_WITHIN_S
        patience_s = 4.0  # the longest of a run's own ends, before anybody helps
        while time.monotonic() < ends_at:
            gone = settle(looked, patience_s)
            late = len(open_hits)
            if os.waitpid(forked(self._gc), 0)[1] != 0:
                return ["worker gc broke down"]
            looked()
            self._let_go_on()
            self.late += late - len(open_hits)
            patience_s = 1.0
            if gone and settle(within_s=5):
                return []
        return [f"after {QUIET_WITHIN_S:g} s there is still {self._left()}"]

    def _let_go_on(self) -> None:
        """A guard that was stopped, and of whose run nothing is left: whoever stopped it has to let it go on."""
        for run in all_runs(self._crew.site.board.folder) if self._stopped else ():
            if run.is_closed():
                for pid in self._stopped.pop(run.run_id, ()):
                    self.let_go += _signalled([pid], signal.SIGCONT)

    def _gc(self) -> None:
        """`worker gc`, a minute later: the clock by which a stopped supervisor is overdue is the one thing moved."""
        under_fire(self._broken, overdue_now=True)
        for draft in (self._crew.site.board.folder / "runs").glob(".new-*"):
            with contextlib.suppress(FileNotFoundError):
                os.utime(draft, (1, 1))
        control.gc(self._crew.site.board, os.environ)

    def _left(self) -> list[str]:
        said = []
        for pid in descendants(os.getpid()):
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
                said.append(f"{pid}: {words[-160:]}")
        return said


def _signalled(pids: Sequence[int], signum: int) -> bool:
    """Signal those of the processes that are there, if the last, whom it is about, is. Whether it was.

    All are looked up before the first is hit: a number does not come round again in the blink of an eye.
    """
    below = set(descendants(os.getpid()))
    if not pids or pids[-1] not in below:
        return False
    for pid in pids:
        if pid in below:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signum)
    return True


def _small_files_only(pid: int) -> bool:
    """From now on each write beyond 4 KiB of a file is refused to the process, and to what it starts."""
    if pid <= 1:
        return False
    try:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, 4096))
    except (ProcessLookupError, PermissionError):
        return False
    return True
