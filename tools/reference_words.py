"""The sentences of the reference that no docstring has: what fields and settings mean, and the openings of pages."""

from __future__ import annotations

from collections.abc import Mapping

COMMANDS = """\
`lattice COMMAND --help` shows the same for one command. Options may stand anywhere after the command, `--` ends them,
and a text that begins with a dash goes after `--`. A task is named by its short id (`LAT-1`) or its full id.
"""
EVERY_COMMAND = """\
| option | what |
| --- | --- |
| `--json` | print `{"ok": …, "data": …}` for programs |
| `--quiet` | print the primary id alone |
| `--no-pager` | print what is longer than the screen at once, too |
| `-h`, `--help` | show the command's page |

On a terminal, text that is longer than the screen goes through a pager: `LATTICE_PAGER`, else `PAGER`, else
`less -FRX`. It is a command line of words, which no shell reads. Where it is empty or `cat`, or `TERM` is `dumb`, there
is no pager; with `--json` and `--quiet` there never is. `LESS` is set to `FRX` unless the environment sets it.

`doctor`, `rebuild`, `log`, `since`, `import` and `export` show how far they are on a terminal's error stream, once
they take longer than a second, and not with `--json` or `--quiet`.
"""

EVENTS = """\
A log is a file of lines, `.lattice/events/<task>.jsonl`; a line is an event, as compact JSON with sorted keys.

| key | value |
| --- | --- |
| `schema_version` | 1 |
| `id` | `ev_` and a ULID, which begins with the time; the order of a merged log |
| `ts` | when, in UTC, to the second: `2026-11-20T23:39:05Z` |
| `type` | one of the names below, or `x_…` for one of your own |
| `task_id` | the task (`resource_id` in the log of a resource) |
| `actor` | who: `human:ann`, `agent:claude`, or a session's identity as an object |
| `data` | what, as below |
| `agent_meta` | where given: the model and the session of `--model`, `--session` |
| `provenance` | where given: `triggered_by`, `on_behalf_of`, `reason` |
| `batch` | `[i, n]` where several events were written as one act: all of them count, or none |
| `prev`, `crc` | the event before it, and a checksum of the line |

Keys and types that are not known are kept as they came, so that an older version does not lose what a newer one wrote.
"""

RESOURCE_EVENTS_INTRODUCTION = """\
## Of resources

A shared resource has a log of its own. Its events name it in `resource_id`, in place of `task_id`.
"""
RESOURCE_EVENTS: Mapping[str, tuple[str, str]] = {
    "resource_created": ("There is a resource.", "`name`, `description`, `max_holders`, `ttl_seconds`"),
    "resource_acquired": ("Somebody took hold of it.", "`expires_at`; `holder`, `task_id` where given"),
    "resource_heartbeat": ("A holder holds it for longer.", "`expires_at`"),
    "resource_released": ("A holder let it go.", "`holder` where it is not the actor"),
    "resource_expired": ("A holder whose time was over was evicted.", "`holder`"),
    "resource_updated": ("Its settings changed.", "`description`, `max_holders`, `ttl_seconds`"),
}

SNAPSHOT = """\
## Of a task

What `lattice show TASK --json` has under `data`, and a file `.lattice/tasks/<task>.json` holds: the state that the
task's events add up to. `show --json` adds `events`, `artifacts` and the relationships of both directions. An actor is
a text such as `human:ann`, or the identity of a session as an object. Times are those of events, in UTC.
"""
FIELDS: Mapping[str, Mapping[str, str]] = {
    "task": {
        "id": "`task_` and a ULID; never changes",
        "short_id": "what people call it, such as `LAT-1`; null on a board without a project code",
        "title": "one line that says what is to be done",
        "status": "one of the board's statuses",
        "priority": "critical, high, medium or low",
        "urgency": "immediate, high, normal or low",
        "complexity": "low, medium or high",
        "type": "one of the board's task types",
        "description": "what there is to know, in any number of lines",
        "tags": "words to find it by",
        "assigned_to": "whose it is",
        "created_by": "who created it",
        "created_at": "when it was created",
        "updated_at": "when its last event was",
        "done_at": "when it was done; null while it is not",
        "last_status_changed_at": "when it came to its status",
        "relationships_out": "its bonds to other tasks",
        "evidence_refs": "the comments and artifacts with a role",
        "branch_links": "the git branches that belong to it",
        "comment_count": "how many comments it has",
        "reopened_count": "how often it moved to an earlier status",
        "custom_fields": "what your project adds, by name",
        "last_event_id": "the event up to which this is the state",
        "active_processes": "the runs that have no end yet",
        "archived": "whether it is in the archive; left out where it is not",
        "reviews": "its reviews in short, the newest last; left out where it has none",
        "findings": "what they found, with where the life of each stands; left out where it has no review",
    },
    "relationships_out": {
        "type": "how the one stands to the other, such as `depends_on`",
        "target_task_id": "the other task",
        "created_at": "since when",
        "created_by": "who said so",
        "note": "one line on why",
    },
    "evidence_refs": {
        "id": "the comment's event, or the artifact",
        "role": "what it counts as, such as `review`",
        "source_type": "`comment` or `artifact`",
    },
    "branch_links": {
        "branch": "the branch",
        "repo": "the repository, where it is another one",
        "linked_at": "since when",
        "linked_by": "who said so",
    },
    "active_processes": {
        "run_id": "`run_` and a ULID",
        "process_type": "the worker's name",
        "state": "queued, requested, running or stopping, as the events have it; `lattice worker ps` says if it lives",
        "actor": "who runs",
        "commit_sha": "what it works on",
        "host": "the machine",
        "requested_at": "when it was asked for",
        "started_at": "when its program was executed",
        "started_event_id": "the event of that",
        "timeout_s": "its time limit, in seconds",
        "deadline": "when it is ended at the latest; of an external run, when it is lost without a heartbeat",
        "external": "whether it is one that Lattice did not start and does not supervise",
    },
    "reviews": {
        "review_id": "`rev_` and a ULID",
        "at": "when it was recorded",
        "by": "who recorded it",
        "run_id": "the run whose review it is; null where none is",
        "reviewers": "who reviewed: name, model, kind and run_id, as far as they are known",
        "verdict": "`ready` or `not_ready`; null where it does not say",
        "base_sha": "what the diff begins at",
        "commit_sha": "what was reviewed",
        "hunks": "the digest of the hunks that it covered; null where that is not known",
        "found": "the numbers of its findings",
        "new": "those that the task did not know",
        "gone": "the numbers of the findings that it covered and did not find any more",
    },
    "findings": {
        "number": "its number on the task: 3 is called F3",
        "state": "open, regressed (it came back), fixed, verified, waived or refuted",
        "finding": "what was found, as it was last reported",
        "opinions": "what each reviewer last said of it: reviewer, severity, status and review_id",
        "first_review": "the review that found it first",
        "last_review": "the last one that found it",
        "seen_in": "the commit in which it was last found",
        "changed_at": "when it came to its state",
        "changed_by": "who brought it there",
        "fixed_in": "the commit that is said to fix it",
        "reason": "why it was waived or opened again; what was said of the fix",
        "wrong": "whether it was waived since it is not so, rather than accepted",
        "verified_by": "the review that did not find it any more; null where a person said so",
        "missed_by": "the last review that covered it and did not find it, though nobody had fixed it",
    },
}

CONFIG = """\
## Of config.json

The board's settings, `.lattice/config.json`. `lattice init` writes the usual ones; edit the rest by hand. A key that
has not the form it needs is named by the next command, as `CONFIG_ERROR`; one that is not known is kept.
"""
SETTINGS_READ_ELSEWHERE = (
    "instance_name", "project_name", "queries", "prices", "budgets",
    "hooks.post_event", "hooks.on", "hooks.transitions", "hooks.timeout_seconds",
)  # fmt: skip
SETTINGS: Mapping[str, str] = {
    "workflow.statuses": "the statuses, in order",
    "workflow.transitions": "for each status, where a task may go from it",
    "workflow.universal_targets": "statuses that may be entered from every other",
    "workflow.roles": "what a comment or an artifact may count as",
    "workflow.wip_limits": "for a status, how many tasks may be in it at once",
    "workflow.wip_limits_enforced": "whether a full status refuses; otherwise its limit is only reported",
    "workflow.review_cycle_limit": "how often a task may go back from review before it needs `--force`",
    "workflow.completion_policies.STATUS.require_roles": "roles that evidence must have before a task enters STATUS",
    "workflow.completion_policies.STATUS.require_assigned": "whether a task has to be somebody's before that",
    "workflow.completion_policies.STATUS.review.required": "whether a task has to be reviewed before that",
    "workflow.completion_policies.STATUS.review.current": "whether a review has to have seen the diff as it is now",
    "workflow.completion_policies.STATUS.review.no_open": "severities of which no finding may be open",
    "workflow.completion_policies.STATUS.review.reviewers": "by how many different reviewers (name and model)",
    "workflow.completion_policies.STATUS.review.not_author": "whether a review by its author is none",
    "worker.worktree_root": "the folder for the worktrees of runs",
    "worker.max_parallel": "how many runs of the board may run at once; more wait in the queue",
    "worker.engine_order": 'in which `"engine": "auto"` looks for an agent: `["codex", "claude"]`',
    "worker.engines": 'the same for the runs of one engine each: `{"claude": 2}`',
    "prices": "what models cost in USD per million tokens; see [how to watch costs](../how-to/costs.md)",
    "budgets": "what runs may use: `run_usd`, `task_usd`, `day_usd`, `run_tokens`, `task_tokens`, `day_tokens`; "
    'and with `"unknown": "allow"` runs whose cost nobody will know start below a ceiling of money',
    "task_types": "the types that a task may have",
    "default_status": "where a new task begins",
    "default_priority": "the priority of a new task",
    "default_actor": "who acts where neither `--actor` nor `LATTICE_ACTOR` says",
    "project_code": "what short ids begin with; set it with `lattice set-project-code`",
    "subproject_code": "their second part; set it with `lattice set-subproject-code`",
    "instance_id": "the board's own id",
    "instance_name": "the board's name in reports",
    "project_name": "the same, where there is no `instance_name`",
    "queries": 'saved queries: `{"mine": "assigned:me -status:done"}` makes `lattice list @mine`',
    "hooks.post_event": "a program to run after every event; see [hooks](../how-to/hooks.md)",
    "hooks.on": "for an event's type, a program to run after it",
    "hooks.transitions": 'for `"FROM -> TO"`, a program to run after that move; `*` is any status',
    "hooks.timeout_seconds": "how long a hook may take, in seconds",
}
DEFAULTS: Mapping[str, str] = {
    "workflow.completion_policies.STATUS.require_roles": "none",
    "workflow.completion_policies.STATUS.require_assigned": "`false`",
    "workflow.completion_policies.STATUS.review.required": "`false`",
    "workflow.completion_policies.STATUS.review.current": "`false`",
    "workflow.completion_policies.STATUS.review.no_open": "none",
    "workflow.completion_policies.STATUS.review.reviewers": "`0`",
    "workflow.completion_policies.STATUS.review.not_author": "`false`",
    "default_status": "the first status",
    "hooks.transitions": "none",
    "worker.worktree_root": "`lattice/worktrees` below `$XDG_STATE_HOME`",
    "worker.max_parallel": "no limit",
    "worker.engine_order": "claude, codex, gemini, opencode",
    "worker.engines": "no limits",
    "prices": "no estimates",
    "budgets": "no ceilings",
}
PRESET = """\
## Statuses

What a new board has.
"""

ERRORS = """\
With `--json` a refusal is `{"ok": false, "error": {"code": …, "message": …}}`, and where there are any `hint` and
details beside them. Without it the message and the hint go to standard error. Programs should look at the code:
messages may change.
"""
EXIT_STATUSES = """\
## Exit statuses

| status | when |
| --- | --- |
| 0 | it was done; what was to be recorded is on the disk |
| 1 | it was refused, or a part of it could not be done |
| 2 | the command line itself is off |
| {bug} | a bug |
| 130 | it was interrupted |
| {pipe} | whoever read the output went away |
"""
