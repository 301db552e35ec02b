"""A task's runs as every face of the command line shows them: by what is alive now, never by the log's last word."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Sequence

from lattice.core.pretty import ITEM_PAD, pretty
from lattice.core.task import ActiveRun, Task, to_snapshot
from lattice.errors import LatticeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    from lattice.commands.board import Board
    from lattice.core.summary import Document, HasRuns

    _R = TypeVar("_R", bound=HasRuns)


def refreshed(board: Board, read: Callable[[], Sequence[_R]]) -> Sequence[_R]:
    """What `read` gives, once runs that are dead have been ended as far as this machine can tell."""
    if _has_open_runs(board):
        _refresh(board)
        found = read()
        if not any(run.external for task in found for run in task.active_processes):
            return found  # What has no marker of an open run is external.
    else:
        found = read()
    if not any(task.active_processes for task in found):
        return found
    _refresh(board, found)
    return read()


def refreshed_documents(board: Board, read: Callable[[], list[Document]]) -> list[Document]:
    """As `refreshed`, of tasks in their JSON form."""
    if _has_open_runs(board):
        _refresh(board)
        return read()
    found = read()
    running = [document.id for document in found if document.has_runs]
    if not running:
        return found
    tasks = []
    for task_id in running:
        with contextlib.suppress(LatticeError):  # It went, or cannot be read: the second look says so.
            tasks.append(board.store.task(task_id))
    _refresh(board, tasks)
    return read()


def with_states(board: Board, document: Document) -> bytes:
    """The JSON text of a task, with the true state of its runs."""
    if not document.has_runs:
        return document.text
    shape = json.loads(document.text)
    for fields in shape["active_processes"]:
        fields["state"] = state(board, ActiveRun(**fields))
    return pretty(shape, ITEM_PAD).encode("ascii")


def state(board: Board, run: ActiveRun) -> str:
    """What is true of a run now."""
    from lattice.workers import liveness  # most boards have no run at most times

    return liveness.state(board, run)


def snapshot(board: Board, task: Task) -> dict[str, Any]:
    """The task's JSON form, with the true state of its runs."""
    shape = to_snapshot(task)
    for run, fields in zip(task.active_processes, shape["active_processes"], strict=True):
        fields["state"] = state(board, run)
    return shape


def _refresh(board: Board, tasks: Sequence[HasRuns] = ()) -> None:
    from lattice.workers import liveness  # most boards have no run at most times

    liveness.refresh(board, tasks)


def _has_open_runs(board: Board) -> bool:
    try:
        with os.scandir(board.path("runs", "open")) as entries:
            return next(entries, None) is not None
    except FileNotFoundError:
        return False
