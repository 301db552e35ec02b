"""`query save`, `query list` and `query remove`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cli.conftest import CommandLine


def settings(cli: CommandLine) -> dict[str, Any]:
    shape = json.loads(cli.tree()["config.json"])
    assert isinstance(shape, dict)
    return shape


def test_a_query_that_was_saved_can_be_asked_and_removed(cli: CommandLine) -> None:
    cli("create", "Second", "--priority", "high")
    assert "Saved @top: priority:>=high\n" == cli("query", "save", "top", "priority:>=high").out
    assert {"name": "new", "query": "@top status:backlog", "changed": True} == (
        cli("query", "save", "new", "@top", "status:backlog", "--json").data
    )
    assert "LAT-2\n" == cli("list", "@new", "--quiet").out
    assert "new\ntop\n" == cli("query", "list", "--quiet").out
    assert "@new  @top status:backlog\n@top  priority:>=high\n" == cli("query", "list").out
    assert 0 == cli("query", "remove", "new").status
    assert [{"name": "top", "query": "priority:>=high"}] == cli("query", "list", "--json").data


def test_other_settings_and_unknown_ones_stay(cli: CommandLine) -> None:
    path = cli.folder / ".lattice" / "config.json"
    path.write_text(json.dumps(settings(cli) | {"from_the_future": {"ö": [1, None]}}))
    before = settings(cli)
    cli("query", "save", "größe", 'title:"ä"')
    assert before | {"queries": {"größe": 'title:"ä"'}} == settings(cli)
    cli("query", "remove", "größe")
    assert before | {"queries": {}} == settings(cli)


@pytest.mark.parametrize(
    ("name", "expression", "code", "said"),
    [
        ("q", "stat:done", "VALIDATION_ERROR", "which is no field"),
        ("q", "priority:odd", "VALIDATION_ERROR", "no grade"),
        ("q", "@nothing", "VALIDATION_ERROR", "no saved query"),
        ("q", "@q", "VALIDATION_ERROR", "leads back"),
        ("q", 'title:"open', "VALIDATION_ERROR", "cannot be read"),
        ("q", " ", "VALIDATION_ERROR", "is empty"),
        ("q", "a\nb", "VALIDATION_ERROR", "control character"),
        ("q", "x" * 5_000, "VALIDATION_ERROR", "too long"),
        ("q", "\udcff", "VALIDATION_ERROR", "not valid Unicode"),
        ("", "x", "VALIDATION_ERROR", "Invalid name"),
        ("@q", "x", "VALIDATION_ERROR", "Invalid name"),
        ("two words", "x", "VALIDATION_ERROR", "Invalid name"),
        ("q\n", "x", "VALIDATION_ERROR", "Invalid name"),
        ("n" * 61, "x", "VALIDATION_ERROR", "Invalid name"),
        ("used", "tag:web", "CONFLICT", "already"),
    ],
)
def test_what_cannot_be_asked_is_not_saved(cli: CommandLine, name: str, expression: str, code: str, said: str) -> None:
    cli("query", "save", "used", "tag:x")
    before = cli.tree()
    refused = cli("query", "save", "--json", "--", name, expression)
    assert (1, code) == (refused.status, refused.error["code"])
    assert said in refused.error["message"]
    assert before == cli.tree()


def test_the_same_again_changes_nothing_and_another_needs_replace(cli: CommandLine) -> None:
    cli("query", "save", "q", "tag:a")
    before = cli.tree()
    assert "@q says that already.\n" == cli("query", "save", "q", "tag:a").out
    assert before == cli.tree()
    assert "CONFLICT" == cli("query", "save", "q", "tag:b", "--json").error["code"]
    assert 0 == cli("query", "save", "q", "tag:b", "--replace").status
    assert {"q": "tag:b"} == settings(cli)["queries"]


def test_what_another_is_made_of_is_neither_removed_nor_turned_on_itself(cli: CommandLine) -> None:
    cli("query", "save", "a", "tag:a")
    cli("query", "save", "b", "@a -type:bug")
    before = cli.tree()
    refused = cli("query", "remove", "a", "--json")
    assert (1, "Removing 'a' would break what is made of it: b.") == (refused.status, refused.error["message"])
    assert "leads back" in cli("query", "save", "a", "@b", "--replace", "--json").error["message"]
    assert before == cli.tree()


def test_a_chain_that_grows_too_long_below_is_refused(cli: CommandLine) -> None:
    assert 0 == cli("query", "save", "q0", "tag:x").status
    for step in range(1, 6):
        assert 0 == cli("query", "save", f"q{step}", f"@q{step - 1}").status
    cli("query", "save", "base", "tag:y")
    refused = cli("query", "save", "q0", "@base", "--replace", "--json")
    assert "would break what is made of it: q5." in refused.error["message"]


def test_a_query_that_can_never_fit_is_saved_with_a_warning(cli: CommandLine) -> None:
    done = cli("query", "save", "q", "status:dnoe")
    assert 0 == done.status
    assert "'dnoe' is not a configured status" in done.err


def test_what_was_broken_by_hand_is_listed_with_the_reason_and_can_be_mended(cli: CommandLine) -> None:
    path = cli.folder / ".lattice" / "config.json"
    path.write_text(json.dumps(settings(cli) | {"queries": {"bad": "nope:1", "good": "tag:a"}}))
    listed = cli("query", "list", "--json").data
    assert ["bad", "good"] == [one["name"] for one in listed]
    assert "no field" in listed[0]["problem"]
    assert "problem" not in listed[1]
    assert 0 == cli("query", "save", "bad", "tag:b", "--replace").status
    path.write_text(json.dumps(settings(cli) | {"queries": {"bad": "nope:1"}}))
    assert 0 == cli("query", "remove", "bad").status
    assert "No saved queries." in cli("query", "list").out


def test_an_unknown_name_is_answered_with_the_nearest(cli: CommandLine) -> None:
    cli("query", "save", "mine", "assigned:me")
    before = cli.tree()
    refused = cli("query", "remove", "mien", "--json")
    assert ("NOT_FOUND", "Did you mean 'mine'?") == (refused.error["code"], refused.error["hint"])
    assert before == cli.tree()
