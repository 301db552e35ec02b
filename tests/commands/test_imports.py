"""An import takes a source over whole, once, and says what did not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lattice.commands import exports
from lattice.commands.archive import archive
from lattice.commands.artifacts import Attach
from lattice.commands.board import Board
from lattice.commands.imports import Import, Report, verify
from lattice.commands.tasks import ChangeStatus, Comment, CreateTask, Update, change
from lattice.core.task import to_snapshot
from lattice.errors import NotFound, ValidationError
from tests.conftest import ANN, make_board, reopened

BUG = {
    "id": "bd-1", "title": "Bug", "status": "closed", "created_at": "2026-01-01T00:00:00Z", "labels": ["a,b"],
    "closed_at": "2026-01-02T00:00:00Z",
    "comments": [{"author": "al", "text": "hi", "created_at": "2026-01-01T09:00:00Z"}],
}  # fmt: skip
CHILD = {
    "id": "bd-2", "title": "Child", "created_at": "2026-01-03T00:00:00Z",
    "dependencies": [{"issue_id": "bd-2", "depends_on_id": "bd-1", "type": "parent-child"}],
}  # fmt: skip


def write(path: Path, *records: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def take(board: Board, source_format: str, path: Path, **options: bool) -> Report:
    return Import(source_format, path, **options).run(board, ANN, lambda *_: None)


def logs(board: Board) -> dict[str, bytes]:
    """Every log, archived ones too."""
    return {path.name: path.read_bytes() for path in board.folder.rglob("events/task_*.jsonl")}


def snapshots(board: Board) -> list[dict[str, Any]]:
    return [to_snapshot(task) for archived in (False, True) for task in board.store.tasks(archived=archived)]


def test_times_authors_and_links_are_those_of_the_source(board: Board, tmp_path: Path) -> None:
    take(board, "beads", write(tmp_path / "i.jsonl", BUG, CHILD))
    bug, child = board.store.tasks()
    assert ("LAT-1", "done", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z") == (
        bug.short_id, bug.status, bug.created_at, bug.done_at,
    )  # fmt: skip
    assert [("subtask_of", bug.id)] == [(edge.type, edge.target_task_id) for edge in child.relationships_out]
    assert {"source": "beads:bd-1"} == bug.custom_fields
    said = next(event for event in board.store.history(bug.id)[1] if event.type == "comment_added")
    assert ("human:al", "2026-01-01T09:00:00Z") == (said.actor, said.ts)
    assert {
        "imported_from": "beads:bd-1", "on_behalf_of": "human:ann", "reason": "imported from beads:bd-1",
    } == said.provenance  # fmt: skip


def test_a_second_import_changes_nothing(board: Board, tmp_path: Path) -> None:
    path = write(tmp_path / "i.jsonl", BUG, CHILD, {"id": "bd-3", "title": "No time"})
    assert 3 == take(board, "beads", path).count("created")
    before = logs(board)
    assert 3 == take(reopened(board), "beads", path).count("unchanged")
    assert before == logs(board)


def test_what_is_new_at_the_source_is_added(board: Board, tmp_path: Path) -> None:
    path = write(tmp_path / "i.jsonl", BUG | {"status": "open", "closed_at": None})
    take(board, "beads", path)
    assert 1 == take(board, "beads", write(path, BUG)).count("extended")
    (task,) = board.store.tasks()
    assert "done" == task.status
    assert task == reopened(board).store.task(task.id)


OPEN = BUG | {"status": "open", "closed_at": None}


def test_what_changed_at_the_source_alone_is_taken_and_ours_stays(board: Board, tmp_path: Path) -> None:
    path = write(tmp_path / "i.jsonl", OPEN | {"labels": ["a", "b"]})
    take(board, "beads", path)
    change(board, "LAT-1", Comment("ours"), ANN)
    change(board, "LAT-1", Update(("description=ours", "tags=a,b,mine")), ANN)
    remark = {"author": "bo", "text": "later", "created_at": "2026-01-05T00:00:00Z"}
    newer = BUG | {"title": "Bug 2", "labels": ["b", "c"], "comments": [*BUG["comments"], remark]}
    write(path, newer)
    before = logs(board)
    (foreseen,) = take(board, "beads", path, dry_run=True).outcomes
    assert before == logs(board)
    (done,) = take(board, "beads", path).outcomes
    assert ("extended", {"title", "status", "tags", "comments"}) == (done.outcome, set(done.changes))
    assert foreseen.changes == done.changes
    (task,) = reopened(board).store.tasks()
    assert ("Bug 2", "done", ("b", "mine", "c"), "ours", 3) == (
        task.title, task.status, task.tags, task.description, task.comment_count,
    )  # fmt: skip
    before = logs(board)
    assert 1 == take(reopened(board), "beads", path).count("unchanged")
    assert before == logs(board)


def test_what_changed_on_both_sides_stays_and_is_told(board: Board, tmp_path: Path) -> None:
    path = write(tmp_path / "i.jsonl", OPEN)
    take(board, "beads", path)
    change(board, "LAT-1", Update(("title=Ours",)), ANN)
    before = logs(board)
    for dry_run in (True, False):
        report = take(board, "beads", write(path, OPEN | {"title": "Theirs"}), dry_run=dry_run)
        assert (1, [("i.jsonl:1", "LAT-1: title is 'Ours' here and 'Theirs' there; it was 'Bug'")]) == (
            report.count("diverged"), report.account.conflicts,
        )  # fmt: skip
    assert before == logs(board)


def test_a_change_made_on_both_sides_alike_is_the_base_of_the_next(board: Board, tmp_path: Path) -> None:
    path = write(tmp_path / "i.jsonl", OPEN)
    take(board, "beads", path)
    change(board, "LAT-1", ChangeStatus("done", force=True, reason="shipped"), ANN)
    assert 1 == take(board, "beads", write(path, BUG)).count("unchanged")
    before = logs(board)
    assert 1 == take(board, "beads", path).count("unchanged")
    assert before == logs(board)
    assert 1 == take(board, "beads", write(path, OPEN)).count("extended")
    assert ["backlog"] == [task.status for task in reopened(board).store.tasks()]


def test_an_archived_task_is_left_alone_and_told(board: Board, tmp_path: Path) -> None:
    path = write(tmp_path / "i.jsonl", OPEN)
    take(board, "beads", path)
    archive(board, "LAT-1", ANN)
    before = logs(board)
    report = take(board, "beads", write(path, OPEN | {"title": "Newer"}))
    assert (1, ["i.jsonl:1"]) == (report.count("diverged"), [where for where, _ in report.account.skipped])
    assert before == logs(board)


def test_a_link_to_a_task_that_this_export_leaves_out_stays(board: Board, tmp_path: Path) -> None:
    take(board, "beads", write(tmp_path / "i.jsonl", BUG, CHILD))
    assert 1 == take(board, "beads", write(tmp_path / "i.jsonl", CHILD)).count("unchanged")
    unlinked = {key: value for key, value in CHILD.items() if key != "dependencies"}
    (done,) = take(board, "beads", write(tmp_path / "i.jsonl", unlinked)).outcomes
    assert ("links",) == done.changes


def test_a_dry_run_writes_nothing_and_foresees_what_comes(board: Board, tmp_path: Path) -> None:
    path = write(tmp_path / "i.jsonl", BUG, CHILD, {"id": "bd-9"})
    foreseen = take(board, "beads", path, dry_run=True)
    assert {} == logs(board)
    done = take(board, "beads", path, skip_malformed=True)
    assert [(t.id, t.outcome) for t in done.outcomes] == [(t.id, t.outcome) for t in foreseen.outcomes]
    assert ["i.jsonl:3"] == [where for where, _ in foreseen.account.malformed]


def test_one_malformed_record_stops_all_before_anything_is_written(board: Board, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"i\.jsonl:2") as refused:
        take(board, "beads", write(tmp_path / "i.jsonl", BUG, {"id": "bd-9"}))
    assert 1 == refused.value.details["malformed_count"]
    assert {} == logs(board)


def test_a_key_that_stands_twice_is_malformed(board: Board, tmp_path: Path) -> None:
    report = take(board, "beads", write(tmp_path / "i.jsonl", BUG, BUG), dry_run=True)
    assert [("i.jsonl:2", "'bd-1' stands twice in the source")] == report.account.malformed


def test_hostile_and_overlong_text_is_made_to_fit(board: Board, tmp_path: Path) -> None:
    evil = {"id": "e", "title": "\x1b[31m\u202e" + "x" * 2000, "description": "nul\x00 \ud800", "labels": ["\x07a,b"]}
    report = take(board, "beads", write(tmp_path / "i.jsonl", evil))
    (task,) = board.store.tasks()
    assert (1000, True) == (len(task.title), task.title.isprintable())
    assert (("\\x07a;b",), "\\x1b[31m\\u202e") == (task.tags, (task.description or "")[:14])
    assert (task.description or "").endswith("nul\\x00 \\ud800")
    assert 3 == len(report.account.adjusted)


def test_links_that_lead_nowhere_are_told(board: Board, tmp_path: Path) -> None:
    report = take(board, "beads", write(tmp_path / "i.jsonl", CHILD))
    assert [("i.jsonl:1", "its link subtask_of bd-1 leads nowhere")] == report.account.skipped
    assert () == next(iter(board.store.tasks())).relationships_out


def full(board: Board) -> None:
    """A board with something of each kind."""
    CreateTask("=First", description="-d\nsecond line", tags="a,b", priority="high").run(board, ANN)
    CreateTask("Second, with a comma").run(board, ANN)
    CreateTask("Away", status="done").run(board, ANN)
    change(board, "LAT-1", ChangeStatus("planned"), ANN)
    change(board, "LAT-1", Comment("hello ☃"), ANN)
    Attach(inline="kept", title="note").run(board, "LAT-1", ANN)
    Attach(inline="secret", title="key", sensitive=True).run(board, "LAT-2", ANN)
    archive(board, "LAT-3", ANN)


def test_our_json_comes_back_as_the_same_bytes(board: Board, tmp_path: Path) -> None:
    full(board)
    export = exports.WRITERS["json"](board, None)
    assert ["it is sensitive"] == [why.partition(": ")[2] for why in export.left_out]
    path = tmp_path / "b.json"
    exports.save(export, path, replace=False)
    other = make_board(tmp_path / "other")
    assert 3 == take(other, "json", path).count("created")
    assert logs(board) == logs(other)
    assert snapshots(board) == snapshots(reopened(other))
    payloads = [sorted(p.read_bytes() for p in b.folder.glob("artifacts/payload/*")) for b in (board, other)]
    assert ([b"kept", b"secret"], [b"kept"]) == tuple(payloads)
    assert [] == [finding.message for finding in verify(other.root).findings if finding.level == "error"]
    assert "LAT-4" == CreateTask("Next").run(reopened(other), ANN).task.short_id
    assert 3 == take(reopened(other), "json", path).count("unchanged")


def test_a_short_id_that_is_taken_here_is_given_anew(board: Board, tmp_path: Path) -> None:
    full(board)
    path = tmp_path / "b.json"
    exports.save(exports.WRITERS["json"](board, None), path, replace=False)
    other = make_board(tmp_path / "other")
    mine = CreateTask("Mine").run(other, ANN).task
    report = take(other, "json", path)
    assert "LAT-1 is another task here; it is LAT-2 now" in [why for _, why in report.account.adjusted]
    assert mine.id == reopened(other).resolve("LAT-1")
    (other.folder / "ids.json").unlink()
    assert mine.id == reopened(other).resolve("LAT-1")
    assert 4 == len({shape["short_id"] for shape in snapshots(other)})
    assert 3 == take(other, "json", path).count("unchanged")


def test_our_table_comes_back_but_for_what_it_does_not_hold(board: Board, tmp_path: Path) -> None:
    full(board)
    path = tmp_path / "t.csv"
    exports.save(exports.WRITERS["csv"](board, None), path, replace=False)
    assert 3 == take(board, "csv", path).count("unchanged")
    other = make_board(tmp_path / "other")
    take(other, "csv", path)
    names = ("id", "title", "status", "priority", "type", "description", "tags", "created_at", "custom_fields")
    theirs, ours = ([{name: s[name] for name in names} for s in snapshots(b)] for b in (other, board))
    assert ours == theirs
    assert ["Away"] == [task.title for task in other.store.tasks(archived=True)]


@pytest.mark.parametrize(
    "entry",
    [
        3, {}, {"events": []}, {"events": [{"id": "ev_1"}]},
        {"events": [{"id": "x", "ts": "t", "type": "task_created", "task_id": "../../x", "actor": "a:b", "data": {}}]},
    ],
)  # fmt: skip
def test_an_export_that_is_off_is_named_by_its_place(board: Board, tmp_path: Path, entry: object) -> None:
    path = tmp_path / "b.json"
    path.write_text(json.dumps({"format": "lattice", "version": 1, "tasks": [entry]}))
    with pytest.raises(ValidationError, match=r"tasks\[0\]"):
        take(board, "json", path)
    assert {} == logs(board)


def test_an_export_whose_bytes_were_changed_is_refused(board: Board, tmp_path: Path) -> None:
    full(board)
    path = tmp_path / "b.json"
    path.write_text(exports.WRITERS["json"](board, None).text.replace("hello", "hullo"))
    with pytest.raises(ValidationError, match="checksum"):
        take(make_board(tmp_path / "other"), "json", path)


def test_a_board_in_place_is_looked_at_and_left_as_it_is(board: Board) -> None:
    full(board)
    before = logs(board)
    found = verify(board.folder)
    assert (3, 8) == (found.tasks, found.events)
    assert before == logs(board)
    with pytest.raises(NotFound):
        verify(board.root.parent)


def test_markdown_shows_hostile_text_as_text(board: Board) -> None:
    CreateTask("<script> [x](javascript:1)", description="</details><b>\x1b[31m").run(board, ANN)
    text = exports.WRITERS["markdown"](board, None).text
    assert "<" not in text.replace("\\<", "")
    assert "](" not in text.replace("\\](", "")
    assert "\x1b" not in text


def test_a_table_without_times_keeps_its_order(board: Board, tmp_path: Path) -> None:
    titles = [f"Row {number}" for number in range(40)]
    source = tmp_path / "t.csv"
    source.write_text("\n".join(["title", *titles]))
    take(board, "csv", source)
    assert titles == [task.title for task in sorted(board.store.tasks(archived=False), key=lambda task: task.id)]
    assert 40 == take(reopened(board), "csv", source).count("unchanged")
