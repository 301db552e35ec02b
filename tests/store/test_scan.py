"""A scan of all logs passes over those that need not be read, and never over damage."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from lattice.commands.board import Board
from lattice.commands.tasks import Comment, change
from lattice.core.task import Task
from lattice.errors import LogDamaged
from lattice.store.files.board import FileStore
from tests.conftest import ANN

ASKED: tuple[tuple[Mapping[str, Any], bytes, bytes], ...] = (
    ({"having": "comment_added"}, b'"comment_added"', b'"comment_abbed"'),
    ({"since": "2000-01-01T00:00:00Z"}, b'"ts":"2', b'"ts":"1'),
)


@pytest.mark.parametrize("with_snapshot", [True, False])
@pytest.mark.parametrize(("asked", "word", "damaged"), ASKED)
def test_a_log_is_not_passed_over_by_a_word_that_is_damaged(
    board: Board, task: Task, asked: Mapping[str, Any], word: bytes, damaged: bytes, *, with_snapshot: bool
) -> None:
    change(board, task.id, Comment("said"), ANN)
    store = FileStore(board.folder)
    assert [task.id] == [found.id for found, _ in store.histories(**asked)]
    log = board.folder / "events" / f"{task.id}.jsonl"
    log.write_bytes(log.read_bytes().replace(word, damaged))
    if not with_snapshot:
        (board.folder / "tasks" / f"{task.id}.json").unlink()
    with pytest.raises(LogDamaged):
        list(store.histories(**asked))


def test_a_sound_log_without_a_snapshot_is_passed_over(board: Board, task: Task) -> None:
    (board.folder / "tasks" / f"{task.id}.json").unlink()
    store = FileStore(board.folder)
    assert [] == list(store.histories(having="comment_added"))
    assert [] == list(store.histories(since="9999-01-01T00:00:00Z"))
