"""The board in time: how it was, what happened, and taking it back."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence

from lattice.commands.board import Board
from lattice.core.actors import actor_text
from lattice.core.events import Event, TaskCreated, TaskEvent, evolve
from lattice.core.moments import parse_moment
from lattice.core.progress import Progress, told
from lattice.core.record import Record
from lattice.core.summary import Words
from lattice.core.task import Task
from lattice.core.undo import act_of, take_back
from lattice.errors import NotFound, ValidationError, nearest
from lattice.ledger import Signature, Written
from lattice.store.protocol import Unread
from lattice.store.view import ScannedView, View

LIMIT = 50


def moment(board: Board, text: str) -> str:
    """The moment that `text` names, by the board's clock. Raises ValidationError."""
    return parse_moment(text, board.ledger.source.now_ms())


def fold_until(events: Sequence[Event], until: str) -> Task | None:
    """The task as its events up to `until` add up to; None where it had not begun.

    It has no active runs: whether a run was alive then, nobody can know now. Its events are in the log.
    """
    if not events or not isinstance(events[0].body, TaskCreated) or events[0].ts > until:
        return None
    task: Task | None = None
    for event in events:
        if event.ts <= until:
            task = evolve(task, event)
    return task.replace(active_processes=()) if task is not None else None


def state_at(board: Board, ref: str, until: str) -> tuple[Task, list[Event]]:
    """A task as it was, and its events until then. Raises InvalidId, NotFound, LogDamaged."""
    now, events = board.store.history(board.resolve(ref))
    task = fold_until(events, until)
    if task is None:
        raise NotFound(
            f"{now.name} was not there yet at {until}: it was created at {events[0].ts}.",
            hint=f"lattice show {now.name} --at {events[0].ts}",
        )
    return task, [event for event in events if event.ts <= until]


def tasks_at(board: Board, until: str, *, archived: bool = False, unread: Unread | None = None) -> Iterator[Task]:
    """Every task as it was, oldest first; those that were archived then only with `archived`.

    `unread` as a store has it. Raises LogDamaged.
    """
    for _, events in board.store.histories(unread=unread):
        task = fold_until(events, until)
        if task is not None and (archived or not task.archived):
            yield task


def view_at(board: Board, until: str, *, archived: bool = False, unread: Unread | None = None) -> View:
    """A look at all tasks as they were. Raises as `tasks_at`."""
    return ScannedView(tasks_at(board, until, archived=archived, unread=unread), _no_words)


class Entry(Record):
    """An event, and the task it belongs to, as that is now."""

    event: Event
    task: Task


class Log(Record):
    """Which events: each given value must fit; several of one kind are alternatives."""

    tasks: tuple[str, ...] = ()
    actors: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    since: str | None = None
    limit: int | None = LIMIT

    def run(self, board: Board, progress: Progress | None = None, unread: Unread | None = None) -> list[Entry]:
        """The events that fit, newest first. Raises InvalidId, NotFound, ValidationError, LogDamaged.

        Of the whole board, `unread` as a store has it.
        """
        since = moment(board, self.since) if self.since is not None else None
        ids = [board.resolve(ref) for ref in self.tasks]
        histories = (
            (board.store.history(task_id) for task_id in told(ids, progress))
            if ids
            else board.store.histories(since=since, progress=progress, unread=unread)
        )
        found = (
            Entry(event, task)
            for task, events in histories
            for event in events
            if (since is None or event.ts >= since) and self._fits(event)
        )
        if self.limit is None:
            return sorted(found, key=_newest, reverse=True)
        return heapq.nlargest(self.limit, found, key=_newest)

    def _fits(self, event: Event) -> bool:
        return (not self.types or event.type in self.types) and (
            not self.actors or actor_text(event.actor) in self.actors
        )


class Change(Record):
    """What happened on one task: its state before (None: it began since) and after, and the events between."""

    before: Task | None
    task: Task
    events: tuple[Event, ...]

    @property
    def kind(self) -> str:
        """created, archived, unarchived or changed."""
        if self.before is None:
            return "created"
        if self.before.archived != self.task.archived:
            return "archived" if self.task.archived else "unarchived"
        return "changed"


def since(
    board: Board,
    after: str,
    *,
    without: Sequence[str] = (),
    progress: Progress | None = None,
    unread: Unread | None = None,
) -> list[Change]:
    """What happened from the moment on, per task, the latest last; events of actors in `without` do not count.

    `unread` as a store has it. Raises LogDamaged.
    """
    changes = []
    for task, events in board.store.histories(since=after, progress=progress, unread=unread):
        new = tuple(e for e in events if e.ts >= after and actor_text(e.actor) not in without)
        if new:
            earlier = [event for event in events if event.ts < after]
            before = fold_until(earlier, earlier[-1].ts if earlier else "")
            changes.append(Change(before if earlier else None, task, new))
    return sorted(changes, key=lambda change: (change.events[-1].ts, change.events[-1].id))


class Undo(Record):
    """Take back an act: the last, or that of an event."""

    event_id: str | None = None

    def plan(self, board: Board, ref: str) -> tuple[Task, list[Event], list[TaskEvent]]:
        """The task, the events that would be taken back and those that would do it. Raises CannotUndo, NotFound."""
        task, history = board.store.history(board.resolve(ref))
        return task, act_of(history, self.event_id), take_back(task, history, self.event_id, board.config)

    def run(self, board: Board, ref: str, by: Signature) -> Written:
        """Do it, decided on what the log says now. Raises CannotUndo, NotFound."""
        undone = [event.id for event in self.plan(board, ref)[1]]
        caused = Signature(by.actor, by.agent_meta, {"triggered_by": undone[-1], **(by.provenance or {})})
        return board.ledger.transact_on_history(
            board.resolve(ref), lambda task, history: take_back(task, history, undone[-1], board.config), caused
        )


def check_types(types: Sequence[str], known: Sequence[str]) -> None:
    """Raise ValidationError for an event type that there is none of."""
    for name in types:
        if name not in known and not name.startswith("x_"):
            meant = nearest(name, known)
            hint = f"Did you mean {meant!r}?" if meant else f"Types: {', '.join(known)}, and x_… of your own."
            raise ValidationError(f"There is no event type {name[:60]!r}.", hint=hint)


def _no_words(task: Task) -> Words:
    raise AssertionError(f"nobody searches in the past: {task.id}")


def _newest(entry: Entry) -> tuple[str, str]:
    return entry.event.ts, entry.event.id
