"""The board's settings: what `config.json` says, typed, with what it leaves out filled in."""

from __future__ import annotations

from collections.abc import Mapping

from lattice.core.record import Record
from lattice.errors import ConfigError

PRIORITIES = ("critical", "high", "medium", "low")
URGENCIES = ("immediate", "high", "normal", "low")
COMPLEXITIES = ("low", "medium", "high")
TASK_TYPES = ("task", "bug", "spike", "chore")
ROLES = ("review",)

STATUSES: Mapping[str, str] = {
    "backlog": "Noted down; nobody works on it yet.",
    "in_planning": "Being thought through: scope, approach, open questions.",
    "planned": "The plan stands; work can begin.",
    "in_progress": "Somebody is working on it.",
    "review": "The work is finished and waits for a second pair of eyes.",
    "done": "Reviewed and delivered.",
    "blocked": "Waits for something outside the task.",
    "needs_human": "Waits for a person's decision.",
    "cancelled": "Given up; nothing more will happen.",
}
TRANSITIONS: Mapping[str, tuple[str, ...]] = {
    "backlog": ("in_planning", "planned", "cancelled"),
    "in_planning": ("planned", "needs_human", "cancelled"),
    "planned": ("in_progress", "review", "blocked", "needs_human", "cancelled"),
    "in_progress": ("review", "blocked", "needs_human", "cancelled"),
    "review": ("done", "in_progress", "in_planning", "needs_human", "cancelled"),
    "done": (),
    "blocked": ("in_planning", "planned", "in_progress", "cancelled"),
    "needs_human": ("in_planning", "planned", "in_progress", "review", "cancelled"),
    "cancelled": (),
}
UNIVERSAL_TARGETS = ("needs_human", "cancelled")
REVIEW_CYCLE_LIMIT = 3
WIP_LIMITS: Mapping[str, int] = {"in_progress": 10, "review": 5}


class ReviewPolicy(Record):
    """Which reviews a task must have before it may enter a status."""

    required: bool = False
    current: bool = False  # of the diff as it is now
    no_open: tuple[str, ...] = ()  # the severities of which no finding may be open
    reviewers: int = 0
    not_author: bool = False


class CompletionPolicy(Record):
    """What a task must have before it may enter a status."""

    require_roles: tuple[str, ...] = ()
    require_assigned: bool = False
    review: ReviewPolicy | None = None


class Config(Record):
    """A board's settings. `raw` is the file as it came, so that what is newer is kept when it is written."""

    statuses: tuple[str, ...]
    transitions: Mapping[str, tuple[str, ...]]
    universal_targets: tuple[str, ...]
    roles: tuple[str, ...]
    completion_policies: Mapping[str, CompletionPolicy]
    wip_limits: Mapping[str, int]
    wip_limits_enforced: bool  # whether a full status refuses; else its limit is what the board's reports measure by
    review_cycle_limit: int
    task_types: tuple[str, ...]
    default_status: str
    default_priority: str
    default_actor: str | None
    project_code: str | None
    subproject_code: str | None
    instance_id: str
    worktree_root: str | None
    max_parallel: int | None  # runs of the board at once; None: as many as are asked for
    engine_limits: Mapping[str, int]
    engine_order: tuple[str, ...]  # in which `engine: auto` looks for one; nothing: every agent, in its usual place
    raw: Mapping[str, object]

    @property
    def short_id_prefix(self) -> str | None:
        """What short ids begin with, `LAT` or `LAT-F`, or None where the board has no project code."""
        if self.project_code is None:
            return None
        return f"{self.project_code}-{self.subproject_code}" if self.subproject_code else self.project_code


def new_config(
    *, instance_id: str, project_code: str | None, default_actor: str | None, **given: object
) -> dict[str, object]:
    """The content of a new board's `config.json`. `given` holds optional keys; None leaves a key out."""
    settings: dict[str, object] = {
        "schema_version": 1,
        "default_status": "backlog",
        "default_priority": "medium",
        "task_types": list(TASK_TYPES),
        "workflow": {
            "statuses": list(STATUSES),
            "descriptions": dict(STATUSES),
            "transitions": {status: list(targets) for status, targets in TRANSITIONS.items()},
            "universal_targets": list(UNIVERSAL_TARGETS),
            "roles": list(ROLES),
            "wip_limits": dict(WIP_LIMITS),
        },
        "workflow_preset": "classic",
        "instance_id": instance_id,
        "project_code": project_code,
        "default_actor": default_actor,
        **given,
    }
    return {key: value for key, value in settings.items() if value is not None}


def parse_config(raw: object) -> Config:
    """The settings in a parsed `config.json`. Raises ConfigError naming the key that is off."""
    top = _mapping(raw, "config.json")
    workflow = _mapping(top.get("workflow", {}), "workflow")
    worker = _mapping(top.get("worker", {}), "worker")
    slots = worker.get("max_parallel")
    transitions = _mapping(workflow.get("transitions", TRANSITIONS), "workflow.transitions")
    statuses = _texts(workflow.get("statuses", list(STATUSES)), "workflow.statuses")
    return Config(
        statuses=statuses,
        transitions={name: _texts(targets, f"workflow.transitions.{name}") for name, targets in transitions.items()},
        universal_targets=_texts(workflow.get("universal_targets", []), "workflow.universal_targets"),
        roles=_texts(workflow.get("roles", list(ROLES)), "workflow.roles"),
        completion_policies=_policies(workflow.get("completion_policies", {})),
        wip_limits={
            status: _count(limit, f"workflow.wip_limits.{status}")
            for status, limit in _mapping(workflow.get("wip_limits", {}), "workflow.wip_limits").items()
        },
        wip_limits_enforced=workflow.get("wip_limits_enforced") is True,
        review_cycle_limit=_count(
            workflow.get("review_cycle_limit", REVIEW_CYCLE_LIMIT), "workflow.review_cycle_limit"
        ),
        task_types=_texts(top.get("task_types", list(TASK_TYPES)), "task_types"),
        default_status=_text(top.get("default_status", statuses[0] if statuses else "backlog"), "default_status"),
        default_priority=_text(top.get("default_priority", "medium"), "default_priority"),
        default_actor=_optional(top, "default_actor"),
        project_code=_optional(top, "project_code"),
        subproject_code=_optional(top, "subproject_code"),
        instance_id=_text(top.get("instance_id", "inst_unnamed"), "instance_id"),
        worktree_root=_optional(worker, "worktree_root"),
        max_parallel=None if slots is None else _slots(slots, "worker.max_parallel"),
        engine_limits={
            engine: _slots(limit, f"worker.engines.{engine}")
            for engine, limit in _mapping(worker.get("engines", {}), "worker.engines").items()
        },
        engine_order=_texts(worker.get("engine_order", []), "worker.engine_order"),
        raw=top,
    )


def _policies(raw: object) -> dict[str, CompletionPolicy]:
    policies = {}
    for status, rules in _mapping(raw, "workflow.completion_policies").items():
        key = f"workflow.completion_policies.{status}"
        given = _mapping(rules, key)
        policies[status] = CompletionPolicy(
            require_roles=_texts(given.get("require_roles", []), f"{key}.require_roles"),
            require_assigned=given.get("require_assigned") is True,
            review=_review_policy(given.get("review"), f"{key}.review"),
        )
    return policies


def _review_policy(raw: object, key: str) -> ReviewPolicy | None:
    if raw is None:
        return None
    given = _mapping(raw, key)
    return ReviewPolicy(
        required=_flag(given.get("required", False), f"{key}.required"),
        current=_flag(given.get("current", False), f"{key}.current"),
        no_open=_texts(given.get("no_open", []), f"{key}.no_open"),
        reviewers=_count(given.get("reviewers", 0), f"{key}.reviewers"),
        not_author=_flag(given.get("not_author", False), f"{key}.not_author"),
    )


def _flag(value: object, key: str) -> bool:
    # A gate that is left open by a slip of the pen is worse than a board that says so.
    if not isinstance(value, bool):
        raise _off(key, "true or false")
    return value


def _mapping(value: object, key: str) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise _off(key, "an object")
    return value


def _texts(value: object, key: str) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
        raise _off(key, "a list of texts")
    return tuple(value)


def _text(value: object, key: str) -> str:
    if not isinstance(value, str):
        raise _off(key, "a text")
    return value


def _count(value: object, key: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _off(key, "a whole number from 0")
    return value


def _slots(value: object, key: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise _off(key, "a whole number from 1")
    return value


def _optional(raw: Mapping[str, object], key: str) -> str | None:
    value = raw.get(key)
    return None if value is None else _text(value, key)


def _off(key: str, expected: str) -> ConfigError:
    return ConfigError(f"The board's config.json is off at {key}: expected {expected}.", hint="Mend the file by hand.")
