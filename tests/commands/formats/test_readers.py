"""Each format is read as it is written; what cannot be read is named by its place, and the rest is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lattice.commands.formats import backlog_md, beads, csv_table, front_matter, github, taskwarrior
from lattice.commands.formats.item import Account, Item, Link, Malformed, Remark, actor, when
from lattice.errors import NotFound, ValidationError

DAY_MS = 86_400_000
JANUARY = 1_767_225_600_000  # 2026-01-01T00:00:00Z


def source(folder: Path, *records: Any, name: str = "source.json") -> Path:
    path = folder / name
    path.write_text("\n".join(json.dumps(record) for record in records), encoding="utf-8")
    return path


def test_a_beads_issue(tmp_path: Path) -> None:
    account = Account()
    record = {
        "id": "bd-1", "title": "Fix", "description": "D", "design": "How", "status": "closed", "priority": 0,
        "issue_type": "bug", "assignee": "bob", "created_at": "2026-01-01T00:00:00.123456789Z", "labels": ["x"],
        "closed_at": "2026-01-02T00:00:00Z", "comments": [{"author": "al", "text": "hi"}], "zork": 3, "empty": [],
        "dependencies": [{"issue_id": "bd-1", "depends_on_id": "bd-0", "type": "blocks"}],
    }  # fmt: skip
    (item,) = beads.read(source(tmp_path, record), account)
    expected = Item(
        key="bd-1", where="source.json:1", title="Fix", status="done", created_ms=JANUARY + 123,
        ended_ms=JANUARY + DAY_MS, priority="critical", type="bug", description="D\n\n## Design\n\nHow", tags=("x",),
        assigned_to="human:bob", remarks=(Remark("hi", "human:al"),), links=(Link("depends_on", "bd-0"),),
    )  # fmt: skip
    assert expected == item
    assert {"zork": 1} == account.dropped
    assert 1 == account.mapped["status", "closed", "done"]


def test_a_deleted_issue_of_beads_is_passed_over_and_told(tmp_path: Path) -> None:
    account = Account()
    assert [] == beads.read(source(tmp_path, {"id": "bd-1", "title": "x", "status": "tombstone"}), account)
    assert [("source.json:1", "bd-1 was deleted there")] == account.skipped


def test_malformed_lines_are_named_and_the_others_read(tmp_path: Path) -> None:
    account = Account()
    path = tmp_path / "i.jsonl"
    path.write_text('{"id":"a","title":"A"}\n{oops\n[1]\n{"id":"b"}\n\n{"id":"c","title":"C","labels":3}\n')
    assert ["a"] == [item.key for item in beads.read(path, account)]
    assert ["i.jsonl:2", "i.jsonl:3", "i.jsonl:4", "i.jsonl:6"] == [where for where, _ in account.malformed]
    assert "'title' is missing or empty" == account.malformed[2][1]


def test_taskwarrior_tasks(tmp_path: Path) -> None:
    account = Account()
    records = [
        {"uuid": "u1", "description": "Do", "status": "pending", "start": "20260102T000000Z", "priority": "H",
         "entry": "20260101T000000Z", "tags": ["t"], "project": "P", "due": "20260103T000000Z", "urgency": 9.1,
         "annotations": [{"entry": "20260102T000000Z", "description": "note"}], "depends": "u2,u3", "size": "big"},
        {"uuid": "u2", "description": "Gone", "status": "deleted", "entry": "20260101T000000Z", "depends": ["u3"]},
        {"uuid": "u3", "description": "Each week", "status": "recurring"},
    ]  # fmt: skip
    path = tmp_path / "t.json"
    path.write_text(json.dumps(records), encoding="utf-8")
    first, second = taskwarrior.read(path, account)
    assert ("in_progress", "high", JANUARY, ("t",)) == (first.status, first.priority, first.created_ms, first.tags)
    assert (Link("depends_on", "u2"), Link("depends_on", "u3")) == first.links
    assert {"project": "P", "due": "20260103T000000Z", "size": "big"} == first.custom
    assert (Remark("note", None, JANUARY + DAY_MS),) == first.remarks
    assert ("cancelled", (Link("depends_on", "u3"),)) == (second.status, second.links)
    assert ["t.json[2]"] == [where for where, _ in account.skipped]


GH = {
    "number": 7, "title": "It", "body": "B", "state": "CLOSED", "stateReason": "NOT_PLANNED",
    "author": {"login": "app/dependabot", "is_bot": True}, "assignees": [{"login": "bob"}, {"login": "cy"}],
    "labels": [{"name": "bug"}, {"name": "priority: high"}], "createdAt": "2026-01-01T00:00:00Z",
    "closedAt": "2026-01-02T00:00:00Z", "url": "https://github.com/o/r/issues/7", "milestone": {"title": "v1"},
    "comments": [{"author": {"login": "al"}, "body": "hi", "createdAt": "2026-01-01T01:00:00Z"}],
}  # fmt: skip
REST = {
    "number": 7, "title": "It", "body": "B", "state": "closed", "state_reason": "not_planned",
    "user": {"login": "dependabot[bot]", "type": "Bot"}, "assignees": [{"login": "bob"}, {"login": "cy"}],
    "labels": ["bug", {"name": "priority: high"}], "created_at": "2026-01-01T00:00:00Z",
    "closed_at": "2026-01-02T00:00:00Z", "html_url": "https://github.com/o/r/issues/7",
    "url": "https://api.github.com/repos/o/r/issues/7", "milestone": {"title": "v1"}, "comments": 1,
}  # fmt: skip


def test_an_issue_is_the_same_from_gh_and_from_rest_but_for_its_comments(tmp_path: Path) -> None:
    account = Account()
    (gh,) = github.read(source(tmp_path, [GH], name="a.json"), Account())
    (rest,) = github.read(source(tmp_path, [REST], name="a.json"), account)
    assert gh.replace(remarks=()) == rest
    assert ("o/r#7", "cancelled", "high", "bug") == (gh.key, gh.status, gh.priority, gh.type)
    assert ("agent:dependabot", "human:bob") == (rest.author, rest.assigned_to or "")
    assert {"url": GH["url"], "milestone": "v1", "assignees": "bob, cy"} == gh.custom
    assert [1] == [count for name, count in account.dropped.items() if name.startswith("comments")]


def test_pull_requests_are_no_issues(tmp_path: Path) -> None:
    account = Account()
    assert [] == github.read(source(tmp_path, [REST | {"pull_request": {}}]), account)
    assert [("source.json[0]", "#7 is a pull request")] == account.skipped


BACKLOG = """---
id: task-3
title: 'It''s: a title'
status: In Progress
assignee:
  - '@bob'
labels: [web, "a, b"]
created_date: '2026-01-01 00:00'
dependencies: []
parent_task_id: task-1
priority: high
---

## Description

<!-- SECTION:DESCRIPTION:BEGIN -->
Words.
<!-- SECTION:DESCRIPTION:END -->
"""


def test_a_backlog_folder(tmp_path: Path) -> None:
    tasks, archive = tmp_path / "backlog" / "tasks", tmp_path / "backlog" / "archive" / "tasks"
    tasks.mkdir(parents=True)
    archive.mkdir(parents=True)
    (tasks / "task-3 - It.md").write_text(BACKLOG, encoding="utf-8")
    (tasks / "task-4 - Off.md").write_text("no front matter", encoding="utf-8")
    (archive / "task-1 - Old.md").write_text("---\nid: TASK-1\ntitle: Old\nstatus: To Do\n---\n", encoding="utf-8")
    account = Account()
    item, old = backlog_md.read(tmp_path, account)
    assert ("TASK-3", "It's: a title", "in_progress", "high") == (item.key, item.title, item.status, item.priority)
    assert (("web", "a, b"), "human:bob", JANUARY) == (item.tags, item.assigned_to, item.created_ms)
    assert "## Description\n\nWords." == item.description
    assert (Link("subtask_of", "TASK-1"),) == item.links
    assert ("TASK-1", "cancelled") == (old.key, old.status)
    assert ["tasks/task-4 - Off.md"] == [where for where, _ in account.malformed]
    assert ["TASK-3", "TASK-1"] == [item.key for item in backlog_md.read(tmp_path / "backlog", Account())]
    with pytest.raises(NotFound):
        backlog_md.read(tasks, Account())


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        ({"a": "b"}, "a: b # why"), ({"a": ["1", "2, 3"]}, 'a: [1, "2, 3"]'), ({"a": ["x"]}, "a:\n- x"),
        ({"a": "one two"}, "a: >-\n  one\n  two"), ({"a": "one\ntwo"}, "a: |\n  one\n  two"), ({"a": ""}, "a: null"),
        ({"a": "b\n"}, 'a: "b\\n"'), ({}, "# nothing"),
    ],
)  # fmt: skip
def test_front_matter(expected: dict[str, Any], text: str) -> None:
    assert (expected, "body") == front_matter.split(f"---\n{text}\n---\nbody")


@pytest.mark.parametrize("text", ["---\na: b", "a: b", "---\n: b\n---", '---\na: "\\q"\n---', "---\na: [1\n---"])
def test_front_matter_that_is_off(text: str) -> None:
    with pytest.raises(Malformed):
        front_matter.split(text)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "'=1", "''", "'", "plain", "", "a=b"])
def test_a_cell_is_no_formula_and_comes_back(text: str) -> None:
    assert text == csv_table.value_in(csv_table.cell(text))
    assert not csv_table.cell(text).startswith(("=", "+", "-", "@", "\t", "\r"))


def test_a_table_of_a_spreadsheet(tmp_path: Path) -> None:
    account = Account()
    path = tmp_path / "t.csv"
    path.write_bytes(
        b'\xef\xbb\xbfKey,Summary,State,Labels,Points\r\nA-1,"Two\nlines",Doing,"a;b",3\r\n,,,,\r\nA-2,\r\n'
    )
    (item,) = csv_table.read(path, account)
    assert ("A-1", "in_progress", ("a", "b"), {"points": "3"}) == (item.key, item.status, item.tags, item.custom)
    assert [("t.csv:5", "the title is empty")] == account.malformed


def test_a_table_without_titles_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValidationError, match="no column for the title"):
        csv_table.read(path, Account())


@pytest.mark.parametrize(
    ("expected", "name"),
    [
        ("human:bob", "@bob"), ("human:Bob-Smith", " Bob  Smith "), ("agent:renovate", "renovate[bot]"),
        ("agent:claude", "agent:claude"), (None, "  "), (None, None), ("human:a", "a\x1b\u202e"),
    ],
)  # fmt: skip
def test_names_become_actors(expected: str | None, name: str | None) -> None:
    assert expected == actor(name)


def test_times_of_every_form() -> None:
    forms = ("2026-01-01", "2026-01-01 00:00", "20260101T000000Z", "2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00Z")
    assert {JANUARY} == {when(form) for form in forms}
    for off in ("soon", "1969-01-01", "2026-13-01"):
        with pytest.raises(Malformed):
            when(off)
