"""CSV: a task a row, named by a head of columns; ours, and what a spreadsheet makes.

A cell that a spreadsheet would take for a formula is written with an apostrophe before it, which is
taken away on the way back (OWASP, "CSV Injection").
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lattice.commands.formats.item import Account, Item, Link, Malformed, actor, decoded, read_file, when
from lattice.core.actors import actor_text
from lattice.core.config import COMPLEXITIES, PRIORITIES, STATUSES, URGENCIES
from lattice.core.ids import is_id
from lattice.core.task import Task
from lattice.core.text import how_many
from lattice.errors import ValidationError

COLUMNS = (
    "id", "short_id", "title", "status", "priority", "urgency", "complexity", "type", "assigned_to", "tags",
    "description", "created_at", "created_by", "updated_at", "done_at", "relationships", "custom_fields", "archived",
)  # fmt: skip
NOT_HELD = ("events", "comments", "artifacts", "evidence", "branches", "runs", "plans", "notes")
"""What a table does not hold."""

ALIASES = {
    "key": "id", "issue id": "id", "name": "title", "summary": "title", "task": "title", "state": "status",
    "assignee": "assigned_to", "owner": "assigned_to", "labels": "tags", "body": "description", "notes": "description",
    "created": "created_at", "created by": "created_by", "reporter": "created_by", "done": "done_at",
    "closed_at": "done_at", "issue type": "type", "assigned to": "assigned_to",
}  # fmt: skip
STATUS_WORDS = {
    **{status: status for status in STATUSES}, "todo": "backlog", "to do": "backlog", "open": "backlog",
    "new": "backlog", "in progress": "in_progress", "doing": "in_progress", "in review": "review", "closed": "done",
    "completed": "done", "resolved": "done", "canceled": "cancelled", "needs human": "needs_human",
}  # fmt: skip
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_CELL_CHARS_MAX = 1 << 20


def cell(value: object) -> str:
    """A value as a cell that no spreadsheet takes for a formula."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith((*_FORMULA, "'")) else text


def value_in(text: str) -> str:
    """The value that `cell` wrote."""
    return text[1:] if text[:1] == "'" and text[1:].startswith((*_FORMULA, "'")) else text


def write(tasks: Sequence[Task]) -> str:
    """The table of these tasks."""
    page = io.StringIO()
    table = csv.writer(page, lineterminator="\r\n")  # RFC 4180
    table.writerow(COLUMNS)
    for task in tasks:
        table.writerow([cell(value) for value in _row(task).values()])
    return page.getvalue()


def _row(task: Task) -> dict[str, Any]:
    made = {
        "assigned_to": None if task.assigned_to is None else actor_text(task.assigned_to),
        "created_by": actor_text(task.created_by),
        "tags": ",".join(task.tags or ()),
        "relationships": " ".join(f"{edge.type}:{edge.target_task_id}" for edge in task.relationships_out),
        "custom_fields": json.dumps(task.custom_fields, sort_keys=True) if task.custom_fields else None,
        "archived": "yes" if task.archived else "",
    }
    return {name: made[name] if name in made else getattr(task, name) for name in COLUMNS}


def read(path: Path, account: Account) -> list[Item]:
    """The tasks of a table. Raises NotFound, ValidationError."""
    text = decoded(read_file(path), path)
    csv.field_size_limit(_CELL_CHARS_MAX)
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    items: list[Item] = []
    try:
        head = [ALIASES.get(name.strip().lower(), name.strip().lower()) for name in next(rows, [])]
        if "title" not in head:
            raise ValidationError(
                f"{path.name}:1: there is no column for the title.",
                hint=f"The first row names the columns: {', '.join(COLUMNS[1:6])} …",
            )
        for row in rows:
            if any(text.strip() for text in row):
                _read_row(f"{path.name}:{rows.line_num}", head, row, items, account)
    except csv.Error as off:
        raise ValidationError(f"{path.name}:{rows.line_num}: it is not CSV: {off}.") from None
    return items


def _read_row(where: str, head: Sequence[str], row: Sequence[str], items: list[Item], account: Account) -> None:
    if len(row) > len(head):
        account.malformed.append((where, f"it has {how_many(len(row), 'cell')} under {how_many(len(head), 'column')}"))
        return
    cells = {name: value_in(text) for name, text in zip(head, row, strict=False) if text.strip()}
    try:
        items.append(_item(where, cells, account))
    except Malformed as off:
        account.malformed.append((where, str(off)))


def _item(where: str, cells: Mapping[str, str], account: Account) -> Item:
    if "title" not in cells:
        raise Malformed("the title is empty")
    own = cells.get("id", "")
    return Item(
        key=own or cells.get("short_id") or cells["title"],
        id=own if is_id("task", own) else None,
        archived=cells.get("archived", "").strip().lower() in ("yes", "true", "1", "x"),
        where=where,
        title=cells["title"],
        status=account.map("status", cells.get("status", "backlog"), STATUS_WORDS, "backlog"),
        created_ms=when(cells.get("created_at")),
        ended_ms=when(cells.get("done_at")),
        priority=_choice("priority", cells, PRIORITIES, account, "medium"),
        urgency=_choice("urgency", cells, URGENCIES, account, "normal"),
        complexity=_choice("complexity", cells, COMPLEXITIES, account, "medium"),
        type=cells.get("type"),
        description=cells.get("description"),
        tags=tuple(tag.strip() for tag in cells.get("tags", "").replace(";", ",").split(",") if tag.strip()),
        author=actor(cells.get("created_by")),
        assigned_to=actor(cells.get("assigned_to")),
        links=_links(cells.get("relationships", "")),
        custom=_fields(cells.get("custom_fields")) | {name: cells[name] for name in cells if name not in COLUMNS},
    )


def _choice(name: str, cells: Mapping[str, str], valid: Sequence[str], account: Account, otherwise: str) -> str | None:
    if name not in cells:
        return None
    return account.map(name, cells[name], {value: value for value in valid}, otherwise)


def _links(text: str) -> tuple[Link, ...]:
    pairs = [edge.partition(":") for edge in text.split()]
    if not all(kind and target for kind, _, target in pairs):
        raise Malformed("'relationships' is not of its form, TYPE:ID separated by spaces")
    return tuple(Link(kind, target) for kind, _, target in pairs)


def _fields(text: str | None) -> dict[str, Any]:
    if text is None:
        return {}
    try:
        shape = json.loads(text)
    except (ValueError, RecursionError) as off:
        raise Malformed(f"'custom_fields' is not JSON ({off})"[:200]) from None
    if not isinstance(shape, dict):
        raise Malformed("'custom_fields' is not a JSON object")
    return shape
