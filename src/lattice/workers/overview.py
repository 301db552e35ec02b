"""The runs of a board: one by its name, those of this machine, those that run, those that ended."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from lattice.commands.board import Board
from lattice.core.events import Event
from lattice.core.ids import is_id, ulid_ms
from lattice.core.run_events import ProcessRequested
from lattice.core.task import Task
from lattice.errors import LogDamaged, NotFound, StorageError
from lattice.ledger import timestamp
from lattice.store.protocol import Unread
from lattice.workers.run_view import RunView, view
from lattice.workers.runs import RunFolder, all_runs, find_run


def find(board: Board, ref: str) -> RunView:
    """The run that `ref` names: one of this machine, else one that the log alone knows. Raises NotFound."""
    try:
        return _of_folder(board, find_run(board.folder, ref))
    except NotFound:
        wanted = ref.upper().removeprefix("RUN_")
        hits = {run.run_id: run for run in active(board) if wanted and run.run_id.endswith(wanted)}
        if not hits and wanted:
            run_id = f"run_{wanted}"
            since = timestamp(ulid_ms(run_id)) if is_id("run", run_id) else None
            hits = {run.run_id: run for run in _in_log(board, since) if run.run_id.endswith(wanted)}
        if len(hits) != 1:
            raise
        return next(iter(hits.values()))


def history(
    board: Board,
    task_id: str | None = None,
    worker: str | None = None,
    since: str | None = None,
    unread: Unread | None = None,
) -> list[RunView]:
    """Every run that ended, as the log has it, the newest first; of one task, of one worker, of those from `since` on.

    A run that ended before may be among them. Of all tasks, `unread` as a store has it.
    """
    if task_id is not None:
        runs: Iterator[RunView] = _of_events(board, *board.store.history(task_id))
    else:
        runs = _in_log(board, since, unread)
    fits = [run for run in runs if run.ended and (worker is None or run.worker.casefold() == worker.casefold())]
    return sorted(fits, key=lambda run: run.run_id, reverse=True)


def families(runs: Sequence[RunView]) -> list[RunView]:
    """The same runs, in their order, but the members of a team that is among them right after it, oldest first."""
    here = {run.run_id for run in runs}
    members: dict[str, list[RunView]] = {}
    for run in sorted(runs, key=lambda run: run.run_id):
        if run.parent in here:
            members.setdefault(str(run.parent), []).append(run)
    return [each for run in runs if run.parent not in here for each in (run, *members.get(run.run_id, ()))]


def members(board: Board, run: RunView) -> list[RunView]:
    """The runs of a team's members, oldest first."""
    task, events = board.store.history(run.task_id)
    bodies = [event.body for event in events if isinstance(event.body, ProcessRequested)]
    return [view(board, task, events, body.run_id) for body in bodies if body.parent == run.run_id]


def templates_before(runs: Sequence[RunView]) -> dict[str, str]:
    """Of each run, the hash of the prompt's file of the run before it of the same worker, where there was one."""
    last: dict[str, str] = {}
    found = {}
    for run in sorted(runs, key=lambda run: run.run_id):
        worker = run.worker.casefold()
        if run.template_sha256 is not None:
            if worker in last:
                found[run.run_id] = last[worker]
            last[worker] = run.template_sha256
    return found


def _in_log(board: Board, since: str | None, unread: Unread | None = None) -> Iterator[RunView]:
    """Every run that any task's log has, of those that have an event from `since` on."""
    for task, events in board.store.histories(since=since, having=ProcessRequested.kind, unread=unread):
        yield from _of_events(board, task, events)


def _of_events(board: Board, task: Task, events: Sequence[Event]) -> Iterator[RunView]:
    for event in events:
        if isinstance(event.body, ProcessRequested):
            yield view(board, task, events, event.body.run_id)


def active(board: Board, unread: Unread | None = None) -> list[RunView]:
    """Every run of the board that has no end yet, oldest first. `unread` as a store has it. Raises LogDamaged."""
    runs = []
    with board.store.view(unread=unread) as tasks:
        running = tasks.running()
    for task_id in running:
        with contextlib.suppress(NotFound):  # It went with a branch.
            try:
                task, events = board.store.history(task_id)
            except (LogDamaged, StorageError) as damage:
                if unread is None:
                    raise
                unread[task_id] = damage
                continue
            runs += [view(board, task, events, run.run_id) for run in task.active_processes]
    return sorted(runs, key=lambda run: run.run_id)


def on_this_machine(board: Board, unread: Unread | None = None) -> list[RunView]:
    """Every run whose folder is here, ended ones too, oldest first. `unread` as a store has it. Raises LogDamaged."""
    runs = []
    for folder in all_runs(board.folder):
        with contextlib.suppress(NotFound):  # Its task went with a branch, or the request never came.
            try:
                runs.append(_of_folder(board, folder))
            except (LogDamaged, StorageError) as damage:
                spec = folder.spec()
                if unread is None or spec is None:
                    raise
                unread[spec.task_id] = damage
    return runs


def _of_folder(board: Board, folder: RunFolder) -> RunView:
    spec = folder.spec()
    if spec is None:
        raise NotFound(f"What run {folder.run_id} was asked for cannot be read: {folder.path}/spec.json")
    task, events = board.store.history(spec.task_id)
    return view(board, task, events, folder.run_id)
