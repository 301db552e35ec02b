"""What a run's processes use now: processor time and memory of its whole tree, guard and supervisor included.

Memory is the proportional set size (proc_pid_smaps(5), Pss): a page that several processes share is counted
once among them, so that trees can be added up. A process of another user, or one that has just ended, adds
nothing. Where there is no /proc nothing is known.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from lattice.core.record import Record
from lattice.workers.processes.guards import GUARD
from lattice.workers.processes.table import age_s, descendants

_TICKS = os.sysconf("SC_CLK_TCK")


class Usage(Record):
    """One look at a run's tree. `cpu_s` counts children that have ended and were waited for."""

    processes: int
    cpu_s: float
    age_s: float
    memory_bytes: int | None

    def cpu_percent(self, before: Usage | None = None) -> float:
        """Of one processor: since the look `before`, else over the tree's whole life, as ps(1) has it."""
        past_s = self.age_s - (before.age_s if before else 0.0)
        used_s = self.cpu_s - (before.cpu_s if before else 0.0)
        return max(0.0, 100.0 * used_s / past_s) if past_s > 0 else 0.0


def look(run_ids: Iterable[str]) -> dict[str, Usage]:
    """The usage of those of the runs that have a process on this machine."""
    wanted = {run_id.encode(): run_id for run_id in run_ids}
    roots: dict[str, list[int]] = {}
    for pid, words in _guards() if wanted else ():
        for word in words:
            if word in wanted:
                roots.setdefault(wanted[word], []).append(pid)
    return {run_id: usage for run_id, pids in roots.items() if (usage := _of_tree(pids)) is not None}


def _guards() -> Iterable[tuple[int, list[bytes]]]:
    """Every guard and supervisor: a supervisor is a fork of its guard, and has its command line."""
    try:
        names = os.listdir("/proc")
    except FileNotFoundError:
        return
    for name in names:
        if not name.isdigit():
            continue
        try:
            words = Path("/proc", name, "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # It has ended.
        if any(GUARD in word for word in words):
            yield int(name), words


def _of_tree(roots: list[int]) -> Usage | None:
    everyone = dict.fromkeys([*roots, *(pid for root in roots for pid in descendants(root))])
    ages = [age for root in roots if (age := age_s(root)) is not None]
    if not ages:
        return None
    cpu = [seconds for pid in everyone if (seconds := _cpu_s(pid)) is not None]
    memory = [size for pid in everyone if (size := _memory(pid)) is not None]
    return Usage(len(cpu), sum(cpu), max(ages), sum(memory) if memory else None)


def _cpu_s(pid: int) -> float | None:
    try:
        line = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    fields = line[line.rindex(b")") + 2 :].split()
    return sum(int(field) for field in fields[11:15]) / _TICKS  # utime, stime, cutime, cstime


def _memory(pid: int) -> int | None:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_bytes()
    except OSError:
        return None
    for line in text.splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) << 10
    return None
