"""Tasks that are put away: out of every list, readable and to be brought back."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from lattice.commands.board import Board
from lattice.core.events import Event, TaskArchived, TaskUnarchived
from lattice.core.record import Record
from lattice.core.task import Task
from lattice.errors import Archived, Conflict, InvalidId, LatticeError, NotFound, ValidationError
from lattice.ledger import Signature

DAY_S = 24 * 3600
SETTLED = "done"


class Failed(Record):
    """What could not be moved, by the name it was asked for, and why."""

    ref: str
    error: LatticeError


class Moved(Record):
    """What was archived or brought back: each by the name it was asked for, with the event that says so."""

    tasks: tuple[tuple[str, Task, Event], ...]
    failed: tuple[Failed, ...]


def archive(board: Board, ref: str, by: Signature) -> tuple[Task, Event]:
    """Put a task away. Raises NotFound, InvalidId; Conflict for one that is archived, or has a run."""
    task_id = board.resolve(ref)
    try:
        written = board.ledger.transact(task_id, _archived, by)
    except Archived:
        raise Conflict(f"Task {ref} is already archived.", hint=f"See it: lattice show {ref}") from None
    return written.task, written.events[0]


def unarchive(board: Board, ref: str, by: Signature) -> tuple[Task, Event]:
    """Bring a task back. Raises NotFound, InvalidId; Conflict for one that is not archived."""
    written = board.ledger.transact(board.resolve(ref), _unarchived, by, archived=True)
    return written.task, written.events[0]


def archive_each(board: Board, refs: Sequence[str], by: Signature) -> Moved:
    """Put several tasks away, each by itself: what cannot be is told, and keeps none of the others."""
    return _each(board, refs, by, back=False)


def unarchive_each(board: Board, refs: Sequence[str], by: Signature) -> Moved:
    """Bring several tasks back, each by itself."""
    return _each(board, refs, by, back=True)


def stale(board: Board) -> list[Task]:
    """The tasks that were done before yesterday began, in UTC."""
    yesterday = time.strftime("%Y-%m-%d", time.gmtime(board.ledger.source.now_ms() // 1000 - DAY_S))
    return [task for task in board.store.tasks() if is_stale(task, yesterday)]


def is_stale(task: Task, yesterday: str) -> bool:
    """Whether the task was done on a day before `yesterday` (`2026-11-20`), and nothing runs on it."""
    done_at = task.done_at
    return task.status == SETTLED and done_at is not None and done_at[:10] < yesterday and not task.active_processes


def parse_refs(words: Iterable[str]) -> list[str]:
    """The names in words that may each hold several, separated by commas; each once."""
    refs = (ref.strip() for word in words for ref in word.split(","))
    return list(dict.fromkeys(ref for ref in refs if ref))


def _archived(task: Task) -> list[TaskArchived]:
    if task.active_processes:
        run = task.active_processes[0]
        raise Conflict(
            f"Task {task.name} has a run that has not ended: {run.process_type} {run.run_id}.",
            hint=f"Wait for it, or end it: lattice worker stop {run.run_id}",
        )
    return [TaskArchived()]


def _unarchived(task: Task) -> list[TaskUnarchived]:
    if not task.archived:
        raise Conflict(f"Task {task.name} is already active.", hint=f"See it: lattice show {task.name}")
    return [TaskUnarchived()]


def _each(board: Board, refs: Sequence[str], by: Signature, *, back: bool) -> Moved:
    moved: dict[str, tuple[str, Task, Event]] = {}
    failed: list[Failed] = []
    for ref in refs:
        try:
            if board.resolve(ref) in moved:
                continue  # one task by two of its names
            task, event = unarchive(board, ref, by) if back else archive(board, ref, by)
            moved[task.id] = (ref, task, event)
        except (Conflict, InvalidId, NotFound, ValidationError) as refused:
            failed.append(Failed(ref, refused))
    return Moved(tuple(moved.values()), tuple(failed))
