"""The earlier tool's boards open here, and it opens ours; both may write the same task."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lattice.commands.artifacts import Attach
from lattice.commands.board import Board, read_config
from lattice.commands.detail import show
from lattice.commands.tasks import Assign, ChangeStatus, Comment, CreateTask, RecordEvent, Update, change
from lattice.core.task import to_snapshot
from tests.commands.earlier import EarlierTool, install
from tests.conftest import ANN, make_board, reopened

pytestmark = [pytest.mark.peer, pytest.mark.slow]

OURS = {"active_processes"}
"""What the earlier tool does not know."""


@pytest.fixture(scope="session")
def command(pytestconfig: pytest.Config) -> Path:
    assert pytestconfig.cache is not None
    return install(pytestconfig.cache.mkdir("earlier-tool"))


def shared_fields(snapshot: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in snapshot.items() if key not in OURS and key != "log_mark"}


def test_a_board_that_it_wrote_opens_here_with_the_same_snapshots(command: Path, tmp_path: Path) -> None:
    earlier = EarlierTool(command, tmp_path)
    earlier.run("init", "--path", ".", "--project-code", "LAT", "--no-setup-claude", actor="human:ann")
    earlier.run("create", "First", "--description", "d", "--tags", "a,b", "--priority", "high", "--type", "bug")
    earlier.run("create", "Second")
    (tmp_path / "n.md").write_text("note", encoding="utf-8")
    for words in (
        ("status", "LAT-1", "in_planning"), ("comment", "LAT-1", "hello ☃", "--role", "review"),
        ("assign", "LAT-1", "agent:bot"), ("update", "LAT-1", "title=New", "custom_fields.x=1", "tags=q"),
        ("attach", "LAT-1", "n.md", "--role", "review"), ("event", "LAT-1", "x_deployed", "--data", '{"a": 1}'),
        ("link", "LAT-1", "blocks", "LAT-2"), ("branch-link", "LAT-1", "feature"),
        ("status", "LAT-1", "planned"), ("status", "LAT-1", "backlog", "--force", "--reason", "later"),
    ):  # fmt: skip
        earlier.run(*words)
    board = Board(tmp_path, read_config(tmp_path))
    for ref in ("LAT-1", "LAT-2"):
        detail = show(board, ref)
        written = json.loads((board.folder / "tasks" / f"{detail.task.id}.json").read_bytes())
        assert shared_fields(written) == shared_fields(json.loads(json.dumps(to_snapshot(detail.task))))
        assert detail.task == board.store.task(detail.task.id)
    assert ["n.md"] == [artifact["title"] for artifact in show(board, "LAT-1").artifacts]
    assert "LAT-3" == CreateTask("Third").run(board, ANN).task.short_id


def test_our_board_opens_there_without_an_issue(command: Path, tmp_path: Path) -> None:
    board = make_board(tmp_path)
    everything(board, tmp_path)
    earlier = EarlierTool(command, tmp_path)
    report = earlier.ask("doctor")
    assert [] == [finding for finding in report["findings"] if finding.get("level") in ("error", "warning")], report
    ours = {task.id: to_snapshot(task) for task in board.store.tasks()}
    for theirs in earlier.ask("list"):
        mine = json.loads(json.dumps(ours[theirs["id"]]))
        same = set(theirs) & set(mine)
        assert {"id", "short_id", "title", "status", "priority", "tags", "comment_count", "reopened_count"} <= same
        assert {key: mine[key] for key in same} == {key: theirs[key] for key in same}
    detail = earlier.ask("show", "LAT-1")
    assert [event.id for event in show(board, "LAT-1").events] == [event["id"] for event in detail["events"]]


def everything(board: Board, folder: Path) -> None:
    """One of each thing that can be asked of a task."""
    CreateTask("First", description="d", tags="a,b").run(board, ANN)
    CreateTask("Second").run(board, ANN)
    (folder / "n.md").write_text("note", encoding="utf-8")
    for request in (
        ChangeStatus("planned"), Comment("hello ☃", role="review"), Assign("agent:bot"),
        Update(("title=New", "custom_fields.x=1", "tags=q")), RecordEvent("x_deployed", '{"a": 1}'),
        ChangeStatus("backlog", force=True, reason="later"),
    ):  # fmt: skip
        change(board, "LAT-1", request, ANN)
    Attach(source=str(folder / "n.md"), role="review").run(board, "LAT-1", ANN)


def test_both_write_the_same_task_in_turn_and_nothing_is_lost(command: Path, tmp_path: Path) -> None:
    board = make_board(tmp_path)
    CreateTask("First").run(board, ANN)
    earlier = EarlierTool(command, tmp_path)
    for turn in range(3):
        earlier.run("comment", "LAT-1", f"theirs {turn}")
        change(reopened(board), "LAT-1", Comment(f"ours {turn}"), ANN)
    earlier.run("update", "LAT-1", "title=Theirs")
    earlier.run("create", "By them")
    assert "LAT-3" == CreateTask("By us").run(reopened(board), ANN).task.short_id
    task, events = reopened(board).store.history(board.resolve("LAT-1"))
    assert ("Theirs", 6) == (task.title, task.comment_count)
    assert task == reopened(board).store.task(task.id)
    expected = [f"{who} {turn}" for turn in range(3) for who in ("theirs", "ours")]
    assert expected == [event.body.fields()["body"] for event in events if event.type == "comment_added"]
    assert 6 == earlier.ask("show", "LAT-1")["comment_count"]
    assert {"LAT-1", "LAT-2", "LAT-3"} == {task["short_id"] for task in earlier.ask("list")}
