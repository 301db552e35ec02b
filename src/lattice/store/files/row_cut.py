"""A task's row, cut out of the text of its snapshot: a third of what it takes to parse that and to encode the row.

For whoever reads many snapshots: the expression takes as long to compile as a hundred of them to parse.
"""

from __future__ import annotations

import json
import re
from operator import itemgetter

from lattice.core.record import NamedTuple
from lattice.core.summary import PLAIN, Edge, shape_edges
from lattice.core.task import PRESENT
from lattice.store.files.index_rows import dumped

_WORD = r'"[^"\\]+"'
_LIST = r"\[\]|\[(?:\n    .*)+\n  \]"
_FORMS = {
    "id": _WORD,
    "status": _WORD,
    "priority": _WORD,
    "urgency": rf"null|{_WORD}",
    "assigned_to": rf"null|{_WORD}",
    "custom_fields": r"\{\}|\{(?:\n    .*)+\n  \}",
    "active_processes": r"\[\]",
    "branch_links": _LIST,
    "evidence_refs": _LIST,
    "relationships_out": _LIST,
    "tags": rf"null|{_LIST}",
}
"""The members that are not just a line of any kind. A text that has others is parsed: few have."""

_MEMBERS = sorted((*PRESENT, "archived", "schema_version"))
_NOT_IN_ROWS = {"active_processes", "evidence_refs", "last_event_id", "schema_version"}
_GROUPS = [name for name in _MEMBERS if name not in _NOT_IN_ROWS]


def _member(name: str) -> str:
    form = _FORMS.get(name, ".+")
    text = f'  "{name}": ' + (f"({form})" if name in _GROUPS else f"(?:{form})")
    return f"(?:{text},\n)?" if name == "archived" else text + ("\n" if name == _MEMBERS[-1] else ",\n")


_TEXT = re.compile(r"\{\n" + "".join(map(_member, _MEMBERS)) + r"\}\n?")
_plain = itemgetter(*map(_GROUPS.index, PLAIN))
_others = itemgetter(*map(_GROUPS.index, ("tags", "branch_links", "custom_fields", "archived", "relationships_out")))
_columns = itemgetter(*map(_GROUPS.index, ("id", "status", "priority", "urgency", "assigned_to")))


class Cut(NamedTuple):
    """A row as JSON text, and what is kept of the task beside that."""

    line: str
    id: str
    status: str
    priority: str
    urgency: str | None
    assigned_to: str | None
    archived: bool
    edges: list[Edge]


def cut(text: bytes) -> Cut | None:
    """What a snapshot of this text says, the row as `flat` has it; None where that has to be parsed."""
    found = _TEXT.fullmatch(text.decode("ascii")) if text.isascii() else None
    if found is None:
        return None
    values = found.groups()
    tags, links, custom, archived, relationships = _others(values)
    if tags == "null":
        tags = "[]"
    elif tags != "[]":
        tags = tags.replace("\n    ", "").replace("\n  ", "")
    if links != "[]":
        links = dumped([link["branch"] for link in json.loads(links)])
    if custom != "{}":
        custom = dumped(json.loads(custom))
    task_id, status, priority, urgency, assigned_to = _columns(values)
    task_id = task_id[1:-1]
    edges: list[Edge] = []
    if relationships != "[]":
        edges = shape_edges({"id": task_id, "relationships_out": json.loads(relationships)})
    return Cut(
        f"[{','.join(_plain(values))},{tags},{links},{custom},[],{archived or 'false'}]",
        task_id,
        status[1:-1],
        priority[1:-1],
        None if urgency == "null" else urgency[1:-1],
        None if assigned_to == "null" else assigned_to[1:-1],
        archived == "true",
        edges,
    )
