"""The doctor's look at what is derived from all logs together: the lists, and the index."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path

from lattice.core.codec import BadLine, parse
from lattice.core.ids import parse_short_id
from lattice.core.integrity import Finding
from lattice.core.record import Record
from lattice.core.text import how_many
from lattice.store.files import disk
from lattice.store.files.doctor import Seen, is_at_work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LIFECYCLE = "events/_lifecycle.jsonl"
_IDS = "ids.json"
_MEND = "write it again from the logs"

LIFECYCLE_NAMED_MAX = 3
"""How many events that `_lifecycle.jsonl` has wrong are named; the others are counted. All have the same mend."""


class Lists(Record):
    """`_lifecycle.jsonl` and `ids.json` as they stand in their files; None of one that is not there."""

    lifecycle: bytes | Finding | None
    ids: Mapping[str, Any] | Finding | None


def read(board: Path) -> Lists:
    """What is to be compared with the logs. What cannot be read is a finding."""
    return Lists(_read(board, _LIFECYCLE), _read_ids(board))


def compare(board: Path, lists: Lists, seen: Seen) -> Iterator[Finding]:
    """What the lists have that the logs have not, and the other way round."""
    if isinstance(lists.lifecycle, Finding):
        yield lists.lifecycle
    elif lists.lifecycle is not None and lists.lifecycle != seen.lifecycle:  # A fresh clone has none.
        yield from _lifecycle(board, lists.lifecycle, seen)
    if isinstance(lists.ids, Finding):
        yield lists.ids
    elif lists.ids is not None:
        yield from _ids(board, lists.ids, seen)


def _read(board: Path, where: str) -> bytes | Finding | None:
    try:
        return disk.read(board / where)
    except OSError as refused:
        said = f"{where} cannot be read: {refused.strerror}"
        return Finding("unreadable", "error", said, None, where, hint=f"ls -l .lattice/{where}")


def _read_ids(board: Path) -> Mapping[str, Any] | Finding | None:
    data = _read(board, _IDS)
    if not isinstance(data, bytes):
        return data
    try:
        stored = parse(data).get("map")
        if not isinstance(stored, dict):
            raise BadLine("its map is missing")
    except BadLine as off:
        return Finding("json_parse", "error", f"Invalid JSON in ids.json: {off}", None, _IDS, _MEND, "ids")
    return stored


def _lifecycle(board: Path, data: bytes, seen: Seen) -> Iterator[Finding]:
    check = "global_log_consistency"
    stored: dict[str, dict[str, Any]] = {}
    for number, line in enumerate(filter(None, data.split(b"\n")), start=1):
        try:
            shape = parse(line)
            stored[str(shape["id"])] = shape
        except (BadLine, KeyError):
            said = f"Invalid JSON at line {number} in _lifecycle.jsonl"
            yield Finding("jsonl_parse", "warning", said, None, _LIFECYCLE, _MEND, "lifecycle")
    expected = {str(shape["id"]): shape for shape in map(parse, filter(None, seen.lifecycle.split(b"\n")))}
    off = 0
    for event_id in sorted(expected.keys() | stored.keys()):
        shape = expected.get(event_id) or stored[event_id]
        task_id = str(shape.get("task_id"))
        if is_at_work(board, task_id, seen):
            continue
        said = f"{event_id} ({shape.get('type')})"
        if event_id not in stored:
            said = f"Lifecycle event {said} for {task_id} missing from _lifecycle.jsonl"
        elif event_id not in expected and task_id not in seen.damaged:
            said = f"Lifecycle log event {said} has no matching per-task event"
        elif event_id in expected and stored[event_id] != shape:
            said = f"Lifecycle log event {said} differs from the task's own log"
        else:
            continue
        off += 1
        if off <= LIFECYCLE_NAMED_MAX:
            yield Finding(check, "warning", said, task_id, _LIFECYCLE, _MEND, "lifecycle")
    if off > LIFECYCLE_NAMED_MAX:  # A pull of a hundred tasks is one stale list, and not a hundred things to read.
        more = how_many(off - LIFECYCLE_NAMED_MAX, "more lifecycle event is", "more lifecycle events are")
        said = f"{more} not in _lifecycle.jsonl as the logs have them"
        yield Finding(check, "warning", said, None, _LIFECYCLE, _MEND, "lifecycle")


def _ids(board: Path, stored: Mapping[str, Any], seen: Seen) -> Iterator[Finding]:
    expected: dict[str, str] = {}
    for short_id, task_id in seen.short_ids:
        expected[short_id] = min(task_id, expected.get(short_id, task_id))
    if stored == expected:
        return
    for short_id in sorted(expected.keys() | stored.keys(), key=_by_number):
        right, found = expected.get(short_id), stored.get(short_id)
        if right == found or (right is None and found in seen.damaged):
            continue
        if any(is_at_work(board, task_id, seen) for task_id in (right, found) if isinstance(task_id, str)):
            continue
        if found is None:
            said = f"Task {right} has short_id {short_id} but it's missing from ids.json"
        elif right is None:
            said = f"ids.json maps {short_id} to {found}, whose log does not say so"
        else:
            said = f"ids.json maps {short_id} to {found}; it is the short id of {right}"
        yield Finding("alias_integrity", "warning", said, right or str(found), _IDS, _MEND, "ids")


def index(board: Path) -> Iterator[Finding]:
    """What is wrong with the index."""
    path = board / "index.sqlite"
    if not path.exists():
        return
    try:
        base = sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None)
        try:
            said = str(base.execute("PRAGMA quick_check(1)").fetchone()[0])
            if said == "ok" and base.execute("SELECT 1 FROM sqlite_master WHERE name = 'words'").fetchone():
                # Words that no search finds any more show nowhere else: rows have sums, what leads to them has none.
                base.execute("INSERT INTO words (words) VALUES ('integrity-check')")
        finally:
            base.close()
    except sqlite3.OperationalError:
        return  # Busy, or without the right to read it: that is no damage.
    except sqlite3.DatabaseError as off:
        said = str(off)
    if said != "ok":
        mend = "move it away; the next reader makes it again"
        yield Finding("index", "warning", f"index.sqlite is damaged: {said}", None, path.name, mend, "aside")


def _by_number(short_id: str) -> tuple[str, int]:
    prefix, _, number = short_id.rpartition("-")
    return (prefix, int(number)) if parse_short_id(short_id) else (short_id, 0)
