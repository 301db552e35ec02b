"""Random commands, valid and not, through the command line: what always holds of a board holds after each."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from lattice.commands.board import Board, read_config
from lattice.core.events import evolve
from lattice.core.task import Task, to_snapshot
from tests.cli.conftest import CommandLine, cli, outside

__all__ = ["cli", "outside"]

COMMANDS = 120
SEEDS = (1, 2, 3)
STATUSES = (
    "backlog", "in_planning", "planned", "in_progress", "review", "done", "blocked", "needs_human", "cancelled", "no",
)  # fmt: skip
TEXTS = ("plain", "", " ", "Größe ☃", "two\nlines", "-dash", "../x", "$(id)", "\x1b[31m", "\u202eabc", "x" * 11_000)
CACHES = ("locks", "index.sqlite")


class Known(NamedTuple):
    """What a command may speak of: tasks, and the ids of comments."""

    tasks: list[str]
    comments: list[tuple[str, str]]


def words(chance: random.Random, known: Known) -> list[str]:
    """One command line: about half of them are refused."""
    task = chance.choice([*known.tasks, *known.tasks, f"LAT-{chance.randint(1, 12)}", "nonsense"])
    other, text = chance.choice([*known.tasks, "LAT-99"]), chance.choice((*["plain"] * len(TEXTS), *TEXTS))
    talked, event = chance.choice([*known.comments, (task, "ev_x")])
    actor = chance.choice(("human:ann", "agent:bot", "nobody", "none"))
    choices: list[list[str]] = [
        ["create", "--priority", chance.choice(("high", "low", "odd")), "--", text],
        ["create", "Good", "--tags", "a,b,a", "--assigned-to", actor],
        ["status", task, chance.choice(STATUSES)],
        ["status", task, chance.choice(STATUSES), "--force", "--reason", "because"],
        ["assign", task, actor],
        ["comment", "--role", chance.choice(("review", "odd")), "--", task, text],
        ["comment", "--", task, text],
        ["comment-edit", "--", talked, event, text],
        ["comment-delete", talked, event],
        ["react", "--", talked, event, chance.choice(("heart", text))],
        ["unreact", "--", talked, event, "heart"],
        ["update", "--", task, f"title={text}", f"priority={chance.choice(('high', 'odd'))}"],
        ["update", "--", task, f"custom_fields.k={text}", "tags=x,y"],
        ["link", task, chance.choice(("blocks", "depends_on", "subtask_of", "odd")), other],
        ["unlink", task, "blocks", other],
        ["branch-link", "--", task, chance.choice(("b1", "b2", text))],
        ["branch-unlink", "--", task, chance.choice(("b1", text))],
        ["attach", task, "--inline", text],
        ["event", task, chance.choice(("x_a", "odd")), "--data", chance.choice(('{"a":1}', "[]", "{"))],
        ["archive", task],
        ["unarchive", task],
        ["next", "--claim", "--actor", actor],
        ["complete", task, "--review", text],
    ]
    return chance.choice(choices)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_is_asked_the_board_stays_whole(cli: CommandLine, seed: int) -> None:
    chance, known = random.Random(seed), Known(["LAT-1"], [])
    accepted = refused = 0
    for _ in range(COMMANDS):
        line = words(chance, known)
        before = files(cli)
        said = cli(*line, *(["--json"] if "--" not in line else []))
        assert said.status in (0, 1, 2), (line, said)
        if said.status:
            refused += 1
            assert before == files(cli), line
            continue
        accepted += 1
        known = names(cli.folder)
        assert_one_truth(cli.folder, line)
    assert accepted > COMMANDS // 6
    assert refused > COMMANDS // 6
    assert_rebuild_changes_nothing(cli)


def assert_one_truth(root: Path, line: list[str]) -> None:
    """fold(log) == snapshot == index row, for every task; and no short id is had twice."""
    board = Board(root, read_config(root))
    with board.store.view(archived=True) as view:
        rows = view.rows()
        indexed = view.snapshots([row.id for row in rows])
    assert len(rows) == len({row.short_id for row in rows}), line
    assert {row.id for row in rows} == {path.stem for path in board.folder.rglob("events/task_*.jsonl")}, line
    for row in rows:
        kept, events = board.store.history(row.id)
        folded: Task | None = None
        for event in events:
            folded = evolve(folded, event)
        assert folded is not None
        assert kept == folded, (line, row.short_id)
        shape = json.loads(json.dumps(to_snapshot(folded)))
        assert shape == json.loads(indexed[row.id]), (line, row.short_id)
        assert shape == on_disk(board, row.id), (line, row.short_id)
        assert (folded.short_id, folded.title, folded.status) == (row.short_id, row.title, row.status), line


def on_disk(board: Board, task_id: str) -> dict[str, Any]:
    (path,) = board.folder.rglob(f"tasks/{task_id}.json")
    return {key: value for key, value in json.loads(path.read_bytes()).items() if key != "log_mark"}


def assert_rebuild_changes_nothing(cli: CommandLine) -> None:
    before = files(cli)
    assert 0 == cli("rebuild", "--all").status
    after = files(cli)
    # The mark says at which folder times ids.json was right; a rebuild may set it, and nothing else.
    assert unmarked(before) == unmarked(after)
    assert 0 == cli("rebuild", "--all").status
    assert after == files(cli)


def unmarked(tree: dict[str, bytes]) -> dict[str, Any]:
    ids = json.loads(tree["ids.json"])
    return tree | {"ids.json": {key: ids[key] for key in ids if key != "mark"}}


def files(cli: CommandLine) -> dict[str, bytes]:
    """Every file of the board but its caches."""
    return {name: data for name, data in cli.tree().items() if not name.startswith(CACHES)}


def names(root: Path) -> Known:
    board = Board(root, read_config(root))
    tasks = [task.short_id or task.id for task in board.store.tasks()] or ["LAT-1"]
    comments = [
        (name, event.id)
        for name in tasks
        for event in board.store.history(board.resolve(name))[1]
        if event.type == "comment_added"
    ]
    return Known(tasks, comments)
