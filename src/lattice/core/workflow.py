"""The rules of a status change. Every face asks here, so that one answer holds everywhere."""

from __future__ import annotations

from lattice.core.config import Config
from lattice.core.events import StatusChanged
from lattice.core.task import Task
from lattice.errors import CompletionBlocked, InvalidTransition, ValidationError, choices, nearest


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


def change_status(task: Task, to: str, config: Config, *, force: bool, reason: str | None) -> StatusChanged | None:
    """The event that moves `task` to `to`, or None where it is there already.

    Raises ValidationError, InvalidTransition or CompletionBlocked. `force` needs a `reason` and
    passes over the transition and the completion policy, never over the list of statuses.
    """
    check_choice(to, config.statuses, "status", "statuses")
    if force and not reason:
        raise ValidationError("--reason is required with --force.", hint='Add --reason "why it is right this once".')
    if to == task.status:
        return None
    if not force:
        _check_transition(task, to, config)
        _check_completion(task, to, config)
    return StatusChanged(
        from_=task.status,
        to=to,
        force=force,
        reason=reason if force else None,
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


def _check_completion(task: Task, to: str, config: Config) -> None:
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
