"""A cache that is renewed: in its own file where nothing can tear it, else by a rename; never through a link."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lattice.commands.board import Board
from lattice.commands.tasks import Comment, CreateTask, change
from lattice.store.files import disk, snapshot
from tests.conftest import ANN, make_board, reopened
from tests.faults import Acknowledge, sweep

PAGE = 4096


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    path = tmp_path / "cache"
    path.write_bytes(b"old text")
    return path


def test_a_text_that_covers_the_old_one_goes_into_the_same_file(cache: Path) -> None:
    before = cache.stat().st_ino
    disk.renew(cache, b"new and longer")
    assert (b"new and longer", before) == (cache.read_bytes(), cache.stat().st_ino)


@pytest.mark.parametrize("data", [b"short", b"x" * (PAGE + 1)], ids=["shorter", "longer than a page"])
def test_a_text_that_a_kill_could_tear_goes_into_another_file(cache: Path, data: bytes) -> None:
    before = os.open(cache, os.O_RDONLY)
    disk.renew(cache, data)
    assert (data, b"old text") == (cache.read_bytes(), os.pread(before, PAGE, 0))
    os.close(before)


def test_a_file_with_another_name_keeps_its_text_there(cache: Path) -> None:
    other = cache.with_name("backup")
    os.link(cache, other)
    disk.renew(cache, b"new and longer")
    assert (b"new and longer", b"old text") == (cache.read_bytes(), other.read_bytes())


def test_what_a_link_leads_to_is_left_alone(cache: Path) -> None:
    link = cache.with_name("link")
    link.symlink_to(cache)
    disk.renew(link, b"new and longer")
    assert (b"new and longer", b"old text") == (link.read_bytes(), cache.read_bytes())


def test_a_planted_pipe_is_replaced_and_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "cache"
    os.mkfifo(path)
    disk.renew(path, b"new")
    assert b"new" == path.read_bytes()


def test_where_there_is_no_file_one_is_made(tmp_path: Path) -> None:
    disk.renew(tmp_path / "folder" / "cache", b"new")
    assert b"new" == (tmp_path / "folder" / "cache").read_bytes()


@pytest.mark.torture
def test_a_snapshot_torn_in_its_file_is_not_believed_and_is_made_again(tmp_path: Path) -> None:
    board = make_board(tmp_path)
    task = CreateTask("First").run(board, ANN).task
    change(board, task.id, Comment("before"), ANN)
    torn = 0

    def comment(acknowledge: Acknowledge) -> None:
        change(board, task.id, Comment("said"), ANN)
        acknowledge("comment")

    for _, outcome in sweep(comment, "torn write", lambda: None):
        _, events = board.store.history(task.id)
        assert (
            sum(event.type == "comment_added" for event in events) == reopened(board).store.task(task.id).comment_count
        )
        torn += not believed(board, task.id)
        change(board, task.id, Comment("after"), ANN)
        assert believed(board, task.id), outcome
    assert torn > 0


def test_a_snapshot_stands_as_the_standard_library_writes_it_its_mark_among_the_rest(tmp_path: Path) -> None:
    board = make_board(tmp_path)
    task = CreateTask("Müller", description='a\n  "priority": b', tags="a,b").run(board, ANN).task
    data = (board.folder / "tasks" / f"{task.id}.json").read_bytes()
    shape = json.loads(data)
    assert "log_mark" in shape
    assert f"{json.dumps(shape, sort_keys=True, indent=2)}\n".encode() == data
    assert believed(board, task.id)


def believed(board: Board, stream: str) -> bool:
    return snapshot.read(board.folder / "tasks" / f"{stream}.json") is not None


@pytest.mark.parametrize("size", [0, 1, (1 << 14) - 1, 1 << 14, (1 << 14) + 1, 100_000])
def test_a_file_of_any_size_is_read_to_its_end(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    (tmp_path / "file").write_bytes(data)
    assert data == disk.read(tmp_path / "file")
