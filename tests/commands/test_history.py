"""The board in time: how it was, what happened, taking it back; on real files."""

from __future__ import annotations

import pytest

from lattice.commands.board import Board
from lattice.commands.history import Log, Undo, since, state_at, tasks_at
from lattice.commands.tasks import Assign, ChangeStatus, Comment, CreateTask, Update, change
from lattice.core.task import Task
from lattice.errors import CannotUndo, NotFound
from lattice.ledger import Signature
from tests.conftest import ANN, reopened

BOB = Signature("agent:bob")
HOUR_MS = 3_600_000


class Clock:
    """Time that a test sets, chance that it does not care about."""

    def __init__(self) -> None:
        self.ms = 1_795_219_200_000  # 2026-11-21T00:00:00Z
        self._chance = 0

    def now_ms(self) -> int:
        return self.ms

    def chance(self) -> int:
        self._chance += 1
        return self._chance


@pytest.fixture
def clock(board: Board) -> Clock:
    """The board's own."""
    clock = Clock()
    board.ledger.source = clock
    return clock


@pytest.fixture
def past(board: Board, clock: Clock) -> Board:
    """LAT-1 made at 00:00 and planned at 01:00, LAT-2 made at 02:00 and commented on by bob at 03:00."""
    CreateTask("First").run(board, ANN)
    clock.ms += HOUR_MS
    change(board, "LAT-1", ChangeStatus("in_planning"), ANN)
    clock.ms += HOUR_MS
    CreateTask("Second").run(board, ANN)
    clock.ms += HOUR_MS
    change(board, "LAT-2", Comment("Seen"), BOB)
    return board


def at(hour: int) -> str:
    return f"2026-11-21T{hour:02}:00:00Z"


def test_a_task_is_shown_as_it_was(past: Board) -> None:
    assert ("backlog", 1) == (state_at(past, "LAT-1", at(0))[0].status, len(state_at(past, "LAT-1", at(0))[1]))
    assert "in_planning" == state_at(past, "LAT-1", at(1))[0].status
    with pytest.raises(NotFound, match="was not there yet"):
        state_at(past, "LAT-2", at(1))


def test_the_board_is_listed_as_it_was(past: Board) -> None:
    listed = [[(task.name, task.status) for task in tasks_at(past, at(hour))] for hour in (0, 1, 2)]
    assert [
        [("LAT-1", "backlog")],
        [("LAT-1", "in_planning")],
        [("LAT-1", "in_planning"), ("LAT-2", "backlog")],
    ] == listed
    assert [] == list(tasks_at(past, "2026-11-20T23:59:59Z"))


def test_the_present_is_the_last_moment_of_the_past(past: Board) -> None:
    assert list(past.store.tasks()) == list(tasks_at(past, at(3)))


def test_the_log_is_newest_first_and_filtered(past: Board) -> None:
    def kinds(log: Log) -> list[str]:
        return [f"{entry.task.name} {entry.event.type}" for entry in log.run(past)]

    everything = ["LAT-2 comment_added", "LAT-2 task_created", "LAT-1 status_changed", "LAT-1 task_created"]
    assert everything == kinds(Log())
    assert everything[:2] == kinds(Log(limit=2))
    assert everything[2:] == kinds(Log(tasks=("LAT-1",)))
    assert everything[:1] == kinds(Log(actors=("agent:bob",)))
    assert everything[1::2] == kinds(Log(types=("task_created",)))
    assert everything[:2] == kinds(Log(since=at(2)))
    assert everything[:1] == kinds(Log(since="30m"))


def test_what_happened_meanwhile_is_told_per_task(past: Board) -> None:
    changes = since(past, at(1))
    assert [("LAT-1", "changed", "backlog"), ("LAT-2", "created", None)] == [
        (change.task.name, change.kind, change.before.status if change.before else None) for change in changes
    ]
    assert ["LAT-2"] == [change.task.name for change in since(past, at(1), without=["human:ann"])]
    assert [] == since(past, "2026-11-21T03:00:01Z")


def test_an_undo_says_what_caused_it_and_is_undone_by_the_next(board: Board, task: Task) -> None:
    change(board, "LAT-1", Update(("title=New", "priority=high")), ANN)
    undone = Undo().run(board, "LAT-1", BOB)
    assert ("First", "medium") == (undone.task.title, undone.task.priority)
    assert undone.task == reopened(board).store.task(task.id)
    acted = board.store.history(task.id)[1][2]
    assert [{"triggered_by": acted.id}] * 2 == [event.provenance for event in undone.events]
    assert ("New", "high") == (Undo().run(board, "LAT-1", BOB).task.title, board.store.task(task.id).priority)


def test_a_plan_of_an_undo_writes_nothing(board: Board, task: Task) -> None:
    change(board, "LAT-1", Assign("agent:x"), ANN)
    before = board.store.history(task.id)
    _, act, bodies = Undo().plan(board, "LAT-1")
    assert (["assignment_changed"], ["assignment_changed"]) == ([e.type for e in act], [b.kind for b in bodies])
    assert before == reopened(board).store.history(task.id)


def test_a_refused_undo_writes_nothing(board: Board, task: Task) -> None:
    before = board.store.history(task.id)
    with pytest.raises(CannotUndo, match="task_created"):
        Undo().run(board, "LAT-1", ANN)
    assert before == board.store.history(task.id)
