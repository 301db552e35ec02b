"""Where an archived task's files are, and their way there and back.

A task is archived when its events say so; that its log lies in `archive/events/` follows from that. The
log leaves last and comes back first, so that a crash on either way leaves a log in `events/` whose
events say that it is archived: whoever finds one puts it away. Called under the stream's lock.
"""

from __future__ import annotations

import os

from lattice.store.files import disk
from lattice.store.files.disk import StrPath

FOLDER = "archive"
_BESIDE = (("tasks", "json"), ("plans", "md"), ("notes", "md"))


def put_away(board: StrPath, stream: str) -> None:
    """Move the task's files to the archive. Where the archive has a log of this name already, nothing moves."""
    archive = os.path.join(board, FOLDER)
    if os.path.exists(os.path.join(archive, "events", f"{stream}.jsonl")):
        return  # by git or by hand: neither may be lost, and only a person can tell which is right
    for folder, ending in _BESIDE:
        name = f"{stream}.{ending}"
        disk.move(os.path.join(board, folder, name), os.path.join(archive, folder, name), over=folder == "tasks")
    _move_log(board, archive, stream)


def bring_back(board: StrPath, stream: str) -> bool:
    """Move the task's files out of the archive. Whether they were there."""
    archive = os.path.join(board, FOLDER)
    if not _move_log(archive, board, stream):
        return False
    name = f"{stream}.json"
    disk.move(os.path.join(archive, "tasks", name), os.path.join(board, "tasks", name), over=True)
    bring_texts_back(board, stream)
    return True


def bring_texts_back(board: StrPath, stream: str) -> None:
    """Move the task's plan and notes out of the archive, where their place is free."""
    for folder in ("plans", "notes"):
        name = f"{stream}.md"
        disk.move(os.path.join(board, FOLDER, folder, name), os.path.join(board, folder, name))


def _move_log(source: StrPath, target: StrPath, stream: str) -> bool:
    name = f"{stream}.jsonl"
    return disk.move(os.path.join(source, "events", name), os.path.join(target, "events", name), durable=True)
