"""The command line of the flow of work: next, complete, sessions, resources."""

from __future__ import annotations

import pytest

from tests.cli.conftest import CommandLine


def plan(cli: CommandLine) -> None:
    for path in (cli.folder / ".lattice" / "plans").iterdir():
        path.write_text("Do it.\n", encoding="utf-8")


def test_next_says_and_claim_takes(cli: CommandLine) -> None:
    assert cli("next").out.startswith("LAT-1  backlog")
    assert "PLAN_REQUIRED" == cli("next", "--claim", "--actor", "agent:a", "--json").error["code"]
    plan(cli)
    claimed = cli("next", "--claim", "--actor", "agent:a", "--json").data
    assert ("agent:a", "in_progress", "Do it.\n") == tuple(
        claimed[key] for key in ("assigned_to", "status", "plan_content")
    )
    before = cli.tree()
    assert "LAT-1\n" == cli("next", "--claim", "--actor", "agent:a", "--quiet").out
    assert before == cli.tree()
    assert cli("next", "--json").data is None
    assert "No tasks available.\n" == cli("next").out
    assert "" == cli("next", "--quiet").out


def test_next_warns_of_a_status_that_is_none(cli: CommandLine) -> None:
    asked = cli("next", "--status", "plannd", "--json")
    assert asked.data is None
    assert "plannd" in asked.json["warnings"][0]
    assert "Did you mean planned? Valid statuses: backlog," in cli("next", "--status", "planed").err


def test_complete_closes_with_a_review(cli: CommandLine) -> None:
    cli("status", "LAT-1", "planned")
    assert 2 == cli("complete", "LAT-1").status
    assert "done" == cli("complete", "LAT-1", "--review", "$(touch x)\n\x1b[2J", "--json").data["status"]
    assert "\x1b" not in cli("show", "LAT-1").out


def test_a_session_signs_what_is_done_in_its_name(cli: CommandLine) -> None:
    name = cli("session", "start", "--model", "gpt-5", "--framework", "codex", "--name", "Vega", "--quiet").out.strip()
    assert "Vega-1" == name
    created = cli("create", "By a session", "--name", name, "--json").data["created_by"]
    assert {"base_name", "framework", "model", "name", "serial", "session"} == set(created)
    plan(cli)
    assert created == cli("next", "--claim", "--name", name, "--json").data["assigned_to"]
    assert "LAT-1\n" == cli("next", "--name", name, "--quiet").out
    assert {"name": name, "status": "ended"} == cli("session", "end", name, "--json").data
    assert "SESSION_NOT_FOUND" == cli("comment", "LAT-1", "x", "--name", name, "--json").error["code"]
    assert {"count": 0, "sessions": []} == cli("session", "list", "--json").data


def test_an_agent_names_its_framework(cli: CommandLine) -> None:
    assert "VALIDATION_ERROR" == cli("session", "start", "--model", "gpt-5", "--json").error["code"]


def test_a_resource_is_taken_kept_and_let_go(cli: CommandLine) -> None:
    made = cli("resource", "create", "gpu", "--ttl", "60", "--json").data
    assert (1, 60, []) == (made["max_holders"], made["ttl_seconds"], made["holders"])
    taken = cli("resource", "acquire", "gpu", "--task", "LAT-1", "--actor", "agent:a", "--json").data
    assert "agent:a" == taken["holders"][0]["actor"]
    assert taken["holders"][0]["task_id"] == cli("show", "LAT-1", "--json").data["id"]
    assert "RESOURCE_HELD" == cli("resource", "acquire", "gpu", "--actor", "agent:b", "--json").error["code"]
    assert "NOT_HELD" == cli("resource", "heartbeat", "gpu", "--actor", "agent:b", "--json").error["code"]
    assert f"{made['id']}\n" == cli("resource", "heartbeat", "gpu", "--actor", "agent:a", "--quiet").out
    assert "agent:a until" in cli("resource", "list").out
    assert [] == cli("resource", "release", "gpu", "--actor", "agent:a", "--json").data["holders"]
    assert "available" in cli("resource", "status", "gpu").out


@pytest.mark.parametrize("words", [
    ("create", "gpu"), ("create", "x", "--ttl", "0"), ("create", "x", "--max-holders", "0"), ("create", "../x"),
    ("acquire", "x"), ("acquire", "gpu", "--task", "LAT-9"), ("status", "../../config"), ("release", "gpu"),
    ("acquire", "gpu", "--wait", "--timeout", "0"),
])  # fmt: skip
def test_a_refusal_about_a_resource_leaves_no_trace(cli: CommandLine, words: tuple[str, ...]) -> None:
    def tree() -> dict[str, bytes]:
        # Who looks for a name in vain may bring ids.json up to date with the new log, now or once its time has settled.
        return {name: data for name, data in cli.tree().items() if name != "ids.json"}

    cli("resource", "create", "gpu")
    before = tree()
    assert 1 == cli("resource", *words).status
    assert before == tree()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", False),
        ("# LAT-1: First\n", False),
        ("# LAT-1: First\n\n## Reset 2026-11-21 by human:ann\n", True),
        ("# LAT-1: First\n\nDo it.\n", True),
        ("Do it.\n", True),
    ],
)
def test_next_tells_a_plan_that_says_more_than_its_heading(cli: CommandLine, text: str, told: bool) -> None:
    for path in (cli.folder / ".lattice" / "plans").iterdir():
        path.write_text(text, encoding="utf-8")
    assert (text if told else None) == cli("next", "--json").data["plan_content"]
