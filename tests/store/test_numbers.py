"""Short ids: distinct under any race, and right whatever becomes of their cache."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lattice.commands.board import Board
from lattice.commands.tasks import CreateTask
from tests.conftest import ANN, reopened
from tests.faults import Acknowledge, run_with_fault
from tests.races import race


def test_eight_processes_get_eighty_numbers(board: Board) -> None:
    def create(number: int) -> None:
        mine = reopened(board)
        for _ in range(10):
            CreateTask(f"by {number}").run(mine, ANN)

    race(create, 8)
    tasks = list(board.store.tasks())
    assert {f"LAT-{number}" for number in range(1, 81)} == {task.short_id for task in tasks}
    assert all(task.id == board.resolve(task.short_id or "") for task in tasks)


def _deleted(ids: Path) -> None:
    ids.unlink()


def _empty(ids: Path) -> None:
    ids.write_bytes(b"")


def _nested(ids: Path) -> None:
    ids.write_bytes(b'{"map":' + b"[" * 100_000)


def _swapped(ids: Path) -> None:
    text = ids.read_text(encoding="ascii")
    ids.write_text(text.replace('"LAT-1"', '"LAT-9"').replace('"LAT-2"', '"LAT-1"'), encoding="ascii")


def _earlier_tool(ids: Path) -> None:
    shape = json.loads(ids.read_bytes())
    del shape["mark"]
    shape["map"]["LAT-1"] = shape["map"]["LAT-2"]
    ids.write_text(json.dumps(shape), encoding="ascii")


def _not_an_object(ids: Path) -> None:
    ids.write_bytes(b"[1, 2]")


def _hostile(ids: Path) -> None:
    ids.write_bytes(b'{"map": {"LAT-1": "../../etc"}, "next_seqs": {"LAT": true, "API": -1, "X": 1e9}}')


def _a_folder(ids: Path) -> None:
    ids.unlink()
    ids.mkdir()


@pytest.mark.parametrize(
    "damage", [_deleted, _empty, _nested, _swapped, _earlier_tool, _not_an_object, _hostile, _a_folder]
)
def test_the_cache_may_be_lost_or_lie(board: Board, damage: Callable[[Path], None]) -> None:
    made = [CreateTask(title).run(board, ANN).task for title in ("First", "Second")]
    damage(board.folder / "ids.json")
    fresh = reopened(board)
    assert [task.id for task in made] == [fresh.resolve("LAT-1"), fresh.resolve("lat-2")]
    assert "LAT-3" == CreateTask("Third").run(fresh, ANN).task.short_id


def test_a_byte_of_the_cache_flipped_anywhere_changes_no_answer(board: Board) -> None:
    made = [CreateTask(title).run(board, ANN).task.id for title in ("First", "Second")]
    ids = board.folder / "ids.json"
    right = ids.read_bytes()
    for at in range(len(right)):
        bad = bytearray(right)
        bad[at] ^= 1
        ids.write_bytes(bad)
        assert [*made, None] == [board.store.resolve(f"LAT-{number}") for number in (1, 2, 3)], at


def test_an_earlier_tools_cache_remembers_the_numbers_of_deleted_tasks(board: Board) -> None:
    CreateTask("First").run(board, ANN)
    shape = {"schema_version": 2, "next_seqs": {"LAT": 7}, "map": {}}
    (board.folder / "ids.json").write_text(json.dumps(shape), encoding="ascii")
    assert "LAT-7" == CreateTask("Next").run(reopened(board), ANN).task.short_id


def test_a_create_killed_before_it_notes_its_number_keeps_it(board: Board) -> None:
    """Within one tick of the kernel's clock the folder's time would not tell that a log was begun."""
    first = CreateTask("First").run(board, ANN).task

    def create(acknowledge: Acknowledge) -> None:
        CreateTask("Second").run(reopened(board), ANN)

    folder = os.stat(board.folder / "events")
    for k in range(1, 60):
        ids = (board.folder / "ids.json").read_bytes()
        outcome = run_with_fault(create, k, "kill before")
        (board.folder / "ids.json").write_bytes(ids)
        if not outcome.killed:
            break
        names = [task.short_id for task in board.store.tasks()]
        following = CreateTask("Next").run(reopened(board), ANN).task
        assert following.short_id not in names
        assert first.id == board.resolve("LAT-1")
    else:
        raise AssertionError("the create never came to its end")
    assert os.stat(board.folder / "events").st_mtime_ns != folder.st_mtime_ns


def test_a_log_begun_within_the_same_tick_of_the_clock_is_seen(board: Board) -> None:
    folder = board.folder / "events"
    for number in range(50):
        CreateTask("x").run(board, ANN)
        marked = os.stat(folder).st_mtime_ns
        (folder / f"other{number}").touch()
        assert marked != os.stat(folder).st_mtime_ns
