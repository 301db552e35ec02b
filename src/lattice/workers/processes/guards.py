"""Guards of other runs among our descendants: they end by themselves, and with them what they guard.

A run may be started from inside a run: a team starts its members so, and a member's end may start whatever
waits in the queue. Such a run has a guard of its own, and is nothing that its starter left behind. A process
that passes itself off as one escapes the sweep; what must not escape runs in a PID namespace.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping

from lattice.workers.processes.table import Stat, below

GUARD = b"lattice.workers.guard"
"""In the command line of every guard and, since it is a fork of one, of every supervisor."""


def is_guard(pid: int) -> bool:
    """Whether the process was executed as the guard of a run that is not ours, by the interpreter that runs this.

    Our own forks have our command line, and in it our run: what prepares it is no other run's guard.
    """
    try:
        words = _words(pid)
        if not any(GUARD in word for word in words) or _runs(words) <= _runs(_words(os.getpid())):
            return False
        return os.path.samefile(f"/proc/{pid}/exe", sys.executable)
    except OSError:
        return False  # It has ended, or is another user's.


def _words(pid: int) -> list[bytes]:
    with open(f"/proc/{pid}/cmdline", "rb") as words:
        return words.read().split(b"\0")


def _runs(words: list[bytes]) -> set[bytes]:
    return {word for word in words if word.startswith(b"run_")}


def without_guards(roots: Iterable[int], table: Mapping[int, Stat]) -> list[int]:
    """All below the roots but the guards of other runs, and what is below those."""
    found = below(roots, table)
    guards = {pid for pid in found if is_guard(pid)}
    if not guards:
        return found
    spared = {*guards, *below(guards, table)}
    return [pid for pid in found if pid not in spared]
