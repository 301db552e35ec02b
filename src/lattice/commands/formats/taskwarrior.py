"""Taskwarrior: what `task export` prints, a list of tasks or a task a line."""

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
    json_items,
    list_of,
    needed,
    text_of,
    when,
)

STATUSES = {"pending": "backlog", "waiting": "backlog", "completed": "done", "deleted": "cancelled"}
PRIORITIES = {"h": "high", "m": "medium", "l": "low"}
TIMES = ("due", "wait", "until", "scheduled")
READ = (
    "uuid", "id", "description", "status", "entry", "end", "start", "priority", "tags", "project", "annotations",
    "depends", *TIMES,
)  # fmt: skip
TELLS_NOTHING = ("urgency", "modified", "mask", "imask", "rtype", "parent", "template")
RECURRING = "recurring"


def read(path: Path, account: Account) -> list[Item]:
    """The tasks of an export. Raises NotFound, ValidationError."""
    return json_items(path, account, _passed_over, _item)


def _passed_over(shape: Mapping[str, Any]) -> str | None:
    recurring = shape.get("status") == RECURRING
    return "a recurring template is no task; the tasks made from it are imported" if recurring else None


def _item(where: str, shape: Mapping[str, Any], account: Account) -> Item:
    defined = {key: value for key, value in shape.items() if key not in READ + TELLS_NOTHING and _plain(value)}
    account.drop(shape, (*READ, *TELLS_NOTHING, *defined))
    status = account.map("status", text_of(shape, "status") or "pending", STATUSES, "backlog")
    if status == "backlog" and text_of(shape, "start"):
        status = "in_progress"
    for key in TIMES:
        when(text_of(shape, key))  # A time that is none is said now, not when somebody reads the field.
    priority = text_of(shape, "priority")
    project = text_of(shape, "project")
    return Item(
        key=needed(shape, "uuid"),
        where=where,
        title=needed(shape, "description"),
        status=status,
        created_ms=when(text_of(shape, "entry")),
        ended_ms=when(text_of(shape, "end" if status in ("done", "cancelled") else "start")),
        priority=None if priority is None else account.map("priority", priority, PRIORITIES, "medium"),
        tags=tuple(tag for tag in list_of(shape, "tags") if isinstance(tag, str)),
        remarks=tuple(_remark(remark) for remark in list_of(shape, "annotations")),
        links=tuple(Link("depends_on", uuid) for uuid in _depends(shape)),
        # User-defined attributes stand at the top of a task, beside what the program knows.
        custom={key: shape[key] for key in TIMES if shape.get(key)}
        | ({"project": project} if project else {})
        | defined,
    )


def _plain(value: object) -> bool:
    return isinstance(value, (str, int, float)) and not isinstance(value, bool) and value != ""


def _remark(shape: Any) -> Remark:
    if not isinstance(shape, dict):
        raise Malformed("an annotation is not an object")
    return Remark(needed(shape, "description"), None, when(text_of(shape, "entry")))


def _depends(shape: Mapping[str, Any]) -> list[str]:
    value = shape.get("depends")
    if isinstance(value, str):  # before version 2.6 a text, separated by commas
        return [uuid.strip() for uuid in value.split(",") if uuid.strip()]
    return [uuid for uuid in list_of(shape, "depends") if isinstance(uuid, str)]
