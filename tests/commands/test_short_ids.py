"""Project codes, and names for tasks that have none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lattice.commands.archive import archive
from lattice.commands.board import Board, read_config
from lattice.commands.init import Init
from lattice.commands.short_ids import backfill, set_project_code, set_subproject_code
from lattice.commands.tasks import CreateTask
from lattice.errors import Conflict, ValidationError
from tests.commands.test_commands import contents
from tests.conftest import ANN, reopened


@pytest.fixture
def nameless(tmp_path: Path) -> Board:
    """A board without a project code."""
    Init(tmp_path, actor="human:ann").run()
    return Board(tmp_path, read_config(tmp_path))


def test_a_code_is_for_new_tasks(board: Board) -> None:
    CreateTask("a").run(board, ANN)
    assert set_project_code(board, "srv", force=True).changed
    assert set_subproject_code(reopened(board), "F", force=False).changed
    assert "SRV-F-1" == CreateTask("b").run(reopened(board), ANN).task.short_id
    assert "LAT-1" == reopened(board).store.task(board.resolve("LAT-1")).short_id


def test_settings_of_a_newer_version_are_kept(board: Board) -> None:
    path = board.folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"newer": {"x": [1]}}), encoding="utf-8")
    set_project_code(board, "SRV", force=True)
    settings = json.loads(path.read_text())
    assert ("SRV", {"x": [1]}) == (settings["project_code"], settings["newer"])


def test_a_code_is_not_replaced_by_accident(board: Board) -> None:
    before = contents(board)
    with pytest.raises(Conflict):
        set_project_code(board, "SRV", force=False)
    for text in ("", "TOOLONG", "A1", "../x", "ä"):
        with pytest.raises(ValidationError):
            set_project_code(board, text, force=True)
    assert not set_project_code(board, "lat", force=False).changed
    assert before == contents(board)


def test_a_second_part_needs_a_first(nameless: Board) -> None:
    with pytest.raises(ValidationError):
        set_subproject_code(nameless, "F", force=False)


def test_every_task_without_a_name_is_given_one(nameless: Board) -> None:
    tasks = [CreateTask(title).run(nameless, ANN).task for title in "abc"]
    archive(nameless, tasks[1].id, ANN)
    with pytest.raises(ValidationError):
        backfill(nameless, ANN, code=None, force=False)
    named = backfill(nameless, ANN, code="LAT", force=False)
    assert ["LAT-1", "LAT-2", "LAT-3"] == [task.short_id for task in named]
    board = reopened(nameless)
    assert [task.id for task in tasks] == [board.resolve(f"LAT-{number}") for number in (1, 2, 3)]
    assert board.store.task(tasks[1].id).archived
    assert [] == backfill(board, ANN, code=None, force=False)
    assert "LAT-4" == CreateTask("d").run(board, ANN).task.short_id
