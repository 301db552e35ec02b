"""The doctor's mends: each loses nothing, and keeps what it replaces."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from lattice.commands import session_files
from lattice.commands.board import Board
from lattice.core.events import ShortIdAssigned
from lattice.core.integrity import Finding
from lattice.core.record import Record
from lattice.errors import LatticeError, NotFound, ValidationError
from lattice.ledger import Signature
from lattice.store.files import disk, doctor, rebuild, scan, twice
from lattice.store.files.resources import FileResources

KEPT = "doctor"
"""The folder, below `.lattice/`, that keeps what a mend replaced."""


class Mended(Record):
    """One finding, and what came of mending it."""

    finding: Finding
    done: str | None  # what was done, None where it could not be
    error: str | None = None


class Repair:
    """The mends of one `doctor --fix`: each keeps what it replaces under `.lattice/doctor/<time>/`."""

    def __init__(self, board: Board, by: Signature | None, clear_runs: Callable[[], Sequence[str]]) -> None:
        self.board = board
        self.by = by
        self.clear_runs = clear_runs
        self.folder = _fresh_folder(board.folder / KEPT, board.ledger.source.now_ms())
        self._once: dict[str, str] = {}

    def run(self, findings: Sequence[Finding]) -> list[Mended]:
        """Write down what is to be done, then do it. Raises ValidationError where nobody is named who does it."""
        if self.by is None and any(finding.action == "renumber" for finding in findings):
            raise ValidationError("A short id is given by an event, and nobody is named as its author.", hint="--actor")
        plan = [finding.fields() for finding in findings]
        self.folder.mkdir(mode=0o700, parents=True)
        disk.write_durably(self.folder / "plan.json", json.dumps(plan, sort_keys=True, indent=2).encode() + b"\n")
        return [self._mend(finding) for finding in sorted(findings, key=_turn)]

    def _mend(self, finding: Finding) -> Mended:
        try:
            return Mended(finding, self._act(finding))
        except (LatticeError, OSError) as refused:
            return Mended(finding, None, str(refused))

    def _act(self, finding: Finding) -> str:
        match finding.action, finding.path, finding.task_id:
            case "aside", str(path), _:
                return self._move(path)
            case "snapshot", str(path), str(task_id):
                return self._snapshot(path, task_id)
            case "torn", _, str(task_id):
                return self._torn(partial(self._write_nothing, task_id))
            case (("lifecycle" | "ids"), str(path), _):
                return self._derived(path)
            case "renumber", _, str(task_id):
                return self._renumber(task_id)
            case twice.ACTION, _, str(task_id):
                task = twice.unite(self.board.folder, task_id, self._keep)
                return f"made one log; the task is {'archived' if task.archived else 'not archived'}"
            case "resource", str(path), _:
                return self._resource(path)
            case "torn_resource", str(path), _:
                return self._torn(partial(FileResources(self.board.folder).set_aside_torn, Path(path).stem))
            case "sessions", str(path), _:
                self._keep(path)
                session_files.rebuild_index(self.board)
                return "written again"
            case "runs", _, _:
                return self._runs()
            case action:
                raise AssertionError(f"no mend for {action}")

    def _write_nothing(self, task_id: str) -> None:
        """Who opens a log for writing sets its torn end aside."""
        with self.board.store.exclusive(task_id, archived=True):
            return

    def _torn(self, set_aside: Callable[[], None]) -> str:
        """Have a log's torn end set aside as the next writer would, and put it with the rest of what is replaced."""
        torn = self.board.folder / "events" / "torn"
        before = set(doctor.names_in(torn))
        set_aside()
        moved = [self._move(f"events/torn/{name}") for name in doctor.names_in(torn) if name not in before]
        return "; ".join(moved) or "the torn end was gone already"

    def _move(self, path: str) -> str:
        to = self._room(path)
        os.rename(self.board.folder / path, to)
        disk.sync_folder(to.parent)
        return f"moved to {to.relative_to(self.board.folder)}"

    def _snapshot(self, path: str, task_id: str) -> str:
        self._keep(path)
        stream = scan.find(self.board.folder, task_id)
        if stream is None:
            raise NotFound(f"{task_id} is gone.")
        rebuild.put_snapshot(self.board.folder, stream)
        return "written again"

    def _derived(self, path: str) -> str:
        self._keep(path)
        if "all" not in self._once:
            rebuild.everything(self.board.folder)
            self._once["all"] = "written again"
        return self._once["all"]

    def _resource(self, path: str) -> str:
        self._keep(path)
        if "resources" not in self._once:
            FileResources(self.board.folder).rebuild()
            self._once["resources"] = "written again"
        return self._once["resources"]

    def _renumber(self, task_id: str) -> str:
        store, by = self.board.store, self.by
        task = store.task(task_id)
        if by is None or task.short_id is None:
            raise ValidationError(f"{task_id} has no short id.")
        prefix = task.short_id.rpartition("-")[0]
        with store.numbering() as numbers:
            fresh = numbers.next(prefix)
            self.board.ledger.transact(task_id, lambda _: [ShortIdAssigned(short_id=fresh)], by, archived=True)
            numbers.assign(fresh, task_id)
        return f"is {fresh} now"

    def _runs(self) -> str:
        if "runs" not in self._once:
            problems = self.clear_runs()
            self._once["runs"] = "; ".join(problems)
        if self._once["runs"]:
            raise ValidationError(self._once["runs"])
        return "cleared away"

    def _keep(self, path: str) -> None:
        data = disk.read(self.board.folder / path)
        to = self._room(path)
        if data is not None and not to.exists():
            disk.write_durably(to, data)

    def _room(self, path: str) -> Path:
        to = self.folder / path
        to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return to


_TURNS = (
    "torn", "torn_resource", twice.ACTION, "aside", "snapshot", "resource", "sessions", "renumber", "lifecycle",
    "ids", "runs",
)  # fmt: skip


def _turn(finding: Finding) -> int:
    return _TURNS.index(finding.action) if finding.action in _TURNS else len(_TURNS)


def _fresh_folder(folder: Path, now_ms: int) -> Path:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_ms // 1000))
    names = (stamp if number == 1 else f"{stamp}-{number}" for number in range(1, 1_000_000))
    return next(folder / name for name in names if not (folder / name).exists())
