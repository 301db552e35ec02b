"""A board with a log that cannot be read: what still answers, what it says of the task, and what is refused."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import CommandLine


@pytest.fixture
def damaged(cli: CommandLine) -> CommandLine:
    """LAT-1 depends on LAT-2, whose log and snapshot are damaged."""
    for title in ("Second", "Third", "Fourth"):
        assert 0 == cli("create", title).status
    assert 0 == cli("link", "LAT-1", "depends_on", "LAT-2").status
    task_id = cli("show", "LAT-2", "--json").data["id"]
    for name in (f"events/{task_id}.jsonl", f"tasks/{task_id}.json"):
        path = cli.folder / ".lattice" / name
        path.write_bytes(path.read_bytes().replace(b"Second", b"Sekond"))
    (cli.folder / ".lattice" / "index.sqlite").unlink(missing_ok=True)
    return cli


NAMED = (
    ("list",), ("list", "--compact"), ("list", "--at", "2100-01-01"), ("list", "--sort", "title"), ("search", "i"),
    ("next",), ("ready",), ("blocked",), ("graph",), ("show", "LAT-1"), ("log",), ("since", "1d"), ("worker", "ps"),
)  # fmt: skip


@pytest.mark.parametrize("words", NAMED, ids=" ".join)
def test_an_answer_names_the_task_that_it_lacks(damaged: CommandLine, words: tuple[str, ...]) -> None:
    for _ in range(2):  # What is found out once is said again.
        answer = damaged(*words, "--json")
        assert (0, 1) == (answer.status, len(answer.json["warnings"])), answer.out
        assert "LAT-2 is left out, as its log cannot be read: task_" in answer.json["warnings"][0]
        assert "Second" not in answer.out
        told = damaged(*words)
        assert told.err.startswith("Warning: LAT-2 is left out")
        assert told.err.endswith("Next: lattice doctor\n")


def test_the_other_tasks_are_all_there(damaged: CommandLine) -> None:
    assert ["First", "Third", "Fourth"] == [task["title"] for task in damaged("list", "--json").data]
    assert ["Fourth"] == [task["title"] for task in damaged("search", "fourth", "--json").data]


def test_what_waits_for_a_task_that_cannot_be_read_is_not_offered(damaged: CommandLine) -> None:
    assert ["LAT-3", "LAT-4"] == damaged("ready", "--quiet").out.split()
    assert "LAT-1" in damaged("blocked", "--quiet").out.split()
    assert "LAT-3" == damaged("next", "--quiet").out.strip()


SUMS = (
    ("export", "--to", "csv"),
    ("stats",),
    ("weather",),
    ("next", "--claim"),
    ("show", "LAT-2"),
    ("comment", "LAT-2", "x"),
)


@pytest.mark.parametrize("words", SUMS, ids=" ".join)
def test_what_is_made_of_every_task_is_refused(damaged: CommandLine, words: tuple[str, ...]) -> None:
    assert "LOG_DAMAGED" == damaged(*words, "--json").error["code"]


def test_a_limit_that_nobody_can_count_refuses_the_move(damaged: CommandLine) -> None:
    path = damaged.folder / ".lattice" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["workflow"] |= {"wip_limits": {"planned": 5}, "wip_limits_enforced": True}
    path.write_text(json.dumps(config), encoding="utf-8")
    assert "LOG_DAMAGED" == damaged("status", "LAT-1", "planned", "--json").error["code"]


def test_a_log_that_was_mended_is_listed_again(damaged: CommandLine) -> None:
    assert 3 == len(damaged("list", "--json").data)
    for path in (damaged.folder / ".lattice" / "events").glob("task_*.jsonl"):
        path.write_bytes(path.read_bytes().replace(b"Sekond", b"Second"))
    answer = damaged("list", "--json")
    assert (4, None) == (len(answer.data), answer.json.get("warnings"))


def test_damage_in_the_archive_is_named_where_the_archive_is_asked_for(damaged: CommandLine) -> None:
    lattice = damaged.folder / ".lattice"
    task_id = next(p.stem for p in (lattice / "events").glob("task_*.jsonl") if b"Sekond" in p.read_bytes())
    (lattice / "archive" / "events").mkdir(parents=True, exist_ok=True)
    (lattice / "events" / f"{task_id}.jsonl").rename(lattice / "archive" / "events" / f"{task_id}.jsonl")
    assert None is damaged("list", "--json").json.get("warnings")
    assert "LAT-2 is left out" in damaged("list", "--include-archived", "--json").json["warnings"][0]
