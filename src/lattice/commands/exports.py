"""Export: the whole board as one text."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from lattice.commands.board import Board
from lattice.commands.formats import board_json, csv_table, markdown
from lattice.core.progress import Progress, told
from lattice.core.record import Record
from lattice.core.stats import History
from lattice.errors import Conflict, StorageError
from lattice.store.files import disk


class Export(Record):
    """A board's text, and what it does not hold."""

    text: str
    tasks: int
    left_out: tuple[str, ...]


def _json(board: Board, progress: Progress | None = None) -> Export:
    shape = board_json.write(board, progress)
    text = json.dumps(shape, sort_keys=True, indent=1) + "\n"
    return Export(text, len(shape["tasks"]), tuple(shape["left_out"]))


def _csv(board: Board, progress: Progress | None = None) -> Export:
    tasks = [history.task for history in _histories(board, progress)]
    return Export(csv_table.write(tasks), len(tasks), csv_table.NOT_HELD)


def _markdown(board: Board, progress: Progress | None = None) -> Export:
    histories = _histories(board, progress)
    return Export(markdown.write(histories, board.config), len(histories), ())


class Writer(Protocol):
    """Makes a format's text, and tells how far it is."""

    def __call__(self, board: Board, progress: Progress | None = None) -> Export:
        """Read the whole board. Raises LogDamaged."""


WRITERS: Mapping[str, Writer] = {"json": _json, "csv": _csv, "markdown": _markdown}


def save(export: Export, path: Path, *, replace: bool) -> None:
    """Write the text to a file, whole or not at all. Raises Conflict where one is there, StorageError."""
    if path.exists() and not replace:
        raise Conflict(f"{str(path)[:200]!r} is there already.", hint="Choose another name, or add --replace.")
    try:
        if not path.parent.is_dir():
            raise NotADirectoryError(20, os.strerror(20), str(path.parent))
        disk.replace(path, export.text.encode("utf-8", "backslashreplace"), durable=True)
    except OSError as refused:
        raise StorageError(
            f"{str(path)[:200]!r} could not be written: {refused.strerror}.", hint=f"ls -ld {path.parent}"
        ) from None


def _histories(board: Board, progress: Progress | None) -> list[History]:
    ids = [task.id for archived in (False, True) for task in board.store.tasks(archived=archived)]
    return [History(*board.store.history(task_id)) for task_id in told(sorted(ids), progress)]
