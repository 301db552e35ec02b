"""Making again what is derived from the logs."""

from __future__ import annotations

from lattice.commands.board import Board
from lattice.core.ids import parse_short_id
from lattice.core.progress import Progress
from lattice.core.task import Task
from lattice.errors import NotFound
from lattice.store.files import rebuild, scan
from lattice.store.files.parallel import telling, without_collection


@without_collection()
def rebuild_all(board: Board, progress: Progress | None = None) -> rebuild.Rebuilt:
    """Everything that is derived, from the logs. Raises LockTimeout, StorageError, OSError."""
    with telling(progress):
        return rebuild.everything(board.folder)


def rebuild_task(board: Board, ref: str) -> Task:
    """One task's snapshot, from its log. Raises InvalidId, NotFound, LogDamaged."""
    stream = scan.find(board.folder, board.resolve(ref))
    if stream is None or (stream.task is None and stream.damage is None):
        name = parse_short_id(ref) or ref
        raise NotFound(f"No event log found for {name}.", hint="See what there is: lattice list")
    if stream.damage is not None or stream.task is None:
        raise stream.damage or NotFound(f"{ref} has no whole event.")
    rebuild.put_snapshot(board.folder, stream)
    return stream.task
