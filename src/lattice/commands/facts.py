"""What a status change hangs on beside the task itself, read under the task's lock; and what it leaves in the plan."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import contextmanager

from lattice.commands.board import Board
from lattice.core.actors import actor_text
from lattice.core.events import Event, StatusChanged, is_earlier
from lattice.core.task import Task
from lattice.core.text import visible
from lattice.core.workflow import NO_FACTS, REVIEWING, SENT_BACK_TO, WORKING, Facts, is_scaffold, times_sent_back
from lattice.store.files import disk
from lattice.store.files.locks import locked

PLAN_BYTES_MAX = 1 << 20


def facts(board: Board, task: Task, to: str) -> Facts:
    """What bears on a move of `task` to `to`. Only what its rules ask for is read."""
    found = NO_FACTS
    if to == task.status:
        return found
    if to == WORKING:
        plan = read_plan(board, task)
        found = found.replace(plan=plan, planned=plan is not None and not is_scaffold(plan, task.description))
    if task.status == REVIEWING and to in SENT_BACK_TO:
        found = found.replace(sent_back=times_sent_back(board.store.history(task.id)[1]))
    if limited(board, to):
        with board.store.view() as view:  # The task itself is in another status, as its lock's holder knows.
            occupied = view.count(to)
        found = found.replace(occupied=occupied)
    return found


def limited(board: Board, status: str) -> bool:
    """Whether the board refuses what would be too many tasks in this status."""
    return board.config.wip_limits_enforced and status in board.config.wip_limits


@contextmanager
def counting(board: Board, status: str) -> Iterator[None]:
    """Hold the number of tasks in a limited status, so that two moves cannot both take its last place.

    Taken before the task's lock, never after it.
    """
    if not limited(board, status):
        yield
        return
    with locked(board.path("locks", "wip.lock")):
        yield


def read_plan(board: Board, task: Task) -> str | None:
    """The text of the task's plan, or None where there is no file that can be read."""
    try:
        data = disk.read(board.path("plans", f"{task.id}.md"))
    except OSError:
        return None
    return None if data is None else data[:PLAN_BYTES_MAX].decode("utf-8", "replace")


def note_resets(board: Board, events: tuple[Event, ...]) -> None:
    """Mark in the plan where the task went back to an earlier status, so that what follows is seen to be new."""
    for event in events:
        if not (isinstance(event.body, StatusChanged) and is_earlier(event.body.to, event.body.from_)):
            continue
        text = f"\n## Reset {event.ts[:10]} by {visible(actor_text(event.actor))}\n"
        path = board.path("plans", f"{event.task_id}.md")
        with contextlib.suppress(OSError):  # Free text beside the log: the move stands without it.
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
            try:
                os.write(descriptor, text.encode())
            finally:
                os.close(descriptor)
