"""The processes of this machine as /proc shows them (proc_pid_stat(5)): who is whose child, and since when."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from lattice.core.record import NamedTuple


class Stat(NamedTuple):
    """What of proc_pid_stat(5) identifies a process and places it in the tree."""

    ppid: int
    started: int  # clock ticks after boot, field 22
    zombie: bool
    stopped: bool = False  # by a signal or a tracer: it will do nothing until somebody lets it go on


def start_time(pid: int) -> int | None:
    """When `pid` started, in clock ticks after boot; None if there is no such process."""
    stat = stat_of(pid)
    return stat.started if stat is not None else None


def parent_of(pid: int) -> int | None:
    """The parent's pid; None if there is no such process."""
    stat = stat_of(pid)
    return stat.ppid if stat is not None else None


def is_stopped(pid: int) -> bool:
    """Whether the process was stopped, by SIGSTOP or a tracer."""
    stat = stat_of(pid)
    return stat is not None and stat.stopped


def age_s(pid: int) -> float | None:
    """How long ago the process started, by a clock that nobody sets; None if there is no such process."""
    started = start_time(pid)
    if started is None:
        return None
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started / os.sysconf("SC_CLK_TCK")


def descendants(root: int) -> list[int]:
    """Every live descendant of `root`, parents before their children; zombies are not alive."""
    table = table_of_all()
    return [pid for pid in below([root], table) if not table[pid].zombie]


def below(roots: Iterable[int], table: Mapping[int, Stat]) -> list[int]:
    """All below the roots, breadth first, without the roots unless one is below another."""
    children: dict[int, list[int]] = {}
    for pid, stat in table.items():
        children.setdefault(stat.ppid, []).append(pid)
    found: dict[int, None] = {}
    level = list(roots)
    while level:
        level = [child for pid in level for child in children.get(pid, ()) if child not in found]
        found.update(dict.fromkeys(level))
    return list(found)


def table_of_all() -> dict[int, Stat]:
    with os.scandir("/proc") as entries:
        pids = [int(entry.name) for entry in entries if entry.name.isdigit()]
    return {pid: stat for pid in pids if (stat := stat_of(pid))}


def stat_of(pid: int) -> Stat | None:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            line = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command name may hold spaces and parentheses: the fields begin after the last one.
    fields = line[line.rindex(b")") + 2 :].split()
    # A leader whose main thread has ended reads as a zombie while its other threads still run.
    zombie = fields[0] in (b"Z", b"X") and int(fields[17]) <= 1
    return Stat(int(fields[1]), int(fields[19]), zombie, fields[0] in (b"T", b"t"))


def own_children() -> list[int]:
    """Our own children, quickly; empty where the kernel lacks CONFIG_PROC_CHILDREN (the scan finds them)."""
    found: list[int] = []
    for thread in Path("/proc/self/task").iterdir():
        try:
            found += [int(pid) for pid in (thread / "children").read_bytes().split()]
        except FileNotFoundError:
            continue
    return found
