"""The stamp of a log: its size, change time and inode, by which the index knows it again.

A log that changed within the clock's last ticks has none: it may change once more, and look the same.
"""

from __future__ import annotations

import os
from contextlib import suppress

from lattice.store.files.log import tasks_in

AWAY = "archive/"
"""What the stamp of an archived task's log begins with."""

TICK_NS = 50_000_000  # more than the kernel's coarse clock, from which files get their times


def tasks(root: str) -> list[str]:
    """The tasks of all logs, one that is being archived perhaps twice."""
    return [*tasks_in(f"{root}/{AWAY}events"), *tasks_in(f"{root}/events")]


def every(root: str, now_ns: int) -> dict[str, str]:
    """The stamp of every log, by its task; empty of a log that changed just before `now_ns`, a time since 1970."""
    found: dict[str, str] = {}
    settled_ns = now_ns - TICK_NS
    for place in (AWAY, ""):
        folder = f"{root}/{place}events"
        for task_id in tasks_in(folder):
            with suppress(FileNotFoundError):  # It was archived while we looked.
                state = os.stat(f"{folder}/{task_id}.jsonl", follow_symlinks=False)
                found[task_id] = _stamp(place, state, settled_ns)
    return found


def of(root: str, task_id: str, now_ns: int) -> str | None:
    """The stamp of one log, as `every` has it; None where there is no such log."""
    for place in ("", AWAY, ""):
        try:
            state = os.stat(f"{root}/{place}events/{task_id}.jsonl", follow_symlinks=False)
        except FileNotFoundError:
            continue
        return _stamp(place, state, now_ns - TICK_NS)
    return None


def _stamp(place: str, state: os.stat_result, settled_ns: int) -> str:
    changed_ns = state.st_mtime_ns
    return f"{place}{state.st_size}:{changed_ns}:{state.st_ino}" if changed_ns < settled_ns else ""
