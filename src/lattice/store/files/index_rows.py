"""What the index keeps of a task, made from the text of its snapshot. Every row has a checksum."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping

from lattice.core.codec import loads
from lattice.core.pretty import ITEM_PAD
from lattice.core.summary import Edge, Summary, flat, rank, shape_edges
from lattice.core.task import PRESENT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from lattice.store.files.row_cut import Cut

Fields = tuple[str, int, str, str, int, "str | None"]
"""Of a task: its id, whether it is archived, the stamp of its log, its status, its rank, and who it is assigned to."""

Prepared = tuple[tuple[object, ...], tuple[str, bytes, int], list[tuple[object, ...]]]
"""What the tables keep of one task: its row, its document, its edges."""

_ASSIGNED = Summary._fields.index("assigned_to")
_PAD = b"\n" + ITEM_PAD.encode()
_REQUIRED = frozenset(PRESENT)


def of_shape(shape: Mapping[str, Any], text: bytes, stamp: str, *, away: bool) -> Prepared:
    """What is kept of a task: of its snapshot's JSON value and the text of that; its log has this stamp."""
    row = flat(shape)
    fields = (shape["id"], int(away), stamp, shape["status"], rank(shape["priority"], shape["urgency"]), row[_ASSIGNED])
    return _prepared(fields, len(shape["active_processes"]), dumped(row), text, shape_edges(shape))


def of_text(text: bytes, stamp: str, *, away: bool) -> Prepared | None:
    """As `of_shape`, of the text alone; None where that is not of this version. Raises ValueError."""
    shape = loads(text)
    if not (shape.keys() >= _REQUIRED and shape.get("archived", False) == away):
        return None
    return of_shape(shape, text, stamp, away=away)


def of_cut(cut: Cut, text: bytes, stamp: str) -> Prepared:
    """As `of_text`, of a text from which `row_cut` has cut the row."""
    fields = (cut.id, int(cut.archived), stamp, cut.status, rank(cut.priority, cut.urgency), cut.assigned_to)
    return _prepared(fields, 0, cut.line, text, cut.edges)


def _prepared(fields: Fields, runs: int, line: str, text: bytes, edges: list[Edge]) -> Prepared:
    task_id = fields[0]
    document = text.rstrip(b"\n").replace(b"\n", _PAD)
    return (
        (*fields, runs, line, row_sum(fields, line)),
        (task_id, document, document_sum(task_id, document)),
        [(*edge, edge_sum(edge)) for edge in edges],
    )


def row_sum(fields: Fields, line: str) -> int:
    """The checksum of a row, of its fields but the number of runs."""
    task_id, away, stamp, status, place, assigned = fields
    text = f"{task_id}\0{away}\0{stamp}\0{status}\0{place}\0{assigned}\0{line}"
    return zlib.crc32(text.encode("utf-8", "surrogatepass"))


def document_sum(task_id: str, text: bytes) -> int:
    """The checksum of a document."""
    return zlib.crc32(text, zlib.crc32(task_id.encode()))


def edge_sum(edge: Edge) -> int:
    """The checksum of an edge."""
    return text_sum(dumped(edge))


def text_sum(*texts: str) -> int:
    """The checksum of texts."""
    return zlib.crc32("\0".join(texts).encode("utf-8", "surrogatepass"))


dumped = json.JSONEncoder(separators=(",", ":")).encode
"""Made once: `json.dumps` makes one a call, where it is given more than a value."""
