"""A snapshot that says what its log says is taken as it stands: replaying costs a first index three times as much."""

from __future__ import annotations

from lattice.commands.board import Board
from lattice.commands.tasks import Comment, change
from lattice.core.task import Task
from lattice.store.files.board import FileStore
from tests.conftest import ANN


def test_a_snapshot_as_it_was_just_written_is_taken(board: Board, task: Task) -> None:
    change(board, task.id, Comment("said"), ANN)
    kept = FileStore(board.folder).kept(task.id, archived=False)
    assert kept is not None
    assert b'"comment_count": 1,' in kept
