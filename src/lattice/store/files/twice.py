"""A task whose log is both in `events/` and in `archive/events/`: what git or a copy by hand leaves.

Both logs are made one as git's union merge makes two branches one: each event once, in the order of the
ids. Where the one log begins with the other, that is the longer of the two. Logs that cannot be one,
since a line of one is damaged or the events cannot follow each other, are left to a person.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from pathlib import Path

from lattice.core.events import evolve
from lattice.core.integrity import Finding
from lattice.core.task import Task
from lattice.errors import LatticeError, LogDamaged, NotFound
from lattice.store.files import archive, changes, disk, snapshot
from lattice.store.files.locks import locked
from lattice.store.files.log import read_log
from lattice.store.files.snapshot import Snapshot

ACTION = "twice"


def find(board: Path, task_id: str) -> Finding:
    """What is to be said of a task that is there twice, with its mend where there is one."""
    where = f"events/{task_id}.jsonl"
    said = f"{task_id} is there twice: in events/ and in archive/events/"
    try:
        _united(board, task_id)
    except (LatticeError, OSError) as off:
        hint = f"Compare the two logs, and remove the one whose events the other has: {where}, archive/{where}"
        return Finding("archived_twice", "error", f"{said}; they cannot be made one: {off}", task_id, where, hint=hint)
    mend = "make them one log, with every event of both"
    return Finding("archived_twice", "error", said, task_id, where, mend, ACTION)


def unite(board: Path, task_id: str, keep: Callable[[str], None]) -> Task:
    """Make the two logs one, where the task belongs. `keep` is told of each file before it is replaced or removed.

    A crash leaves either both logs or the one that has every event of both.
    Raises NotFound, LogDamaged, ValidationError, LockTimeout, OSError.
    """
    with locked(board / "locks" / f"events_{task_id}.lock"):
        data, task, last_line = _united(board, task_id)
        log, twin = (f"{home}events/{task_id}.jsonl" for home in ("", "archive/"))
        cached, stale = (f"{home}tasks/{task_id}.json" for home in ("", "archive/"))
        for path in (log, twin, cached, stale):
            keep(path)
        with changes.announced(os.fspath(board), task_id):
            disk.replace(board / log, data, durable=True)
            (board / twin).unlink()
            disk.sync_folder((board / twin).parent)
            (board / stale).unlink(missing_ok=True)
            snapshot.write(board / cached, Snapshot(task, len(data), last_line, zlib.crc32(data)))
            if task.archived:
                archive.put_away(board, task_id)
            else:
                archive.bring_texts_back(board, task_id)
    return task


def _united(board: Path, task_id: str) -> tuple[bytes, Task, int]:
    """One log of both: its bytes, the task that it gives, and where its last line in history begins."""
    path = board / "events" / f"{task_id}.jsonl"
    lines: dict[bytes, None] = {}
    for home in (board, board / archive.FOLDER):
        data = disk.read(home / "events" / path.name)
        if data is None:
            raise NotFound(f"{task_id} is not there twice any more.")
        log = read_log(data, path, task_id)
        lines |= dict.fromkeys(filter(None, data[: log.end].split(b"\n")))
    both = b"".join(line + b"\n" for line in lines)
    log = read_log(both, path, task_id)
    task: Task | None = None
    for event in log.events:
        task = evolve(task, event)
    if task is None or log.torn:
        raise LogDamaged(f"{path.name} has no whole event.", path=str(path))
    return both, task, log.starts[-1]
