"""Putting tasks away and bringing them back, at every crash point."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lattice.commands.archive import (
    archive,
    archive_each,
    is_stale,
    parse_refs,
    stale,
    unarchive,
    unarchive_each,
)
from lattice.commands.board import Board
from lattice.commands.plans import plan
from lattice.commands.tasks import Comment, CreateTask, change
from lattice.core.run_events import ProcessRequested
from lattice.core.task import Task
from lattice.errors import Archived, Conflict, InvalidId, LatticeError, NotFound, ValidationError
from tests.conftest import ANN, make_board, reopened
from tests.faults import KINDS, Acknowledge, Kind, sweep

FILES = (("events", "jsonl"), ("tasks", "json"), ("plans", "md"), ("notes", "md"))


def places(board: Board, task_id: str) -> dict[str, str]:
    """Where each of the task's files is: here, away, both or none."""
    found = {}
    for folder, ending in FILES:
        name = f"{folder}/{task_id}.{ending}"
        here, away = (board.folder / name).exists(), (board.folder / "archive" / name).exists()
        found[folder] = "both" if here and away else "here" if here else "away" if away else "none"
    return found


@pytest.fixture
def noted(board: Board, task: Task) -> Task:
    """LAT-1, with a note."""
    (board.folder / "notes" / f"{task.id}.md").write_text("a note\n", encoding="utf-8")
    return task


def test_all_that_belongs_to_a_task_goes_and_comes_back(board: Board, noted: Task) -> None:
    before = {folder: "here" for folder, _ in FILES}
    archive(board, "LAT-1", ANN)
    assert {folder: "away" for folder, _ in FILES} == places(board, noted.id)
    assert "# LAT-1: First\n" == plan(board, "LAT-1").text
    unarchive(board, "lat-1", ANN)
    assert before == places(reopened(board), noted.id)
    assert "# LAT-1: First\n" == plan(board, "LAT-1").text


def test_an_archived_task_is_refused_to_writers_with_the_way_back(board: Board, noted: Task) -> None:
    archive(board, "LAT-1", ANN)
    with pytest.raises(Archived) as refused:
        change(board, "LAT-1", Comment("x"), ANN)
    assert "lattice unarchive" in (refused.value.hint or "")
    with pytest.raises(Conflict):
        archive(board, "LAT-1", ANN)
    unarchive(board, "LAT-1", ANN)
    with pytest.raises(Conflict):
        unarchive(board, "LAT-1", ANN)


def test_a_task_with_an_open_run_stays(board: Board, task: Task) -> None:
    requested = ProcessRequested("run_x", "DiffCheck", "d", None, None, 1.0, "elsewhere", "2026-11-20T00:00:00Z")
    board.ledger.transact(task.id, lambda _: [requested], ANN)
    with pytest.raises(Conflict, match="run_x"):
        archive(board, "LAT-1", ANN)
    assert "here" == places(board, task.id)["events"]


def test_several_are_moved_each_by_itself(board: Board) -> None:
    tasks = [CreateTask(title).run(board, ANN).task for title in "abc"]
    moved = archive_each(board, ["LAT-1", tasks[0].id, "LAT-99", "nonsense", "LAT-3"], ANN)
    assert ["LAT-1", "LAT-3"] == [ref for ref, _, _ in moved.tasks]
    assert [("LAT-99", NotFound), ("nonsense", InvalidId)] == [(each.ref, type(each.error)) for each in moved.failed]
    back = unarchive_each(board, ["LAT-1", "LAT-2"], ANN)
    assert (["LAT-1"], ["LAT-2"]) == ([ref for ref, _, _ in back.tasks], [each.ref for each in back.failed])


def test_stale_is_what_was_done_before_yesterday(board: Board, task: Task) -> None:
    done = task.replace(status="done", done_at="2026-11-18T23:59:59Z")
    assert is_stale(done, "2026-11-19")
    assert not is_stale(done.replace(done_at="2026-11-19T00:00:00Z"), "2026-11-19")
    assert not is_stale(done.replace(status="review"), "2026-11-19")
    assert not is_stale(task, "2026-11-19")
    CreateTask("Done today", status="done").run(board, ANN)
    assert [] == stale(board)


def test_names_are_given_apart_or_with_commas() -> None:
    assert ["LAT-1", "LAT-2", "LAT-3"] == parse_refs(["LAT-1,LAT-2", ",", " LAT-3 ", "LAT-1"])


def test_a_file_in_the_archive_is_never_written_over(board: Board, noted: Task) -> None:
    away = board.folder / "archive" / "notes" / f"{noted.id}.md"
    away.write_text("older\n", encoding="utf-8")
    archive(board, "LAT-1", ANN)
    assert "older\n" == away.read_text(encoding="utf-8")
    assert "a note\n" == (board.folder / "notes" / f"{noted.id}.md").read_text(encoding="utf-8")


def test_a_plan_that_is_a_link_is_not_followed(board: Board, task: Task, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret", encoding="utf-8")
    path = board.folder / "plans" / f"{task.id}.md"
    path.unlink()
    with pytest.raises(NotFound):
        plan(board, "LAT-1")
    path.symlink_to(secret)
    with pytest.raises(ValidationError):
        plan(board, "LAT-1")


def test_a_log_left_behind_by_a_crash_is_put_away_by_the_next_listing(board: Board, noted: Task) -> None:
    archive(board, "LAT-1", ANN)
    log = f"events/{noted.id}.jsonl"
    (board.folder / "archive" / log).rename(board.folder / log)
    assert reopened(board).store.task(noted.id).archived
    assert [] == list(reopened(board).store.tasks())
    assert "away" == places(board, noted.id)["events"]


def test_a_log_left_behind_by_a_crash_is_put_away_by_the_next_writer(board: Board, noted: Task) -> None:
    archive(board, "LAT-1", ANN)
    log = f"events/{noted.id}.jsonl"
    (board.folder / "archive" / log).rename(board.folder / log)
    with pytest.raises(Archived):
        change(reopened(board), "LAT-1", Comment("x"), ANN)
    assert {folder: "away" for folder, _ in FILES} == places(board, noted.id)


@pytest.mark.torture
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("back", [False, True], ids=["archive", "unarchive"])
def test_a_fault_at_any_call_leaves_the_task_whole_on_one_side(tmp_path: Path, kind: Kind, back: bool) -> None:
    pristine, root = tmp_path / "pristine", tmp_path / "board"
    model = make_board(pristine)
    task = CreateTask("First").run(model, ANN).task
    (model.folder / "notes" / f"{task.id}.md").write_text("a note\n", encoding="utf-8")
    if back:
        archive(model, "LAT-1", ANN)

    def renew() -> None:
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(pristine, root)

    def act(acknowledge: Acknowledge) -> None:
        (unarchive if back else archive)(Board(root, model.config), task.id, ANN)
        acknowledge("moved")

    met = 0
    for k, outcome in sweep(act, kind, renew):
        met += 1
        where = f"call {k}, {outcome}"
        assert not outcome.crash, where
        board = reopened(Board(root, model.config))
        archived = board.store.task(task.id).archived
        if outcome.acknowledged:
            assert archived is not back, where
        if outcome.refused == ("STORAGE_ERROR",):
            assert archived is back, where
        list(board.store.tasks())  # what a listing mends
        side = "away" if archived else "here"
        found = places(board, task.id)
        assert (side, side, side) == tuple(found[folder] for folder in ("events", "plans", "notes")), where
        assert [task.id] == [each.id for each in board.store.tasks(archived=archived)], where
        assert [] == list(board.store.tasks(archived=not archived)), where
        assert task.id == board.resolve("LAT-1"), where
        assert "# LAT-1: First\n" == plan(board, "LAT-1").text, where
        goes_on(board, archived=archived)
    assert met > 8


def goes_on(board: Board, *, archived: bool) -> None:
    """The way back is open, and its end is as it should be."""
    try:
        (unarchive if archived else archive)(board, "LAT-1", ANN)
    except LatticeError as refused:
        pytest.fail(f"the next command was refused: {refused.message}")
    assert board.store.task(board.resolve("LAT-1")).archived is not archived
