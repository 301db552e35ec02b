"""The doctor: what is wrong with a board. It changes nothing; the mends are in `commands/mends.py`."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from lattice.commands.board import Board
from lattice.core import integrity
from lattice.core.integrity import Card, Finding
from lattice.core.progress import Progress
from lattice.core.record import Record
from lattice.store.files import doctor
from lattice.store.files.doctor import LogsByFolder, Seen
from lattice.store.files.parallel import telling, without_collection


class Report(Record):
    """What the doctor found, and how much it looked at."""

    findings: tuple[Finding, ...]
    tasks: int
    events: int
    artifacts: int
    resources: int

    def count(self, level: str) -> int:
        return sum(finding.level == level for finding in self.findings)

    @property
    def mendable(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.action is not None)


Judge = Callable[[Mapping[str, Card]], Iterable[Finding]]
"""What is wrong in view of the tasks that are not archived."""

Elsewhere = Callable[[], Judge]
"""A look at what this layer does not know: runs, and what they left. It is begun while other processes read logs."""


@without_collection()
def examine(board: Board, elsewhere: Elsewhere | None = None, progress: Progress | None = None) -> Report:
    """Look at every file of the board. Changes nothing."""
    judges: list[Judge] = []
    beside = _Beside(board)
    began_ns = time.time_ns()

    def meanwhile(logs: LogsByFolder) -> None:
        if elsewhere is not None:
            judges.append(elsewhere())
        beside.look(logs)

    with telling(progress):
        seen = doctor.look(board.folder, began_ns, meanwhile)
    active = {task_id: task for task_id, task in seen.tasks.items() if task_id not in seen.archived}
    findings = [
        *seen.findings,
        *beside.findings(seen),
        *_edges(seen),
        *integrity.unknown_words(active, board.config),
        *_names(seen),
        *(finding for judge in judges for finding in judge(active)),
    ]
    return Report(
        findings=tuple(findings),
        tasks=len(seen.tasks.keys() | seen.damaged),
        events=seen.events,
        artifacts=_count(board.folder / "artifacts" / "meta", ".json"),
        resources=beside.resources,
    )


class _Beside:
    """What is beside the logs of tasks. It is looked at, and imported, while other processes read those."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._found: list[Finding] = []
        self.resources = 0

    def look(self, logs: LogsByFolder) -> None:
        """What needs no task to be judged, and what is to be judged."""
        from lattice.commands import session_files
        from lattice.store.files import doctor_derived, doctor_files, doctor_resources
        from lattice.store.files.resources import FileResources

        folder = self._board.folder
        self._lifecycle = doctor_derived.read_lifecycle(folder)
        self._ids = doctor_derived.read_ids(folder)
        resources = FileResources(folder)
        ids = resources.ids()
        self.resources = len(ids)
        self._found += doctor_derived.index(folder)
        self._found += doctor_files.strays(folder, logs, time.time())
        self._found += doctor_resources.look(folder, resources, ids)
        self._found += session_files.look(self._board)

    def findings(self, seen: Seen) -> Iterator[Finding]:
        """All that is wrong."""
        from lattice.store.files import doctor_derived, doctor_files

        folder = self._board.folder
        yield from doctor_derived.lifecycle(folder, self._lifecycle, seen)
        yield from doctor_derived.ids(folder, self._ids, seen)
        yield from doctor_files.look(folder, seen)
        yield from self._found


def _edges(seen: Seen) -> Iterator[Finding]:
    for finding in integrity.edges(seen.tasks):
        # A link to a task whose log is damaged is not dangling: the log is what has to be mended.
        if finding.check != "missing_target" or not any(task_id in finding.message for task_id in seen.damaged):
            yield finding


def _names(seen: Seen) -> list[Finding]:
    findings = []
    for younger, older in integrity.duplicate_names(seen.tasks):
        said = f"{younger.id} and {older.id} are both {older.short_id}: two branches gave it out"
        mend = f"give {younger.id}, the younger, the next number by an event; {older.id} keeps {older.short_id}"
        findings.append(Finding("duplicate_short_id", "error", said, younger.id, None, mend, "renumber"))
    return findings


def _count(folder: Path, ending: str) -> int:
    try:
        return sum(name.endswith(ending) and not name.startswith(".") for name in os.listdir(folder))
    except FileNotFoundError:
        return 0
