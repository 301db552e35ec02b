"""`list`, `search`, `ready`, `blocked`, `graph`, and the edges that `show` tells of."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.cli.conftest import CommandLine


@pytest.fixture
def linked(cli: CommandLine) -> CommandLine:
    """LAT-1 waits for LAT-2; LAT-3 is a part of LAT-1; LAT-4 stands alone."""
    for words in (("Second", "--priority", "high"), ("Third", "--tags", "wip,web"), ("Fourth", "--type", "bug")):
        assert 0 == cli("create", *words).status
    assert 0 == cli("link", "LAT-1", "depends_on", "LAT-2", "--note", "first things first").status
    assert 0 == cli("link", "LAT-3", "subtask_of", "LAT-1").status
    return cli


def ids(cli: CommandLine, *words: str) -> list[str]:
    done = cli(*words, "--quiet")
    assert 0 == done.status, done.err
    return done.out.split()


def test_filters_repeat_and_negate(linked: CommandLine) -> None:
    linked("status", "LAT-4", "planned")
    for expected, words in (
        (["LAT-1", "LAT-2", "LAT-3", "LAT-4"], ("--status", "backlog", "--status", "planned")),
        (["LAT-4"], ("--not-status", "backlog")),
        (["LAT-1", "LAT-2", "LAT-4"], ("--not-tag", "wip")),
        (["LAT-2"], ("--priority", ">=high")),
        (["LAT-3"], ("tag:web", "!type:bug")),
        (["LAT-2", "LAT-4"], ("--query", "priority:high,medium", "!title:first", "!tag:wip")),
        (["LAT-1"], ("title:first", "--updated", "<1d")),
        ([], ("--done", "any")),
        (["LAT-4", "LAT-3"], ("--sort", "id:desc", "--limit", "2")),
    ):
        assert expected == ids(linked, "list", *words), words


def test_a_query_that_begins_with_a_minus_follows_two_dashes(linked: CommandLine) -> None:
    done = linked("list", "--quiet", "--", "-tag:wip")
    assert ["LAT-1", "LAT-2", "LAT-4"] == done.out.split()


def test_columns(linked: CommandLine) -> None:
    assert ["LAT-3  Third  wip, web"] == linked("list", "--columns", "task,title,tags", "tag:wip").out.splitlines()
    refused = linked("list", "--columns", "titel", "--json")
    assert (1, "VALIDATION_ERROR") == (refused.status, refused.error["code"])
    assert "Did you mean title?" in refused.error["hint"]


def test_a_saved_query(linked: CommandLine) -> None:
    path = linked.folder / ".lattice" / "config.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps(settings | {"queries": {"clean": "-tag:wip", "bugs": "@clean type:bug"}}))
    assert ["LAT-4"] == ids(linked, "list", "@bugs")
    assert "Did you mean @bugs?" == linked("list", "@bug", "--json").error["hint"]
    path.write_text(json.dumps(settings | {"queries": [1]}))
    assert "CONFIG_ERROR" == linked("list", "@bug", "--json").error["code"]


def test_me_is_who_asks(linked: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    linked("assign", "LAT-4", "agent:claude")
    assert [] == ids(linked, "list", "assigned:me")
    monkeypatch.setenv("LATTICE_ACTOR", "agent:claude")
    assert ["LAT-4"] == ids(linked, "list", "assigned:me")


def test_archived_tasks_are_listed_where_they_are_asked_for(linked: CommandLine) -> None:
    linked("archive", "LAT-4")
    assert ["LAT-1", "LAT-2", "LAT-3"] == ids(linked, "list")
    listed = linked("list", "--include-archived", "--json").data
    assert [None, None, None, True] == [task.get("archived") for task in listed]
    assert linked("list", "--include-archived").out.endswith("[archived]\n")


def test_the_json_of_a_listing_is_that_of_show(linked: CommandLine) -> None:
    listed = linked("list", "--json")
    assert json.dumps(listed.json, indent=2, sort_keys=True) + "\n" == listed.out
    shown = linked("show", "LAT-1", "--json").data
    assert listed.data[0] == {key: shown[key] for key in listed.data[0]}


def test_search_finds_text_and_shows_it(linked: CommandLine) -> None:
    linked("comment", "LAT-2", "the Needle is\nhere")
    assert "LAT-2  backlog  Second\n    the Needle is here\n" == linked("search", "need").out
    assert ("LAT-2", "the Needle is here") == tuple(
        linked("search", "need", "--json").data[0][key] for key in ("short_id", "snippet")
    )
    assert "Nothing was found.\n" == linked("search", "need hay").out
    assert 1 == linked("search", "!!").status
    assert 2 == linked("search").status


def test_ready_and_blocked(linked: CommandLine) -> None:
    assert ["LAT-2", "LAT-3", "LAT-4"] == ids(linked, "ready")
    waiting = linked("blocked", "--json").data
    assert [("LAT-1", ["LAT-2"])] == [
        (task["short_id"], [other["short_id"] for other in task["blocked_by"]]) for task in waiting["tasks"]
    ]
    linked("status", "LAT-2", "cancelled")
    assert ["LAT-1", "LAT-3", "LAT-4"] == ids(linked, "ready")
    assert "Nothing waits.\n" == linked("blocked").out
    assert "VALIDATION_ERROR" == linked("ready", "--status", "dnoe", "--json").error["code"]


def test_graph_in_each_form(linked: CommandLine) -> None:
    assert [
        "LAT-1 [backlog] First",
        "├─ after LAT-2 [backlog] Second",
        "└─ subtask LAT-3 [backlog] Third",
    ] == linked("graph").out.splitlines()
    assert ["LAT-1", "LAT-2"] == ids(linked, "graph", "LAT-2", "--type", "depends_on")
    assert "LAT-4 [backlog] Fourth\n" == linked("graph", "LAT-4").out
    dot = linked("graph", "--format", "dot").out
    assert dot.startswith("digraph lattice {\n")
    assert '[label="LAT-1: First\\nbacklog"];' in dot
    mermaid = linked("graph", "--format", "mermaid").out.splitlines()
    assert ["graph LR", '  t1["LAT-1: First<br/>backlog"]'] == mermaid[:2]
    assert '  t1 -->|"depends_on"| t2' in mermaid
    data = linked("graph", "--json").data
    assert (3, 2, None, []) == (len(data["nodes"]), len(data["edges"]), data["root"], data["cycles"])


def test_hostile_titles_cannot_leave_their_place(linked: CommandLine) -> None:
    linked("update", "LAT-1", 'title="]; end <script> `x` \\N #quot;')
    assert '"LAT-1: \\"]; end <script> `x` \\\\N #quot;\\nbacklog"' in linked("graph", "--format", "dot").out
    mermaid = linked("graph", "--format", "mermaid").out
    assert not set("<>`;") & set(mermaid.splitlines()[1].replace("<br/>", "").replace("#", "").replace(";", ""))


def test_show_tells_of_both_directions(linked: CommandLine) -> None:
    data = linked("show", "LAT-1", "--json").data
    assert [("depends_on", "Second", "first things first")] == [
        (edge["type"], edge["target_title"], edge["note"]) for edge in data["relationships_enriched"]
    ]
    third = linked("show", "LAT-3", "--json").data
    expected = {"source_task_id": third["id"], "source_title": "Third", "type": "subtask_of", "note": None}
    assert [expected] == data["relationships_in"]
    page = linked("show", "LAT-1").out
    assert f'  <- subtask_of {third["id"]} "Third"\n' in page
    linked("unlink", "LAT-3", "subtask_of", "LAT-1")
    assert [] == linked("show", "LAT-1", "--json").data["relationships_in"]


def test_damage_elsewhere_does_not_hide_a_task(linked: CommandLine) -> None:
    log = linked.folder / ".lattice" / "events" / f"{linked('show', 'LAT-3', '--json').data['id']}.jsonl"
    log.write_bytes(log.read_bytes().replace(b"subtask_of", b"subtask_fo"))
    (linked.folder / ".lattice" / "index.sqlite").unlink()
    shown = linked("show", "LAT-1", "--json")
    assert 0 == shown.status
    assert "LAT-3 is left out, as its log cannot be read: " in shown.json["warnings"][0]
    assert ["Second"] == [edge["target_title"] for edge in shown.data["relationships_enriched"]]


@pytest.mark.parametrize("words", [("create", "x"), ("status", "LAT-1", "planned"), ("show", "LAT-1", "--compact")])
def test_a_hot_command_does_without_the_index(cli: CommandLine, words: tuple[str, ...]) -> None:
    code = f"import sys\nfrom lattice.cli.main import main\nmain({list(words)!r})\nsys.exit('sqlite3' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=cli.folder, capture_output=True, timeout=60, check=False)
    assert (0, b"") == (done.returncode, done.stderr)
