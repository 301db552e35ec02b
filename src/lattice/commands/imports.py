"""Import: the tasks of another tool, or of an export of ours, taken over with their own times.

The same source always gives the same ids, so that a second import finds what is there, and takes over
only what its source says anew. Everything is read and checked before the first task is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from lattice.commands.board import FOLDER, Board, read_config
from lattice.commands.doctor import examine
from lattice.commands.formats import board_json
from lattice.commands.formats.beside_json import Taken, take
from lattice.commands.formats.board_json import Archive
from lattice.commands.formats.history import Writer, source_of
from lattice.commands.formats.item import Account, Item
from lattice.commands.formats.merge import Merge, merge
from lattice.commands.tasks import write_plan_scaffold
from lattice.core.adoption import continuation, says_the_same
from lattice.core.events import Event
from lattice.core.ids import ulid_ms
from lattice.core.integrity import Finding
from lattice.core.progress import Progress, told
from lattice.core.record import Record
from lattice.core.stats import FINISHED
from lattice.core.task import Task
from lattice.errors import LatticeError, NotFound, ValidationError
from lattice.ledger import FUTURE_MS_MAX, Adopted, Signature
from lattice.store.files import disk

READERS: Mapping[str, str] = {
    "beads": "lattice.commands.formats.beads",
    "backlog-md": "lattice.commands.formats.backlog_md",
    "taskwarrior": "lattice.commands.formats.taskwarrior",
    "github": "lattice.commands.formats.github",
    "csv": "lattice.commands.formats.csv_table",
}
"""The modules that read other tools' files into items."""

IN_PLACE, OWN = "lattice", "json"
FORMATS = (IN_PLACE, OWN, *READERS)
CHUNK = 50
"""How many tasks are taken over under one hold of the short ids."""

NAMED_MAX = 20
Plans = Sequence[tuple[str, Sequence[Event]]]
"""Each task's history, and the place in the source that it comes from."""


class Outcome(Record):
    """What became of one task: created, extended, unchanged or diverged; in a dry run, what would."""

    id: str
    outcome: str
    title: str
    short_id: str | None
    where: str
    changes: tuple[str, ...] = ()  # what a task that was here before takes over from its source


class Report(Record):
    """What an import did, and what did not fit."""

    format: str
    dry_run: bool
    outcomes: tuple[Outcome, ...]
    account: Account
    beside: tuple[Taken, ...] = ()  # resources and sessions

    def count(self, outcome: str) -> int:
        return sum(found.outcome == outcome for found in self.outcomes)


class Import(Record):
    """Take over what `path` holds. `skip_malformed` leaves out the records that cannot be read."""

    format: str
    path: Path
    dry_run: bool = False
    skip_malformed: bool = False

    def run(self, board: Board, by: Signature, progress: Progress | None = None) -> Report:
        """Raises NotFound, ValidationError naming the malformed records, LogDamaged, StorageError."""
        account = Account()
        if self.format == OWN:
            archive = board_json.read(self.path, account)
            plans: Plans = [(history[0].task_id, history) for history in archive.histories]
        else:
            archive = Archive((), (), {})
            items = import_module(READERS[self.format]).read(self.path, account)
            plans = self._histories(board, by, items, account)
        plans = _without_future(plans, board.ledger.source.now_ms(), account)
        resources = [(history[0].task_id, history) for history in archive.beside.resources]
        timely = [tuple(kept) for _, kept in _without_future(resources, board.ledger.source.now_ms(), account)]
        beside = archive.beside.replace(resources=tuple(timely))
        if account.malformed and not self.skip_malformed and not self.dry_run:
            raise _refusal(self.path, account)
        if self.dry_run:
            foreseen = tuple(self._foreseen(board, by, *plan, account) for plan in told(plans, progress))
            return Report(self.format, True, foreseen, account, tuple(take(board, beside, account, dry_run=True)))
        for artifact in archive.artifacts:
            _keep(board, artifact, account)
        outcomes = []
        for start in range(0, len(plans), CHUNK):
            chunk = plans[start : start + CHUNK]
            fresh = [plan for plan in chunk if self.format == OWN or not board.store.exists(plan[1][0].task_id)]
            adopted = board.ledger.adopt([history for _, history in fresh], board.config.short_id_prefix)
            taken = {found.stream: found for found in adopted}
            for where, history in chunk:
                found = taken.get(history[0].task_id)
                if found is None:
                    outcomes.append(_merged(board, by, where, history, account))
                    continue
                outcomes.append(_outcome(board, where, history, found, account))
                self._beside(board, found, archive.files.get(found.stream))
            if progress is not None:
                progress(min(start + CHUNK, len(plans)), len(plans))
        return Report(self.format, False, tuple(outcomes), account, tuple(take(board, beside, account, dry_run=False)))

    def _foreseen(self, board: Board, by: Signature, where: str, history: Sequence[Event], account: Account) -> Outcome:
        stream = history[0].task_id
        if not board.store.exists(stream):
            return Outcome(stream, "created", _title(history), None, where)
        task, stored = board.store.history(stream)
        if self.format != OWN:
            found = merge(task, stored, history, by, board.ledger.source)
            return _settled(where, task, history, found, account)
        outcome = _judged(continuation(stored, history)[0], task, history)
        return Outcome(stream, outcome, _title(history), task.short_id, where)

    def _histories(self, board: Board, by: Signature, items: Sequence[Item], account: Account) -> Plans:
        mark = source_of(self.format, "")
        known = {
            str(task.custom_fields["source"]): task.id
            for archived in (False, True)
            for task in board.store.tasks(archived=archived)
            if "source" in task.custom_fields
        }
        writer = Writer(self.format, board, by, account)
        # A link may lead to a task of an earlier import that this export leaves out, as one of the open issues alone.
        ids = {source.removeprefix(mark): task_id for source, task_id in known.items() if source.startswith(mark)}
        seen: set[str] = set()
        distinct = []
        for item in items:
            if item.key in seen:
                account.malformed.append((item.where, f"{item.key[:80]!r} stands twice in the source"))
                continue
            seen.add(item.key)
            ids[item.key] = item.id or known.get(source_of(self.format, item.key)) or writer.task_id(item)
            distinct.append(item)
        return [(item.where, writer.history(item, ids)) for item in distinct]

    def _beside(self, board: Board, found: Adopted, files: Mapping[str, str] | None) -> None:
        """What lies beside the log of a task that was made: its plan and its notes."""
        if found.outcome != "created" or found.task is None:
            return
        home = board.folder / "archive" if found.task.archived else board.folder
        for key, text in (files or {}).items():
            path = home / board_json.FILES[key] / f"{found.stream}.md"
            if not path.exists():
                disk.replace(path, text.encode("utf-8", "replace"), durable=True)
        if files is None and found.task.status not in FINISHED:
            write_plan_scaffold(board, found.task)


class Verified(Record):
    """What a board that needs no import holds."""

    root: Path
    tasks: int
    events: int
    findings: tuple[Finding, ...]


def verify(path: Path, progress: Progress | None = None) -> Verified:
    """Look at a board of ours or of lattice-tracker, which opens as it stands. Changes nothing.

    Raises NotFound, ConfigError.
    """
    root = path.parent if path.name == FOLDER else path
    if not (root / FOLDER).is_dir():
        raise NotFound(f"There is no board in {str(path)[:200]!r}.", hint=f"Name the folder that holds {FOLDER}/.")
    report = examine(Board(root, read_config(root)), progress=progress)
    return Verified(root, report.tasks, report.events, report.findings)


def _without_future(plans: Plans, now_ms: int, account: Account) -> Plans:
    """The plans whose ids lie in the past: every later id of a log has to be greater than those in it."""
    kept = []
    for where, history in plans:
        if max(ulid_ms(identifier) for identifier in (history[0].task_id, history[-1].id)) > now_ms + FUTURE_MS_MAX:
            account.malformed.append((where, "its ids lie in the future"))
        else:
            kept.append((where, history))
    return kept


def _refusal(path: Path, account: Account) -> ValidationError:
    where, why = account.malformed[0]
    more = f" (and {len(account.malformed) - 1} more)" if len(account.malformed) > 1 else ""
    return ValidationError(
        f"{path.name} was not imported: {where}: {why}{more}. Nothing was written.",
        hint="Mend the source, or leave such records out with --skip-malformed; --dry-run lists them.",
        malformed=[{"where": at, "why": reason} for at, reason in account.malformed[:NAMED_MAX]],
        malformed_count=len(account.malformed),
    )


def _merged(board: Board, by: Signature, where: str, history: Sequence[Event], account: Account) -> Outcome:
    """Take over what a source says anew of a task that is here."""
    merges: list[Merge | None] = []

    def decide(task: Task, stored: Sequence[Event]) -> Sequence[Event]:
        merges.append(merge(task, stored, history, by, board.ledger.source))
        return merges[-1].events if merges[-1] is not None else ()

    stream = history[0].task_id
    task = board.store.task(stream)
    if task.archived:
        found = merge(*board.store.history(stream), history, by, board.ledger.source)
        return _settled(where, task, history, found, account)
    written = board.ledger.extend(stream, decide)
    return _settled(where, written.task or task, history, merges[-1], account)


def _settled(where: str, task: Task, history: Sequence[Event], found: Merge | None, account: Account) -> Outcome:
    """What became of a task that was here, or would; what is not taken over is told."""
    changes: tuple[str, ...] = ()
    if found is None:
        outcome = "unchanged" if says_the_same(task, history) else "diverged"
        if outcome == "diverged":
            account.skipped.append((where, f"{task.name} was not imported from here; what differs was not taken"))
    elif task.archived:
        outcome = "diverged" if found.changes or found.conflicts else "unchanged"
        if outcome == "diverged":
            account.skipped.append((where, f"{task.name} is archived here; what is newer at its source was not taken"))
    else:
        changes = found.changes
        account.conflicts += [(where, f"{task.name}: {said}") for said in found.conflicts]
        outcome = "extended" if changes else "diverged" if found.conflicts else "unchanged"
    return Outcome(task.id, outcome, task.title, task.short_id, where, changes)


def _judged(outcome: str, task: Task, history: Sequence[Event]) -> str:
    """A table says what is, not what was: a task that says the same has not gone another way."""
    return "unchanged" if outcome == "diverged" and says_the_same(task, history) else outcome


def _outcome(board: Board, where: str, history: Sequence[Event], found: Adopted, account: Account) -> Outcome:
    task = found.task or board.store.task(found.stream)
    outcome = _judged(found.outcome, task, history)
    if outcome == "diverged":
        account.skipped.append(
            (where, f"{task.name} was changed here since; what is newer at its source was not taken")
        )
    given = getattr(history[0].body, "short_id", None)
    if found.outcome == "created" and given is not None and given != task.short_id:
        account.adjusted.append((where, f"{given} is another task here; it is {task.short_id} now"))
    return Outcome(found.stream, outcome, task.title, task.short_id, where)


def _title(history: Sequence[Event]) -> str:
    return str(getattr(history[0].body, "title", ""))


def _keep(board: Board, artifact: board_json.Artifact, account: Account) -> None:
    """Write an artifact, unless one of its id is there."""
    folder = board.folder / "artifacts"
    meta_path = folder / "meta" / f"{artifact.meta['id']}.json"
    if meta_path.exists():
        return
    try:
        described: Any = artifact.meta.get("payload")
        if artifact.payload is not None and isinstance(described, dict) and described.get("file"):
            disk.replace(folder / "payload" / str(described["file"]), artifact.payload, durable=True)
        disk.replace(meta_path, board_json.description(artifact.meta), durable=True)
    except LatticeError as refused:
        account.skipped.append((str(artifact.meta["id"]), refused.message))
