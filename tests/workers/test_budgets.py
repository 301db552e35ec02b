"""Ceilings in the life of runs: reserved before a start, settled after, and never passed by starts at once."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from typing import Any

import pytest

from lattice.commands.settings import change_settings
from lattice.core.run_events import ProcessStarted
from lattice.errors import BudgetExceeded
from lattice.workers.runs import RunFolder, all_runs
from tests.workers.conftest import Bench, eventually
from tests.workers.teams.test_teams import Team
from tests.workers.teams.test_teams import team as team  # noqa: PLC0414  # a fixture is shared by its name
from tests.workers.test_agents import Agents
from tests.workers.test_agents import agents as agents  # noqa: PLC0414  # as above

PRICES = {"fake-*": {"tokens_in": 100.0, "tokens_out": 1000.0}, "gpt-5": {"tokens_in": 1.0, "tokens_out": 10.0}}


def limited(bench: Bench, budgets: Mapping[str, Any], **more: Any) -> None:
    change_settings(bench.board, lambda _: {"budgets": budgets, **more})


def started(bench: Bench, run: RunFolder) -> ProcessStarted:
    """What the log says of the run's beginning, once it is there."""
    spec = run.spec()
    assert spec is not None

    def found() -> list[ProcessStarted]:
        bodies = (event.body for event in bench.board.store.history(spec.task_id)[1])
        return [body for body in bodies if isinstance(body, ProcessStarted) and body.run_id == run.run_id]

    return eventually(found)[0]


def hanging(agents: Agents, task: str = "LAT-1", engine: str = "claude", **more: Any) -> RunFolder:
    """A run that goes on until it is stopped."""
    agents.behave(engine, "hang_without_result")
    run = agents.bench.start(agents.define(engine, **more), task)
    started(agents.bench, run)
    return run


def stopped(agents: Agents, run: RunFolder) -> None:
    agents.bench.data("worker", "stop", run.run_id, "--wait")


def refusal(bench: Bench, task: str = "LAT-1") -> dict[str, Any]:
    runs = len(all_runs(bench.board.folder))
    error: dict[str, Any] = bench.error("worker", "run", "Reviewer", task)
    assert "BUDGET_EXCEEDED" == error["code"]
    assert runs == len(all_runs(bench.board.folder))
    return error


def tasks(bench: Bench, count: int) -> list[str]:
    return ["LAT-1", *(bench.data("create", f"T{number}")["short_id"] for number in range(2, count + 1))]


def test_what_a_run_cost_is_settled_and_its_reserve_is_free_again(agents: Agents) -> None:
    limited(agents.bench, {"run_usd": 0.3, "task_usd": 0.6})
    agents.ended()  # 0.25 of 0.3
    _, view = agents.ended()
    assert ("succeeded", 0.3) == (view.state, view.budget_usd)
    error = refusal(agents.bench)
    assert ("task_usd", 0.5, 0, 0.3, False) == tuple(
        error[key] for key in ("ceiling", "spent", "reserved", "asked", "waits")
    )
    assert "task_usd, $0.60: $0.50 spent, $0.00 reserved by runs that go, and it may use $0.30" in error["message"]
    assert "lattice costs" in error["hint"]


def test_another_task_has_a_ceiling_of_its_own_and_the_day_has_one_for_all(agents: Agents) -> None:
    _, second = tasks(agents.bench, 2)
    limited(agents.bench, {"run_usd": 0.3, "task_usd": 0.3, "day_usd": 0.5})
    agents.ended()
    assert "task_usd" == refusal(agents.bench)["ceiling"]
    assert "day_usd" == refusal(agents.bench, second)["ceiling"]


def test_a_run_that_goes_holds_its_ceiling(agents: Agents) -> None:
    _, second = tasks(agents.bench, 2)
    limited(agents.bench, {"run_usd": 0.3, "day_usd": 0.5})
    run = hanging(agents)
    error = refusal(agents.bench, second)
    assert ("day_usd", 0, 0.3, True) == tuple(error[key] for key in ("ceiling", "spent", "reserved", "waits"))
    assert "lattice worker ps" in error["hint"]
    stopped(agents, run)


def test_one_that_was_ended_before_it_told_its_cost_counts_as_what_it_could_have_used(agents: Agents) -> None:
    _, second = tasks(agents.bench, 2)
    limited(agents.bench, {"run_usd": 0.3, "day_usd": 0.5})
    stopped(agents, hanging(agents))
    assert 0.3 == refusal(agents.bench, second)["spent"]
    assert 1 == agents.bench.data("costs")["total"]["unknown"]  # what is known of it stays what it was


def test_a_run_without_a_ceiling_holds_what_is_left(agents: Agents) -> None:
    _, second = tasks(agents.bench, 2)
    limited(agents.bench, {"day_usd": 0.5, "day_tokens": 9_000})
    agents.ended()
    run = hanging(agents)
    held = started(agents.bench, run)
    assert (0.25, 7_460) == (held.budget_usd, held.budget_tokens)
    assert 0.25 == refusal(agents.bench, second)["reserved"]
    assert "$0.25, 7,460 tokens" in agents.bench.lattice("worker", "show", run.run_id).stdout
    stopped(agents, run)


def test_the_lower_of_the_definitions_and_the_boards_ceiling_ends_a_run(agents: Agents) -> None:
    limited(agents.bench, {"run_usd": 0.2})
    agents.behave("claude", "hang_after_result")
    run, view = agents.ended(budget_usd=5)
    assert ("failed", "budget", 0.2) == (view.state, view.cause and view.cause["kind"], view.budget_usd)
    spec = run.spec()
    assert spec is not None
    assert "0.2" == spec.argv[spec.argv.index("--max-budget-usd") + 1]


def test_an_estimate_ends_a_run_whose_engine_tells_no_price(agents: Agents) -> None:
    limited(agents.bench, {"run_usd": 0.3}, prices=PRICES)
    agents.behave("gemini", "hang_after_result")
    _, view = agents.ended("gemini", model="fake-2")
    assert ("budget", True) == (view.cause and view.cause["kind"], view.cause and view.cause["estimated"])
    assert "It used an estimated 0.46 USD where 0.3 are allowed" in (view.error or "")


def test_tokens_are_counted_likewise(agents: Agents) -> None:
    limited(agents.bench, {"run_tokens": 2_000, "day_tokens": 3_000})
    agents.ended("codex")  # 1,540
    error = refusal(agents.bench)
    assert ("day_tokens", 1_540, 2_000) == (error["ceiling"], error["spent"], error["asked"])
    assert "day_tokens, 3,000 tokens" in error["message"]


def test_a_cost_that_nobody_will_know_does_not_start_below_a_ceiling_of_money(agents: Agents) -> None:
    limited(agents.bench, {"day_usd": 5})
    agents.define("codex", model="gpt-5")
    error = refusal(agents.bench)
    assert "codex tells no price" in error["message"]
    checked = agents.bench.lattice("worker", "check", "Reviewer")
    assert (1, True) == (checked.returncode, "nobody would know what it cost" in checked.stderr)
    health = json.loads(agents.bench.lattice("worker", "doctor", "--json").stdout)["data"]
    assert "BUDGET_EXCEEDED" in json.dumps([one for one in health["workers"] if one["name"] == "Reviewer"])
    limited(agents.bench, {"day_usd": 5}, prices=PRICES)
    assert 0 == agents.bench.lattice("worker", "check", "Reviewer").returncode
    _, view = agents.ended("codex", model="gpt-5")
    assert ("succeeded", 5.0) == (view.state, view.budget_usd)


def test_a_team_is_checked_for_members_whose_cost_nobody_will_know(team: Team) -> None:
    limited(team.bench, {"day_usd": 5})
    members = {"one": {"engine": "claude"}, "two": {"engine": "codex", "model": "gpt-5"}}
    team.define(members, quorum=1)
    checked = team.bench.lattice("worker", "check")
    assert "without two: worker Crew/two: nobody would know what it cost" in checked.stdout
    found = team.bench.data("worker", "check")
    assert [["two"]] == [list(one["without"]) for one in found if one["name"] == "Crew"]
    assert "team: 1 of 2 here" in team.bench.lattice("worker", "list").stdout
    team.define(members, quorum=2)
    error = team.bench.error("worker", "check", "Crew")
    assert ("BUDGET_EXCEEDED", ["two"]) == (error["code"], error["members"])
    assert "1 of its 2 members could start, and its quorum is 2. Kept out: two." in error["message"]
    assert "BUDGET_EXCEEDED" == team.bench.error("worker", "run", "Crew", "LAT-1")["code"]
    assert [] == all_runs(team.bench.board.folder)
    limited(team.bench, {"day_usd": 5}, prices=PRICES)
    assert {} == team.bench.data("worker", "check", "Crew")[0]["without"]


def test_unless_the_board_allows_it(agents: Agents) -> None:
    limited(agents.bench, {"run_usd": 1, "day_usd": 1, "unknown": "allow"})
    for _ in range(2):
        _, view = agents.ended("codex")
        assert ("succeeded", None) == (view.state, view.budget_usd)
    agents.define(budget_usd=1)
    agents.ended()
    assert "$0.25 spent (beside 2 of unknown cost)" in refusal(agents.bench)["message"]


def test_a_definition_that_limits_money_alone_needs_an_engine_that_can_be_counted(agents: Agents) -> None:
    agents.define("codex", budget_usd=1)
    assert "budget_usd" == refusal(agents.bench)["ceiling"]
    _, view = agents.ended("codex", budget_usd=1, budget_tokens=5_000)
    assert "succeeded" == view.state, view.error


def test_a_run_from_the_queue_is_asked_again_and_ends_where_nothing_is_left(agents: Agents) -> None:
    _, second = tasks(agents.bench, 2)
    limited(agents.bench, {"run_usd": 0.3, "day_usd": 0.5})
    first = hanging(agents, max_parallel=1)
    waits = agents.bench.start("Reviewer", second)
    assert waits.waits()
    stopped(agents, first)
    eventually(waits.is_closed)
    view = agents.bench.view(waits)
    assert ("failed", "budget", None) == (view.state, view.cause and view.cause["kind"], view.started_at)
    assert "day_usd, $0.50: $0.30 spent" in (view.error or "")
    assert "a ceiling that had no room for it" in agents.bench.lattice("worker", "why", waits.run_id).stdout


def test_a_run_from_the_queue_waits_on_for_what_others_hold(agents: Agents) -> None:
    _, second, third = tasks(agents.bench, 3)
    limited(agents.bench, {"run_usd": 0.3, "day_usd": 0.87})
    first = hanging(agents, max_parallel=1)
    waits = agents.bench.start("Reviewer", second)
    assert waits.waits()
    agents.behave("opencode", "hang_after_result")
    agents.define("opencode", name="Other")
    other = agents.bench.start("Other", third)
    eventually(lambda: other.progress.exists() and b'"cost_usd"' in other.progress.read_bytes())
    agents.behave("claude")
    stopped(agents, first)
    said = eventually(lambda: [one["waits_for"] for one in agents.bench.data("worker", "queue")])
    assert "the budget: " in said[0][0]
    assert "$0.30 reserved by runs that go" in said[0][0]
    stopped(agents, other)  # it had told 0.25, and 0.05 are free again
    eventually(waits.is_closed)
    assert "succeeded" == agents.bench.view(waits).state, agents.bench.view(waits).error


def test_starts_at_once_never_take_the_last_dollar_twice(agents: Agents) -> None:
    names = tasks(agents.bench, 6)
    limited(agents.bench, {"run_usd": 1, "day_usd": 3.5})
    agents.define()
    agents.behave("claude", "hang_without_result")
    at_once = [
        subprocess.Popen(
            agents.bench.command("worker", "run", "Reviewer", name, "--json"),
            cwd=agents.bench.repo,
            env=agents.bench.environ(),
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    said = [json.loads(one.communicate(timeout=120)[0]) for one in at_once]
    assert 3 == sum(one["ok"] for one in said)
    assert 3 * ["BUDGET_EXCEEDED"] == [one["error"]["code"] for one in said if not one["ok"]]
    runs = all_runs(agents.bench.board.folder)
    assert 3.0 == sum(started(agents.bench, run).budget_usd or 0 for run in runs)
    for run in runs:
        stopped(agents, run)


def test_the_members_of_a_team_share_its_budget(team: Team) -> None:
    team.define({"one": {"engine": "claude"}, "two": {"engine": "opencode"}}, budget_usd=0.8, budget_tokens=10_000)
    _, view = team.ended()
    assert "succeeded" == view.state, view.error
    members = [run for run in all_runs(team.bench.board.folder) if run.run_id != view.run_id]
    assert [(0.4, 5_000), (0.4, 5_000)] == [
        (held.budget_usd, held.budget_tokens) for held in (started(team.bench, run) for run in members)
    ]
    total = team.bench.data("costs")["total"]
    assert (2, 0.5) == (total["runs"], total["cost_usd"])


def test_a_member_that_does_not_fit_below_its_teams_budget_is_absent(team: Team) -> None:
    members = {name: {"engine": "claude", "budget_usd": 0.6} for name in ("one", "two")}
    run, view = team.ended(team.define(members, budget_usd=1, quorum=1))
    assert "succeeded" == view.state, view.error
    (absent,) = team.review(run)["absent"]
    assert "its team's budget_usd, $1.00" in absent["reason"]


def test_without_ceilings_nobody_is_asked(agents: Agents, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise BudgetExceeded("asked")

    monkeypatch.setattr("lattice.workers.budgets.is_asked", refuse)
    _, view = agents.ended()
    assert ("succeeded", None) == (view.state, view.budget_usd)
