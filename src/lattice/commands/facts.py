"""What a status change hangs on beside the task itself, read under the task's lock; and what it leaves in the plan."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from lattice.commands.board import Board
from lattice.core.actors import actor_text
from lattice.core.events import Event, StatusChanged, is_earlier
from lattice.core.task import Task
from lattice.core.text import visible
from lattice.core.workflow import NO_FACTS, REVIEWING, SENT_BACK_TO, WORKING, Facts, is_scaffold, times_sent_back
from lattice.store.files import disk
from lattice.store.files.locks import locked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lattice.core.reviews.coverage import Diff, Hunks

PLAN_BYTES_MAX = 1 << 20


def diff_for(board: Board, task_id: str, to: str) -> Diff | None:
    """The task's diff, where a move to `to` asks for a review of it. Asked of git before the task's lock is taken.

    Raises NotFound, GitError.
    """
    policy = board.config.completion_policies.get(to)
    if policy is None or policy.review is None or not policy.review.current or board.diff_of is None:
        return None
    return board.diff_of(board.store.task(task_id))


def facts(board: Board, task: Task, to: str, diff: Diff | None = None) -> Facts:
    """What bears on a move of `task` to `to`. Only what its rules ask for is read; `diff` is what `diff_for` found."""
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
    return found if diff is None else found.replace(diff=diff, covered=_covered(board, task))


def _covered(board: Board, task: Task) -> Mapping[str, Hunks | None]:
    """What each review of the task covered, by its id."""
    from lattice.core.review_events import ReviewRecorded  # only a policy that asks for a review comes here

    bodies = [event.body for event in board.store.history(task.id)[1]]
    return {body.review_id: body.hunks for body in bodies if isinstance(body, ReviewRecorded)}


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
