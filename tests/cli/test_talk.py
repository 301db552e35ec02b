"""Comments, bonds, the archive, plans and short ids on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine

UNKNOWN = "ev_01ARZ3NDEKTSV4RRFFQ69G5FAV"


@pytest.fixture
def said(cli: CommandLine) -> str:
    """The id of a comment on LAT-1."""
    return str(cli("comment", "LAT-1", "hello", "--role", "review", "--json").data["last_event_id"])


def test_comments_stand_in_threads_with_the_task_beside_them(cli: CommandLine, said: str) -> None:
    assert 0 == cli("comment", "LAT-1", "welcome", "--reply-to", said, "--actor", "agent:bot").status
    assert 0 == cli("comment-edit", "LAT-1", said, "hello all").status
    assert 0 == cli("react", "LAT-1", said, "👀").status
    answer = cli("comments", "LAT-1", "--json")
    assert {"id": "LAT-1", "title": "First", "status": "backlog"} == answer.json["task_context"]
    (top,) = answer.data
    assert ("hello all", "review", True, {"eyes": ["human:ann"]}) == tuple(
        top[key] for key in ("body", "role", "edited", "reactions")
    )
    assert [("welcome", "agent:bot", said)] == [(r["body"], r["author"], r["parent_id"]) for r in top["replies"]]
    assert f"{said}\n" == cli("comments", "LAT-1", "--quiet").out


def test_a_deleted_comment_shows_that_it_was_there(cli: CommandLine, said: str) -> None:
    assert f"{said}\n" == cli("comment-delete", "LAT-1", said, "--quiet").out
    page = cli("comments", "LAT-1").out
    assert "deleted by human:ann" in page
    assert "hello" not in page
    assert "VALIDATION_ERROR" == cli("comment-delete", "LAT-1", said, "--json").error["code"]


def test_what_is_said_of_no_comment_names_it(cli: CommandLine) -> None:
    for words in (("comment-edit", "LAT-1", UNKNOWN, "x"), ("react", "LAT-1", UNKNOWN, "up")):
        refused = cli(*words)
        assert (1, True) == (refused.status, UNKNOWN in refused.err)
        assert "lattice comments" in refused.err
    assert "No comments." in cli("comments", "LAT-1").out


def test_nothing_in_a_comment_acts_on_a_terminal(cli: CommandLine) -> None:
    assert 0 == cli("comment", "LAT-1", "a\x1b[2J\u202eb\n$(id) `id`").status
    page = cli("comments", "LAT-1").out
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "$(id) `id`" in page


def test_a_bond_shows_its_target_and_a_circle_is_warned_of(cli: CommandLine) -> None:
    cli("create", "Second")
    assert 0 == cli("link", "LAT-1", "depends_on", "LAT-2", "--note", "first this").status
    again = cli("link", "LAT-1", "depends_on", "LAT-2", "--json")
    assert (1, "CONFLICT") == (again.status, again.error["code"])
    circle = cli("link", "LAT-2", "depends_on", "LAT-1", "--json")
    assert (0, ["depends_on goes in a circle: LAT-2 -> LAT-1 -> LAT-2."]) == (circle.status, circle.json["warnings"])
    assert [] == cli("unlink", "LAT-1", "depends_on", "LAT-2", "--json").data["relationships_out"]


def test_a_wrong_type_of_bond_is_told_the_right_ones(cli: CommandLine) -> None:
    cli("create", "Second")
    refused = cli("link", "LAT-1", "depend_on", "LAT-2", "--json")
    assert "VALIDATION_ERROR" == refused.error["code"]
    assert "depends_on" in refused.error["hint"]


def test_a_branch_is_linked_and_unlinked(cli: CommandLine) -> None:
    linked = cli("branch-link", "LAT-1", "feature/x", "--repo", "org/r", "--json").data["branch_links"]
    assert [("feature/x", "org/r", "human:ann")] == [
        (each["branch"], each["repo"], each["linked_by"]) for each in linked
    ]
    assert "NOT_FOUND" == cli("branch-unlink", "LAT-1", "feature/x", "--json").error["code"]
    assert [] == cli("branch-unlink", "LAT-1", "feature/x", "--repo", "org/r", "--json").data["branch_links"]


def test_an_archived_task_is_shown_and_not_changed(cli: CommandLine) -> None:
    event = cli("archive", "LAT-1", "--json").data
    assert ("task_archived", {}) == (event["type"], event["data"])
    assert cli("show", "LAT-1", "--json").data["archived"] is True
    assert "[ARCHIVED]" in cli("show", "LAT-1").out
    assert cli("plan", "LAT-1", "--json").data["archived"] is True
    refused = cli("status", "LAT-1", "planned")
    assert (1, True) == (refused.status, "lattice unarchive" in refused.err)
    assert "task_unarchived" == cli("unarchive", "LAT-1", "--json").data["type"]
    assert 0 == cli("status", "LAT-1", "planned").status


def test_of_several_what_cannot_be_archived_is_told(cli: CommandLine) -> None:
    cli("create", "Second")
    answer = cli("archive", "LAT-1,LAT-99", "LAT-2", "--json")
    assert (1, False) == (answer.status, answer.json["ok"])
    assert ["LAT-1", "LAT-2"] == answer.json["data"]["archived"]
    assert [("LAT-99", "NOT_FOUND")] == [(each["id"], each["code"]) for each in answer.json["data"]["failed"]]
    assert (0, "LAT-1\nLAT-2\n") == cli("unarchive", "LAT-1,LAT-2", "--quiet")[:2]


def test_stale_takes_no_names_and_nothing_fresh(cli: CommandLine) -> None:
    cli("create", "Done", "--status", "done")
    assert {"archived": [], "failed": []} == cli("archive", "--stale", "--json").data
    assert "VALIDATION_ERROR" == cli("archive", "--stale", "LAT-1", "--json").error["code"]
    assert "VALIDATION_ERROR" == cli("archive", "--json").error["code"]
    assert 2 == cli("unarchive").status


def test_a_plan_is_shown_with_its_path(cli: CommandLine) -> None:
    path = Path(cli("plan", "LAT-1", "--quiet").out.strip())
    path.write_text("# Plan\n\x1b[31mred\n", encoding="utf-8")
    assert "# Plan\n\\x1b[31mred\n" == cli("plan", "LAT-1").out
    assert "# Plan\n\x1b[31mred\n" == cli("plan", "LAT-1", "--json").data["content"]
    path.unlink()
    refused = cli("plan", "LAT-1")
    assert (1, True) == (refused.status, str(path) in refused.err)


def test_project_codes_are_set_for_what_comes(cli: CommandLine) -> None:
    refused = cli("set-project-code", "SRV", "--json")
    assert (1, "CONFLICT") == (refused.status, refused.error["code"])
    assert "SRV" == cli("set-project-code", "srv", "--force", "--json").data["project_code"]
    assert 0 == cli("set-subproject-code", "F").status
    assert "SRV-F-1\n" == cli("create", "Second", "--quiet").out
    assert 0 == cli("backfill-ids", "--json").data["assigned"]


def test_tasks_without_a_short_id_are_given_one(outside: CommandLine) -> None:
    outside("init", "--project-code", "LAT", "--actor", "human:ann")
    config = outside.folder / ".lattice" / "config.json"
    settings = config.read_text()
    config.write_text(settings.replace('"project_code": "LAT",', ""), encoding="utf-8")
    for title in "ab":
        outside("create", title)
    assert {"assigned": 2, "first": "ABC-1", "last": "ABC-2"} == outside("backfill-ids", "--code", "abc", "--json").data
    assert "agent:lattice-migration" == outside("show", "ABC-1", "--json").data["events"][-1]["actor"]


def test_an_id_of_an_archived_task_makes_no_second_log(cli: CommandLine) -> None:
    given = "task_01KA8Z00000000000000000001"
    cli("create", "Given", "--id", given)
    cli("archive", given)
    before = cli.tree()
    again = cli("create", "Given", "--id", given, "--json")
    assert (given, True) == (again.data["id"], again.data["archived"])
    assert "CONFLICT" == cli("create", "Other", "--id", given, "--json").error["code"]
    assert before == cli.tree()
