"""Claiming, completing, the plan gate, sessions and resources, on real boards and with real races."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lattice.commands import resources, sessions
from lattice.commands.board import Board
from lattice.commands.flow import Claim, Complete
from lattice.commands.resources import Acquire, CreateResource
from lattice.commands.sessions import StartSession
from lattice.commands.tasks import Assign, ChangeStatus, CreateTask, change
from lattice.core.task import Task
from lattice.errors import (
    CompletionBlocked,
    InvalidTransition,
    NotFound,
    PlanRequired,
    ResourceHeld,
    SessionNotFound,
    ValidationError,
    WaitTimeout,
    WipLimit,
)
from lattice.ledger import Signature
from tests.conftest import ANN, reopened
from tests.races import race


def planned(board: Board, title: str = "x", **given: str) -> Task:
    task = CreateTask(title, **({"status": "planned"} | given)).run(board, ANN).task
    (board.folder / "plans" / f"{task.id}.md").write_text("Do it.\n", encoding="utf-8")
    return task


def configured(board: Board, **workflow: object) -> Board:
    path = board.folder / "config.json"
    raw = json.loads(path.read_text(encoding="utf-8"))
    raw["workflow"] |= workflow
    path.write_text(json.dumps(raw), encoding="utf-8")
    return reopened(board)


def claim(board: Board, actor: str) -> Task | None:
    return Claim(actor).run(board, Signature(actor))


def kept(board: Board) -> list[str]:
    return sorted(path.name for path in (board.folder / "artifacts").rglob("art_*"))


def test_eighty_claims_at_once_get_eighty_tasks(board: Board, tmp_path: Path) -> None:
    for number in range(80):
        planned(board, f"{number}")

    def ten(process: int) -> None:
        mine = reopened(board)
        for number in range(10):
            actor = f"agent:{process}-{number}"
            task = claim(mine, actor)
            assert task is not None
            assert (actor, "in_progress") == (task.assigned_to, task.status)

    race(ten, 8)
    tasks = list(board.store.tasks())
    assert 80 == len({str(task.assigned_to) for task in tasks})
    assert {"in_progress"} == {task.status for task in tasks}
    assert claim(board, "agent:late") is None


def test_claims_of_one_actor_at_once_get_one_task(board: Board) -> None:
    for number in range(8):
        planned(board, f"{number}")
    race(lambda _: _claimed(reopened(board)), 8)
    assert 1 == sum(task.status == "in_progress" for task in board.store.tasks())


def _claimed(board: Board) -> None:
    assert claim(board, "agent:a") is not None


def test_a_claim_passes_over_a_task_without_a_plan(board: Board) -> None:
    CreateTask("unplanned", priority="critical").run(board, ANN)
    with pytest.raises(PlanRequired, match="LAT-1"):
        claim(board, "agent:a")
    ready = planned(board, priority="low", status="backlog")
    task = claim(board, "agent:a")
    assert task is not None
    assert ready.id == task.id
    _, events = board.store.history(task.id)
    assert ["task_created", "assignment_changed", "status_changed", "status_changed"] == [e.type for e in events]


def test_a_task_in_planning_of_ones_own_is_not_passed_over(board: Board) -> None:
    CreateTask("mine", status="in_planning", assigned_to="agent:a").run(board, ANN)
    planned(board)
    with pytest.raises(PlanRequired, match="LAT-1"):
        claim(board, "agent:a")
    forced = Claim("agent:a", force=True, reason="a spike").run(board, Signature("agent:a"))
    assert forced is not None
    assert "LAT-1" == forced.name


def test_a_task_that_was_assigned_in_between_is_not_taken(board: Board) -> None:
    task = planned(board)
    assigned = change(board, "LAT-1", Assign("agent:b"), ANN).task
    assert [] == Claim("agent:a").decide(assigned, board.config)
    assert [] != Claim("agent:a").decide(task, board.config)


def test_work_begins_with_a_plan(board: Board, task: Task) -> None:
    change(board, "LAT-1", ChangeStatus("planned"), ANN)
    with pytest.raises(PlanRequired, match="as it was made"):
        change(board, "LAT-1", ChangeStatus("in_progress"), ANN)
    plan = board.folder / "plans" / f"{task.id}.md"
    plan.unlink()
    with pytest.raises(PlanRequired, match="no plan"):
        change(board, "LAT-1", ChangeStatus("in_progress"), ANN)
    plan.write_text("One line.\n", encoding="utf-8")
    assert "in_progress" == change(board, "LAT-1", ChangeStatus("in_progress"), ANN).task.status


def test_a_move_back_is_marked_in_the_plan(board: Board) -> None:
    task = planned(board, status="review")
    change(board, "LAT-1", ChangeStatus("in_planning"), ANN)
    text = (board.folder / "plans" / f"{task.id}.md").read_text(encoding="utf-8")
    assert text.startswith("Do it.\n\n## Reset 20")
    assert text.endswith(" by human:ann\n")


def test_review_and_work_alternate_only_so_often(board: Board) -> None:
    planned(board)
    change(board, "LAT-1", ChangeStatus("in_progress"), ANN)
    for _ in range(3):
        change(board, "LAT-1", ChangeStatus("review"), ANN)
        change(board, "LAT-1", ChangeStatus("in_progress"), ANN)
    change(board, "LAT-1", ChangeStatus("review"), ANN)
    with pytest.raises(Exception, match="3 times already"):
        change(board, "LAT-1", ChangeStatus("in_progress"), ANN)


def test_movers_at_once_do_not_overfill_a_limited_status(board: Board) -> None:
    limited = configured(board, wip_limits={"in_progress": 3}, wip_limits_enforced=True)
    for number in range(8):
        planned(limited, f"{number}")

    def move(number: int) -> None:
        try:
            change(reopened(limited), f"LAT-{number + 1}", ChangeStatus("in_progress"), ANN)
        except WipLimit:
            return

    race(move, 8)
    assert 3 == sum(task.status == "in_progress" for task in limited.store.tasks())


def test_completing_is_one_act(board: Board) -> None:
    planned(board)
    task, way = Complete("Looks right.").run(board, "LAT-1", ANN)
    assert ["planned", "review", "done"] == list(way)
    assert ["comment", "artifact"] == [ref.source_type for ref in task.evidence_refs]
    _, events = board.store.history(task.id)
    assert [(1, 4), (2, 4), (3, 4), (4, 4)] == [event.batch for event in events[1:]]
    assert 2 == len(kept(board))


@pytest.mark.parametrize("review", ["", " \n", "a\0b"])
def test_a_review_that_says_nothing_leaves_no_trace(board: Board, review: str) -> None:
    task = planned(board)
    with pytest.raises(ValidationError):
        Complete(review).run(board, "LAT-1", ANN)
    assert task == board.store.task(task.id)
    assert [] == kept(board)


def test_a_completion_that_a_policy_blocks_leaves_no_trace(board: Board, task: Task) -> None:
    with pytest.raises(InvalidTransition, match="backlog"):
        Complete("Fine.").run(board, "LAT-1", ANN)
    strict = configured(board, completion_policies={"done": {"require_roles": ["review"], "require_assigned": True}})
    other = planned(strict)
    with pytest.raises(CompletionBlocked, match="nobody"):
        Complete("Fine.").run(strict, other.name, ANN)
    assert other == strict.store.task(other.id)
    assert [] == kept(strict)
    change(strict, other.name, Assign("agent:a"), ANN)
    assert "done" == Complete("Fine.").run(strict, other.name, ANN)[0].status


def test_sessions_that_begin_at_once_have_names_of_their_own(board: Board) -> None:
    def begin(number: int) -> None:
        StartSession("gpt-5", "Vega", "codex").run(reopened(board))

    race(begin, 8)
    assert {f"Vega-{number}" for number in range(1, 9)} == {session["name"] for session in sessions.active(board)}


def test_a_name_is_never_given_twice_even_without_the_index(board: Board) -> None:
    StartSession("human", "Vega").run(board)
    sessions.end(board, "Vega-1", None)
    (board.folder / "sessions" / "index.json").unlink()
    assert "Vega-2" == StartSession("human", "Vega").run(board)["name"]


@pytest.mark.parametrize("name", ["nobody-1", "../config", "index", "", "a/b-1", "..-1"])
def test_a_session_that_is_not_there_signs_nothing(board: Board, name: str) -> None:
    with pytest.raises(SessionNotFound):
        sessions.identity(board, name)


@pytest.mark.parametrize("name", ["../x", "a b", "a\tb", "Vega-3", "", ".x", "-x", "\x1b[2J", "\u202ex"])
def test_a_name_that_could_mislead_is_refused(board: Board, name: str) -> None:
    with pytest.raises(ValidationError):
        StartSession("human", name).run(board)
    assert [] == sessions.active(board)


def test_what_is_held_by_one_is_held_by_no_other(board: Board) -> None:
    CreateResource("gpu").run(board, ANN)
    won = board.root / "won"

    def take(number: int) -> None:
        actor = f"agent:{number}"
        try:
            Acquire().run(reopened(board), "gpu", Signature(actor))
        except ResourceHeld:
            return
        with won.open("a", encoding="utf-8") as names:
            names.write(f"{actor}\n")

    race(take, 8)
    assert 1 == len(won.read_text(encoding="utf-8").splitlines())
    assert won.read_text(encoding="utf-8").strip() == resources.find(board, "gpu").holders[0].actor


def test_those_who_wait_hold_it_one_after_the_other(board: Board) -> None:
    CreateResource("gpu").run(board, ANN)

    def use(number: int) -> None:
        mine, by = reopened(board), Signature(f"agent:{number}")
        Acquire(wait_s=60).run(mine, "gpu", by)
        resources.release(mine, "gpu", by)

    race(use, 6)
    made = resources.find(board, "gpu")
    lines = (board.folder / "events" / f"{made.id}.jsonl").read_text(encoding="utf-8").splitlines()
    events = [json.loads(line) for line in lines[1:]]
    assert ["resource_acquired", "resource_released"] * 6 == [event["type"] for event in events]
    assert all(one["actor"] == two["actor"] for one, two in zip(events[::2], events[1::2], strict=True))
    assert () == made.holders


def test_waiting_has_an_end(board: Board) -> None:
    CreateResource("gpu").run(board, ANN)
    Acquire().run(board, "gpu", ANN)
    with pytest.raises(WaitTimeout, match="human:ann"):
        Acquire(wait_s=1).run(board, "gpu", Signature("agent:b"))


def test_a_resource_is_found_by_its_log_alone(board: Board) -> None:
    made = CreateResource("gpu", ttl=77).run(board, ANN)
    (board.folder / "resources" / "gpu" / "resource.json").unlink()
    assert made == resources.find(board, "gpu")
    Acquire().run(board, "gpu", ANN)
    assert (board.folder / "resources" / "gpu" / "resource.json").exists()


def test_a_torn_tail_of_a_resource_is_set_aside(board: Board) -> None:
    made = CreateResource("gpu").run(board, ANN)
    log = board.folder / "events" / f"{made.id}.jsonl"
    whole = log.read_bytes()
    log.write_bytes(whole + b'{"torn')
    assert made == resources.find(board, "gpu")
    Acquire().run(board, "gpu", ANN)
    assert log.read_bytes().startswith(whole + b'{"actor"')
    assert [b'{"torn'] == [path.read_bytes() for path in (board.folder / "events" / "torn").iterdir()]


@pytest.mark.parametrize("name", ["nothing", "../x", ".", "a/b", "\x1b[2J", ""])
def test_a_resource_that_is_not_there_leaves_no_trace(board: Board, name: str) -> None:
    with pytest.raises(NotFound):
        Acquire().run(board, name, ANN)
    assert [] == list((board.folder / "locks").glob("resources_*"))
