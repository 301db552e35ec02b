"""A log that was cut, flipped, torn or rearranged: the right answer, or the file and the line by name."""

from __future__ import annotations

import json
import shutil
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from lattice.commands.board import Board
from lattice.commands.detail import show
from lattice.commands.tasks import Comment, CreateTask, Update, change
from lattice.core.codec import encode
from lattice.core.events import Event
from lattice.core.task import Task
from lattice.errors import LatticeError, LogDamaged, NotFound, StorageError
from lattice.store.files import snapshot
from lattice.store.files.log import read_log
from tests.conftest import ANN, make_board, reopened

Answer = tuple[Task, Sequence[Event]]


@pytest.fixture
def small(board: Board) -> Board:
    """A board whose LAT-1 has four lines, the last two of one act."""
    CreateTask("First").run(board, ANN)
    change(board, "LAT-1", Comment("second line"), ANN)
    change(board, "LAT-1", Update(("title=Third", "priority=high")), ANN)
    return board


def log_of(board: Board) -> Path:
    return next((board.folder / "events").glob("task_*.jsonl"))


def snapshot_of(board: Board) -> Path:
    return next((board.folder / "tasks").glob("task_*.json"))


def answer(board: Board) -> Answer:
    """What a fresh process is told, by both ways of reading, which have to agree."""
    fresh = reopened(board)
    stream = log_of(board).stem
    task, events = fresh.store.history(stream)
    assert task == fresh.store.task(stream)
    return task, [event.replace(raw=None) for event in events]


def next_append_works(board: Board, events_before: int) -> None:
    change(reopened(board), log_of(board).stem, Comment("after"), ANN)
    task, events = answer(board)
    assert events_before + 1 == len(events)
    assert "after" == events[-1].body.fields()["body"]
    assert task.last_event_id == events[-1].id


def test_each_line_names_the_one_before_it_and_sums_itself_up(small: Board) -> None:
    before = None
    for line in log_of(small).read_bytes().splitlines():
        shape = json.loads(line)
        crc = shape.pop("crc")
        bare = json.dumps(shape, sort_keys=True, separators=(",", ":")).encode()
        assert f"{zlib.crc32(bare):08x}" == crc
        assert before == shape["prev"]
        before = shape["id"]


# The snapshot is a cache


def _without(snapshot: Path) -> None:
    snapshot.unlink()


def _empty(snapshot: Path) -> None:
    snapshot.write_bytes(b"")


def _flipped(snapshot: Path) -> None:
    snapshot.write_bytes(snapshot.read_bytes().replace(b'"Third"', b'"Thirt"'))


def _of_another_version(snapshot: Path) -> None:
    shape = json.loads(snapshot.read_bytes())
    del shape["tags"], shape["log_mark"]
    bare = json.dumps(shape, sort_keys=True, indent=2).encode() + b"\n"
    shape["log_mark"] = f"{10**6}:0:{0:08x}:{zlib.crc32(bare):08x}"
    snapshot.write_bytes(json.dumps(shape, sort_keys=True, indent=2).encode() + b"\n")


def _by_the_earlier_tool(snapshot: Path) -> None:
    shape = json.loads(snapshot.read_bytes()) | {"title": "stale", "unknown": 1}
    snapshot.write_bytes(json.dumps(shape, sort_keys=True, indent=2).encode() + b"\n")


def _a_folder(snapshot: Path) -> None:
    snapshot.unlink()
    snapshot.mkdir()


def _nested(snapshot: Path) -> None:
    snapshot.write_bytes(b"[" * 100_000)


@pytest.mark.parametrize(
    "damage", [_without, _empty, _flipped, _of_another_version, _by_the_earlier_tool, _a_folder, _nested]
)
def test_a_snapshot_that_cannot_be_believed_changes_no_answer(small: Board, damage: Callable[[Path], None]) -> None:
    before = answer(small)
    damage(snapshot_of(small))
    assert before == answer(small)
    next_append_works(small, 4)


def test_a_stale_snapshot_is_brought_forward(small: Board) -> None:
    stale = snapshot_of(small).read_bytes()
    change(small, "LAT-1", Comment("more"), ANN)
    change(small, "LAT-1", Comment("and more"), ANN)
    before = answer(small)
    snapshot_of(small).write_bytes(stale)
    assert before == answer(small)
    next_append_works(small, 6)


def test_a_snapshot_is_a_function_of_the_log(small: Board) -> None:
    """Two that replayed it, one from the start and one from an old snapshot, would write the same bytes."""
    written = snapshot_of(small).read_bytes()
    stream = log_of(small).stem
    with small.store.exclusive(stream) as tail:
        task = tail.task
    assert task is not None
    log = log_of(small).read_bytes()
    last = log.rindex(b"\n", 0, len(log) - 1) + 1
    assert written == snapshot.encode(snapshot.Snapshot(task, len(log), last, zlib.crc32(log)))


# The tail


def test_a_last_line_cut_anywhere_was_never_there(small: Board) -> None:
    log = log_of(small).read_bytes()
    change(small, "LAT-1", Comment("unsaid"), ANN)
    full = log_of(small).read_bytes()
    snapshot_of(small).unlink()
    for size in range(len(log), len(full) + 1):
        log_of(small).write_bytes(full[:size])
        whole = size >= len(full) - 1  # but for its newline the line says everything
        assert (5 if whole else 4) == len(answer(small)[1]), size
        assert full[:size] == log_of(small).read_bytes(), "a reader changed the log"


def test_a_torn_tail_is_set_aside_by_the_next_writer(small: Board) -> None:
    log = log_of(small).read_bytes()
    change(small, "LAT-1", Comment("unsaid"), ANN)
    full = log_of(small).read_bytes()
    for size in range(len(log) + 1, len(full) - 1, 17):
        snapshot_of(small).unlink()
        log_of(small).write_bytes(full[:size])
        next_append_works(small, 4)
        assert log_of(small).read_bytes().startswith(log)
        kept = sorted((small.folder / "events" / "torn").iterdir())
        assert full[len(log) : size] in [path.read_bytes() for path in kept]


@pytest.mark.parametrize("cut", [-1, -2, -40])
def test_an_act_cut_short_is_absent_as_a_whole(small: Board, cut: int) -> None:
    """The first line of two, whole, whole but for its newline, and torn: none of it was acknowledged."""
    lines = log_of(small).read_bytes().splitlines(keepends=True)
    open_batch = b"".join(lines[:3])
    snapshot_of(small).unlink()
    log_of(small).write_bytes(open_batch if cut == -1 else open_batch[: cut + 1])
    assert 2 == len(answer(small)[1])
    assert "First" == answer(small)[0].title
    next_append_works(small, 2)


def test_an_act_cut_at_each_byte_is_absent_or_whole(small: Board) -> None:
    full = log_of(small).read_bytes()
    before = b"".join(full.splitlines(keepends=True)[:2])
    snapshot_of(small).unlink()
    for size in range(len(before), len(full) + 1):
        log_of(small).write_bytes(full[:size])
        task, events = answer(small)
        expected = (4, "Third", "high") if size >= len(full) - 1 else (2, "First", "medium")
        assert expected == (len(events), task.title, task.priority), size


def test_an_act_cut_before_a_newline_lets_the_next_one_in(small: Board) -> None:
    full = log_of(small).read_bytes()
    lines = full.splitlines(keepends=True)
    for size in range(len(b"".join(lines[:2])), len(full) - 1, 11):
        log_of(small).write_bytes(full[:size])
        snapshot_of(small).unlink()
        next_append_works(small, 2)


def test_an_event_that_lacks_only_its_newline_is_kept_by_the_next_writer(small: Board) -> None:
    log_of(small).write_bytes(log_of(small).read_bytes()[:-1])
    snapshot_of(small).unlink()
    next_append_works(small, 4)


@pytest.mark.parametrize("nuls", [2, 511, 512, 4096, 5000])
def test_nuls_where_a_block_was_never_written_are_a_torn_tail(small: Board, nuls: int) -> None:
    before = answer(small)
    with log_of(small).open("ab") as log:
        log.write(b"\0" * nuls)
    assert before == answer(small)
    next_append_works(small, 4)
    assert b"\0" not in log_of(small).read_bytes()


def test_a_hole_of_whole_sectors_in_the_last_line_is_a_torn_tail(small: Board) -> None:
    before = answer(small)
    start = log_of(small).stat().st_size
    sector = (start // 512 + 1) * 512
    change(small, "LAT-1", Comment("x" * 2000), ANN)
    snapshot_of(small).unlink()
    full = bytearray(log_of(small).read_bytes())
    full[sector : sector + 512] = b"\0" * 512
    log_of(small).write_bytes(full)
    assert before == answer(small)
    next_append_works(small, 4)


def test_the_snapshot_knows_what_was_acknowledged(small: Board) -> None:
    """Where the snapshot says that the bytes were synced, a cut line is a loss and not a torn tail."""
    full = log_of(small).read_bytes()
    before_last = len(b"".join(full.splitlines(keepends=True)[:3]))
    for size in range(before_last + 1, len(full) - 1):
        log_of(small).write_bytes(full[:size])
        for ask in (lambda: answer(small), lambda: change(small, "LAT-1", Comment("x"), ANN)):
            with pytest.raises(LogDamaged) as refused:
                ask()
            assert log_of(small).name in refused.value.message
        assert full[:size] == log_of(small).read_bytes()


def test_a_log_taken_back_by_git_is_not_a_loss_nor_is_its_torn_tail_later(small: Board) -> None:
    full = log_of(small).read_bytes()
    older = b"".join(full.splitlines(keepends=True)[:2])
    log_of(small).write_bytes(older)
    assert 2 == len(answer(small)[1])
    with small.store.exclusive(log_of(small).stem):
        log_of(small).write_bytes(older + full[len(older) : len(older) + 30])  # a writer dies in its write
    next_append_works(small, 2)


# Damage before the tail


def test_every_flipped_byte_gives_the_right_events_or_is_named(small: Board) -> None:
    path, full = log_of(small), log_of(small).read_bytes()
    right = [event.replace(raw=None) for event in read_log(full, path, path.stem).events]
    named = 0
    for at in range(len(full)):
        for flip in (0x01, 0x20, 0x80, full[at]):  # the last makes it a NUL
            bad = bytearray(full)
            bad[at] ^= flip
            try:
                events = read_log(bytes(bad), path, path.stem).events
            except LogDamaged as damage:
                named += 1
                assert_named(damage, path)
            else:
                assert right == [event.replace(raw=None) for event in events], (at, flip)
    assert named > 3.9 * len(full)


@pytest.mark.parametrize("with_snapshot", [True, False])
def test_a_flipped_byte_is_named_by_the_board_which_leaves_it(small: Board, with_snapshot: bool) -> None:
    right, full = answer(small), log_of(small).read_bytes()
    if not with_snapshot:
        snapshot_of(small).unlink()
    for at in range(0, len(full), 17):
        bad = bytearray(full)
        bad[at] ^= 1
        log_of(small).write_bytes(bad)
        expect_right_or_named(small, right, bytes(bad))


def assert_named(damage: LogDamaged, log: Path) -> None:
    line = damage.details["line"]
    assert f"{log.name}, line {line}: " in damage.message


def expect_right_or_named(board: Board, right: Answer, written: bytes) -> None:
    stream = log_of(board).stem
    try:
        task, events = board.store.history(stream)
    except LogDamaged as damage:
        assert_named(damage, log_of(board))
    else:
        assert right == (task, [event.replace(raw=None) for event in events])
    try:
        assert right[0] == board.store.task(stream)
    except LogDamaged as damage:
        assert_named(damage, log_of(board))
    assert written == log_of(board).read_bytes()


def test_a_writer_refuses_a_damaged_log_and_changes_nothing(small: Board) -> None:
    bad = bytearray(log_of(small).read_bytes())
    bad[40] ^= 1
    log_of(small).write_bytes(bad)
    snapshot_of(small).unlink()
    with pytest.raises(LogDamaged) as refused:
        change(small, log_of(small).stem, Comment("x"), ANN)
    assert 1 == refused.value.details["line"]
    assert bytes(bad) == log_of(small).read_bytes()
    assert not (small.folder / "events" / "torn").exists()


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_a_line_that_is_missing_is_named(small: Board, gone: int) -> None:
    lines = log_of(small).read_bytes().splitlines(keepends=True)
    del lines[gone]
    log_of(small).write_bytes(b"".join(lines))
    snapshot_of(small).unlink()
    with pytest.raises(LogDamaged) as refused:
        answer(small)
    assert gone + 1 == refused.value.details["line"]


@pytest.mark.parametrize("twice", [0, 1, 2, 3])
@pytest.mark.parametrize("to", [1, 2, 3, 4])
def test_a_line_that_stands_twice_counts_once(small: Board, twice: int, to: int) -> None:
    right = answer(small)
    lines = log_of(small).read_bytes().splitlines(keepends=True)
    lines.insert(to, lines[twice])
    log_of(small).write_bytes(b"".join(lines))
    snapshot_of(small).unlink()
    expect_right_or_named(small, right, b"".join(lines))
    if to == twice + 1 and twice < 2:
        assert right == answer(small)


@pytest.mark.parametrize("first", [0, 1, 2])
def test_lines_that_changed_places_give_the_right_answer_or_are_named(small: Board, first: int) -> None:
    right = answer(small)
    lines = log_of(small).read_bytes().splitlines(keepends=True)
    lines[first], lines[first + 1] = lines[first + 1], lines[first]
    log_of(small).write_bytes(b"".join(lines))
    snapshot_of(small).unlink()
    expect_right_or_named(small, right, b"".join(lines))


def test_a_line_of_another_task_is_named(small: Board) -> None:
    other = CreateTask("Other").run(small, ANN)
    log = small.folder / "events" / f"{other.task.id}.jsonl"
    first = small.resolve("LAT-1")
    with (small.folder / "events" / f"{first}.jsonl").open("ab") as end:
        end.write(log.read_bytes())
    with pytest.raises(LogDamaged, match="line 5"):
        show(small, "LAT-1")


def test_the_same_id_with_different_content_is_named(small: Board) -> None:
    event = small.store.history(log_of(small).stem)[1][1]
    forged = encode(event.replace(ts="2020-01-01T00:00:00Z"))
    lines = log_of(small).read_bytes().splitlines(keepends=True)
    log_of(small).write_bytes(b"".join([*lines[:2], forged, *lines[2:]]))
    snapshot_of(small).unlink()
    with pytest.raises(LogDamaged, match="line 3"):
        answer(small)


def test_an_event_that_cannot_follow_is_named(small: Board) -> None:
    *_, last = small.store.history(log_of(small).stem)[1]
    forged = last.replace(
        id=last.id[:-1] + ("0" if last.id[-1] == "Z" else "Z"),
        body=last.body.replace(field="tags", to=5),
        batch=None,
        prev=last.id,
    )
    with log_of(small).open("ab") as end:
        end.write(encode(forged))
    with pytest.raises(LogDamaged):
        answer(small)


# The folder around it


def test_a_log_that_is_a_symbolic_link_is_refused(small: Board, tmp_path: Path) -> None:
    log = log_of(small)
    stream = log.stem
    log.rename(tmp_path / "elsewhere")
    log.symlink_to(tmp_path / "elsewhere")
    before = (tmp_path / "elsewhere").read_bytes()
    for ask in (lambda: small.store.task(stream), lambda: change(small, stream, Comment("x"), ANN)):
        with pytest.raises(StorageError):
            ask()
    assert before == (tmp_path / "elsewhere").read_bytes()


def test_an_empty_log_is_no_task_and_can_be_begun(board: Board) -> None:
    stream = board.ledger.new_id("task")
    (board.folder / "events" / f"{stream}.jsonl").touch()
    with pytest.raises(NotFound):
        board.store.task(stream)
    assert [] == list(board.store.tasks())
    assert "Begun" == CreateTask("Begun", id=stream).run(board, ANN).task.title


def test_folders_that_git_does_not_carry_are_made_again(small: Board, tmp_path: Path) -> None:
    right = answer(small)
    for name in ("tasks", "locks", "plans", "notes", "runs", "artifacts", "archive"):
        shutil.rmtree(small.folder / name)
    assert right == answer(small)
    next_append_works(small, 4)
    assert "LAT-2" == CreateTask("Second").run(reopened(small), ANN).task.short_id
    assert (small.folder / "tasks").is_dir()


def test_a_board_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    board = make_board(tmp_path)
    stream = CreateTask("x").run(board, ANN).task.id
    lock = board.folder / "locks" / f"events_{stream}.lock"
    lock.unlink()
    lock.mkdir()
    with pytest.raises(LatticeError) as refused:
        change(board, stream, Comment("x"), ANN)
    assert "STORAGE_ERROR" == refused.value.code


def test_a_log_that_was_emptied_is_damage_where_its_snapshot_knows_better(small: Board) -> None:
    log_of(small).write_bytes(b"")
    stream = log_of(small).stem
    for ask in (small.store.task, reopened(small).store.history):
        with pytest.raises(LogDamaged, match=r"it is empty, and [0-9]+ bytes of it were acknowledged"):
            ask(stream)
    with pytest.raises(LogDamaged):
        change(reopened(small), stream, Comment("x"), ANN)
    snapshot_of(small).unlink()
    with pytest.raises(NotFound):  # a create that was killed before its first byte looks like this
        reopened(small).store.task(stream)


def test_a_log_that_cannot_be_read_is_not_said_to_be_a_write(small: Board) -> None:
    path = log_of(small)
    path.unlink()
    path.mkdir()
    for ask in (reopened(small).store.task, reopened(small).store.history):
        with pytest.raises(StorageError) as refused:
            ask(path.stem)
        assert f"{path.name} cannot be read: Is a directory." == refused.value.message
        assert f"ls -l {path}" == refused.value.hint
