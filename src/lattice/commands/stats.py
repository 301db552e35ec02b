"""The figures of a board, and its weather: the histories that both are made from."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from lattice.commands.board import Board
from lattice.core import stats
from lattice.core.stats import History


def statistics(board: Board) -> dict[str, Any]:
    """What the board's history adds up to. Raises LogDamaged."""
    return stats.statistics(_histories(board), _histories(board, archived=True), board.config, _now(board))


def weather(board: Board) -> dict[str, Any]:
    """The day's digest. Raises LogDamaged."""
    return stats.weather(_histories(board), board.config, _now(board))


def _histories(board: Board, *, archived: bool = False) -> list[History]:
    ids = [task.id for task in board.store.tasks(archived=archived)]
    return [History(*board.store.history(task_id)) for task_id in ids]


def _now(board: Board) -> datetime:
    return datetime.fromtimestamp(board.ledger.source.now_ms() / 1000, UTC)
