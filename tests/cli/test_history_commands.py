"""`log`, `since`, `undo`, and the past in `show` and `list`."""

from __future__ import annotations

import pytest

from tests.cli.conftest import CommandLine


@pytest.fixture
def used(cli: CommandLine) -> CommandLine:
    """LAT-1 was moved by bob."""
    assert 0 == cli("status", "LAT-1", "in_planning", "--actor", "agent:bob").status
    return cli


def test_the_log_is_newest_first(used: CommandLine) -> None:
    lines = used("log").out.splitlines()
    assert ["status_changed", "task_created"] == [text.split("  ")[2] for text in lines]
    told = used("log", "--actor", "agent:bob", "--json").data
    assert [("LAT-1", "First", "status_changed")] == [(e["short_id"], e["title"], e["type"]) for e in told]
    assert 1 == len(used("log", "--limit", "1").out.splitlines())
    assert 2 == len(used("log", "--since", "1h", "--task", "LAT-1", "--quiet").out.splitlines())
    assert "No events.\n" == used("log", "--type", "x_deployed").out


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("log", "--type", "status_change"), "status_changed"),
        (("log", "--since", "soon"), "2026-11-01"),
        (("since", "soon"), "2026-11-01"),
        (("list", "--at", "soon"), "2026-11-01"),
        (("show", "LAT-1", "--at", "soon"), "2026-11-01"),
    ],
)
def test_a_word_that_is_none_is_refused_with_what_would_be(
    used: CommandLine, words: tuple[str, ...], hint: str
) -> None:
    error = used(*words, "--json").error
    assert ("VALIDATION_ERROR", True) == (error["code"], hint in error["hint"])


def test_what_happened_since(used: CommandLine) -> None:
    told = used("since", "1h", "--json").data["tasks"]
    assert [("created", None, "in_planning", 2)] == [
        (t["kind"], t["before"], t["task"]["status"], len(t["events"])) for t in told
    ]
    assert "2 events on 1 task, 1 of them new" in used("since", "1h").out
    assert "Nothing happened" in used("since", "1h", "--without", "human:ann", "--without", "agent:bob").out


def test_the_past_is_listed_and_shown(used: CommandLine) -> None:
    assert "No tasks.\n" == used("list", "--at", "1d").out
    assert used("list").out == used("list", "--at", "now").out
    assert "NOT_FOUND" == used("show", "LAT-1", "--at", "1d", "--json").error["code"]
    assert "in_planning" == used("show", "LAT-1", "--at", "now", "--json").data["status"]
    assert [] == used("list", "--at", "now", "--status", "backlog", "--json").data


def test_an_undo_is_shown_before_it_is_done(used: CommandLine) -> None:
    before = used.tree()
    said = used("undo", "LAT-1")
    assert "in_planning -> backlog" in said.out
    assert before == used.tree()
    event_id = used("undo", "LAT-1", "--quiet").out.strip()
    assert f"lattice undo LAT-1 {event_id} --yes" in said.out
    would = used("undo", "LAT-1", "--json").data
    assert (False, "status_changed", "backlog") == (
        would["done"],
        would["would_write"][0]["type"],
        would["would_write"][0]["data"]["to"],
    )
    assert "backlog" == used("undo", "LAT-1", event_id, "--yes", "--json").data["status"]


def test_what_cannot_be_undone_is_refused_with_the_reason(used: CommandLine) -> None:
    created = used("show", "LAT-1", "--json").data["events"][0]["id"]
    error = used("undo", "LAT-1", created, "--yes", "--json").error
    assert ("CANNOT_UNDO", True) == (error["code"], "cancelled" in error["message"])
    assert "NOT_FOUND" == used("undo", "LAT-1", "ev_01JD0000000000000000000000", "--json").error["code"]
    assert 1 == used("undo", "LAT-1", created).status
