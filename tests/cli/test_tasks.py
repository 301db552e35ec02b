"""Commands that change a task, in their three forms; and what a refusal leaves behind: nothing."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lattice.core.ids import next_id
from tests.cli.conftest import SOURCES, CommandLine

TASK = "task_01JD0000000000000000000001"
EVENT = "ev_01JD0000000000000000000001"
ARTIFACT = "art_01JD0000000000000000000001"
SNAPSHOT_KEYS = {
    "active_processes", "assigned_to", "branch_links", "comment_count", "complexity", "created_at", "created_by",
    "custom_fields", "description", "done_at", "evidence_refs", "id", "last_event_id", "last_status_changed_at",
    "priority", "relationships_out", "reopened_count", "schema_version", "short_id", "status", "tags", "title",
    "type", "updated_at", "urgency",
}  # fmt: skip


def test_create_answers_with_the_snapshot(cli: CommandLine) -> None:
    made = cli(
        "create", "Fix", "--type", "bug", "--priority", "high", "--urgency", "immediate", "--complexity", "low",
        "--status", "planned", "--description", "why", "--tags", "a, b,a", "--assigned-to", "agent:x", "--json",
    )  # fmt: skip
    expected = {
        "short_id": "LAT-2", "title": "Fix", "type": "bug", "priority": "high", "urgency": "immediate",
        "complexity": "low", "status": "planned", "description": "why", "tags": ["a", "b"], "assigned_to": "agent:x",
        "created_by": "human:ann", "schema_version": 1,
    }  # fmt: skip
    assert SNAPSHOT_KEYS == set(made.data)
    assert expected == {key: made.data[key] for key in expected}
    assert made.out == json.dumps(made.json, indent=2, sort_keys=True) + "\n"


def test_create_tells_a_person_the_ids_and_quietly_the_short_one(cli: CommandLine) -> None:
    said = cli("create", "Two")
    assert said.out.startswith("Created task LAT-2 (task_")
    assert said.out.endswith('"Two"\n  status: backlog  priority: medium  type: task\n')
    assert "LAT-3\n" == cli("create", "Three", "--quiet").out


def test_create_with_an_id_can_be_repeated_but_not_changed(cli: CommandLine) -> None:
    first = cli("create", "Two", "--id", TASK, "--json").data
    assert f"Task LAT-2 ({TASK}) already exists (idempotent)\n" == cli("create", "Two", "--id", TASK).out
    assert first == cli("create", "Two", "--id", TASK, "--json").data
    assert "CONFLICT" == cli("create", "Other", "--id", TASK, "--json").error["code"]


def test_status_moves_and_says_so(cli: CommandLine) -> None:
    assert "Status: backlog -> planned (LAT-1)\n" == cli("status", "LAT-1", "planned").out
    assert "Already at status planned\n" == cli("status", "LAT-1", "planned").out
    assert {"message": "Already at status planned"} == cli("status", "LAT-1", "planned", "--json").data
    assert "review" == cli("status", "lat-1", "review", "--json").data["status"]


def test_a_forbidden_move_names_the_ones_allowed(cli: CommandLine) -> None:
    error = cli("status", "LAT-1", "done", "--json").error
    assert ("INVALID_TRANSITION", "backlog", "done") == (
        error["code"], error["current_status"], error["requested_status"],
    )  # fmt: skip
    assert ["in_planning", "planned", "cancelled", "needs_human"] == error["valid_transitions"]


def test_force_needs_a_reason_and_keeps_it(cli: CommandLine) -> None:
    assert "VALIDATION_ERROR" == cli("status", "LAT-1", "done", "--force", "--json").error["code"]
    said = cli("status", "LAT-1", "done", "--force", "--reason", "by hand")
    assert "Status: backlog -> done (forced) (LAT-1)\n" == said.out
    last = cli("show", "LAT-1", "--json").data["events"][-1]
    assert {"from": "backlog", "to": "done", "force": True, "reason": "by hand"} == last["data"]
    assert {"reason": "by hand"} == last["provenance"]


def test_assign_and_unassign(cli: CommandLine) -> None:
    assert "Assigned: unassigned -> agent:x (LAT-1)\n" == cli("assign", "LAT-1", "agent:x").out
    assert {"message": "Already assigned to agent:x"} == cli("assign", "LAT-1", "agent:x", "--json").data
    assert "Assigned: agent:x -> unassigned (LAT-1)\n" == cli("assign", "LAT-1", "-").out
    assert {"message": "Already unassigned"} == cli("assign", "LAT-1", "none", "--json").data


def test_comment_with_a_role_is_evidence_and_can_be_answered(cli: CommandLine) -> None:
    task = cli("comment", "LAT-1", "Looks right", "--role", "review", "--json").data
    comment = task["last_event_id"]
    assert [{"id": comment, "role": "review", "source_type": "comment"}] == task["evidence_refs"]
    assert "LAT-1\n" == cli("comment", "LAT-1", "Thanks", "--reply-to", comment, "--quiet").out
    assert comment == cli("show", "LAT-1", "--json").data["events"][-1]["data"]["parent_id"]
    assert "VALIDATION_ERROR" == cli("comment", "LAT-1", "x", "--reply-to", EVENT, "--json").error["code"]
    assert "INVALID_ROLE" == cli("comment", "LAT-1", "x", "--role", "judge", "--json").error["code"]


def test_comment_from_a_file_and_from_standard_input(cli: CommandLine) -> None:
    (cli.folder / "said.txt").write_text("from a file\n", encoding="utf-8")
    assert 0 == cli("comment", "LAT-1", "--file", "said.txt").status
    assert 0 == cli.program("comment", "LAT-1", "--file", "-", stdin="zwölf\n".encode()).status
    bodies = [event["data"]["body"] for event in cli("show", "LAT-1", "--json").data["events"][1:]]
    assert ["from a file", "zwölf"] == bodies
    refused = cli.program("comment", "LAT-1", "--file", "-", "--json", stdin=b"\xff\xfe")
    assert (1, "VALIDATION_ERROR") == (refused.status, refused.error["code"])
    closed = ["bash", "-c", f"exec {sys.executable} -m lattice.cli.main comment LAT-1 --file - <&-"]
    done = subprocess.run(closed, cwd=cli.folder, env={"PYTHONPATH": str(SOURCES)}, capture_output=True, check=False)
    assert (1, b"Error: The comment cannot be read: standard input is closed.\n") == (done.returncode, done.stderr)
    assert "NOT_FOUND" == cli("comment", "LAT-1", "--file", "missing.txt", "--json").error["code"]


def test_update_writes_all_pairs_or_none(cli: CommandLine) -> None:
    assert (
        "Updated LAT-1: title, custom_fields.ticket\n"
        == cli("update", "LAT-1", "title=A=B", "custom_fields.ticket=7").out
    )
    task = cli("show", "LAT-1", "--json").data
    assert ("A=B", {"ticket": "7"}) == (task["title"], task["custom_fields"])
    assert {"message": "No changes"} == cli("update", "LAT-1", "title=A=B", "--json").data
    before = cli.tree()
    assert "VALIDATION_ERROR" == cli("update", "LAT-1", "title=C", "priority=huge", "--json").error["code"]
    assert before == cli.tree()


def test_attach_a_file_answers_with_its_description(cli: CommandLine) -> None:
    (cli.folder / "report.md").write_text("# Fine\n", encoding="utf-8")
    meta = cli("attach", "LAT-1", "report.md", "--role", "review", "--title", "Report", "--json").data
    assert ("Report", "file", 7) == (meta["title"], meta["type"], meta["payload"]["size_bytes"])
    assert [{"id": meta["id"], "role": "review", "title": "Report", "type": "file"}] == cli(
        "show", "LAT-1", "--json"
    ).data["artifact_info"]


def test_attach_a_text_and_a_url(cli: CommandLine) -> None:
    said = cli("attach", "LAT-1", "--inline", "short", "--id", ARTIFACT)
    assert f'Attached {ARTIFACT} "inline attachment" to LAT-1\n  type: note  sensitive: no\n' == said.out
    again = cli("attach", "LAT-1", "--inline", "short", "--id", ARTIFACT)
    assert f"Artifact {ARTIFACT} already exists (idempotent)\n" == again.out
    assert "CONFLICT" == cli("attach", "LAT-1", "--inline", "other", "--id", ARTIFACT, "--json").error["code"]
    assert cli("attach", "LAT-1", "https://example.org/spec", "--quiet").out.startswith("art_")
    assert "reference" == cli("show", "LAT-1", "--json").data["artifact_info"][-1]["type"]


def test_event_answers_with_the_line_in_the_log(cli: CommandLine) -> None:
    made = cli("event", "LAT-1", "x_seen", "--data", '{"n": [1, null]}', "--model", "m1", "--json").data
    log = next((cli.folder / ".lattice" / "events").glob("task_*.jsonl"))
    assert json.loads(log.read_text().splitlines()[-1]) == made
    assert ({"n": [1, None]}, {"model": "m1"}, "x_seen") == (made["data"], made["agent_meta"], made["type"])


def test_event_with_an_id_can_be_repeated_but_not_changed(cli: CommandLine) -> None:
    mine = next_id("ev", time.time_ns() // 1_000_000 + 1_000, 1, None)
    first = cli("event", "LAT-1", "x_a", "--id", mine, "--json").data
    before = cli.tree()
    assert mine == first["id"]
    assert first == cli("event", "LAT-1", "x_a", "--id", mine, "--json").data
    assert f"Event {mine} already exists (idempotent)\n" == cli("event", "LAT-1", "x_a", "--id", mine).out
    assert "CONFLICT" == cli("event", "LAT-1", "x_b", "--id", mine, "--json").error["code"]
    assert before == cli.tree()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("create", ""), "VALIDATION_ERROR"),
        (("create", "two\nlines"), "VALIDATION_ERROR"),
        (("create", "red \x1b[31m"), "VALIDATION_ERROR"),
        (("create", "x" * 2000), "VALIDATION_ERROR"),
        (("create", "x", "--type", "saga"), "VALIDATION_ERROR"),
        (("create", "x", "--actor", "ann"), "INVALID_ACTOR"),
        (("create", "x", "--id", "task_1"), "INVALID_ID"),
        (("create", "x", "--on-behalf-of", "me"), "INVALID_ACTOR"),
        (("show", "../../etc/passwd"), "INVALID_ID"),
        (("status", "LAT-1", "dnoe"), "VALIDATION_ERROR"),
        (("status", "LAT-1", "done"), "INVALID_TRANSITION"),
        (("status", "LAT-7", "planned"), "NOT_FOUND"),
        (("assign", "LAT-1", "nobody"), "INVALID_ACTOR"),
        (("comment", "LAT-1", " "), "VALIDATION_ERROR"),
        (("comment", "LAT-9", "x"), "NOT_FOUND"),
        (("comment", "LAT-1", "x", "--reason", "a\x07b"), "VALIDATION_ERROR"),
        (("update", "LAT-1", "status=done"), "VALIDATION_ERROR"),
        (("update", "LAT-1", "titel=x"), "VALIDATION_ERROR"),
        (("update", "LAT-1", "title"), "VALIDATION_ERROR"),
        (("update", "LAT-1", "title=x", "title=y"), "VALIDATION_ERROR"),
        (("attach", "LAT-1"), "VALIDATION_ERROR"),
        (("attach", "LAT-1", ""), "VALIDATION_ERROR"),
        (("attach", "LAT-1", "--inline", " "), "VALIDATION_ERROR"),
        (("attach", "LAT-1", "missing.md"), "NOT_FOUND"),
        (("attach", "LAT-9", "--inline", "x"), "NOT_FOUND"),
        (("attach", "LAT-1", "--inline", "x", "--role", "judge"), "INVALID_ROLE"),
        (("event", "LAT-1", "deployed"), "VALIDATION_ERROR"),
        (("event", "LAT-1", "x_a", "--data", "[1]"), "VALIDATION_ERROR"),
        (("event", "LAT-1", "x_a", "--data", '{"a": NaN}'), "VALIDATION_ERROR"),
        (("event", "LAT-1", "x_a", "--id", "ev_1"), "INVALID_ID"),
    ],
)
def test_a_refusal_has_a_code_and_leaves_no_trace(cli: CommandLine, words: tuple[str, ...], code: str) -> None:
    before = cli.tree()
    refused = cli(*words, "--json")
    assert (1, code, "") == (refused.status, refused.error["code"], refused.err)
    assert before == cli.tree()


def test_nobody_named_is_an_error_and_the_environment_can_name(
    outside: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside("init", "--project-code", "LAT")
    before = outside.tree()
    assert "MISSING_ACTOR" == outside("create", "x", "--json").error["code"]
    assert before == outside.tree()
    monkeypatch.setenv("LATTICE_ACTOR", "agent:env")
    assert "agent:env" == outside("create", "x", "--json").data["created_by"]
    assert "agent:flag" == outside("create", "x", "--actor", "agent:flag", "--json").data["created_by"]


def test_the_flags_of_a_writer_are_in_the_event(cli: CommandLine) -> None:
    cli(
        "comment", "LAT-1", "x", "--model", "m1", "--session", "s1", "--triggered-by", EVENT,
        "--on-behalf-of", "human:bea", "--reason", "asked",
    )  # fmt: skip
    last = cli("show", "LAT-1", "--json").data["events"][-1]
    assert {"model": "m1", "session": "s1"} == last["agent_meta"]
    assert {"triggered_by": EVENT, "on_behalf_of": "human:bea", "reason": "asked"} == last["provenance"]


def test_a_board_above_is_found_and_files_are_those_of_the_folder(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = cli.folder / "deep" / "er"
    below.mkdir(parents=True)
    (below / "note.txt").write_text("here", encoding="utf-8")
    monkeypatch.chdir(below)
    assert 0 == cli("attach", "LAT-1", "note.txt").status
    assert 0 == cli("comment", "LAT-1", "--file", "note.txt").status
    monkeypatch.chdir(Path("/"))
    monkeypatch.setenv("LATTICE_ROOT", str(cli.folder))
    assert "LAT-1\n" == cli("list", "--quiet").out
