"""The doctor's look at what is derived from all logs together: the lists, and the index."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from lattice.core.codec import BadLine, parse
from lattice.core.ids import parse_short_id
from lattice.core.integrity import Finding
from lattice.core.record import Record
from lattice.core.text import how_many
from lattice.store.files import disk, scan
from lattice.store.files.doctor import Seen, is_at_work

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LIFECYCLE = "events/_lifecycle.jsonl"
_IDS = "ids.json"
_MEND = "write it again from the logs"

LIFECYCLE_NAMED_MAX = 3
"""How many events that `_lifecycle.jsonl` has wrong are named; the others are counted. All have the same mend."""


class Lifecycle(Record):
    """`_lifecycle.jsonl` as it stands in its file."""

    data: bytes | Finding | None  # why it cannot be read; None where there is none
    sums: frozenset[int]  # of its lines


def read_lifecycle(board: Path) -> Lifecycle:
    """What is to be compared with the logs."""
    data = _read(board, _LIFECYCLE)
    lines = data.splitlines(keepends=True) if isinstance(data, bytes) else []
    return Lifecycle(data, frozenset(map(zlib.crc32, lines)))


def read_ids(board: Path) -> Mapping[str, Any] | Finding | None:
    """The map of `ids.json`; what is wrong where it cannot be read, None where there is none."""
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


def _read(board: Path, where: str) -> bytes | Finding | None:
    try:
        return disk.read(board / where)
    except OSError as refused:
        said = f"{where} cannot be read: {refused.strerror}"
        return Finding("unreadable", "error", said, None, where, hint=f"ls -l .lattice/{where}")


def lifecycle(board: Path, listed: Lifecycle, seen: Seen) -> Iterator[Finding]:
    """What `_lifecycle.jsonl` has that the logs have not, and the other way round."""
    if isinstance(listed.data, Finding):
        yield listed.data
    if not isinstance(listed.data, bytes):
        return  # A fresh clone has none.
    if listed.sums == {line_sum for _, line_sum in seen.lifecycle.values()}:
        return
    check = "global_log_consistency"
    stored, differing, bad = _parsed(listed.data)
    yield from bad
    expected = _not_listed(board, listed, seen)
    off = 0
    for event_id in sorted(expected.keys() | stored.keys()):
        shape = expected.get(event_id) or stored[event_id]
        task_id = str(shape.get("task_id"))
        if is_at_work(board, task_id, seen):
            continue
        said = f"{event_id} ({shape.get('type')})"
        if event_id not in stored:
            said = f"Lifecycle event {said} for {task_id} missing from _lifecycle.jsonl"
        elif event_id not in seen.lifecycle and task_id not in seen.damaged:
            said = f"Lifecycle log event {said} has no matching per-task event"
        elif event_id in differing or (event_id in expected and stored[event_id] != shape):
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


def _parsed(data: bytes) -> tuple[dict[str, dict[str, Any]], set[str], list[Finding]]:
    """The events of the list by id, the ids that are of several that differ, and lines that are none."""
    stored: dict[str, dict[str, Any]] = {}
    differing: set[str] = set()
    bad = []
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line:
            continue
        try:
            shape = parse(line)
            event_id = str(shape["id"])
        except (BadLine, KeyError):
            said = f"Invalid JSON at line {number} in _lifecycle.jsonl"
            bad.append(Finding("jsonl_parse", "warning", said, None, _LIFECYCLE, _MEND, "lifecycle"))
            continue
        if stored.setdefault(event_id, shape) != shape:
            differing.add(event_id)
    return stored, differing, bad


def _not_listed(board: Path, listed: Lifecycle, seen: Seen) -> dict[str, dict[str, Any]]:
    """The events, by id, whose lines are not in the list as their logs have them."""
    lacking = {
        event_id: task_id for event_id, (task_id, line_sum) in seen.lifecycle.items() if line_sum not in listed.sums
    }
    streams = [scan.find(board, task_id) for task_id in sorted(set(lacking.values()))]
    lines = [told for stream in streams if stream is not None for told in stream.lifecycle()]
    return {event_id: parse(line) for event_id, line in lines if event_id in lacking}


def ids(board: Path, stored: Mapping[str, Any] | Finding | None, seen: Seen) -> Iterator[Finding]:
    """What `ids.json` has that the logs have not, and the other way round."""
    if isinstance(stored, Finding):
        yield stored
    if stored is None or isinstance(stored, Finding):
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
    import sqlite3  # while other processes read the logs

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
