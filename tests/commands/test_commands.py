"""What one may ask of a board, through the functions that every face calls."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lattice.commands.artifacts import Attach
from lattice.commands.board import Board, find_root, open_board
from lattice.commands.detail import show
from lattice.commands.init import Init
from lattice.commands.queries import Listing
from lattice.commands.tasks import (
    Assign,
    ChangeStatus,
    Comment,
    CreateTask,
    RecordEvent,
    TaskRequest,
    Update,
    change,
)
from lattice.core.query_language import parse_query
from lattice.core.task import Task
from lattice.errors import (
    ConfigError,
    Conflict,
    InvalidActor,
    InvalidId,
    InvalidRole,
    InvalidTransition,
    LatticeError,
    NotFound,
    NotInitialized,
    ValidationError,
)
from tests.conftest import ANN, reopened
from tests.faults import KINDS, Acknowledge, Kind, run_with_fault


def contents(board: Board) -> dict[str, bytes]:
    """Every file of the board but for the locks, which come and stay."""
    files = (path for path in board.folder.rglob("*") if path.is_file() and "locks" not in path.parts)
    return {str(path.relative_to(board.folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (ChangeStatus("done"), InvalidTransition),
        (ChangeStatus("nowhere"), ValidationError),
        (ChangeStatus("done", force=True), ValidationError),
        (Assign("nobody"), InvalidActor),
        (Comment(" \n"), ValidationError),
        (Comment("a\0b"), ValidationError),
        (Comment("x", role="jester"), InvalidRole),
        (Update(()), ValidationError),
        (Update(("title",)), ValidationError),
        (Update(("title=Fine", "status=done")), ValidationError),
        (Update(("title=Fine", "priority=highest")), ValidationError),
        (Update(("titel=x",)), ValidationError),
        (Update(("title=a\nb",)), ValidationError),
        (RecordEvent("status_changed"), ValidationError),
        (RecordEvent("x_a", "[1]"), ValidationError),
        (RecordEvent("x_a", '{"a":NaN}'), ValidationError),
        (RecordEvent("x_a", '{"a":1,"a":2}'), ValidationError),
        (RecordEvent("x_" + "a" * 200), ValidationError),
    ],
    ids=repr,
)
def test_a_request_that_is_refused_leaves_the_board_as_it_was(
    board: Board, task: Task, request_: TaskRequest, error: type[LatticeError]
) -> None:
    before = contents(board)
    with pytest.raises(error):
        change(board, "LAT-1", request_, ANN)
    assert before == contents(board)


@pytest.mark.parametrize(
    "fields",
    [
        {"title": ""}, {"title": "x" * 1001}, {"title": "a\x1b[0m"}, {"title": "x", "type": "epic"},
        {"title": "x", "status": "begun"}, {"title": "x", "assigned_to": "ann"}, {"title": "x", "id": "task_1"},
        {"title": "x", "tags": ",".join(map(str, range(101)))}, {"title": "x", "description": "\ud800"},
    ],
    ids=lambda fields: repr(fields)[:40],
)  # fmt: skip
def test_a_task_that_is_refused_leaves_no_trace(board: Board, fields: dict[str, Any]) -> None:
    before = contents(board)
    with pytest.raises(LatticeError):
        CreateTask(**fields).run(board, ANN)
    assert before == contents(board)
    assert "LAT-1" == CreateTask("Fine").run(board, ANN).task.short_id


def test_a_change_to_what_is_there_already_writes_nothing(board: Board, task: Task) -> None:
    change(board, "LAT-1", Update(("tags=a,b",)), ANN)
    before = contents(board)
    for request in (ChangeStatus("backlog"), Assign("none"), Update(("title=First", "tags=a, b,a"))):
        assert () == change(board, "LAT-1", request, ANN).events
    assert before == contents(board)


def test_a_listing_holds_what_fits(board: Board) -> None:
    for title, priority, tags in (("a", "high", "x"), ("b", "low", "x,y"), ("c", "high", None)):
        CreateTask(title, priority=priority, tags=tags).run(board, ANN)
    change(board, "LAT-2", Assign("agent:bot"), ANN)
    asked = (
        ("abc", ""), ("ac", "priority:high"), ("ab", "tag:x"), ("b", "assigned:agent:bot"),
        ("a", "tag:x priority:high"), ("", "status:done"),
    )  # fmt: skip
    for expected, text in asked:
        assert expected == "".join(row.title for row in Listing(parse_query(text)).run(board))
    assert "cb" == "".join(row.title for row in Listing(sort="title:desc", limit=2).run(board))


@pytest.mark.parametrize("ref", ["", "LAT", "LAT-1\n", "../LAT-1", "task_", "LAT-1/../x", "\0"])
def test_what_is_not_a_reference_is_refused(board: Board, task: Task, ref: str) -> None:
    with pytest.raises(InvalidId):
        show(board, ref)


def test_a_file_is_attached_once_and_kept(board: Board, task: Task, tmp_path: Path) -> None:
    (tmp_path / "notes.MD").write_bytes(b"hello")
    artifact_id = board.ledger.new_id("art")
    attach = Attach(source=str(tmp_path / "notes.MD"), role="review", id=artifact_id)
    once, again = attach.run(board, "LAT-1", ANN), attach.run(reopened(board), "LAT-1", ANN)
    assert (False, True) == (once.repeated, again.repeated)
    assert once.task == again.task
    assert b"hello" == (board.folder / "artifacts" / "payload" / f"{artifact_id}.md").read_bytes()
    assert [("notes.MD", "review", 5)] == [
        (artifact["title"], artifact["role"], artifact["payload"]["size_bytes"])
        for artifact in show(board, "LAT-1").artifacts
    ]
    with pytest.raises(Conflict):
        Attach(inline="other", id=artifact_id).run(board, "LAT-1", ANN)


@pytest.mark.parametrize(
    ("attach", "error"),
    [
        (Attach(), ValidationError),
        (Attach(source="x", inline="y"), ValidationError),
        (Attach(source="nowhere.txt"), NotFound),
        (Attach(source="/dev/zero"), ValidationError),
        (Attach(source="/"), ValidationError),
        (Attach(inline="x", role="jester"), InvalidRole),
        (Attach(inline="x", type="poem"), ValidationError),
        (Attach(inline="x", id="../x"), InvalidId),
    ],
    ids=repr,
)
def test_an_attachment_that_is_refused_leaves_the_board_as_it_was(
    board: Board, task: Task, attach: Attach, error: type[LatticeError]
) -> None:
    before = contents(board)
    with pytest.raises(error):
        attach.run(board, "LAT-1", ANN)
    assert before == contents(board)


@pytest.mark.torture
@pytest.mark.parametrize("kind", KINDS)
def test_an_attachment_that_met_a_fault_is_whole_or_unsaid(board: Board, task: Task, kind: Kind) -> None:
    def attach(acknowledge: Acknowledge) -> None:
        acknowledge(str(Attach(inline="kept").run(reopened(board), "LAT-1", ANN).meta["id"]))

    for k in range(1, run_with_fault(attach, 0, kind).calls + 1):
        outcome = run_with_fault(attach, k, kind)
        assert not outcome.crash, f"call {k}: {outcome.crash}"
        attached = {artifact["id"]: artifact for artifact in show(reopened(board), "LAT-1").artifacts}
        assert set(outcome.acknowledged) <= set(attached)
        for artifact in attached.values():
            payload = board.folder / "artifacts" / "payload" / artifact["payload"]["file"]
            assert b"kept" == payload.read_bytes(), f"call {k}: {outcome}"


def test_a_second_init_changes_nothing(board: Board) -> None:
    before = contents(board)
    config, made = Init(board.root, actor="human:bob", project_code="NEW").run()
    assert (False, "LAT", "human:ann") == (made, config.project_code, config.default_actor)
    assert before == contents(board)


def test_a_half_made_board_is_finished_by_init(tmp_path: Path) -> None:
    (tmp_path / ".lattice" / "tasks").mkdir(parents=True)
    with pytest.raises(NotInitialized):
        open_board(tmp_path, {})
    assert Init(tmp_path, project_code="LAT").run()[1]
    assert "LAT-1" == CreateTask("x").run(open_board(tmp_path, {}), ANN).task.short_id


def test_the_board_is_found_upwards_or_where_it_is_named(
    board: Board, tmp_path_factory: pytest.TempPathFactory
) -> None:
    deep = board.root / "a" / "b"
    deep.mkdir(parents=True)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    assert str(board.root) == find_root(deep, {}) == find_root(elsewhere, {"LATTICE_ROOT": str(board.root)})
    for start, environ in ((elsewhere, {}), (board.root, {"LATTICE_ROOT": str(elsewhere)})):
        with pytest.raises(NotInitialized):
            find_root(start, environ)


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b'{"a":1,"a":2}', b"\xff", b'{"workflow":1}'])
def test_settings_that_cannot_be_read_are_named(board: Board, data: bytes) -> None:
    (board.folder / "config.json").write_bytes(data)
    with pytest.raises(ConfigError):
        open_board(board.root, {})
