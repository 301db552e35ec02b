"""The rules of a status change, and the fold of many of them."""

from __future__ import annotations

from typing import Any

import pytest

from lattice.core.config import STATUSES, TRANSITIONS, Config, new_config, parse_config
from lattice.core.events import CommentAdded, Event, StatusChanged, TaskCreated, evolve
from lattice.core.task import Task
from lattice.core.workflow import change_status, valid_targets
from lattice.errors import CompletionBlocked, ConfigError, InvalidTransition, ValidationError


def config(**policies: Any) -> Config:
    raw = new_config(instance_id="inst_1", project_code="LAT", default_actor=None)
    workflow = raw["workflow"]
    assert isinstance(workflow, dict)
    return parse_config(raw | {"workflow": workflow | {"completion_policies": policies}})


def folded(*bodies: Any, status: str = "backlog") -> Task:
    created = TaskCreated(title="x", status=status, type="task", priority="medium", short_id="LAT-1")
    task: Task | None = None
    for number, body in enumerate((created, *bodies)):
        task = evolve(task, Event(f"ev_{number}", f"2026-11-20T23:39:0{number % 10}Z", "task_1", "human:ann", body))
    assert task is not None
    return task


@pytest.mark.parametrize("status", STATUSES)
def test_exactly_the_listed_targets_may_be_entered(status: str) -> None:
    task = folded(status=status)
    entered = set()
    listed: list[object] = []
    for to in STATUSES:
        try:
            event = change_status(task, to, config(), force=False, reason=None)
        except InvalidTransition as refused:
            listed.append(refused.details["valid_transitions"])
        else:
            entered.add(to)
            assert event is None if to == status else event == StatusChanged(from_=status, to=to)
    assert all(list(valid_targets(config(), status)) == given for given in listed)
    assert {status, *TRANSITIONS[status], "needs_human", "cancelled"} == entered


def test_force_needs_a_reason_and_passes_over_the_rules() -> None:
    task = folded()
    with pytest.raises(ValidationError, match="--reason"):
        change_status(task, "done", config(), force=True, reason=None)
    forced = change_status(task, "done", config(done={"require_roles": ["review"]}), force=True, reason="hotfix")
    assert StatusChanged(from_="backlog", to="done", force=True, reason="hotfix") == forced


def test_a_status_that_does_not_exist_cannot_be_forced() -> None:
    with pytest.raises(ValidationError, match="Valid statuses") as refused:
        change_status(folded(), "in_progres", config(), force=True, reason="x")
    assert "in_progress" in (refused.value.hint or "")


def test_a_completion_policy_asks_for_its_role_and_for_somebody() -> None:
    asking = config(done={"require_roles": ["review"], "require_assigned": True})
    bare = folded(status="review")
    with pytest.raises(CompletionBlocked) as refused:
        change_status(bare, "done", asking, force=False, reason=None)
    assert ["review"] == refused.value.details["missing_roles"]
    reviewed = folded(CommentAdded(body="fine", role="review"), status="review")
    with pytest.raises(CompletionBlocked, match="nobody"):
        change_status(reviewed, "done", asking, force=False, reason=None)
    assert change_status(reviewed.replace(assigned_to="human:ann"), "done", asking, force=False, reason=None)


def test_moves_to_an_earlier_status_are_counted_as_the_earlier_tool_does() -> None:
    sequence = [
        "in_planning", "planned", "in_progress", "review", "in_progress", "needs_human", "in_progress", "blocked",
        "in_planning", "done", "in_progress", "cancelled", "backlog", "needs_human", "blocked",
    ]  # fmt: skip
    moves = [StatusChanged(from_=a, to=b) for a, b in zip(["backlog", *sequence], sequence, strict=False)]
    counts = [folded(*moves[: n + 1]).reopened_count for n in range(len(moves))]
    assert [0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6] == counts


def test_done_at_stands_while_the_task_is_done() -> None:
    done = folded(StatusChanged(from_="backlog", to="done"))
    assert "2026-11-20T23:39:01Z" == done.done_at
    again = folded(StatusChanged(from_="backlog", to="done"), StatusChanged(from_="done", to="review"))
    assert again.done_at is None


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        ([], "config.json"),
        ({"workflow": []}, "workflow"),
        ({"workflow": {"statuses": "backlog"}}, "workflow.statuses"),
        ({"workflow": {"transitions": {"backlog": [1]}}}, "workflow.transitions.backlog"),
        ({"workflow": {"completion_policies": {"done": 1}}}, "workflow.completion_policies.done"),
        ({"task_types": {}}, "task_types"),
        ({"default_actor": 1}, "default_actor"),
        ({"project_code": []}, "project_code"),
    ],
)
def test_a_setting_of_the_wrong_form_is_named(raw: object, key: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_config(raw)
    assert f"at {key}:" in refused.value.message
