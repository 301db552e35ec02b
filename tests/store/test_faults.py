"""Every storage call of three acts, failed or fatal: the acknowledged is there, the rest is whole or absent."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lattice.commands.board import Board
from lattice.commands.tasks import Comment, CreateTask, Update, change
from lattice.core.events import CommentAdded, TaskCreated
from lattice.store.files import disk
from tests.conftest import ANN, make_board, reopened
from tests.faults import KINDS, Acknowledge, Kind, Outcome, run_with_fault, sweep


@pytest.fixture
def pristine(tmp_path: Path) -> Path:
    """A board with one task and a torn tail to be set aside, which is itself a thing that may fail."""
    board = make_board(tmp_path / "pristine")
    task = CreateTask("First").run(board, ANN).task
    change(board, task.id, Comment("kept"), ANN)
    with (board.folder / "events" / f"{task.id}.jsonl").open("ab") as log:
        log.write(b'{"actor":"human:ann","crc":"12')
    return tmp_path / "pristine"


@pytest.mark.torture
@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_at_any_call_loses_nothing_and_halves_nothing(pristine: Path, kind: Kind) -> None:
    root = pristine.with_name("board")

    def renew() -> None:
        shutil.rmtree(root, ignore_errors=True)
        shutil.copytree(pristine, root)

    renew()
    board = reopened(Board(root, make_board(pristine).config))
    stream = board.resolve("LAT-1")

    def acts(acknowledge: Acknowledge) -> None:
        change(board, stream, Update(("title=Changed", "priority=high")), ANN)
        acknowledge("update")
        change(board, stream, Comment("said"), ANN)
        acknowledge("comment")
        CreateTask("Second").run(board, ANN)
        acknowledge("create")

    met = 0
    for k, outcome in sweep(acts, kind, renew):
        met += 1
        assert not outcome.crash, f"call {k}: {outcome.crash}"
        check(reopened(board), stream, outcome, f"call {k}, {outcome}")
    assert met > 25


def check(board: Board, stream: str, outcome: Outcome, where: str) -> None:
    task, events = board.store.history(stream)
    assert task == board.store.task(stream), where
    assert task.title in {"First", "Changed"}, where
    assert (task.title == "Changed") == (task.priority == "high"), where
    said = [event.body.body for event in events if isinstance(event.body, CommentAdded)]
    assert said in (["kept"], ["kept", "said"]), where
    titles = sorted(other.title for other in board.store.tasks())
    happened = {"update": task.title == "Changed", "comment": "said" in said, "create": "Second" in titles}
    assert all(happened[act] for act in outcome.acknowledged), where
    assert outcome.killed or outcome.refused or 3 == len(outcome.acknowledged), where
    if outcome.refused == ("STORAGE_ERROR",):
        order = ("update", "comment", "create")
        assert not any(happened[act] for act in order[len(outcome.acknowledged) :]), where
    goes_on(board, stream, len(events), where)


def goes_on(board: Board, stream: str, events_before: int, where: str) -> None:
    change(board, stream, Comment("next"), ANN)
    assert events_before + 1 == len(board.store.history(stream)[1]), where
    CreateTask("Next").run(board, ANN)
    fresh = reopened(board)
    tasks = list(fresh.store.tasks())
    names = [task.short_id for task in tasks]
    assert len(set(names)) == len(names), where
    assert [task.id for task in tasks] == [fresh.resolve(name or "") for name in names], where
    for task in tasks:
        assert isinstance(fresh.store.history(task.id)[1][0].body, TaskCreated), where


def test_the_harness_catches_an_acknowledgement_before_the_write(tmp_path: Path) -> None:
    path = tmp_path / "file"

    def careless(acknowledge: Acknowledge) -> None:
        acknowledge("kept")
        disk.replace(path, b"kept")

    outcome = run_with_fault(careless, 1, "kill before")
    assert (True, ("kept",), False) == (outcome.killed, outcome.acknowledged, path.exists())


def test_the_harness_tells_a_bug_from_a_refusal(tmp_path: Path) -> None:
    def broken(acknowledge: Acknowledge) -> None:
        raise KeyError("bug")

    outcome = run_with_fault(broken, 0, "eio")
    assert "KeyError" in outcome.crash
    assert () == outcome.refused


@pytest.mark.parametrize("kind", ["short write", "enospc", "eio"])
def test_a_refused_write_leaves_the_bytes_of_the_log_as_they_were(tmp_path: Path, kind: Kind) -> None:
    board = make_board(tmp_path)
    task = CreateTask("First").run(board, ANN).task
    log = board.folder / "events" / f"{task.id}.jsonl"
    before = log.read_bytes()

    def comment(acknowledge: Acknowledge) -> None:
        change(board, task.id, Comment("x" * 300), ANN)
        acknowledge("comment")

    refused = 0
    for k in range(1, 20):
        outcome = run_with_fault(comment, k, kind)
        if outcome.refused:
            refused += 1
            assert (("STORAGE_ERROR",), before) == (outcome.refused, log.read_bytes()), f"call {k}"
        before = log.read_bytes()
    assert refused
