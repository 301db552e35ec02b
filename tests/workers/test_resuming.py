"""Going on with an agent's session, and trying its run again: what is new costs, and nothing begins twice."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from lattice.workers import launch, preflight
from lattice.workers.engines.heard import Usage
from lattice.workers.resuming import total
from lattice.workers.runs import RunFolder
from lattice.workers.spec import RunSpec
from tests.workers.conftest import ANN, Bench, eventually
from tests.workers.test_agents import ENGINES, Agents
from tests.workers.test_agents import agents as agents  # noqa: PLC0414  # a fixture is shared by its name


def spec_of(run: RunFolder) -> RunSpec:
    spec = run.spec()
    assert spec is not None
    assert spec.agent is not None
    return spec


def resumed(bench: Bench, run: RunFolder, worker: str = "Reviewer") -> RunFolder:
    plan = preflight.plan(bench.board, preflight.Request(worker, "LAT-1", resume=run.run_id), os.environ)
    launch.start(bench.board, plan, ANN)
    return RunFolder(bench.board.folder, plan.spec.run_id)


def said_session(bench: Bench, run: RunFolder) -> str:
    agent: dict[str, Any] = bench.data("worker", "show", run.run_id)["agent"]
    assert agent["session_id"]
    return str(agent["session_id"])


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_goes_on_with_the_session_of_another_in_the_same_folder(agents: Agents, engine: str) -> None:
    agents.behave(engine, record=str(agents.bench.notes / "given"))
    first, _ = agents.ended(engine)
    session = said_session(agents.bench, first)
    run = resumed(agents.bench, first)
    view = agents.bench.finished(run)
    assert "succeeded" == view.state, view.error
    assert session in agents.given()["argv"]
    assert session == said_session(agents.bench, run)
    assert spec_of(first).worktree == spec_of(run).worktree
    assert agents.bench.data("worker", "show", run.run_id)["agent"]["resumed"]


def test_the_cost_of_a_run_that_goes_on_is_what_is_new(agents: Agents) -> None:
    first, view = agents.ended()
    assert view.usage is not None
    assert 0.25 == view.usage["cost_usd"]
    agents.behave("claude", cost_usd=0.2, earlier_cost_usd=0.25)  # its result says 0.45
    second = agents.bench.finished(resumed(agents.bench, first))
    assert second.usage is not None
    assert 0.2 == second.usage["cost_usd"]
    agents.behave(
        "claude", cost_usd=0.1, earlier_cost_usd=0.45
    )  # asked for by the first run, it goes on after the second
    third = agents.bench.finished(resumed(agents.bench, first))
    assert third.usage is not None
    assert 0.1 == third.usage["cost_usd"]


def test_what_a_session_cost_that_did_not_say_is_not_made_up(agents: Agents) -> None:
    agents.behave("claude", "no_usage")
    first, _ = agents.ended()
    agents.behave("claude", cost_usd=0.2, earlier_cost_usd=5.0)
    view = agents.bench.finished(resumed(agents.bench, first))
    assert "cost_usd" not in (view.usage or {})


def test_a_whole_is_known_where_its_parts_are() -> None:
    assert Usage(1, 2, None, 0.5) == total(None, Usage(1, 2, None, 0.5))
    assert Usage(3, None, None, 0.75) == total(Usage(1, 2, 3, 0.5), Usage(2, None, None, 0.25))
    assert Usage() == total(Usage(), Usage(1, 1, 1, 1.0))


def test_what_cannot_be_gone_on_with_is_refused_and_leaves_no_trace(agents: Agents) -> None:
    run, _ = agents.ended()
    agents.bench.data("create", "Second", "--actor", "human:ann")
    script = agents.bench.ended("true")

    def refused(*words: str) -> str:
        before = agents.bench.tree()
        error = agents.bench.error("worker", "run", *words)
        assert before == agents.bench.tree()
        assert error["hint"]
        return f"{error['code']}: {error['message']}"

    assert "was on LAT-1, not on LAT-2" in refused("Reviewer", "LAT-2", "--resume", run.run_id)
    assert "NOT_FOUND" in refused("Reviewer", "LAT-1", "--resume", script.run_id)
    assert "NOT_FOUND" in refused("Reviewer", "LAT-1", "--resume", "run_nobody")
    assert "CONFLICT" in refused("Sleeper", "LAT-1", "--resume", run.run_id)
    agents.define("codex")
    assert "is a session of claude, and Reviewer is run by codex" in refused(
        "Reviewer", "LAT-1", "--resume", run.run_id
    )
    agents.define("auto", engines=["codex"])
    assert "run by auto" in refused("Reviewer", "LAT-1", "--resume", run.run_id)
    agents.define(sandbox="read-only", sandbox_fallback="none")
    assert "has an empty home folder" in refused("Reviewer", "LAT-1", "--resume", run.run_id)


def test_a_session_that_is_in_use_is_not_taken(agents: Agents) -> None:
    agents.behave("claude", "hang_after_result")
    run = agents.bench.start(agents.define())
    eventually(lambda: (agents.bench.view(run).progress or {}).get("session_id"))
    refused = agents.bench.error("worker", "run", "Reviewer", "LAT-1", "--resume", run.run_id)
    assert ("ALREADY_RUNNING", f"lattice worker wait {run.run_id}") == (refused["code"], refused["hint"])
    agents.bench.data("worker", "stop", run.run_id, "--wait")


def test_auto_goes_on_with_the_engine_of_the_session(agents: Agents) -> None:
    run, view = agents.ended("auto", engines=["gemini"])
    agents.define("auto")
    shown = agents.bench.data("worker", "run", "Reviewer", "LAT-1", "--resume", run.run_id, "--dry-run")
    assert ("gemini", "gemini") == (view.engine, shown["engine"])
    assert said_session(agents.bench, run) == shown["resumes"]


def test_clearing_away_spares_the_worktree_of_a_run_that_goes_on(agents: Agents) -> None:
    first, _ = agents.ended()
    agents.behave("claude", "hang_without_result")
    run = resumed(agents.bench, first)
    eventually(lambda: agents.bench.view(run).activity)
    assert [] == agents.bench.data("worker", "gc")["worktrees"]
    assert [str(path) for path in agents.bench.worktrees()] == [spec_of(run).worktree]
    agents.bench.data("worker", "stop", run.run_id, "--wait")


def test_a_run_that_is_tried_again_has_a_prompt_and_a_session_of_its_own(agents: Agents) -> None:
    bench = agents.bench
    agents.behave("claude", "result_then_exit_1", record=str(bench.notes / "given"))
    prompt = "Review it,\r\nand leave {{review_file}}.\n"
    first = bench.start(agents.define(prompt=prompt, retries={"times": 1, "backoff_seconds": 0}))
    rows = eventually(lambda: [row for row in bench.data("worker", "history") if row["retry_of"] == first.run_id])
    (second,) = (RunFolder(bench.board.folder, row["run_id"]) for row in rows)
    assert "exit" == rows[0]["cause"]["kind"], rows[0]["error"]
    given = [json.loads(line) for line in (bench.notes / "given").read_text(encoding="utf-8").splitlines()]
    assert [True, True] == [run.run_id in one["prompt"] for one, run in zip(given, (first, second), strict=True)]
    assert said_session(bench, first) != said_session(bench, second)
    bench.finished(second)
