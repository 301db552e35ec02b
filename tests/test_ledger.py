"""The only writer under contention, and what two adversarial reviews of an earlier attempt found in its writer."""

from __future__ import annotations

import pytest

from lattice.commands.board import Board, signature
from lattice.commands.tasks import ChangeStatus, Comment, change
from lattice.core.events import CommentAdded, StatusChanged, TaskEvent
from lattice.core.run_events import ProcessRequested
from lattice.core.task import Task
from lattice.errors import AlreadyRunning, InvalidActor
from tests.conftest import ANN, reopened
from tests.races import race


def test_eight_processes_lose_none_of_two_hundred_comments(board: Board, task: Task) -> None:
    def comment(number: int) -> None:
        mine = reopened(board)
        for turn in range(25):
            change(mine, "LAT-1", Comment(f"{number}.{turn}"), ANN)
            if turn % 5 == 0:
                to = ("in_planning", "backlog")[turn // 5 % 2]
                change(mine, "LAT-1", ChangeStatus(to, force=True, reason="race"), ANN)

    race(comment, 8)
    after, events = reopened(board).store.history(task.id)
    said = {event.body.body for event in events if isinstance(event.body, CommentAdded)}
    assert {f"{number}.{turn}" for number in range(8) for turn in range(25)} == said
    assert 200 == after.comment_count
    assert after == board.store.task(task.id)
    ids = [event.id for event in events]
    assert sorted(set(ids)) == ids
    assert [None, *ids[:-1]] == [event.prev for event in events]


def test_review_a_blocker_1_race_snapshot_read_outside_the_lock_loses_nothing(board: Board, task: Task) -> None:
    """Whoever read the task before somebody else wrote still decides on what was written since."""
    stale = board.store.task(task.id)
    change(reopened(board), "LAT-1", Comment("meanwhile"), ANN)
    seen: list[Task] = []

    def decide(fresh: Task) -> list[TaskEvent]:
        seen.append(fresh)
        return [StatusChanged(from_=fresh.status, to="planned")]

    after = board.ledger.transact(task.id, decide, ANN).task
    assert (0, 1, 1) == (stale.comment_count, seen[0].comment_count, after.comment_count)
    assert ("planned", 1) == (reopened(board).store.task(task.id).status, after.comment_count)


def test_review_b_blocker_3_two_starters_cannot_both_pass_the_duplicate_check(board: Board, task: Task) -> None:
    """The check is part of the decision, so it sees the request of whoever was first."""

    def start(number: int) -> None:
        def decide(fresh: Task) -> list[TaskEvent]:
            if fresh.active_processes:
                raise AlreadyRunning("It runs already.")
            return [request(f"run_{number}")]

        try:
            reopened(board).ledger.transact(task.id, decide, ANN)
        except AlreadyRunning:
            return

    race(start, 12)
    after, events = board.store.history(task.id)
    assert 1 == len(after.active_processes)
    assert ["task_created", "process_requested"] == [event.type for event in events]


def request(run_id: str) -> ProcessRequested:
    return ProcessRequested(
        run_id=run_id,
        process_type="CodeReviewLite",
        definition_digest="",
        commit_sha=None,
        base_sha=None,
        timeout_s=1.0,
        host="host",
        deadline="2026-11-20T23:39:05Z",
    )


def test_review_b_important_1_an_actor_that_is_off_never_reaches_the_log(board: Board, task: Task) -> None:
    with pytest.raises(InvalidActor):
        signature(board.config, {}, actor="nobody")
    with pytest.raises(InvalidActor):
        signature(board.config, {"LATTICE_ACTOR": "agent:"})
    assert "human:ann" == signature(board.config, {}).actor
