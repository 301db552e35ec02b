"""Bonds between tasks, and branches."""

from __future__ import annotations

import subprocess

import pytest

from lattice.commands.archive import archive
from lattice.commands.board import Board
from lattice.commands.edges import Link, LinkBranch, Unlink, UnlinkBranch, circle, linkable, parse_branch
from lattice.commands.tasks import CreateTask, TaskRequest, change
from lattice.core.task import Task
from lattice.errors import Conflict, LatticeError, NotFound, ValidationError
from tests.commands.test_commands import contents
from tests.conftest import ANN


@pytest.fixture
def tasks(board: Board) -> list[Task]:
    """LAT-1 to LAT-4."""
    return [CreateTask(title).run(board, ANN).task for title in "abcd"]


def test_an_edge_is_written_once_and_taken_away_once(board: Board, tasks: list[Task]) -> None:
    link = Link("blocks", tasks[1].id, "why")
    edge = change(board, "LAT-1", link, ANN).task.relationships_out[0]
    assert ("blocks", tasks[1].id, "why") == (edge.type, edge.target_task_id, edge.note)
    with pytest.raises(Conflict):
        change(board, "LAT-1", link, ANN)
    change(board, "LAT-1", Link("depends_on", tasks[1].id), ANN)
    left = change(board, "LAT-1", Unlink("blocks", tasks[1].id), ANN).task.relationships_out
    assert ["depends_on"] == [edge.type for edge in left]
    with pytest.raises(NotFound):
        change(board, "LAT-1", Unlink("blocks", tasks[1].id), ANN)


def test_a_branch_is_known_by_its_name_and_its_repository(board: Board, tasks: list[Task]) -> None:
    change(board, "LAT-1", LinkBranch("main"), ANN)
    links = change(board, "LAT-1", LinkBranch("main", "org/r"), ANN).task.branch_links
    assert [("main", None), ("main", "org/r")] == [(link.branch, link.repo) for link in links]
    with pytest.raises(Conflict):
        change(board, "LAT-1", LinkBranch("main", "org/r"), ANN)
    links = change(board, "LAT-1", UnlinkBranch("main"), ANN).task.branch_links
    assert ["org/r"] == [link.repo for link in links]
    with pytest.raises(NotFound) as refused:
        change(board, "LAT-1", UnlinkBranch("main"), ANN)
    assert "--repo org/r" in (refused.value.hint or "")


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (Link("blocks", "SELF"), ValidationError),
        (Link("blocks", "task_x", "two\nlines"), ValidationError),
        (LinkBranch(""), ValidationError),
        (LinkBranch("--force"), ValidationError),
        (LinkBranch("a\x1b[2J"), ValidationError),
        (LinkBranch("main", " "), ValidationError),
        (UnlinkBranch("main"), NotFound),
    ],
    ids=repr,
)
def test_what_is_refused_leaves_no_trace(
    board: Board, task: Task, request_: TaskRequest, error: type[LatticeError]
) -> None:
    if isinstance(request_, Link) and request_.target == "SELF":
        request_ = request_.replace(target=task.id)
    before = contents(board)
    with pytest.raises(error):
        change(board, "LAT-1", request_, ANN)
    assert before == contents(board)


def test_an_edge_leads_to_a_task_that_is_there(board: Board, tasks: list[Task]) -> None:
    assert tasks[1] == linkable(board, "LAT-2")
    archive(board, "LAT-2", ANN)
    for ref in ("LAT-2", "LAT-77", "task_01ARZ3NDEKTSV4RRFFQ69G5FAV"):
        with pytest.raises(NotFound):
            linkable(board, ref)


def test_a_circle_is_found_from_each_of_its_tasks(board: Board, tasks: list[Task]) -> None:
    for from_, to in ((0, 1), (1, 2), (1, 3), (2, 0)):
        change(board, tasks[from_].id, Link("depends_on", tasks[to].id), ANN)
    names = [[task.name for task in circle(board, board.store.task(each.id), "depends_on")] for each in tasks]
    assert ["LAT-1", "LAT-2", "LAT-3", "LAT-1"] == names[0]
    assert ["LAT-3", "LAT-1", "LAT-2", "LAT-3"] == names[2]
    assert [] == names[3]
    assert [] == circle(board, board.store.task(tasks[0].id), "blocks")


@pytest.mark.parametrize(
    "name",
    [
        "main", "feature/x", "a.b", "a-b_c", "ü", "a@b", "a b", "a..b", "a~1", "a^", "a:b", "a?", "a*", "a[b", "a\\b",
        "-a", "/a", "a/", "a//b", ".a", "a/.b", "a.lock", "a.lock/b", "a.", "a@{b", "a/-b", "x.lockx",
    ],
)  # fmt: skip
def test_a_branch_name_is_one_that_git_allows(name: str) -> None:
    allowed = (
        0 == subprocess.run(["git", "check-ref-format", "--branch", name], capture_output=True, check=False).returncode
    )
    if allowed:
        assert name == parse_branch(name)
    else:
        with pytest.raises(ValidationError):
            parse_branch(name)
