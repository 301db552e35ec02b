"""A task's snapshot file: a cache beside its log, believed only if its mark fits.

The mark, `log_mark`, is `SIZE:LINE:CRC`: the length of the log that it was made from, where the last
line of that began, and the CRC-32 of the snapshot itself without the mark. Its text is a function of
the log alone, so that a rebuild gives the same bytes.
"""

from __future__ import annotations

import json
import re
import zlib
from pathlib import Path

from lattice.core.record import Record
from lattice.core.task import Task, from_snapshot, to_snapshot
from lattice.store.files import disk

_MARK = re.compile(rb'\n  "log_mark": "([0-9]{1,15}):([0-9]{1,15}):([0-9a-f]{8})",')


class Snapshot(Record):
    """A state, and the log that it stands for."""

    task: Task
    log_size: int
    last_line: int


def read(path: Path) -> Snapshot | None:
    """The snapshot, or None where there is none that can be believed."""
    try:
        data = disk.read(path)
    except OSError:
        return None  # unreadable: its log says the same
    if not data:
        return None
    found = _MARK.search(data)
    if found is None or zlib.crc32(data[: found.start()] + data[found.end() :]) != int(found[3], 16):
        return None  # made by an earlier tool, damaged, or empty after a power cut
    try:
        task = from_snapshot(json.loads(data))
    except (ValueError, KeyError, TypeError):
        return None  # of another version: its log says the same
    return Snapshot(task, int(found[1]), int(found[2]))


def encode(snapshot: Snapshot) -> bytes:
    """The file's bytes: sorted keys, two spaces, a newline at the end."""
    shape = to_snapshot(snapshot.task)
    bare = _dump(shape)
    shape["log_mark"] = f"{snapshot.log_size}:{snapshot.last_line}:{zlib.crc32(bare):08x}"
    return _dump(shape)


def write(path: Path, snapshot: Snapshot) -> None:
    """Put the snapshot in place, unsynced. A disk that refuses leaves the old one, which is then stale."""
    try:
        disk.replace(path, encode(snapshot))
    except OSError:
        return  # The event is durable and the snapshot a cache: the next reader replays the tail.


def _dump(shape: dict[str, object]) -> bytes:
    return json.dumps(shape, sort_keys=True, indent=2).encode("ascii") + b"\n"
