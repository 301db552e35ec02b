"""The journal of changes: what is in it is looked at alone, and what is not is found all the same."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

from lattice.commands.board import Board
from lattice.commands.tasks import ChangeStatus, Comment, CreateTask, change
from lattice.core.summary import summary
from lattice.store.files import changes, freshness, stamps
from tests.conftest import ANN, reopened

OLD_NS = 1_700_000_000_000_000_000


@pytest.fixture
def settled(board: Board) -> Board:
    """Three tasks, indexed, nothing about them young."""
    for title in ("One", "Two", "Three"):
        CreateTask(title).run(board, ANN)
    rest(board)
    assert [0, 0, 0] == counts(board)
    return board


def rest(board: Board) -> None:
    """Let a long time pass for the files, as far as their times tell."""
    for folder in (board.folder / name for name in freshness._FOLDERS):
        for path in folder.iterdir():
            os.utime(path, ns=(OLD_NS, OLD_NS))
        os.utime(folder, ns=(OLD_NS, OLD_NS))


def counts(board: Board) -> list[int]:
    """How many comments each task has, by its number."""
    with board.store.view() as view:
        return [row.comment_count for row in sorted(view.rows(), key=lambda row: row.name)]


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A line for each look at every log, from now on."""
    seen: list[str] = []
    whole = stamps.every

    def noting(root: str, now_ns: int) -> dict[str, str]:
        seen.append(root)
        return whole(root, now_ns)

    monkeypatch.setattr(stamps, "every", noting)
    return seen


def died(board: Board, act: Callable[[Board], object], monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    """Do something in another process, which dies where the journal would be told a line beginning with `at`."""
    pid = os.fork()
    if pid == 0:
        note = changes._note
        monkeypatch.setattr(changes, "_note", lambda fd, text: os._exit(9) if text.startswith(at) else note(fd, text))
        try:
            act(reopened(board))
        finally:
            os._exit(1)
    assert 9 == os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_after_a_write_no_other_log_is_looked_at(settled: Board, looks: list[str]) -> None:
    change(settled, "LAT-2", Comment("x"), ANN)
    assert [0, 1, 0] == counts(settled)
    change(settled, "LAT-2", ChangeStatus("cancelled"), ANN)
    CreateTask("Four").run(settled, ANN)
    change(settled, "LAT-4", Comment("x"), ANN)
    assert [0, 1, 0, 1] == counts(settled)
    assert [0, 1, 0, 1] == counts(settled)
    assert [] == looks


def test_a_new_task_does_not_push_the_others_out(settled: Board, looks: list[str]) -> None:
    CreateTask("Four").run(settled, ANN)
    assert [0, 0, 0, 0] == counts(settled)
    assert [] == looks


def test_what_a_tool_without_the_journal_does_is_seen_at_once(settled: Board, looks: list[str]) -> None:
    journal = settled.folder / changes.FILE
    told = journal.read_bytes()
    change(settled, "LAT-2", Comment("x"), ANN)
    journal.write_bytes(told)
    os.utime(settled.folder / "tasks")  # as its rename of a snapshot leaves it
    assert [0, 1, 0] == counts(settled)
    assert 1 == len(looks)


@pytest.mark.parametrize("damage", ["gone", "other", "empty", "cut"])
def test_a_journal_that_does_not_go_on_hides_nothing(settled: Board, looks: list[str], damage: str) -> None:
    change(settled, "LAT-1", Comment("x"), ANN)
    counts(settled)
    journal = settled.folder / changes.FILE
    change(settled, "LAT-2", Comment("x"), ANN)
    match damage:
        case "gone":
            journal.unlink()
        case "other":
            journal.write_bytes(b"0.0\n" + b"x" * 4096)
        case "empty":
            os.truncate(journal, 0)
        case _:
            os.truncate(journal, 40)
    assert [1, 1, 0] == counts(settled)
    assert 1 == len(looks)


def test_a_journal_that_grew_too_long_begins_anew(settled: Board, looks: list[str]) -> None:
    with (settled.folder / changes.FILE).open("ab") as journal:
        journal.write(b"\n" * changes.BYTES_MAX)
    change(settled, "LAT-1", Comment("x"), ANN)
    assert (settled.folder / changes.FILE).stat().st_size < 1000
    assert [1, 0, 0] == counts(settled)
    assert 1 == len(looks)
    rest(settled)
    counts(settled)
    looks.clear()
    change(settled, "LAT-1", Comment("x"), ANN)
    assert [2, 0, 0] == counts(settled)
    assert [] == looks


def test_a_writer_that_cannot_reach_the_journal_is_not_missed(settled: Board, looks: list[str]) -> None:
    journal = settled.folder / changes.FILE
    journal.unlink(missing_ok=True)
    journal.mkdir()
    counts(settled)
    rest(settled)
    counts(settled)
    change(settled, "LAT-3", Comment("x"), ANN)
    assert [0, 0, 1] == counts(settled)


@pytest.mark.parametrize("at", ["+", "-"])
def test_the_event_of_a_writer_that_died_is_seen(
    settled: Board, looks: list[str], monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    died(settled, lambda board: change(board, "LAT-1", Comment("x"), ANN), monkeypatch, at)
    kept = [1, 0, 0] if at == "-" else [0, 0, 0]
    for _ in range(3):
        assert kept == counts(settled)
    change(settled, "LAT-2", Comment("x"), ANN)
    assert [kept[0], 1, 0] == counts(settled)


def test_a_writer_at_work_is_waited_for_by_nobody_and_missed_by_nobody(settled: Board, looks: list[str]) -> None:
    task_id = settled.resolve("LAT-1")
    with settled.store.exclusive(task_id) as tail, changes.announced(str(settled.folder), task_id):
        assert [0, 0, 0] == counts(settled)
        assert [0, 0, 0] == counts(settled)
        events, task = settled.store.history(task_id)[1], tail.task
        assert task is not None
        written = settled.ledger.stamp(task_id, Comment("late").decide(task, settled.config), ANN, events[-1].id, None)
        tail.append(written, task.replace(comment_count=1, last_event_id=written[-1].id, updated_at=written[-1].ts))
    assert [1, 0, 0] == counts(settled)


def test_an_edit_in_place_shows_at_the_next_look(settled: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    log = settled.folder / "events" / f"{settled.resolve('LAT-2')}.jsonl"
    before = log.read_bytes()
    change(settled, "LAT-2", Comment("x"), ANN)
    assert [0, 1, 0] == counts(settled)
    log.write_bytes(before)  # an editor that does not rename: neither the journal nor a folder knows
    later_ns = time.time_ns() + freshness.LOOK_EVERY_NS * 10
    monkeypatch.setattr(time, "time_ns", lambda: later_ns)
    assert [0, 0, 0] == counts(settled)
    assert [summary(task) for task in settled.store.tasks()] == _rows(settled)


def _rows(board: Board) -> object:
    with board.store.view() as view:
        return list(view.rows())
