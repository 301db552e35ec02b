"""`worker ps`, `top`, `show` and `history` of agents and of teams: what they do and use, who belongs to whom."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lattice.cli.agent_cells import short
from lattice.cli.render import Terminal
from lattice.cli.worker_top import Top
from tests.workers.conftest import Bench, eventually
from tests.workers.conftest import bench as bench  # noqa: PLC0414  # a fixture is shared by its name
from tests.workers.test_agents import PROMPT, REVIEW, Agents
from tests.workers.test_agents import agents as agents  # noqa: PLC0414  # as above


def team(agents: Agents, **more: Any) -> str:
    """Define a team of two; its name."""
    agents.define()
    shape = {
        "name": "Team",
        "actor": "agent:team",
        "engine": "team",
        "timeout_minutes": 2,
        "grace_seconds": 0.4,
        "prompt_file": "workers/prompt.md",
        "members": {"one": {"engine": "claude"}, "two": {"engine": "codex"}},
        "outputs": {**REVIEW, "report": {"role": "review", "path": "review.md", "required": True}},
        **more,
    }
    shape["outputs"]["review"] = {"role": "review", "path": "review.json", "required": True}
    (agents.bench.repo / "workers" / "team.json").write_text(json.dumps(shape), encoding="utf-8")
    return "Team"


def row_of(bench: Bench, run_id: str) -> str:
    (row,) = (line for line in bench.lattice("worker", "ps").stdout.splitlines() if run_id in line)
    return row


def test_ps_says_what_an_agent_does_and_has_used(agents: Agents) -> None:
    agents.behave("claude", "hang_after_result")
    run = agents.bench.start(agents.define())
    eventually(lambda: (agents.bench.view(run).used or {}).get("cost_usd"))
    row = row_of(agents.bench, run.run_id)
    assert ["fake-1", "2", "1.5k", "$0.25"] == row.split()[-5:-1]
    agents.bench.data("worker", "stop", run.run_id, "--wait")


def test_ps_and_top_show_the_activity(agents: Agents) -> None:
    agents.behave("claude", "hang_without_result")
    run = agents.bench.start(agents.define())
    eventually(lambda: agents.bench.view(run).activity == "→ Bash git diff")  # It has said something before.
    assert row_of(agents.bench, run.run_id).endswith("→ Bash git diff")
    top = Top(agents.bench.board)
    top.look()
    assert any("→ Bash git diff" in line for line in top.draw(200, 10, Terminal(columns=200)))
    top.press("enter")
    page = "\n".join(top.draw(200, 60, Terminal(columns=200)))
    assert "does         → Bash git diff" in page
    assert "the same since" in page
    top.press("q")
    top.press("l")
    assert any("→ Bash git diff" in line for line in top.draw(200, 60, Terminal(columns=200)))
    agents.bench.data("worker", "stop", run.run_id, "--wait")


def test_columns_of_agents_are_left_out_where_there_is_none(bench: Bench) -> None:
    run = bench.running()
    cells = row_of(bench, run.run_id).split("  ")
    assert (10, "human:ann") == (len(cells), cells[-1])
    bench.data("worker", "stop", run.run_id, "--wait")


def test_members_stand_below_their_team(agents: Agents) -> None:
    agents.behave("claude", "hang_without_result")
    agents.behave("codex", "hang_without_result")
    run = agents.bench.start(team(agents))
    eventually(lambda: len([row for row in agents.bench.data("worker", "ps") if row["progress"]]) == 3)
    lines = agents.bench.lattice("worker", "ps").stdout.splitlines()
    assert [False, True, True] == [line.startswith("  run_") for line in lines]
    assert lines[0].startswith(run.run_id)
    assert ["Team/one", "Team/two"] == [line.split()[1] for line in lines[1:]]
    assert lines[0].endswith("0 of 2 members have ended")
    shown = agents.bench.data("worker", "show", run.run_id)
    assert ["Team/one", "Team/two"] == [member["worker"] for member in shown["members"]]
    assert [run.run_id] * 2 == [member["parent"] for member in shown["members"]]
    page = agents.bench.lattice("worker", "show", run.run_id).stdout
    assert "Members" in page
    assert "Team/two     running" in page
    agents.bench.data("worker", "stop", run.run_id, "--wait")
    agents.bench.finished(run)
    rows = agents.bench.data("worker", "history")
    assert ["Team", "Team/one", "Team/two"] == [row["worker"] for row in rows]
    texts = agents.bench.lattice("worker", "history").stdout.splitlines()
    assert [False, True, True] == [line.startswith("  run_") for line in texts]
    assert ["Team"] == [row["worker"] for row in agents.bench.data("worker", "history", "--limit", "1")]


def test_show_has_the_session_the_prompt_and_how_its_file_is_now(agents: Agents) -> None:
    run, view = agents.ended()
    shown = agents.bench.data("worker", "show", run.run_id)
    agent = shown["agent"]
    assert ("claude", "same", False) == (agent["engine"], agent["template_state"], agent["resumed"])
    spec = run.spec()
    assert spec is not None
    assert spec.agent is not None
    assert spec.agent.session_id == agent["session_id"]
    page = agents.bench.lattice("worker", "show", run.run_id).stdout
    assert f"session      {agent['session_id']}" in page
    assert "model        fake-1" in page
    assert "tokens       1,200 in, 1,000 of them cached, 340 out" in page
    assert "cost         $0.25" in page
    template = agents.bench.repo / "workers" / "prompt.md"
    assert f"{template}, the same since" in page
    template.write_text("Another.\n", encoding="utf-8")
    assert f"{template}, changed since" in agents.bench.lattice("worker", "show", run.run_id).stdout
    template.unlink()
    assert f"{template}, which is gone" in agents.bench.lattice("worker", "show", run.run_id).stdout
    assert view.prompt_sha256 == shown["prompt_sha256"]


def test_show_prompt_prints_what_the_agent_was_given(agents: Agents) -> None:
    run, view = agents.ended(prompt=PROMPT + "An escape: \x1b[31m.\n")
    kept = agents.bench.data("worker", "show", run.run_id, "--prompt")
    assert f"Review {view.commit_sha} for LAT-1" in kept["text"]
    printed = agents.bench.lattice("worker", "show", run.run_id, "--prompt").stdout
    assert "An escape: \\x1b[31m." in printed
    assert "\x1b" not in printed
    script = agents.bench.ended("true")
    refused = agents.bench.error("worker", "show", script.run_id, "--prompt")
    assert "has no prompt" in refused["message"]


def test_history_marks_a_run_whose_prompt_file_was_another_than_before(agents: Agents) -> None:
    agents.ended()
    agents.ended()
    agents.ended(prompt=PROMPT + "Be brief.\n")
    rows = agents.bench.data("worker", "history")
    assert [True, False, False] == [row["template_changed"] for row in rows]
    assert [rows[1]["template_sha256"], rows[2]["template_sha256"], None] == [row["template_before"] for row in rows]
    lines = agents.bench.lattice("worker", "history").stdout.splitlines()
    assert [True, False, False] == ["  changed  " in line for line in lines]
    assert all("fake-1" in line and "$0.25" in line for line in lines)
    (newest,) = agents.bench.data("worker", "history", "--limit", "1")
    assert newest["template_changed"]


@pytest.mark.parametrize(
    ("said", "count"), [("0", 0), ("999", 999), ("1.0k", 1_000), ("1.5k", 1_540), ("3.1M", 3_140_000)]
)
def test_counts_are_short(said: str, count: int) -> None:
    assert said == short(count)
