"""The rules of a status change. Every face asks here, so that one answer holds everywhere."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from lattice.core.config import Config
from lattice.core.events import Event, StatusChanged
from lattice.core.record import Record
from lattice.core.task import Task
from lattice.core.text import how_many
from lattice.errors import (
    CompletionBlocked,
    InvalidTransition,
    PlanRequired,
    ReviewCycleLimit,
    ValidationError,
    WipLimit,
    choices,
    nearest,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lattice.core.reviews.coverage import Diff, Hunks

WORKING, REVIEWING = "in_progress", "review"
SENT_BACK_TO = ("in_progress", "in_planning")
WAITING = ("blocked", "needs_human", "done", "cancelled")
_RESET = r"## Reset [0-9]{4}-[0-9]{2}-[0-9]{2} by .*"  # compiled when it is first used


class Facts(Record):
    """What bears on a move and does not stand in the task. The defaults are those of a move that asks for none."""

    plan: str | None = None  # the text of the plan; None where there is no file
    planned: bool = True  # whether `plan` says more than it was made with
    sent_back: int = 0  # how often a review sent the task back
    occupied: int = 0  # how many other tasks are in the status it goes to
    diff: Diff | None = None  # the task's, where the status asks for a review of it
    covered: Mapping[str, Hunks | None] | None = None  # what each of its reviews covered, by its id


NO_FACTS = Facts()


def valid_targets(config: Config, status: str) -> tuple[str, ...]:
    """The statuses that a task in `status` may enter without force."""
    own = config.transitions.get(status, ())
    return tuple(dict.fromkeys((*own, *(t for t in config.universal_targets if t != status))))


def check_choice(value: str, valid: tuple[str, ...], what: str, plural: str) -> str:
    """`value` if it is one of `valid`. Raises ValidationError listing them, with the nearest."""
    if value in valid:
        return value
    meant = nearest(value, valid)
    raise ValidationError(
        f"Invalid {what}: {value[:80]!r}. Valid {plural}: {choices(valid)}.",
        hint=f"Did you mean {meant!r}?" if meant else None,
    )


def change_status(
    task: Task, to: str, config: Config, *, force: bool, reason: str | None, facts: Facts = NO_FACTS
) -> StatusChanged | None:
    """The event that moves `task` to `to`, or None where it is there already.

    Raises ValidationError, InvalidTransition, PlanRequired, ReviewCycleLimit, WipLimit or
    CompletionBlocked. `force` needs a `reason` and passes over all rules, never over the list of statuses.
    """
    check_choice(to, config.statuses, "status", "statuses")
    if to == task.status:
        return None
    if force and not reason:
        raise ValidationError("--reason is required with --force.", hint='Add --reason "why it is right this once".')
    if not force:
        _check_transition(task, to, config)
        _check_plan(task, to, facts)
        _check_review_cycles(task, to, config, facts)
        _check_wip(task, to, config, facts)
        _check_completion(task, to, config, facts)
    return StatusChanged(
        from_=task.status,
        to=to,
        force=force,
        reason=reason if force else None,
    )


def is_scaffold(plan: str, description: str | None) -> bool:
    """Whether a plan says nothing beyond what it was made with: a heading, and the task's description."""
    lines = [line for line in plan.splitlines() if not re.fullmatch(_RESET, line.strip())]
    return below_heading(lines) in ("", (description or "").strip())


def below_heading(lines: Sequence[str]) -> str:
    """What the lines of a plan say below the heading that they may begin with."""
    return "\n".join(lines[1:] if lines and lines[0].startswith("# ") else lines).strip()


def times_sent_back(events: Sequence[Event]) -> int:
    """How often a review sent the task back to work."""
    moves = [event.body for event in events if isinstance(event.body, StatusChanged)]
    return sum(move.from_ == REVIEWING and move.to in SENT_BACK_TO for move in moves)


def path_to_work(config: Config, status: str) -> tuple[str, ...]:
    """The statuses to go through from `status` until work begins, by the fewest moves; empty where there is no way.

    No status is gone through in which a task waits, or which is an end.
    """
    paths: list[tuple[str, ...]] = [(status,)]
    seen = {status}
    for path in paths:
        for target in config.transitions.get(path[-1], ()):
            if target == WORKING:
                return (*path[1:], target)
            if target not in seen and target not in WAITING and target not in config.universal_targets:
                seen.add(target)
                paths.append((*path, target))
    return ()


def _check_plan(task: Task, to: str, facts: Facts) -> None:
    if to != WORKING or facts.planned:
        return
    what = "has no plan" if facts.plan is None else "has a plan that is still as it was made"
    raise PlanRequired(
        f"{task.name} {what}. Write it, even one line, before work begins.",
        hint=f"Write .lattice/plans/{task.id}.md, or override with --force --reason.",
        path=f"plans/{task.id}.md",
    )


def _check_review_cycles(task: Task, to: str, config: Config, facts: Facts) -> None:
    limit = config.review_cycle_limit
    if task.status != REVIEWING or to not in SENT_BACK_TO or facts.sent_back < limit:
        return
    raise ReviewCycleLimit(
        f"{task.name} was sent back from review {how_many(facts.sent_back, 'time')} already; the limit is {limit}.",
        hint=f"Let a person decide: lattice status {task.name} needs_human, with a comment that says why. "
        "Or override with --force --reason.",
    )


def _check_wip(task: Task, to: str, config: Config, facts: Facts) -> None:
    limit = config.wip_limits.get(to)
    if limit is None or not config.wip_limits_enforced or facts.occupied < limit:
        return
    raise WipLimit(
        f"{task.name} cannot move to {to}: {how_many(facts.occupied, 'task is', 'tasks are')} there, "
        f"and the board allows {limit}.",
        hint=f"Finish one of them first: lattice list --status {to}. Or override with --force --reason.",
        status=to,
        limit=limit,
    )


def _check_transition(task: Task, to: str, config: Config) -> None:
    targets = valid_targets(config, task.status)
    if to in targets:
        return
    raise InvalidTransition(
        f"Invalid transition from {task.status} to {to}. "
        f"Valid transitions from {task.status}: {choices(targets) or 'none'}.",
        hint="Go through one of those, or override with --force --reason.",
        current_status=task.status,
        requested_status=to,
        valid_transitions=list(targets),
    )


def _check_completion(task: Task, to: str, config: Config, facts: Facts) -> None:
    policy = config.completion_policies.get(to)
    if policy is None:
        return
    missing = [role for role in policy.require_roles if not task.has_role(role)]
    if missing:
        raise CompletionBlocked(
            f"{task.name} cannot move to {to}: it has no comment or artifact with role {choices(missing)}.",
            hint=f"lattice comment {task.name} TEXT --role {missing[0]}",
            missing_roles=missing,
        )
    if policy.require_assigned and task.assigned_to is None:
        raise CompletionBlocked(
            f"{task.name} cannot move to {to}: it is assigned to nobody.",
            hint=f"lattice assign {task.name} ACTOR",
        )
    if policy.review is not None:
        from lattice.core.reviews.gate import check_reviews  # a board without such a policy does not pay for it

        check_reviews(task, to, policy.review, facts.diff, facts.covered or {})
