"""The doctor on boards that were damaged in each known way: the damage is named, and mended only without loss."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lattice.commands.artifacts import Attach
from lattice.commands.board import Board
from lattice.commands.doctor import Judge, examine
from lattice.commands.mends import Repair
from lattice.commands.rebuild import rebuild_all, rebuild_task
from lattice.commands.tasks import Comment, CreateTask, change
from lattice.core.events import RelationshipAdded
from lattice.core.fulltext import parse_words
from lattice.core.integrity import Finding
from lattice.core.task import Task
from lattice.errors import LogDamaged, NotFound, ValidationError
from lattice.ledger import Signature
from lattice.store.files import doctor, doctor_derived
from lattice.store.files.disk import StrPath
from lattice.store.files.locks import locked
from tests.conftest import ANN, reopened

NOBODY = "task_01JD0000000000000000000000"
ARTIFACT = "art_01JD0000000000000000000000"
TICK_NS = 20_000_000


@pytest.fixture
def kept(board: Board, task: Task) -> Board:
    """A board with something of everything."""
    change(board, "LAT-1", Comment("said"), ANN)
    Attach(inline="text", role="review").run(board, "LAT-1", ANN)
    CreateTask("Second").run(board, ANN)
    return board


def found(board: Board) -> list[tuple[str, str]]:
    return [(finding.level, finding.check) for finding in examine(reopened(board)).findings]


def mend(board: Board, by: Signature | None = ANN) -> Repair:
    repair = Repair(reopened(board), by, list)
    mended = repair.run(examine(board).mendable)
    assert [] == [one.error for one in mended if one.error]
    return repair


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and not {"locks", "doctor"} & set(path.parts))
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def log(board: Board, ref: str = "LAT-1") -> Path:
    return board.folder / "events" / f"{board.resolve(ref)}.jsonl"


def snapshot(board: Board) -> Path:
    return board.folder / "tasks" / f"{board.resolve('LAT-1')}.json"


def meta(board: Board) -> Path:
    return next((board.folder / "artifacts" / "meta").iterdir())


def payload(board: Board) -> Path:
    return next((board.folder / "artifacts" / "payload").iterdir())


def put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def extend(path: Path, text: str) -> None:
    path.write_bytes(path.read_bytes() + text.encode())


def old_draft(board: Board) -> None:
    path = board.folder / "tasks" / f".{NOBODY}.json.4711.tmp"
    path.write_text("{", encoding="utf-8")
    os.utime(path, (0, 0))


def test_a_sound_board_has_no_findings(kept: Board) -> None:
    assert [] == found(kept)
    report = examine(kept)
    assert (2, 4, 1) == (report.tasks, report.events, report.artifacts)


@pytest.mark.parametrize("when", ["before the lists are read", "after"])
def test_what_writers_do_while_we_look_is_no_finding(kept: Board, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def write() -> None:
        began_ns = time.time_ns()
        while time.time_ns() < began_ns + TICK_NS:  # A file's time is that of the kernel's last tick.
            os.sched_yield()
        CreateTask("Third").run(kept, ANN)
        change(kept, "LAT-3", Comment("said"), ANN)
        Attach(inline="more").run(kept, "LAT-3", ANN)
        (kept.folder / "plans" / f"{kept.resolve('LAT-3')}.md").write_text("a plan", encoding="utf-8")

    def begun() -> Judge:
        if when.startswith("before"):
            write()
        return lambda _: []

    if when == "after":
        ids = doctor_derived.ids

        def late(*args: Any) -> Iterator[Finding]:
            write()
            return ids(*args)

        monkeypatch.setattr(doctor_derived, "ids", late)
    assert () == examine(kept, begun).findings
    assert () == examine(reopened(kept)).findings


def test_looking_changes_nothing(kept: Board) -> None:
    put(snapshot(kept), "{")
    before = tree(kept.folder)
    examine(reopened(kept))
    assert before == tree(kept.folder)


def test_a_snapshot_that_its_writer_is_about_to_finish_is_no_finding(
    kept: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = snapshot(kept).read_bytes()
    snapshot(kept).write_bytes(whole[: len(whole) // 2])

    @contextmanager
    def granted_after_the_writer(path: StrPath, wait_s: float) -> Iterator[None]:
        snapshot(kept).write_bytes(whole)
        with locked(path, wait_s):
            yield

    assert [("error", "json_parse")] == found(kept)
    monkeypatch.setattr(doctor, "locked", granted_after_the_writer)
    assert [] == found(kept)


def lose_words(board: Board) -> None:
    """Let the index forget where its words are, which no row tells."""
    with board.store.view(texts=True) as view:
        assert view.search(parse_words("second"))
    with contextlib.closing(sqlite3.connect(board.folder / "index.sqlite")) as base, base:
        # The row that FTS5 keeps its structure in.
        base.execute("UPDATE words_data SET block = zeroblob(length(block)) WHERE id = 10")


MENDABLE: dict[str, tuple[Callable[[Board], object], tuple[str, str]]] = {
    "snapshot that is not JSON": (lambda b: put(snapshot(b), "{"), ("error", "json_parse")),
    "empty snapshot": (lambda b: put(snapshot(b), ""), ("error", "json_parse")),
    "snapshot changed by hand": (
        lambda b: put(snapshot(b), snapshot(b).read_text().replace("First", "Hacked")),
        ("warning", "snapshot_drift"),
    ),
    "snapshot without a log": (
        lambda b: put(b.folder / "tasks" / f"{NOBODY}.json", "{}"),
        ("warning", "orphan_snapshot"),
    ),
    "torn end": (lambda b: extend(log(b), '{"id":"ev_0'), ("warning", "jsonl_parse")),
    "torn end set aside": (lambda b: put(b.folder / "events/torn/x.1.1", "{"), ("warning", "torn_tail")),
    "ids that are not JSON": (lambda b: put(b.folder / "ids.json", "{"), ("error", "json_parse")),
    "ids that are wrong": (
        lambda b: put(b.folder / "ids.json", json.dumps({"map": {"LAT-1": b.resolve("LAT-1")}})),
        ("warning", "alias_integrity"),
    ),
    "lifecycle with a line missing": (
        lambda b: put(b.folder / "events/_lifecycle.jsonl", log(b, "LAT-2").read_text()),
        ("warning", "global_log_consistency"),
    ),
    "lifecycle that is not JSON": (
        lambda b: extend(b.folder / "events/_lifecycle.jsonl", "garbage\n"),
        ("warning", "jsonl_parse"),
    ),
    "draft of a dead writer": (old_draft, ("warning", "leftover")),
    "index whose words are not found any more": (lose_words, ("warning", "index")),
    "index that is no database": (lambda b: put(b.folder / "index.sqlite", "x" * 4096), ("warning", "index")),
}


@pytest.mark.parametrize("case", MENDABLE)
def test_what_can_be_mended_without_loss_is_mended(kept: Board, case: str) -> None:
    damage, expected = MENDABLE[case]
    truth = [kept.store.history(kept.resolve(ref)) for ref in ("LAT-1", "LAT-2")]
    damage(kept)
    assert [expected] == found(kept)
    mend(kept)
    assert [] == found(kept)
    assert truth == [reopened(kept).store.history(kept.resolve(ref)) for ref in ("LAT-1", "LAT-2")]


def test_what_a_mend_replaces_is_kept_with_the_plan(kept: Board) -> None:
    put(snapshot(kept), "by hand")
    folder = mend(kept).folder
    assert "by hand" == (folder / "tasks" / snapshot(kept).name).read_text()
    assert ["json_parse"] == [finding["check"] for finding in json.loads((folder / "plan.json").read_text())]


BEYOND_MENDING: dict[str, tuple[Callable[[Board], object], tuple[str, str]]] = {
    "flipped byte in a log": (
        lambda b: log(b).write_bytes(log(b).read_bytes().replace(b"First", b"Farst")),
        ("error", "jsonl_parse"),
    ),
    "line cut out of a log": (
        lambda b: log(b).write_bytes(b"".join(log(b).read_bytes().splitlines(keepends=True)[::2])),
        ("error", "jsonl_parse"),
    ),
    "log that was emptied": (lambda b: log(b).write_bytes(b""), ("error", "jsonl_parse")),
    "foreign file among the logs": (lambda b: put(b.folder / "events/notes.txt", "x"), ("warning", "malformed_id")),
    "plan of no task": (lambda b: put(b.folder / f"plans/{NOBODY}.md", "x"), ("warning", "orphan_text")),
    "artifact without description": (lambda b: meta(b).unlink(), ("warning", "missing_artifact")),
    "artifact without its file": (lambda b: payload(b).unlink(), ("warning", "missing_artifact")),
    "artifact that was changed": (lambda b: put(payload(b), "other text"), ("warning", "artifact_changed")),
    "description that is not JSON": (lambda b: put(meta(b), "{"), ("error", "json_parse")),
    "artifact of no task": (
        lambda b: put(meta(b).with_name(f"{ARTIFACT}.json"), json.dumps({"id": ARTIFACT})),
        ("warning", "orphan_artifact"),
    ),
    "dangling link": (
        lambda b: b.ledger.transact(b.resolve("LAT-1"), lambda _: [RelationshipAdded("blocks", NOBODY)], ANN),
        ("warning", "missing_target"),
    ),
    "resource log that is not JSON": (
        lambda b: put(b.folder / "events/res_01JD0000000000000000000000.jsonl", "garbage\n"),
        ("error", "jsonl_parse"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BEYOND_MENDING)
def test_what_only_a_person_can_decide_is_named_and_left_alone(kept: Board, case: str) -> None:
    damage, expected = BEYOND_MENDING[case]
    damage(kept)
    before = tree(kept.folder)
    assert expected in found(kept)
    assert [] == list(examine(kept).mendable)
    assert before == tree(kept.folder)


def test_each_byte_of_a_log_that_goes_bad_is_seen(board: Board, task: Task) -> None:
    path, good = log(board), log(board).read_bytes()
    for at in range(len(good)):
        path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        assert any(level == "error" for level, _ in found(board)), f"byte {at}: {good[at]:c}"


def test_a_damaged_log_does_not_hide_the_others(kept: Board) -> None:
    log(kept).write_bytes(b"garbage\n" + log(kept).read_bytes())
    put(kept.folder / "tasks" / f"{kept.resolve('LAT-2')}.json", "{")
    mend(kept)
    assert [("error", "jsonl_parse")] == found(kept)
    assert "Second" == reopened(kept).store.task(kept.resolve("LAT-2")).title


def test_a_short_id_is_given_by_an_event_that_needs_an_author(kept: Board) -> None:
    twin = CreateTask("Twin").run(kept, ANN).task
    path = kept.folder / "events" / f"{twin.id}.jsonl"
    lines = path.read_bytes().replace(b'"short_id":"LAT-3"', b'"short_id":"LAT-1"')
    shape = json.loads(lines)
    del shape["crc"], shape["prev"]  # as an earlier tool writes it
    path.write_bytes(json.dumps(shape, separators=(",", ":"), sort_keys=True).encode() + b"\n")
    (kept.folder / "tasks" / f"{twin.id}.json").unlink()
    assert ("error", "duplicate_short_id") in found(kept)
    with pytest.raises(ValidationError, match="author"):
        mend(kept, by=None)
    assert not (kept.folder / "doctor").exists()
    mend(kept)
    assert [] == found(kept)
    assert ("LAT-1", "LAT-4") == tuple(
        reopened(kept).store.task(task_id).short_id for task_id in (kept.resolve("LAT-1"), twin.id)
    )


def test_a_rebuild_gives_the_same_bytes(kept: Board) -> None:
    before = tree(kept.folder)
    rebuild_all(reopened(kept))
    derived = {name for name in before if name.startswith("tasks/") or name.endswith("_lifecycle.jsonl")}
    after = tree(kept.folder)
    assert {name: before[name] for name in derived} == {name: after[name] for name in derived}
    rebuild_all(reopened(kept))
    assert after == tree(kept.folder)


def test_a_rebuild_makes_everything_that_is_derived(kept: Board) -> None:
    before = tree(kept.folder)
    for path in [*(kept.folder / "tasks").iterdir(), kept.folder / "ids.json", kept.folder / "events/_lifecycle.jsonl"]:
        path.unlink()
    assert 2 == len(rebuild_all(reopened(kept)).tasks)
    after = tree(kept.folder)
    assert before.keys() == after.keys()
    assert [] == [name for name in before if name != "ids.json" and before[name] != after[name]]
    assert "LAT-3" == CreateTask("Third").run(reopened(kept), ANN).task.short_id


def test_a_number_that_was_given_out_is_not_given_out_again_after_a_rebuild(kept: Board) -> None:
    log(kept, "LAT-2").unlink()
    rebuild_all(reopened(kept))
    assert "LAT-3" == CreateTask("Third").run(reopened(kept), ANN).task.short_id


def test_one_task_is_rebuilt_and_a_damaged_one_refused(kept: Board) -> None:
    good = snapshot(kept).read_bytes()
    snapshot(kept).unlink()
    rebuild_task(kept, "LAT-1")
    assert good == snapshot(kept).read_bytes()
    log(kept).write_bytes(b"garbage\n")
    with pytest.raises(LogDamaged):
        rebuild_task(kept, "LAT-1")
    with pytest.raises(NotFound):
        rebuild_task(kept, NOBODY)
    assert ((kept.resolve("LAT-1"),), 1) == (
        tuple(task_id for task_id, _ in rebuild_all(kept).damaged),
        len(rebuild_all(kept).tasks),
    )


def test_a_clone_has_no_half_of_a_lifecycle_list(kept: Board) -> None:
    lifecycle = kept.folder / "events" / "_lifecycle.jsonl"
    lifecycle.unlink()
    CreateTask("Third").run(reopened(kept), ANN)
    assert not lifecycle.exists()
    assert [] == found(kept)


def test_a_stale_lifecycle_list_is_told_in_a_few_lines(kept: Board) -> None:
    for number in range(9):
        CreateTask(f"More {number}").run(kept, ANN)
    (kept.folder / "events" / "_lifecycle.jsonl").write_bytes(b"")
    said = [finding.message for finding in examine(reopened(kept)).findings]
    assert 4 == len(said)
    assert "8 more lifecycle events are not in _lifecycle.jsonl as the logs have them" == said[-1]
    mend(kept)
    assert [] == found(kept)


@pytest.mark.parametrize("name", ["events/_lifecycle.jsonl", "ids.json"])
def test_a_derived_file_that_cannot_be_read_ends_no_look(kept: Board, name: str) -> None:
    (kept.folder / name).unlink()
    (kept.folder / name).mkdir()
    off = [finding for finding in examine(reopened(kept)).findings if finding.check == "unreadable"]
    assert [f"{name} cannot be read: Is a directory"] == [finding.message for finding in off]
