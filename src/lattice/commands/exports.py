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
from lattice.errors import Conflict, StorageError, ValidationError
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
    """Write the text to a file, whole or not at all; a link stays, and what it leads to is written.

    Raises Conflict where a file is there, ValidationError where something else is, StorageError.
    """
    if path.exists() and not path.is_file():  # A rename would put a file in the place of a pipe, or of /dev/null.
        raise ValidationError(
            f"{str(path)[:200]!r} is not a file.", hint="Name one; a pipe or a device takes it so: … - > PATH"
        )
    if path.exists() and not replace:
        raise Conflict(f"{str(path)[:200]!r} is there already.", hint="Choose another name, or add --replace.")
    try:
        if not path.parent.exists():
            raise StorageError(f"There is no folder {str(path.parent)[:200]!r}.", hint=f"mkdir -p {path.parent}")
        disk.replace(Path(os.path.realpath(path)), export.text.encode("utf-8", "backslashreplace"), durable=True)
    except OSError as refused:
        raise StorageError(
            f"{str(path)[:200]!r} could not be written: {refused.strerror}.", hint=f"ls -ld {path.parent}"
        ) from None


def _histories(board: Board, progress: Progress | None) -> list[History]:
    ids = [task.id for archived in (False, True) for task in board.store.tasks(archived=archived)]
    return [History(*board.store.history(task_id)) for task_id in told(sorted(ids), progress)]
