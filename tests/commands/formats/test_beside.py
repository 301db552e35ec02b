"""Resources, sessions and what is newer in an event go through our export and come back as they were."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lattice.commands import exports, resources, sessions
from lattice.commands.board import Board
from lattice.commands.doctor import examine
from lattice.commands.imports import Import, Report
from lattice.commands.resources import Acquire, CreateResource
from lattice.commands.sessions import StartSession
from lattice.commands.tasks import CreateTask
from lattice.errors import NotFound, ValidationError
from lattice.ledger import Signature
from tests.conftest import ANN, make_board, reopened


@pytest.fixture
def full(board: Board) -> Board:
    """A board with resources, sessions of both kinds, and events that say more than this version knows."""
    task = CreateTask("First").run(board, ANN).task
    for name in ("Vega", "Vega", "Altair"):
        StartSession("m", name, "f", prompt="review").run(board)
    sessions.end(board, "Vega-1", "done")
    by = Signature(sessions.identity(board, "Vega-2"))
    CreateResource("gpu", "The big one", 2, 60).run(board, ANN)
    Acquire(task=task.id).run(board, "gpu", by)
    Acquire().run(board, "gpu", ANN)
    resources.release(board, "gpu", ANN)
    CreateResource("idle").run(board, ANN)
    newer = {
        "id": "ev_7ZZZZZZZZZZZZZZZZZZZZZZZZZ", "ts": "2026-01-01T00:00:00Z", "type": "comment_added",
        "schema_version": 2, "actor": "human:ann", "task_id": task.id, "trace": {"span": [1, None]}, "provenance": {},
        "data": {"body": "hello", "role": None, "mood": "fine"},
    }  # fmt: skip
    newer["id"] = f"ev_{board.ledger.new_id('ev')[3:]}"
    with (board.folder / "events" / f"{task.id}.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps(newer, sort_keys=True, separators=(",", ":")) + "\n")
    return reopened(board)


def export(board: Board, path: Path) -> Path:
    path.write_text(exports.WRITERS["json"](board, None).text, encoding="utf-8")
    return path


def take(board: Board, path: Path, **options: bool) -> Report:
    return Import("json", path, **options).run(board, ANN)


def truth(board: Board) -> dict[str, bytes]:
    """What of resources and sessions is on the disk."""
    paths = [
        *(board.folder / "events").glob("res_*"), *(board.folder / "resources").rglob("*.json"),
        *(board.folder / "sessions").rglob("*.json"),
    ]  # fmt: skip
    return {str(path.relative_to(board.folder)): path.read_bytes() for path in paths}


def tree(board: Board) -> dict[str, bytes]:
    paths = (path for path in board.folder.rglob("*") if path.is_file() and "locks" not in path.parts)
    return {str(path): path.read_bytes() for path in paths if not path.name.startswith("index.sqlite")}


def shapes(board: Board) -> list[dict[str, Any]]:
    """What the events say, but for the chain that every log has of its own."""
    lines = [
        line for path in sorted((board.folder / "events").glob("task_*")) for line in path.read_bytes().splitlines()
    ]
    return [{k: v for k, v in json.loads(line).items() if k not in {"prev", "crc"}} for line in lines]


def test_all_of_it_comes_back_as_the_same_bytes_and_a_second_import_changes_nothing(
    full: Board, tmp_path: Path
) -> None:
    path, other = export(full, tmp_path / "b.json"), make_board(tmp_path / "other")
    report = take(other, path)
    kinds = [(found.kind, found.name, found.outcome) for found in report.beside]
    assert [
        ("resource", "gpu", "created"), ("resource", "idle", "created"), ("session", "Altair-1", "created"),
        ("session", "Vega-2", "created"), ("session", "Vega-1", "created"),
    ] == kinds  # fmt: skip
    assert truth(full) == truth(other)
    assert [] == list(examine(reopened(other)).findings)
    before = tree(other)
    assert {"unchanged"} == {found.outcome for found in take(reopened(other), path).beside}
    assert before == tree(other)
    assert json.loads(path.read_text())["resources"] == json.loads(export(other, path).read_text())["resources"]


def test_what_this_version_does_not_know_of_an_event_survives(full: Board, tmp_path: Path) -> None:
    other = make_board(tmp_path / "other")
    report = take(other, export(full, tmp_path / "b.json"))
    assert {} == dict(report.account.dropped)
    assert shapes(full) == shapes(other)
    assert {"span": [1, None]} == shapes(other)[-1]["trace"]
    again = make_board(tmp_path / "again")
    take(again, export(other, tmp_path / "c.json"))
    assert shapes(full) == shapes(again)


def test_it_survives_a_new_short_id_too(full: Board, tmp_path: Path) -> None:
    other = make_board(tmp_path / "other")
    CreateTask("Here").run(other, ANN)
    take(other, export(full, tmp_path / "b.json"))
    (task,) = [task for task in other.store.tasks() if task.title == "First"]
    assert "LAT-2" == task.short_id
    assert [("fine", "hello")] == [
        (shape["data"]["mood"], shape["data"]["body"]) for shape in shapes(other) if "trace" in shape
    ]


def test_a_dry_run_foresees_and_writes_nothing(full: Board, tmp_path: Path) -> None:
    path, other = export(full, tmp_path / "b.json"), make_board(tmp_path / "other")
    before = tree(other)
    foreseen = take(other, path, dry_run=True).beside
    assert before == tree(other)
    assert foreseen == take(other, path).beside
    assert {"unchanged"} == {found.outcome for found in take(other, path, dry_run=True).beside}


def test_what_went_on_at_the_source_is_taken_and_what_went_on_here_stays(full: Board, tmp_path: Path) -> None:
    path, other = export(full, tmp_path / "b.json"), make_board(tmp_path / "other")
    take(other, path)
    sessions.end(full, "Vega-2", None)
    Acquire().run(full, "idle", ANN)
    outcomes = {found.name: found.outcome for found in take(other, export(full, path)).beside}
    assert {
        "gpu": "unchanged", "idle": "extended", "Altair-1": "unchanged", "Vega-1": "unchanged", "Vega-2": "extended",
    } == outcomes  # fmt: skip
    assert truth(full) == truth(other)
    with pytest.raises(NotFound):
        sessions.find(other, "Vega-2")
    resources.release(full, "idle", ANN)
    resources.release(other, "idle", ANN)
    before = truth(other)
    report = take(other, export(full, path))
    assert [("idle", "diverged")] == [(found.name, found.outcome) for found in report.beside if found.name == "idle"]
    assert (before, 1) == (truth(other), len(report.account.skipped))


def test_names_that_are_taken_here_stay_here(full: Board, tmp_path: Path) -> None:
    path, other = export(full, tmp_path / "b.json"), make_board(tmp_path / "other")
    StartSession("m", "Altair", "f").run(other)
    CreateResource("gpu").run(other, ANN)
    mine = truth(other)
    report = take(other, path)
    diverged = {found.name for found in report.beside if found.outcome == "diverged"}
    assert ({"Altair-1", "gpu"}, 2) == (diverged, len(report.account.skipped))
    after = truth(other)
    assert [] == [name for name, data in mine.items() if after[name] != data and not name.endswith("index.json")]
    assert "Vega-3" == StartSession("m", "Vega", "f").run(other)["name"]


@pytest.mark.parametrize(("key", "value"), [
    ("resources", 1), ("resources", [1]), ("resources", [{"events": []}]), ("resources", [{"events": [{}]}]),
    ("sessions", {}), ("sessions", [1]), ("sessions", [{"name": "../x-1"}]),
    ("sessions", [{"name": "../x-1", "base_name": "../x", "serial": 1, "model": "m",
                   "session": "sess_01JD0000000000000000000000"}]),
])  # fmt: skip
def test_what_cannot_be_is_refused_and_leaves_no_trace(full: Board, tmp_path: Path, key: str, value: object) -> None:
    path, other = export(full, tmp_path / "b.json"), make_board(tmp_path / "other")
    path.write_text(json.dumps(json.loads(path.read_text("utf-8")) | {key: value}), encoding="utf-8")
    before = tree(other)
    with pytest.raises(ValidationError, match=key):
        take(other, path)
    assert before == tree(other)


def test_an_export_without_them_is_read_as_before(full: Board, tmp_path: Path) -> None:
    path, other = export(full, tmp_path / "b.json"), make_board(tmp_path / "other")
    shape = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({k: v for k, v in shape.items() if k not in {"resources", "sessions"}}), "utf-8")
    assert () == take(other, path).beside
