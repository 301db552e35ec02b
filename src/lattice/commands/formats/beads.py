"""beads: issues as lines of JSON (`.beads/issues.jsonl`).

A dependency names the issue that has it and the issue it depends on; `blocks` says that the second
blocks the first. Priorities go from 0, the highest, to 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lattice.commands.formats.item import (
    Account,
    Item,
    Link,
    Malformed,
    Remark,
    actor,
    joined,
    json_items,
    list_of,
    needed,
    text_of,
    when,
)

DEFAULT_FILES = (".beads/issues.jsonl", "issues.jsonl", ".beads/beads.jsonl")
STATUSES = {
    "open": "backlog", "in_progress": "in_progress", "blocked": "blocked", "closed": "done", "deferred": "backlog",
    "hooked": "in_progress", "pinned": "backlog",
}  # fmt: skip
PRIORITIES = {"0": "critical", "1": "high", "2": "medium", "3": "low", "4": "low"}
TYPES = {"bug": "bug", "feature": "task", "task": "task", "epic": "task", "chore": "chore", "spike": "spike"}
EDGES = {
    "blocks": "depends_on", "related": "related_to", "relates-to": "related_to", "parent-child": "subtask_of",
    "discovered-from": "spawned_by", "duplicates": "duplicate_of", "supersedes": "supersedes",
}  # fmt: skip
KEPT = ("external_ref", "estimated_minutes", "close_reason", "due_at", "defer_until", "source_repo")
READ = (
    "id", "title", "description", "design", "acceptance_criteria", "notes", "status", "priority", "issue_type",
    "assignee", "created_at", "created_by", "updated_at", "closed_at", "labels", "dependencies", "comments", *KEPT,
)  # fmt: skip
TELLS_NOTHING = ("content_hash", "compaction_level", "original_size", "owner")


def read(path: Path, account: Account) -> list[Item]:
    """The issues of a file, or of a folder with one. Raises NotFound, ValidationError."""
    found = [path / name for name in DEFAULT_FILES if (path / name).is_file()] if path.is_dir() else [path]
    return json_items(found[0] if found else path / DEFAULT_FILES[0], account, _passed_over, _item)


def _passed_over(shape: Mapping[str, Any]) -> str | None:
    return f"{shape.get('id')} was deleted there" if shape.get("status") == "tombstone" else None


def _item(where: str, shape: Mapping[str, Any], account: Account) -> Item:
    account.drop(shape, READ + TELLS_NOTHING)
    labels = [label for label in list_of(shape, "labels") if isinstance(label, str)]
    kind = text_of(shape, "issue_type") or "task"
    priority = text_of(shape, "priority")
    return Item(
        key=needed(shape, "id"),
        where=where,
        title=needed(shape, "title"),
        status=account.map("status", text_of(shape, "status") or "open", STATUSES, "backlog"),
        created_ms=when(text_of(shape, "created_at")),
        ended_ms=when(text_of(shape, "closed_at")),
        priority=None if priority is None else account.map("priority", priority, PRIORITIES, "medium"),
        type=account.map("type", kind, TYPES, "task"),
        description=joined(
            [
                (None, text_of(shape, "description")),
                ("Design", text_of(shape, "design")),
                ("Acceptance criteria", text_of(shape, "acceptance_criteria")),
                ("Notes", text_of(shape, "notes")),
            ]
        ),
        tags=(*labels, *(["epic"] if kind == "epic" else [])),
        author=actor(text_of(shape, "created_by")),
        assigned_to=actor(text_of(shape, "assignee")),
        remarks=tuple(_remark(remark) for remark in list_of(shape, "comments")),
        links=tuple(_link(edge, account) for edge in list_of(shape, "dependencies")),
        custom={key: shape[key] for key in KEPT if shape.get(key)},
    )


def _remark(shape: Any) -> Remark:
    if not isinstance(shape, dict):
        raise Malformed("a comment is not an object")
    return Remark(needed(shape, "text", "body"), actor(text_of(shape, "author")), when(text_of(shape, "created_at")))


def _link(shape: Any, account: Account) -> Link:
    if not isinstance(shape, dict):
        raise Malformed("a dependency is not an object")
    kind = text_of(shape, "type") or "blocks"
    return Link(account.map("dependency", kind, EDGES, "related_to"), needed(shape, "depends_on_id"))
