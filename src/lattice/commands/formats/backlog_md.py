"""Backlog.md: a folder of Markdown files, a task each, with YAML front matter."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lattice.commands.formats import front_matter
from lattice.commands.formats.item import (
    Account,
    Item,
    Link,
    Malformed,
    actor,
    decoded,
    list_of,
    needed,
    read_file,
    text_of,
    when,
)
from lattice.errors import LatticeError, NotFound

FOLDERS = {"tasks": None, "completed": "done", "archive/tasks": "cancelled", "drafts": "backlog"}
"""Where tasks are, and the status that a folder gives to those that are not done."""

STATUSES = {
    "to do": "backlog", "todo": "backlog", "backlog": "backlog", "draft": "backlog", "in progress": "in_progress",
    "in-progress": "in_progress", "review": "review", "in review": "review", "blocked": "blocked", "done": "done",
    "cancelled": "cancelled", "canceled": "cancelled",
}  # fmt: skip
PRIORITIES = {"critical": "critical", "high": "high", "medium": "medium", "low": "low"}
KEPT = ("milestone", "references", "documentation", "type")
READ = (
    "id", "title", "status", "assignee", "reporter", "created_date", "created", "labels", "dependencies",
    "parent_task_id", "parent", "priority", *KEPT,
)  # fmt: skip
TELLS_NOTHING = ("updated_date", "updated", "ordinal", "subtasks", "onStatusChange")
SECTION_MARK = re.compile(r"^<!-- (?:SECTION:[A-Z_]+|AC|DOD):(?:BEGIN|END) -->\n?", re.MULTILINE)


def read(path: Path, account: Account) -> list[Item]:
    """The tasks of a project's folder, or of its `backlog` folder. Raises NotFound."""
    base = next((folder for folder in (path / "backlog", path / ".backlog", path) if (folder / "tasks").is_dir()), None)
    if base is None:
        raise NotFound(
            f"There is no folder of tasks in {str(path)[:200]!r}.", hint="Name the folder that holds backlog/tasks/."
        )
    items = []
    for where, file, status in _files(base):
        try:
            items.append(_item(where, decoded(read_file(file), file), status, account))
        except Malformed as off:
            account.malformed.append((where, str(off)))
        except LatticeError as off:
            account.malformed.append((where, off.message))
    return items


def _files(base: Path) -> Iterator[tuple[str, Path, str | None]]:
    for folder, status in FOLDERS.items():
        for file in sorted((base / folder).glob("*.md"), key=lambda file: (len(file.name), file.name)):
            if file.name.lower() != "readme.md" and file.is_file():
                yield f"{folder}/{file.name}", file, status


def _item(where: str, text: str, folder_status: str | None, account: Account) -> Item:
    shape, body = front_matter.split(text)
    account.drop(shape, READ + TELLS_NOTHING)
    status = account.map("status", text_of(shape, "status") or "To Do", STATUSES, "backlog")
    if folder_status is not None and status != "done":
        status = folder_status
    assignees = [name for name in _texts(shape, "assignee") if name.strip("@ ")]
    priority = text_of(shape, "priority")
    parent = text_of(shape, "parent_task_id", "parent")
    kept = {key: _flat(shape[key]) for key in KEPT if shape.get(key)}
    return Item(
        key=needed(shape, "id").upper(),  # spelled task-1 and TASK-1, in one project
        where=where,
        title=needed(shape, "title"),
        status=status,
        created_ms=when(text_of(shape, "created_date", "created")),
        priority=None if priority is None else account.map("priority", priority, PRIORITIES, "medium"),
        description=SECTION_MARK.sub("", body).strip() or None,
        tags=tuple(_texts(shape, "labels")),
        author=actor(text_of(shape, "reporter")),
        assigned_to=actor(assignees[0]) if assignees else None,
        links=(
            *(Link("depends_on", key.upper()) for key in _texts(shape, "dependencies")),
            *([Link("subtask_of", parent.upper())] if parent else []),
        ),
        custom=kept | ({"assignees": ", ".join(assignees)} if len(assignees) > 1 else {}),
    )


def _texts(shape: Mapping[str, Any], key: str) -> list[str]:
    value = shape.get(key)
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return [str(part) for part in list_of(shape, key)]


def _flat(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
