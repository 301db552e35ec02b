"""The rules of a move that hang on more than the task: plan, review cycles, work in progress."""

from __future__ import annotations

from typing import Any

import pytest

from lattice.core.config import Config, new_config, parse_config
from lattice.core.events import StatusChanged
from lattice.core.workflow import Facts, change_status, is_scaffold, path_to_work
from lattice.errors import ConfigError, LatticeError, PlanRequired, ReviewCycleLimit, WipLimit
from tests.core.test_workflow import folded


def config(**workflow: Any) -> Config:
    raw = new_config(instance_id="inst_1", project_code="LAT", default_actor=None)
    standard = raw["workflow"]
    assert isinstance(standard, dict)
    return parse_config(raw | {"workflow": standard | workflow})


def moved(status: str, to: str, facts: Facts, *, force: bool = False, **workflow: Any) -> StatusChanged | None:
    reason = "this once" if force else None
    return change_status(folded(status=status), to, config(**workflow), force=force, reason=reason, facts=facts)


FULL = Facts(occupied=2)
REFUSED = [
    (PlanRequired, "planned", "in_progress", Facts(plan=None, planned=False), {}),
    (PlanRequired, "review", "in_progress", Facts(plan="# x", planned=False), {}),
    (ReviewCycleLimit, "review", "in_progress", Facts(sent_back=3), {}),
    (ReviewCycleLimit, "review", "in_planning", Facts(sent_back=1), {"review_cycle_limit": 1}),
    (WipLimit, "in_progress", "review", FULL, {"wip_limits": {"review": 2}, "wip_limits_enforced": True}),
]
ALLOWED = [
    ("planned", "review", Facts(planned=False), {}),
    ("review", "in_progress", Facts(sent_back=2), {}),
    ("review", "done", Facts(sent_back=9), {}),
    ("in_progress", "review", FULL, {"wip_limits": {"review": 2}}),
    ("in_progress", "review", FULL, {"wip_limits": {"review": 3}, "wip_limits_enforced": True}),
]


@pytest.mark.parametrize(("error", "status", "to", "facts", "workflow"), REFUSED)
def test_a_rule_refuses_and_force_passes_over_it(
    error: type[LatticeError], status: str, to: str, facts: Facts, workflow: dict[str, Any]
) -> None:
    with pytest.raises(error) as refused:
        moved(status, to, facts, **workflow)
    assert refused.value.hint
    assert StatusChanged(status, to, True, "this once") == moved(status, to, facts, force=True, **workflow)


@pytest.mark.parametrize(("status", "to", "facts", "workflow"), ALLOWED)
def test_what_no_rule_is_against_is_allowed(status: str, to: str, facts: Facts, workflow: dict[str, Any]) -> None:
    assert StatusChanged(status, to) == moved(status, to, facts, **workflow)


@pytest.mark.parametrize("workflow", [{"wip_limits": {"review": "many"}}, {"review_cycle_limit": -1}])
def test_a_limit_that_is_no_number_is_named(workflow: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="whole number"):
        config(**workflow)


@pytest.mark.parametrize(
    ("plan", "scaffold"),
    [
        ("", True),
        ("# LAT-1: x\n", True),
        ("# Of my own\n\nWhat it is\n", True),
        ("# LAT-1: x\n\n## Reset 2026-11-21 by human:ann\n", True),
        ("# LAT-1: x\n\n## Reset 2026-11-21 by human:ann\n\nagain\n", False),
        ("# LAT-1: x\n\nWhat it is\n\nand how\n", False),
        ("# LAT-1: x\n\n## Steps\n", False),
        ("just a line", False),
    ],
)
def test_a_plan_is_one_when_it_says_more_than_it_was_made_with(plan: str, scaffold: bool) -> None:
    assert scaffold is is_scaffold(plan, "What it is")


def test_the_way_to_work_goes_by_the_fewest_moves_and_never_over_a_dead_end() -> None:
    assert ("planned", "in_progress") == path_to_work(config(), "backlog")
    assert ("in_progress",) == path_to_work(config(), "review")
    assert () == path_to_work(config(), "done")
    assert () == path_to_work(config(transitions={"backlog": ["blocked"], "blocked": ["in_progress"]}), "backlog")
