"""The doctor on what lies beside the logs of tasks: a log in two places, resources, sessions."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from lattice.commands import resources, sessions
from lattice.commands.archive import archive, unarchive
from lattice.commands.board import Board
from lattice.commands.doctor import examine
from lattice.commands.resources import Acquire, CreateResource
from lattice.commands.sessions import StartSession
from lattice.commands.tasks import Comment, CreateTask, change
from lattice.core.task import Task
from lattice.errors import LatticeError
from tests.commands.test_doctor import extend, found, mend, put, tree
from tests.conftest import ANN, reopened


def homes(board: Board, task: Task) -> tuple[Path, Path]:
    return tuple(board.folder / home / f"{task.id}.jsonl" for home in ("events", "archive/events"))  # type: ignore[return-value]  # two homes, two paths


def said(board: Board, task: Task) -> list[str]:
    _, events = reopened(board).store.history(task.id)
    return [str(getattr(event.body, "body", event.type)) for event in events]


def copy_then(board: Board, task: Task, *acts: Callable[[], object]) -> bytes:
    """What the log was before `acts`, which are done."""
    before = homes(board, task)[0].read_bytes()
    for act in acts:
        act()
    return before


def test_a_log_that_begins_with_its_twin_is_the_one_that_stays(board: Board, task: Task) -> None:
    change(board, "LAT-1", Comment("first"), ANN)
    older = copy_then(board, task, lambda: change(board, "LAT-1", Comment("second"), ANN))
    live, away = homes(board, task)
    longer = live.read_bytes()
    away.parent.mkdir(parents=True, exist_ok=True)
    away.write_bytes(older)
    assert ("error", "archived_twice") in found(board)
    folder = mend(board).folder
    assert [] == found(board)
    assert (longer, False) == (live.read_bytes(), away.exists())
    assert older == (folder / "archive" / "events" / away.name).read_bytes()


def test_equal_logs_become_one_where_the_task_belongs(board: Board, task: Task) -> None:
    put(board.folder / "plans" / f"{task.id}.md", "plan")
    archive(board, "LAT-1", ANN)
    live, away = homes(board, task)
    shutil.copy(away, live)
    assert ("error", "archived_twice") in found(board)
    mend(board)
    assert ([], True, False) == (found(board), away.exists(), live.exists())
    assert reopened(board).store.task(task.id).archived
    unarchive(reopened(board), "LAT-1", ANN)
    assert "plan" == (board.folder / "plans" / f"{task.id}.md").read_text("utf-8")


def test_logs_that_went_apart_become_one_with_every_event_of_both(board: Board, task: Task) -> None:
    change(board, "LAT-1", Comment("common"), ANN)
    before = copy_then(board, task, lambda: change(board, "LAT-1", Comment("here"), ANN))
    live, away = homes(board, task)
    here = live.read_bytes()
    live.write_bytes(before)
    (board.folder / "tasks" / f"{task.id}.json").unlink()
    change(reopened(board), "LAT-1", Comment("there"), ANN)
    archive(reopened(board), "LAT-1", ANN)
    there = away.read_bytes()
    live.write_bytes(here)
    folder = mend(board).folder
    assert [] == found(board)
    assert ["task_created", "common", "here", "there", "task_archived"] == said(board, task)
    assert (True, False) == (away.exists(), live.exists())
    kept = {path.parent.parent.name: path.read_bytes() for path in folder.rglob("*.jsonl")}
    assert {folder.name: here, "archive": there} == kept


def test_a_damaged_twin_is_left_to_a_person(board: Board, task: Task) -> None:
    live, away = homes(board, task)
    put(away, live.read_text("utf-8").replace("First", "Farst"))
    before = tree(board.folder)
    assert [("error", "archived_twice")] == [one for one in found(board) if one[1] == "archived_twice"]
    assert [] == [finding for finding in examine(board).mendable if finding.check == "archived_twice"]
    assert before == tree(board.folder)


def test_two_tasks_of_one_id_are_not_made_one(board: Board, task: Task) -> None:
    other = CreateTask("Other").run(board, ANN).task
    live, away = homes(board, task)
    line = json.loads(homes(board, other)[0].read_text("utf-8"))
    del line["crc"], line["prev"]
    put(away, json.dumps(line | {"task_id": task.id}, sort_keys=True, separators=(",", ":")) + "\n")
    assert [] == [finding for finding in examine(reopened(board)).mendable if finding.check == "archived_twice"]
    assert live.exists()


@pytest.fixture
def held(board: Board) -> Board:
    """A board with a resource that somebody holds, and sessions, of which one ended."""
    CreateResource("gpu").run(board, ANN)
    Acquire().run(board, "gpu", ANN)
    for name in ("Vega", "Vega", "Altair"):
        StartSession("m", name, "f").run(board)
    sessions.end(board, "Vega-1", None)
    return board


def place(board: Board, name: str) -> Path:
    return board.folder / "sessions" / name


def snapshot(board: Board) -> Path:
    return board.folder / "resources/gpu/resource.json"


def log(board: Board) -> Path:
    return next((board.folder / "events").glob("res_*.jsonl"))


def edit(path: Path, **changes: object) -> None:
    put(path, json.dumps(json.loads(path.read_text("utf-8")) | changes))


def cut_off_end(board: Board) -> None:
    kept = place(board, "Altair-1.json").read_bytes()
    sessions.end(board, "Altair-1", None)
    place(board, "Altair-1.json").write_bytes(kept)
    sessions.identity(reopened(board), "Altair-1")
    StartSession("m", "Mira", "f").run(reopened(board))  # who writes the index names it again


MENDABLE: dict[str, tuple[Callable[[Board], object], tuple[str, str]]] = {
    "snapshot that is not JSON": (lambda b: put(snapshot(b), "{"), ("error", "json_parse")),
    "snapshot changed by hand": (lambda b: edit(snapshot(b), ttl_seconds=1), ("warning", "snapshot_drift")),
    "snapshot of no log": (
        lambda b: put(b.folder / "resources/x/resource.json", '{"id":"res_x"}'), ("warning", "orphan_snapshot"),
    ),
    "torn end": (lambda b: extend(log(b), '{"id":"ev_0'), ("warning", "jsonl_parse")),
    "index that is not JSON": (lambda b: put(place(b, "index.json"), "{"), ("error", "json_parse")),
    "index that names a session that is not there": (
        lambda b: edit(place(b, "index.json"), active_sessions={"Mira-1": "sess_x"}), ("warning", "session"),
    ),
    "index with serials that were given out": (
        lambda b: edit(place(b, "index.json"), serial_counters={"Vega": 1}), ("warning", "session"),
    ),
    "end that was cut off": (cut_off_end, ("warning", "session")),
}  # fmt: skip


@pytest.mark.parametrize("case", MENDABLE)
def test_what_can_be_mended_without_loss_is_mended(held: Board, case: str) -> None:
    damage, expected = MENDABLE[case]
    assert [] == found(held)
    truth = resources.find(held, "gpu")
    damage(held)
    assert expected in found(held)
    for _ in range(2):  # What a mend reveals, and what it set aside, is put with the rest.
        mend(held)
    assert [] == found(held)
    assert truth == resources.find(reopened(held), "gpu")
    assert "Vega-3" == StartSession("m", "Vega", "f").run(reopened(held))["name"]


BEYOND_MENDING: dict[str, tuple[Callable[[Board], object], tuple[str, str]]] = {
    "resource log that is not JSON": (lambda b: put(log(b), "garbage\n"), ("error", "jsonl_parse")),
    "resource log that cannot be replayed": (
        lambda b: extend(log(b), _unchained(log(b).read_bytes().splitlines()[0], x=1).decode()),
        ("error", "jsonl_parse"),
    ),
    "resource log without an event": (lambda b: put(log(b), ""), ("warning", "empty_log")),
    "two of one name": (
        lambda b: put(
            log(b).with_name("res_7ZZZZZZZZZZZZZZZZZZZZZZZZZ.jsonl"),
            _unchained(log(b).read_bytes().splitlines()[0], resource_id="res_7ZZZZZZZZZZZZZZZZZZZZZZZZZ").decode(),
        ),
        ("warning", "duplicate_resource"),
    ),
    "session that is not JSON": (lambda b: put(place(b, "Vega-2.json"), "{"), ("error", "json_parse")),
    "session without an id": (lambda b: edit(place(b, "Vega-2.json"), session=1), ("error", "session")),
    "session with an id that is none": (lambda b: edit(place(b, "Vega-2.json"), session="x"), ("error", "session")),
    "session under another's name": (lambda b: edit(place(b, "Vega-2.json"), name="Vega-7"), ("error", "malformed_id")),
    "session whose serial is another": (lambda b: edit(place(b, "Vega-2.json"), serial=7), ("error", "malformed_id")),
    "ended session under another's name": (
        lambda b: next(place(b, "archive").iterdir()).rename(place(b, "archive/x.json")), ("error", "malformed_id"),
    ),
    "stray among the sessions": (lambda b: put(place(b, "notes.txt"), "x"), ("warning", "malformed_id")),
}  # fmt: skip


def _unchained(line: bytes, **changes: object) -> bytes:
    shape = json.loads(line) | changes
    del shape["crc"], shape["prev"]
    shape["id"] = "ev_7ZZZZZZZZZZZZZZZZZZZZZZZZZ"
    return json.dumps(shape, separators=(",", ":"), sort_keys=True).encode() + b"\n"


@pytest.mark.parametrize("case", BEYOND_MENDING)
def test_what_only_a_person_can_decide_is_named_and_nothing_of_it_is_lost(held: Board, case: str) -> None:
    damage, expected = BEYOND_MENDING[case]
    damage(held)
    before = {path: data for path, data in tree(held.folder).items() if not path.endswith("index.json")}
    assert expected in found(held)
    mend(held)
    assert expected in found(held)
    after = [path.read_bytes() for path in held.folder.rglob("*") if path.is_file()]
    assert [] == [path for path, data in before.items() if data not in after]


def test_a_serial_is_not_given_twice_when_its_file_is_damaged_and_the_index_is_gone(held: Board) -> None:
    put(place(held, "Vega-2.json"), "{")
    place(held, "index.json").unlink()
    assert "Vega-3" == StartSession("m", "Vega", "f").run(held)["name"]
    assert "{" == place(held, "Vega-2.json").read_text("utf-8")


def test_a_damaged_resource_is_refused_with_its_line(held: Board) -> None:
    put(log(held), "garbage\n")
    with pytest.raises(LatticeError, match="line 1"):
        resources.find(held, "gpu")
