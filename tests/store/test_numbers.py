"""Short ids: distinct under any race, and right whatever becomes of their cache."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from lattice.commands.board import Board
from lattice.commands.rebuild import rebuild_all
from lattice.commands.tasks import CreateTask
from lattice.store.files import ids_file
from tests.commands.earlier import install
from tests.conftest import ANN, make_board, reopened
from tests.faults import Acknowledge, Kind, run_with_fault, sweep
from tests.races import race


def test_eight_processes_get_eighty_numbers(board: Board) -> None:
    def create(number: int) -> None:
        mine = reopened(board)
        for _ in range(10):
            CreateTask(f"by {number}").run(mine, ANN)

    race(create, 8)
    tasks = list(board.store.tasks())
    assert {f"LAT-{number}" for number in range(1, 81)} == {task.short_id for task in tasks}
    assert all(task.id == board.resolve(task.short_id or "") for task in tasks)


def _deleted(ids: Path) -> None:
    ids.unlink()


def _empty(ids: Path) -> None:
    ids.write_bytes(b"")


def _nested(ids: Path) -> None:
    ids.write_bytes(b'{"map":' + b"[" * 100_000)


def _swapped(ids: Path) -> None:
    text = ids.read_text(encoding="ascii")
    ids.write_text(text.replace('"LAT-1"', '"LAT-9"').replace('"LAT-2"', '"LAT-1"'), encoding="ascii")


def _earlier_tool(ids: Path) -> None:
    shape = json.loads(ids.read_bytes())
    del shape["mark"]
    shape["map"]["LAT-1"] = shape["map"]["LAT-2"]
    ids.write_text(json.dumps(shape), encoding="ascii")


def _not_an_object(ids: Path) -> None:
    ids.write_bytes(b"[1, 2]")


def _hostile(ids: Path) -> None:
    ids.write_bytes(b'{"map": {"LAT-1": "../../etc"}, "next_seqs": {"LAT": true, "API": -1, "X": 1e9}}')


def _a_folder(ids: Path) -> None:
    ids.unlink()
    ids.mkdir()


@pytest.mark.parametrize(
    "damage", [_deleted, _empty, _nested, _swapped, _earlier_tool, _not_an_object, _hostile, _a_folder]
)
def test_the_cache_may_be_lost_or_lie(board: Board, damage: Callable[[Path], None]) -> None:
    made = [CreateTask(title).run(board, ANN).task for title in ("First", "Second")]
    damage(board.folder / "ids.json")
    fresh = reopened(board)
    assert [task.id for task in made] == [fresh.resolve("LAT-1"), fresh.resolve("lat-2")]
    assert "LAT-3" == CreateTask("Third").run(fresh, ANN).task.short_id


def test_a_byte_of_the_cache_flipped_anywhere_changes_no_answer(board: Board) -> None:
    made = [CreateTask(title).run(board, ANN).task.id for title in ("First", "Second")]
    ids = board.folder / "ids.json"
    right = ids.read_bytes()
    for at in range(len(right)):
        bad = bytearray(right)
        bad[at] ^= 1
        ids.write_bytes(bad)
        assert [*made, None] == [board.store.resolve(f"LAT-{number}") for number in (1, 2, 3)], at


def test_an_earlier_tools_cache_remembers_the_numbers_of_deleted_tasks(board: Board) -> None:
    CreateTask("First").run(board, ANN)
    shape = {"schema_version": 2, "next_seqs": {"LAT": 7}, "map": {}}
    (board.folder / "ids.json").write_text(json.dumps(shape), encoding="ascii")
    assert "LAT-7" == CreateTask("Next").run(reopened(board), ANN).task.short_id


def test_a_create_killed_before_it_notes_its_number_keeps_it(board: Board) -> None:
    """Within one tick of the kernel's clock the folder's time would not tell that a log was begun."""
    first = CreateTask("First").run(board, ANN).task

    def create(acknowledge: Acknowledge) -> None:
        CreateTask("Second").run(reopened(board), ANN)

    folder = os.stat(board.folder / "events")
    for k in range(1, 60):
        ids = (board.folder / "ids.json").read_bytes()
        outcome = run_with_fault(create, k, "kill before")
        (board.folder / "ids.json").write_bytes(ids)
        if not outcome.killed:
            break
        names = [task.short_id for task in board.store.tasks()]
        following = CreateTask("Next").run(reopened(board), ANN).task
        assert following.short_id not in names
        assert first.id == board.resolve("LAT-1")
    else:
        raise AssertionError("the create never came to its end")
    assert os.stat(board.folder / "events").st_mtime_ns != folder.st_mtime_ns


def test_a_log_begun_within_the_same_tick_of_the_clock_is_seen(board: Board) -> None:
    folder = board.folder / "events"
    for number in range(50):
        CreateTask("x").run(board, ANN)
        marked = os.stat(folder).st_mtime_ns
        (folder / f"other{number}").touch()
        assert marked != os.stat(folder).st_mtime_ns


def _task(number: int) -> str:
    return f"task_{number:026d}"


def _grown(path: Path, count: int) -> dict[str, str]:
    """A file to which `count` entries were added one by one, each by a new reader of its tail."""
    path.write_bytes(ids_file.whole({}, {}, "1:1"))
    for number in range(1, count + 1):
        assert ids_file.extend(path, _ending(path), {f"LAT-{number}": _task(number)}, {"LAT": number + 1}, "1:1")
    return {f"LAT-{number}": _task(number) for number in range(1, count + 1)}


def _ending(path: Path) -> ids_file.Ending:
    found = _maybe_ending(path)
    assert found is not None
    return found


def _maybe_ending(path: Path) -> ids_file.Ending | None:
    with path.open("rb") as file:
        return ids_file.ending(file.fileno())


def _found(path: Path, short_id: str) -> str | None:
    with path.open("rb") as file:
        known = ids_file.ending(file.fileno())
        assert known is not None
        return ids_file.find(file.fileno(), known, short_id)


def test_a_file_that_grew_is_the_one_that_is_made_anew_and_every_entry_is_found(tmp_path: Path) -> None:
    path = tmp_path / "ids.json"
    tasks = _grown(path, 1500)
    assert ids_file.whole(tasks, {"LAT": 1501}, "1:1") == path.read_bytes()
    assert {"schema_version": 2, "next_seqs": {"LAT": 1501}, "map": tasks} == {
        key: value for key, value in json.loads(path.read_bytes()).items() if key != "mark"
    }
    assert len(_ending(path).sums) > 4
    assert tasks == {short_id: _found(path, short_id) for short_id in tasks}
    assert [None, None] == [_found(path, short_id) for short_id in ("LAT-1501", "API-1")]


def test_entries_of_a_later_prefix_are_found_where_they_were_added(tmp_path: Path) -> None:
    path = tmp_path / "ids.json"
    tasks = _grown(path, 900)
    for number in range(1, 901):
        new = {f"API-{number}": _task(900 + number)}
        assert ids_file.extend(path, _ending(path), new, {"LAT": 901, "API": number + 1}, "1:1")
        tasks |= new
    assert tasks == {short_id: _found(path, short_id) for short_id in tasks}


def test_a_write_torn_at_any_byte_leaves_the_old_tail_the_new_one_or_none(tmp_path: Path) -> None:
    path = tmp_path / "ids.json"
    _grown(path, 9)
    before = path.read_bytes()
    size = _ending(path).size
    assert ids_file.extend(path, _ending(path), {"LAT-10": _task(10)}, {"LAT": 11}, "22:22")
    after = path.read_bytes()
    padded = before + bytes(len(after) - len(before))
    for cut in range(size + 1, len(after)):
        for torn in (after[:cut], after[:cut] + before[cut:], padded[:cut] + after[cut:]):
            path.write_bytes(torn)
            known = _maybe_ending(path)
            assert known is None or 11 == known.next_seqs["LAT"], cut


def test_a_damaged_block_is_found_by_who_looks_into_it(tmp_path: Path) -> None:
    path = tmp_path / "ids.json"
    _grown(path, 1500)
    data = bytearray(path.read_bytes())
    data[data.index(_task(5).encode()) + 30] ^= 1
    path.write_bytes(data)
    assert _task(1400) == _found(path, "LAT-1400")
    for short_id in ("LAT-5", "LAT-9999"):
        with pytest.raises(ids_file.Off):
            _found(path, short_id)


def test_a_create_reads_and_writes_the_tail_alone(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    CreateTask("First").run(board, ANN)
    ids = board.folder / "ids.json"
    tasks = {"LAT-1": board.resolve("LAT-1")} | {f"LAT-{number}": _task(number) for number in range(2, 20_001)}
    ids.write_bytes(ids_file.whole(tasks, {"LAT": 20_001}, _ending(ids).times))
    asked: list[int] = []
    read, write = os.pread, os.pwrite

    def metered_read(descriptor: int, length: int, at: int) -> bytes:
        asked.append(length)
        return read(descriptor, length, at)

    def metered_write(descriptor: int, data: bytes, at: int) -> int:
        asked.append(len(data))
        return write(descriptor, data, at)

    monkeypatch.setattr(os, "pread", metered_read)
    monkeypatch.setattr(os, "pwrite", metered_write)
    assert "LAT-20001" == CreateTask("Next").run(reopened(board), ANN).task.short_id
    assert max(asked) <= 1 << 14  # which every small file is asked for at once; the map has fifty times as much
    assert {**tasks, "LAT-20001": board.resolve("LAT-20001")} == json.loads(ids.read_bytes())["map"]
    assert max(asked) <= ids_file.BLOCK


def test_a_rebuild_leaves_the_bytes_of_a_file_that_grew(board: Board) -> None:
    for number in range(12):
        CreateTask(f"{number}").run(reopened(board), ANN)
    grown = (board.folder / "ids.json").read_bytes()
    rebuild_all(reopened(board))
    assert grown == (board.folder / "ids.json").read_bytes()


@pytest.mark.parametrize("kind", ["enospc", "eio"])
def test_a_log_that_a_rebuild_could_not_read_keeps_its_name(board: Board, kind: Kind) -> None:
    made = [CreateTask(title).run(board, ANN).task for title in ("First", "Second")]

    def nothing_derived() -> None:
        for path in (board.folder / "ids.json", *(board.folder / "tasks").iterdir()):
            path.unlink(missing_ok=True)

    def rebuild(acknowledge: Acknowledge) -> None:
        with suppress(OSError):  # as it says where it cannot write
            acknowledge(str(len(rebuild_all(reopened(board)).damaged)))

    damaged = 0
    for k, outcome in sweep(rebuild, kind, nothing_derived):
        assert not outcome.crash, outcome.crash
        damaged += outcome.acknowledged == ("1",)
        assert [task.id for task in made] == [reopened(board).resolve(f"LAT-{number}") for number in (1, 2)], k
    assert 2 == damaged, "each log could not be read once"
    assert "LAT-3" == CreateTask("Next").run(reopened(board), ANN).task.short_id


def _brought(board: Board, source: Board) -> list[str]:
    """Logs of another board put into this one's folder, as git does, a while ago."""
    logs = sorted((source.folder / "events").glob("task_*.jsonl"))
    for log in logs:
        shutil.copy(log, board.folder / "events" / log.name)
    for folder in board.folder.rglob("events"):
        os.utime(folder, ns=(1_000_000_000, 1_000_000_000))
    return [log.stem for log in logs]


@pytest.fixture
def other(tmp_path: Path) -> Board:
    """Another board, with API-1 and API-2."""
    board = make_board(tmp_path / "other")
    for number in (1, 2):
        CreateTask(f"{number}").run(board, ANN)
        (log,) = (path for path in (board.folder / "events").glob("task_*") if b"LAT-" in path.read_bytes())
        text = log.read_text(encoding="utf-8")
        shape = json.loads(text)
        shape["data"]["short_id"] = f"API-{number}"
        del shape["crc"], shape["prev"]
        log.write_text(json.dumps(shape) + "\n", encoding="utf-8")
    return board


def test_a_reader_keeps_what_it_read_of_the_logs_that_git_brought(board: Board, other: Board) -> None:
    mine = CreateTask("Mine").run(board, ANN).task.id
    brought = _brought(board, other)
    assert brought[0] == reopened(board).resolve("API-1")
    known = _ending(board.folder / "ids.json")
    assert {"LAT": 2, "API": 3} == known.next_seqs
    for name in brought:
        (board.folder / "events" / f"{name}.jsonl").write_bytes(b"")  # Whoever reads the logs again finds nothing.
    assert [mine, *brought] == [reopened(board).resolve(name) for name in ("LAT-1", "API-1", "API-2")]


def test_a_reader_waits_for_nobody_who_holds_the_numbers(board: Board, other: Board) -> None:
    CreateTask("Mine").run(board, ANN)
    before = (board.folder / "ids.json").read_bytes()
    brought = _brought(board, other)
    with board.store.numbering():
        assert brought[1] == reopened(board).resolve("API-2")
        assert before == (board.folder / "ids.json").read_bytes()


@pytest.mark.parametrize("kind", ["torn write", "short write"])
def test_a_refused_or_torn_write_gives_no_number_twice(board: Board, kind: Kind) -> None:
    """Not even that of a task whose log is gone, as long as the file remembers it."""
    made = [CreateTask(title).run(board, ANN).task for title in ("First", "Second", "Third")]
    (board.folder / "events" / f"{made[2].id}.jsonl").unlink()

    def create(acknowledge: Acknowledge) -> None:
        CreateTask("Next").run(reopened(board), ANN)

    for k in range(1, 40):
        outcome = run_with_fault(create, k, kind)
        assert not outcome.crash, outcome.crash
    names = [task.short_id for task in board.store.tasks()]
    assert len(names) == len(set(names))
    assert "LAT-3" not in names
    assert [task.id for task in board.store.tasks()] == [reopened(board).resolve(name or "") for name in names]


@pytest.mark.peer
@pytest.mark.slow
def test_the_earlier_tool_writes_between_ours_and_no_number_is_given_twice(
    board: Board, pytestconfig: pytest.Config
) -> None:
    assert pytestconfig.cache is not None
    earlier = install(pytestconfig.cache.mkdir("earlier-tool"))
    for number in range(1, 7, 2):
        assert f"LAT-{number}" == CreateTask("Ours").run(reopened(board), ANN).task.short_id
        told = [str(earlier), "create", "Theirs", "--actor", "human:ann", "--json"]
        done = subprocess.run(told, cwd=board.root, check=True, capture_output=True)
        assert f"LAT-{number + 1}" == json.loads(done.stdout)["data"]["short_id"]
    tasks = list(board.store.tasks())
    assert [task.id for task in tasks] == [reopened(board).resolve(task.short_id or "") for task in tasks]
    rebuild_all(reopened(board))
    shown = subprocess.run([str(earlier), "show", "LAT-5"], cwd=board.root, check=True, capture_output=True, text=True)
    assert "Ours" in shown.stdout


def test_a_log_that_came_without_changing_the_time_of_its_folder_is_found() -> None:
    # As btrfs has it after a power cut. The folder's size tells, where the file system counts what is in it.
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
        board = make_board(Path(folder) / "board")
        CreateTask("First").run(board, ANN)
        events, ids = board.folder / "events", board.folder / "ids.json"
        known, before = ids.read_bytes(), events.stat()
        second = CreateTask("Second").run(board, ANN).task
        if events.stat().st_size == before.st_size:
            pytest.skip("this file system does not count what is in a folder")
        ids.write_bytes(known)
        os.utime(events, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert second.id == reopened(board).resolve("LAT-2")
