"""A board in git: branches that edited the same task, older branches, short ids given out twice."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from lattice.commands.board import Board
from lattice.commands.doctor import examine
from lattice.commands.mends import Repair
from lattice.commands.rebuild import rebuild_all
from lattice.commands.tasks import ChangeStatus, Comment, CreateTask, RecordEvent, Update, change
from lattice.core.task import Task
from lattice.errors import LogDamaged
from tests.conftest import ANN, git, make_board, reopened


@pytest.fixture
def shared(git_repo: Path) -> Board:
    """A board with LAT-1, committed on main."""
    board = make_board(git_repo)
    CreateTask("First").run(board, ANN)
    return commit(board)


def commit(board: Board) -> Board:
    git(board.root, "add", "--all")
    git(board.root, "commit", "--quiet", "--message", "Board")
    return board


def switch(board: Board, *words: str) -> Board:
    git(board.root, "switch", "--quiet", *words)
    return reopened(board)


def read(board: Board, ref: str = "LAT-1") -> tuple[Task, list[str]]:
    fresh = reopened(board)
    stream = fresh.resolve(ref)
    task, events = fresh.store.history(stream)
    assert task == fresh.store.task(stream)
    assert sorted(event.id for event in events) == [event.id for event in events]
    return task, [event.type for event in events]


def test_git_carries_the_truth_and_no_cache(shared: Board) -> None:
    carried = git(shared.root, "ls-files", ".lattice").splitlines()
    assert f".lattice/events/{shared.resolve('LAT-1')}.jsonl" in carried
    assert not [name for name in carried if "/tasks/" in name or "/locks/" in name or name.endswith("ids.json")]


def test_two_branches_of_one_task_merge_in_the_order_of_their_ids(shared: Board) -> None:
    ours = switch(shared, "--create", "ours")
    change(ours, "LAT-1", Comment("ours, early"), ANN)
    commit(ours)
    theirs = switch(shared, "--create", "theirs", "main")
    change(theirs, "LAT-1", ChangeStatus("in_planning"), ANN)
    change(theirs, "LAT-1", Update(("title=Theirs", "priority=high")), ANN)
    commit(theirs)
    merged = switch(shared, "ours")
    change(merged, "LAT-1", Comment("ours, late"), ANN)
    commit(merged)
    git(shared.root, "merge", "--quiet", "--no-edit", "theirs")
    task, kinds = read(shared)
    expected = "task_created comment_added status_changed field_updated field_updated comment_added"
    assert expected == " ".join(kinds)
    assert ("Theirs", "in_planning", 2) == (task.title, task.status, task.comment_count)
    change(reopened(shared), "LAT-1", Comment("after"), ANN)
    task, kinds = read(shared)
    assert (3, 7) == (task.comment_count, len(kinds))
    change(reopened(shared), "LAT-1", Comment("and again"), ANN)
    assert 4 == read(shared)[0].comment_count


def test_a_merge_of_a_merge_is_read(shared: Board) -> None:
    for round_ in range(2):
        side = switch(shared, "--create", f"side{round_}")
        change(side, "LAT-1", Comment("side"), ANN)
        commit(side)
        main = switch(shared, "main")
        change(main, "LAT-1", Comment("main"), ANN)
        commit(main)
        git(shared.root, "merge", "--quiet", "--no-edit", f"side{round_}")
    assert 4 == read(shared)[0].comment_count
    assert 5 == len(read(shared)[1])


def test_a_custom_event_with_an_old_id_merges_behind_the_creation(shared: Board) -> None:
    side = switch(shared, "--create", "side")
    change(side, "LAT-1", RecordEvent("x_old"), ANN, event_id="ev_00000000000000000000000001")
    commit(side)
    main = switch(shared, "main")
    change(main, "LAT-1", Comment("main"), ANN)
    commit(main)
    git(shared.root, "merge", "--quiet", "--no-edit", "side")
    task, events = reopened(shared).store.history(shared.resolve("LAT-1"))
    assert ["task_created", "x_old", "comment_added"] == [event.type for event in events]
    assert 1 == task.comment_count


def test_an_older_branch_shows_what_it_knew(shared: Board) -> None:
    newer = switch(shared, "--create", "newer")
    change(newer, "LAT-1", Comment("new"), ANN)
    CreateTask("Second").run(newer, ANN)
    commit(newer)
    older = switch(shared, "main")
    assert 0 == read(older)[0].comment_count
    assert older.store.resolve("LAT-2") is None
    change(older, "LAT-1", Comment("on main"), ANN)
    assert 1 == read(older)[0].comment_count
    commit(older)
    again = switch(shared, "newer")
    assert ("Second", 1) == (read(again, "LAT-2")[0].title, read(again)[0].comment_count)


def test_a_short_id_given_out_on_two_branches_stays_with_the_older_task(shared: Board) -> None:
    left = switch(shared, "--create", "left")
    older = CreateTask("Older").run(left, ANN).task
    commit(left)
    right = switch(shared, "--create", "right", "main")
    (shared.folder / "ids.json").unlink()  # as in another clone: here the number would not be given out again
    younger = CreateTask("Younger").run(right, ANN).task
    commit(right)
    assert "LAT-2" == older.short_id == younger.short_id
    git(shared.root, "merge", "--quiet", "--no-edit", "left")
    assert older.id == reopened(shared).resolve("LAT-2")
    assert "Younger" == reopened(shared).store.task(younger.id).title
    assert "LAT-3" == CreateTask("Next").run(reopened(shared), ANN).task.short_id
    assert older.id == reopened(shared).resolve("LAT-2")


def test_a_clone_is_a_board_at_once(shared: Board, tmp_path_factory: pytest.TempPathFactory) -> None:
    to = tmp_path_factory.mktemp("clone")
    git(to, "clone", "--quiet", str(shared.root), "copy")
    clone = Board(to / "copy", shared.config)
    assert "First" == read(clone)[0].title
    change(clone, "LAT-1", Comment("from the clone"), ANN)
    assert "LAT-2" == CreateTask("Second").run(clone, ANN).task.short_id
    assert 1 == read(clone)[0].comment_count


def findings(board: Board) -> list[str]:
    return [finding.check for finding in examine(reopened(board)).findings]


def test_the_doctor_finds_a_merge_of_one_task_sound_once_the_caches_are_made_again(shared: Board) -> None:
    side = switch(shared, "--create", "side")
    change(side, "LAT-1", Comment("side"), ANN)
    commit(side)
    main = switch(shared, "main")
    change(main, "LAT-1", Comment("main"), ANN)
    commit(main)
    git(shared.root, "merge", "--quiet", "--no-edit", "side")
    assert ["snapshot_drift"] == findings(shared)
    assert (0, 3) == (examine(shared).count("error"), examine(shared).events)
    rebuild_all(reopened(shared))
    assert [] == findings(shared)
    assert 2 == read(shared)[0].comment_count


def test_the_doctor_gives_the_younger_of_two_equal_short_ids_the_next_number(shared: Board) -> None:
    left = switch(shared, "--create", "left")
    older = CreateTask("Older").run(left, ANN).task
    commit(left)
    right = switch(shared, "--create", "right", "main")
    (shared.folder / "ids.json").unlink()  # as in another clone
    younger = CreateTask("Younger").run(right, ANN).task
    commit(right)
    git(shared.root, "merge", "--quiet", "--no-edit", "left")
    merged = reopened(shared)
    assert "duplicate_short_id" in findings(merged)
    mended = Repair(merged, ANN, list).run(examine(merged).mendable)
    assert [] == [one for one in mended if one.error]
    assert [] == findings(merged)
    assert [("LAT-2", older.id), ("LAT-3", younger.id)] == [
        (ref, reopened(shared).resolve(ref)) for ref in ("LAT-2", "LAT-3")
    ]
    assert "LAT-3" == reopened(shared).store.task(younger.id).short_id
    commit(merged)
    clone = switch(shared, "--create", "later")
    (clone.folder / "ids.json").unlink()
    assert younger.id == reopened(clone).resolve("LAT-3")


def test_a_fresh_clone_has_nothing_to_mend(shared: Board, tmp_path_factory: pytest.TempPathFactory) -> None:
    to = tmp_path_factory.mktemp("clone")
    git(to, "clone", "--quiet", str(shared.root), "copy")
    assert [] == findings(Board(to / "copy", shared.config))


def test_a_merge_that_git_left_to_a_person_says_how_to_end_it(shared: Board) -> None:
    (shared.folder / ".gitattributes").unlink()  # as where a code host merges, which does not know of merge=union
    commit(shared)
    theirs = switch(shared, "--create", "theirs")
    change(theirs, "LAT-1", Comment("theirs"), ANN)
    commit(theirs)
    ours = switch(shared, "main")
    change(ours, "LAT-1", Comment("ours"), ANN)
    commit(ours)
    with pytest.raises(subprocess.CalledProcessError):
        git(shared.root, "merge", "--quiet", "--no-edit", "theirs")
    with pytest.raises(LogDamaged, match="line 2: it is a mark of a merge") as left:
        read(shared)
    assert left.value.hint is not None
    subprocess.run(["sh", "-c", left.value.hint[left.value.hint.index("sed ") :]], check=True)
    task, kinds = read(shared)
    assert ["task_created", "comment_added", "comment_added"] == kinds
    assert 2 == task.comment_count
    assert [] == [finding for finding in examine(reopened(shared)).findings if finding.level == "error"]
