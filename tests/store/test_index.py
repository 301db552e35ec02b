"""The index is never wrong, and its loss is never noticed."""

from __future__ import annotations

import os
import shutil
import sqlite3
import threading
from pathlib import Path
from typing import Any

import pytest

from lattice.commands.archive import archive
from lattice.commands.artifacts import Attach
from lattice.commands.board import Board
from lattice.commands.edges import Link
from lattice.commands.tasks import Assign, ChangeStatus, Comment, CreateTask, change
from lattice.core.codec import decode, encode
from lattice.core.events import TaskCreated
from lattice.core.fulltext import parse_words
from lattice.core.summary import Summary, document, summary
from lattice.errors import LogDamaged
from lattice.store.files import freshness, index_file, index_reading, parallel
from lattice.store.files.board import FileStore
from lattice.store.files.index_rows import Prepared
from tests.conftest import ANN, reopened

OLD_NS = 1_700_000_000_000_000_000


@pytest.fixture
def filled(board: Board) -> Board:
    """Three tasks, indexed, their logs long at rest."""
    for title in ("One", "Two", "Three"):
        CreateTask(title).run(board, ANN)
    for log in (board.folder / "events").glob("task_*.jsonl"):
        os.utime(log, ns=(OLD_NS, OLD_NS))
    rows(board)
    return board


def rows(board: Board) -> list[Summary]:
    with board.store.view() as view:
        return sorted(view.rows(), key=lambda row: row.name)


def truth(board: Board) -> list[Summary]:
    return sorted(map(summary, board.store.tasks()), key=lambda row: row.name)


def reads(board: Board, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tasks that are read from now on."""
    read: list[str] = []
    assert isinstance(board.store, FileStore)
    kept = board.store.kept

    def noting(stream: str, *, archived: bool) -> object:
        read.append(stream)
        return kept(stream, archived=archived)

    monkeypatch.setattr(board.store, "kept", noting)
    return read


def test_only_what_changed_is_read(filled: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = change(filled, "LAT-2", Comment("x"), ANN).task.id
    read = reads(filled, monkeypatch)
    assert [0, 1, 0] == [row.comment_count for row in rows(filled)]
    assert [changed] == read


def test_a_log_that_changed_under_the_same_size_and_time_is_read_again(filled: Board) -> None:
    log = filled.folder / "events" / f"{filled.resolve('LAT-1')}.jsonl"
    event = decode(log.read_bytes().rstrip())
    assert isinstance(event.body, TaskCreated)
    other = log.with_name("other.tmp")
    other.write_bytes(encode(event.replace(id=filled.ledger.new_id("ev"), body=event.body.replace(title="Uno"))))
    assert log.stat().st_size == other.stat().st_size
    os.utime(other, ns=(OLD_NS, OLD_NS))
    os.rename(other, log)  # as git does
    assert ["Uno", "Two", "Three"] == [row.title for row in rows(filled)]


def test_a_log_of_this_very_moment_is_not_believed_twice(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = CreateTask("One").run(board, ANN).task.id
    log = board.folder / "events" / f"{fresh}.jsonl"
    ahead_ns = OLD_NS * 2  # the clock went back: no later than now for a long time
    os.utime(log, ns=(ahead_ns, ahead_ns))
    rows(board)
    read = reads(board, monkeypatch)
    rows(board)
    assert [fresh] == read


def test_a_task_that_went_is_gone(filled: Board) -> None:
    (filled.folder / "events" / f"{filled.resolve('LAT-2')}.jsonl").unlink()
    assert ["One", "Three"] == [row.title for row in rows(filled)]


@pytest.mark.parametrize("damage", ["gone", "empty", "text", "cut", "older", "booted"])
def test_an_index_that_cannot_be_believed_is_made_again(filled: Board, damage: str) -> None:
    path = filled.folder / index_file.FILE
    match damage:
        case "gone":
            path.unlink()
        case "empty":
            path.write_bytes(b"")
        case "text":
            path.write_bytes(b"no database at all" * 1000)
        case "cut":
            os.truncate(path, path.stat().st_size // 2)
        case "older":
            with sqlite3.connect(path) as connection:
                connection.execute("PRAGMA user_version = 99")
            connection.close()
        case _:
            with sqlite3.connect(path) as connection:
                connection.execute("UPDATE facts SET value = 'before' WHERE name = 'boot'")
            connection.close()
    assert [["One", "Two", "Three"]] * 3 == [[row.title for row in rows(filled)] for _ in range(3)]
    connection = sqlite3.connect(path)
    assert (3,) == connection.execute("SELECT count(*) FROM tasks").fetchone()
    connection.close()


def test_a_first_index_of_many_is_read_by_several_processes_and_says_the_same(
    filled: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index_reading, "_MANY", 1)
    monkeypatch.setattr(parallel, "PART_MIN", 1)
    change(filled, "LAT-1", Link("blocks", filled.resolve("LAT-2")), ANN)
    change(filled, "LAT-2", Assign("agent:one"), ANN)
    for number in range(4):
        CreateTask(f"Filler {number}").run(filled, ANN)
    archive(filled, "LAT-4", ANN)
    (filled.folder / "tasks" / f"{filled.resolve('LAT-5')}.json").unlink()
    for log in filled.folder.rglob("events/task_*.jsonl"):
        at_ns = OLD_NS * 2 if log.stem == filled.resolve("LAT-3") else OLD_NS
        os.utime(log, ns=(at_ns, at_ns))
    (filled.folder / index_file.FILE).unlink()
    assert truth(filled) == rows(filled)
    with filled.store.view(archived=True) as view:
        tasks = {task.id: task for where in (False, True) for task in filled.store.tasks(archived=where)}
        assert [summary(tasks[one]) for one in sorted(tasks)] == list(view.rows())
        assert [document(tasks[one]) for one in sorted(tasks)] == list(view.documents())
        assert [filled.resolve("LAT-2")] == [edge.target for edge in view.edges()]
    read = reads(filled, monkeypatch)
    rows(filled)
    assert [filled.resolve("LAT-3")] == read  # By its time it may change yet.


def test_the_index_of_a_copied_board_is_made_anew(filled: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """All logs are other files there, even where all are the same."""
    monkeypatch.setattr(freshness, "_ANEW_MIN", 1)
    assert ["LAT-2"] == found(filled, "two")
    logs = {name: filled.folder / "events" / f"{filled.resolve(name)}.jsonl" for name in ("LAT-1", "LAT-2", "LAT-3")}
    for log in logs.values():
        shutil.copy2(log, f"{log}.copy")
        os.rename(f"{log}.copy", log)
    logs["LAT-2"].unlink()
    put_in: list[object] = []
    put = index_file.IndexFile.put

    def noting(file: index_file.IndexFile, task_id: str, prepared: Prepared | None) -> None:
        if prepared is not None:
            put_in.append(task_id)
        put(file, task_id, prepared)

    monkeypatch.setattr(index_file.IndexFile, "put", noting)
    assert truth(filled) == rows(filled)
    assert [[], ["LAT-3"]] == [found(filled, "two"), found(filled, "three")]
    assert [] == put_in


def found(board: Board, text: str) -> list[str]:
    """The names of the tasks that have these words."""
    with board.store.view(texts=True) as view:
        names = {row.id: row.name for row in view.rows()}
        return [names[hit.task_id] for hit in view.search(parse_words(text))]


def test_an_index_of_another_version_leaves_nothing_of_its_file(filled: Board) -> None:
    path = filled.folder / index_file.FILE
    size, titles = path.stat().st_size, [row.title for row in rows(filled)]
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA page_size = 1024")
    connection.execute("CREATE TABLE before (text TEXT)")
    connection.execute("INSERT INTO before VALUES (?)", ("x" * 4 * size,))
    connection.commit()
    connection.close()
    assert titles == [row.title for row in rows(filled)]
    assert (size, size) == (path.stat().st_size, sqlite_size(path))


def sqlite_size(path: Path) -> int:
    """What the pages in use take."""
    connection = sqlite3.connect(path)
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    connection.close()
    return int((pages - free) * size)


def test_no_flipped_byte_shows(filled: Board) -> None:
    path = filled.folder / index_file.FILE
    whole = path.read_bytes()
    expected = truth(filled)
    places = [at for word in (b"Three", b"backlog", b"LAT-2") for at in _all(whole, word)]
    assert len(places) > 6
    for at in places:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert expected == rows(filled)


def test_no_page_that_lost_a_byte_shows(filled: Board) -> None:
    """What follows the byte is read amiss: rows that an index does not find any more are missed by their number."""
    one, two, three = (row.id for row in rows(filled))
    for source, target in ((one, two), (three, two), (three, one)):
        change(filled, source, Link("blocks", target), ANN)
    change(filled, two, Assign("agent:a"), ANN)
    expected = answers(filled)
    assert ([2, 1], ["Two"]) == ([len(expected["incoming"]), len(expected["outgoing"])], expected["assigned"])
    path = filled.folder / index_file.FILE
    whole = path.read_bytes()
    page = int.from_bytes(whole[16:18], "big")
    places = [at + off for at in range(0, len(whole), page) for off in (0, 7, 90, 3000, *range(page - 240, page, 16))]
    assert len(places) > 200
    for at in places:
        path.write_bytes(whole[:at] + whole[at + 1 :])
        assert expected == answers(filled), f"without byte {at}"


def answers(board: Board) -> dict[str, Any]:
    """What the indices of the index answer."""
    _, two, three = (row.id for row in rows(board))
    with board.store.view() as view:
        return {
            "incoming": view.incoming(two),
            "outgoing": [edge for edge in view.outgoing(three) if edge.target == two],
            "edges": view.edges(),
            "assigned": [row.title for row in view.assigned("agent:a", ["backlog", "done"])],
            "running": view.running(),
            "pressing": [row.title for row in view.pressing(["backlog"])],
            "row": view.row(three),
        }


def _all(data: bytes, word: bytes) -> list[int]:
    found = []
    at = data.find(word)
    while at >= 0:
        found.append(at)
        at = data.find(word, at + 1)
    return found


def test_a_locked_index_is_passed_by(filled: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_file, "BUSY_WAIT_S", 0.01)
    connection = sqlite3.connect(filled.folder / index_file.FILE, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    change(filled, "LAT-1", ChangeStatus("planned"), ANN)
    assert truth(filled) == rows(filled)
    connection.execute("ROLLBACK")
    connection.close()
    assert truth(filled) == rows(filled)


def test_a_link_in_place_of_the_index_is_not_followed(filled: Board, tmp_path: Path) -> None:
    path = filled.folder / index_file.FILE
    path.unlink()
    victim = tmp_path / "victim"
    victim.write_text("mine")
    path.symlink_to(victim)
    assert truth(filled) == rows(filled)
    assert "mine" == victim.read_text()


def test_nobody_else_can_read_it(filled: Board) -> None:
    assert 0o600 == (filled.folder / index_file.FILE).stat().st_mode & 0o777


def test_a_damaged_log_is_named(filled: Board) -> None:
    log = filled.folder / "events" / f"{filled.resolve('LAT-2')}.jsonl"
    damaged = log.with_suffix(".new")
    damaged.write_bytes(log.read_bytes().replace(b"Two", b"Tow"))
    damaged.rename(log)  # as git does
    for _ in range(2):
        with pytest.raises(LogDamaged, match="line 1"):
            rows(filled)


def test_the_titles_of_artifacts_are_found(filled: Board) -> None:
    Attach(inline="x", title="Heap profile").run(filled, "LAT-3", ANN)
    with filled.store.view(texts=True) as view:
        assert [filled.resolve("LAT-3")] == [hit.task_id for hit in view.search(parse_words("heap"))]


def test_readers_and_writers_at_once_see_what_was_acknowledged(filled: Board) -> None:
    wrong: list[tuple[int, int]] = []

    def work(name: str) -> None:
        mine = reopened(filled)
        for count in range(1, 11):
            change(mine, name, Comment("x"), ANN)
            seen = next(row.comment_count for row in rows(mine) if row.short_id == name)
            if seen != count:
                wrong.append((count, seen))

    threads = [threading.Thread(target=work, args=(f"LAT-{number}",)) for number in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == wrong
