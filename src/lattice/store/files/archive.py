"""Where an archived task's files are, and their way there and back.

A task is archived when its events say so; that its log lies in `archive/events/` follows from that. The
log leaves last and comes back first, so that a crash on either way leaves a log in `events/` whose
events say that it is archived: whoever finds one puts it away. Called under the stream's lock.
"""

from __future__ import annotations

from pathlib import Path

from lattice.store.files import disk

FOLDER = "archive"
_BESIDE = (("tasks", "json"), ("plans", "md"), ("notes", "md"))


def put_away(board: Path, stream: str) -> None:
    """Move the task's files to the archive. Where the archive has a log of this name already, nothing moves."""
    archive = board / FOLDER
    if (archive / "events" / f"{stream}.jsonl").exists():
        return  # by git or by hand: neither may be lost, and only a person can tell which is right
    for folder, ending in _BESIDE:
        name = f"{stream}.{ending}"
        disk.move(board / folder / name, archive / folder / name, over=folder == "tasks")
    _move_log(board, archive, stream)


def bring_back(board: Path, stream: str) -> bool:
    """Move the task's files out of the archive. Whether they were there."""
    archive = board / FOLDER
    if not _move_log(archive, board, stream):
        return False
    for folder, ending in _BESIDE:
        name = f"{stream}.{ending}"
        disk.move(archive / folder / name, board / folder / name, over=folder == "tasks")
    return True


def _move_log(source: Path, target: Path, stream: str) -> bool:
    name = f"{stream}.jsonl"
    return disk.move(source / "events" / name, target / "events" / name, durable=True)
