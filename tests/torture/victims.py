"""Who is who among the processes of an arena: the guard, the supervisor and the agents of each run, at one moment."""

from __future__ import annotations

import os
from pathlib import Path

from lattice.workers.processes.marks import RUN_MARK
from lattice.workers.processes.table import descendants, parent_of
from lattice.workers.runs import open_runs

_GUARD = b"lattice.workers.guard"


class Victims:
    """A look at the processes below this one, and at the runs of a board that are not closed."""

    def __init__(self, board_folder: Path) -> None:
        self._runs: dict[tuple[str, str | None], str] = {}
        for run in open_runs(board_folder):
            spec = run.spec()
            if spec is not None:
                self._runs[spec.process_type, spec.short_id] = run.run_id
        self._keepers: dict[str, list[int]] = {}  # guard, supervisor and the fork that prepares
        self._agents: dict[str, list[int]] = {}
        known = {run_id.encode(): run_id for run_id in self._runs.values()}
        for pid in descendants(os.getpid()):
            words = _read(pid, "cmdline").split(b"\0")
            keeps = [known[word] for word in words if word in known] if any(_GUARD in word for word in words) else []
            if keeps:
                self._keepers.setdefault(keeps[0], []).append(pid)
                continue
            for entry in _read(pid, "environ").split(b"\0"):
                name, _, value = entry.partition(b"=")
                if name == RUN_MARK.encode() and value in known:
                    self._agents.setdefault(known[value], []).append(pid)

    def run_of(self, worker: str, task: str) -> str | None:
        """The run of that worker on that task that is not closed."""
        return self._runs.get((worker, task))

    def guard(self, run_id: str) -> int:
        """Its guard; 0 where there is none."""
        return next((pid for pid in self._keepers.get(run_id, ()) if self._above(run_id, pid) is None), 0)

    def supervisor(self, run_id: str) -> int:
        """Its supervisor; 0 where there is none."""
        guard = self.guard(run_id)
        return next((pid for pid in self._keepers.get(run_id, ()) if guard and parent_of(pid) == guard), 0)

    def agents(self, run_id: str) -> list[int]:
        """The engine and what it started, and git commands of the run."""
        return self._agents.get(run_id, [])

    def _above(self, run_id: str, pid: int) -> int | None:
        above = parent_of(pid)
        return above if above in self._keepers.get(run_id, ()) else None


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""  # It ended meanwhile.
