"""The doctor's look at what is derived from the logs: the lists, the index, and snapshots whose log is not there."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from lattice.core.codec import BadLine, parse
from lattice.core.ids import is_id, parse_short_id
from lattice.core.integrity import Finding
from lattice.core.text import how_many
from lattice.store.files import disk
from lattice.store.files.doctor import DRAFT, Seen, names_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LIFECYCLE_NAMED_MAX = 3
"""How many events that `_lifecycle.jsonl` has wrong are named; the others are counted. All have the same mend."""


def caches(board: Path, seen: Seen) -> Iterator[Finding]:
    """`_lifecycle.jsonl`, `ids.json`, and snapshots of logs that are not there."""
    yield from _lifecycle(board, seen)
    yield from _ids(board, seen)
    for place in ("tasks", "archive/tasks"):
        logs = board / place.replace("tasks", "events")
        for name in names_in(board / place, but=seen.named[place]):
            if not is_id("task", name[:-5]) or DRAFT.match(name) or (logs / f"{name[:-5]}.jsonl").exists():
                continue
            path = board / place / name
            where = f"{place}/{path.name}"
            said = f"{path.name} is a snapshot without a log: its log went with a branch, or was lost"
            hint = f"git log --all -- .lattice/events/{path.stem}.jsonl"
            mend = "move the snapshot away"
            yield Finding("orphan_snapshot", "warning", said, path.stem, where, mend, "aside", hint)


def _lifecycle(board: Path, seen: Seen) -> Iterator[Finding]:
    where = "events/_lifecycle.jsonl"
    mend = "write it again from the logs"
    check = "global_log_consistency"
    try:
        data = disk.read(board / where)
    except OSError as refused:
        yield _unreadable(where, refused)
        return
    if data is None or data == seen.lifecycle:
        return  # A fresh clone has none.
    stored: dict[str, dict[str, Any]] = {}
    for number, line in enumerate(filter(None, data.split(b"\n")), start=1):
        try:
            shape = parse(line)
            stored[str(shape["id"])] = shape
        except (BadLine, KeyError):
            said = f"Invalid JSON at line {number} in _lifecycle.jsonl"
            yield Finding("jsonl_parse", "warning", said, None, where, mend, "lifecycle")
    expected = {str(shape["id"]): shape for shape in map(parse, filter(None, seen.lifecycle.split(b"\n")))}
    off = 0
    for event_id in sorted(expected.keys() | stored.keys()):
        shape = expected.get(event_id) or stored[event_id]
        task_id = str(shape.get("task_id"))
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
            yield Finding(check, "warning", said, task_id, where, mend, "lifecycle")
    if off > LIFECYCLE_NAMED_MAX:  # A pull of a hundred tasks is one stale list, and not a hundred things to read.
        more = how_many(off - LIFECYCLE_NAMED_MAX, "more lifecycle event is", "more lifecycle events are")
        said = f"{more} not in _lifecycle.jsonl as the logs have them"
        yield Finding(check, "warning", said, None, where, mend, "lifecycle")


def _ids(board: Path, seen: Seen) -> Iterator[Finding]:
    where, mend = "ids.json", "write it again from the logs"
    try:
        data = disk.read(board / where)
    except OSError as refused:
        yield _unreadable(where, refused)
        return
    if data is None:
        return
    try:
        stored = parse(data).get("map")
        if not isinstance(stored, dict):
            raise BadLine("its map is missing")
    except BadLine as off:
        yield Finding("json_parse", "error", f"Invalid JSON in ids.json: {off}", None, where, mend, "ids")
        return
    expected: dict[str, str] = {}
    for short_id, task_id in seen.short_ids:
        expected[short_id] = min(task_id, expected.get(short_id, task_id))
    if stored == expected:
        return
    for short_id in sorted(expected.keys() | stored.keys(), key=_by_number):
        right, found = expected.get(short_id), stored.get(short_id)
        if right == found or (right is None and found in seen.damaged):
            continue
        if found is None:
            said = f"Task {right} has short_id {short_id} but it's missing from ids.json"
        elif right is None:
            said = f"ids.json maps {short_id} to {found}, whose log does not say so"
        else:
            said = f"ids.json maps {short_id} to {found}; it is the short id of {right}"
        yield Finding("alias_integrity", "warning", said, right or str(found), where, mend, "ids")


def _unreadable(where: str, refused: OSError) -> Finding:
    said = f"{where} cannot be read: {refused.strerror}"
    return Finding("unreadable", "error", said, None, where, hint=f"ls -l .lattice/{where}")


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
