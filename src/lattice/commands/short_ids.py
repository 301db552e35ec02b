"""What short ids begin with, and short ids for tasks that were made without one."""

from __future__ import annotations

from collections.abc import Mapping

from lattice.commands.board import Board
from lattice.commands.settings import Settings, change_settings
from lattice.core.config import Config
from lattice.core.ids import parse_project_code
from lattice.core.task import Task
from lattice.errors import Conflict, InvalidId, ValidationError
from lattice.ledger import Signature


def set_project_code(board: Board, text: str, *, force: bool) -> Settings:
    """Set what new short ids begin with; ids that were given stay. Raises ValidationError, Conflict, StorageError."""
    return _set(board, "project_code", "Project code", text, force=force)


def set_subproject_code(board: Board, text: str, *, force: bool) -> Settings:
    """Set the second part of new short ids. Raises ValidationError, Conflict, StorageError."""
    if board.config.project_code is None:
        raise ValidationError(
            "Cannot set subproject code without a project code.", hint="lattice set-project-code CODE"
        )
    return _set(board, "subproject_code", "Subproject code", text, force=force)


def backfill(board: Board, by: Signature, *, code: str | None, force: bool) -> list[Task]:
    """Give every task without a short id its own, oldest first, archived ones too.

    With `code` the project code is set before. Raises ValidationError, Conflict, StorageError.
    """
    config = board.config if code is None else set_project_code(board, code, force=force).config
    prefix = config.short_id_prefix
    if prefix is None:
        raise ValidationError("No project code configured.", hint="lattice backfill-ids --code LAT")
    everything = [task for archived in (False, True) for task in board.store.tasks(archived=archived)]
    unnamed = sorted(task.id for task in everything if task.short_id is None)
    written = board.ledger.assign_short_ids(unnamed, prefix, by) if unnamed else []
    return [each.task for each in written if each.events]


def _set(board: Board, key: str, what: str, text: str, *, force: bool) -> Settings:
    try:
        code = parse_project_code(text)
    except InvalidId:
        raise ValidationError(
            f"Invalid {what.lower()}: {text[:40]!r}. Must be 1-5 ASCII letters.", hint="Such as LAT."
        ) from None

    def decide(config: Config) -> Mapping[str, object]:
        old = config.raw.get(key)
        if old not in (None, code) and not force:
            raise Conflict(
                f"{what} is already set to {old!r}. Use --force to change it.",
                hint="New tasks then get the new code; names that were given stay.",
            )
        return {key: code}

    return change_settings(board, decide)
