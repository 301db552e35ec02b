"""`lattice costs` and the costs that other commands show: of real runs, and of runs that others did."""

from __future__ import annotations

import json
from typing import Any

from lattice.commands.settings import change_settings
from tests.workers.conftest import Bench
from tests.workers.conftest import bench as bench  # noqa: PLC0414  # a fixture is shared by its name
from tests.workers.test_agents import Agents
from tests.workers.test_agents import agents as agents  # noqa: PLC0414  # as above

PRICE = {"fake-*": {"tokens_in": 1.0, "tokens_cached": 0.1, "tokens_out": 10.0}}


def priced(bench: Bench, prices: dict[str, Any]) -> None:
    change_settings(bench.board, lambda _: {"prices": prices})


def worked(bench: Bench, worker: str, usage: dict[str, float] | None = None, *more: str) -> str:
    """An external run from its beginning to its end; its id."""
    run_id: str = bench.data("worker", "start", worker, "LAT-1")["run_id"]
    said = ("--usage", json.dumps(usage)) if usage is not None else ()
    bench.data("worker", "complete", run_id, *said, *more)
    return run_id


def test_sums_are_of_what_engines_said_and_unknown_stays_unknown(agents: Agents) -> None:
    agents.ended("claude")
    agents.behave("codex", model="other")
    agents.ended("codex")
    found = agents.bench.data("costs", "--by", "engine")
    assert [("claude", 0.25, None, 0), ("codex", None, None, 1)] == [
        (one["key"], one["cost_usd"], one["estimated_usd"], one["unknown"]) for one in found["sums"]
    ]
    assert (2, 2400, 680, 0.25, 1) == tuple(
        found["total"][name] for name in ("runs", "tokens_in", "tokens_out", "cost_usd", "unknown")
    )
    assert "2 runs: $0.25 and 1 run of unknown cost" in agents.bench.lattice("costs").stdout


def test_a_price_makes_an_estimate_that_is_marked_as_one(agents: Agents) -> None:
    priced(agents.bench, PRICE)
    _, view = agents.ended("gemini")
    found = agents.bench.data("costs")["total"]
    # 200 × 1 + 1000 × 0.1 + 340 × 10, in millionths
    assert (None, 0.0037, 0) == (found["cost_usd"], found["estimated_usd"], found["unknown"])
    shown = agents.bench.data("worker", "show", view.run_id)
    assert {"usd": 0.0037, "estimated": True} == shown["cost"]
    for command in ("show", "why"):
        page = agents.bench.lattice("worker", command, view.run_id).stdout
        assert "$0.0037, estimated by the prices of config.json" in page
    assert "~$0.0037" in agents.bench.lattice("worker", "history").stdout


def test_what_an_engine_said_is_shown_as_its_word(agents: Agents) -> None:
    priced(agents.bench, PRICE)
    _, view = agents.ended("claude")
    page = agents.bench.lattice("worker", "show", view.run_id).stdout
    assert "$0.25, as claude said" in page
    assert "1,200 in, 1,000 of them cached, 340 out" in page


def test_a_run_of_unknown_cost_says_so(agents: Agents) -> None:
    agents.behave("codex", "no_usage")
    _, view = agents.ended("codex")
    assert None is agents.bench.data("worker", "show", view.run_id)["cost"]
    assert "cost         not known" in agents.bench.lattice("worker", "show", view.run_id).stdout


def test_the_model_that_a_definition_names_counts_where_the_engine_does_not_say(agents: Agents) -> None:
    priced(agents.bench, {"gpt-5": {"tokens_in": 1.0, "tokens_out": 1.0}})
    _, view = agents.ended("codex", model="gpt-5")
    assert "gpt-5" == view.model
    assert 0.00154 == agents.bench.data("costs")["total"]["estimated_usd"]


def test_runs_of_others_count_with_the_model_that_they_say_they_are(bench: Bench) -> None:
    priced(bench, PRICE)
    worked(bench, "Helper", {"cost_usd": 0.5, "tokens_in": 3})
    worked(bench, "Helper", {"tokens_in": 1_000_000, "tokens_out": 0}, "--model", "fake-2")
    worked(bench, "Helper")
    (found,) = bench.data("costs", "LAT-1", "--by", "task")["sums"]
    assert ("LAT-1", 3, 0.5, 1.0, 1) == (
        found["key"], found["runs"], found["cost_usd"], found["estimated_usd"], found["unknown"]
    )  # fmt: skip


def test_a_program_that_says_nothing_is_no_run_of_unknown_cost(bench: Bench) -> None:
    bench.ended("true")
    found = bench.data("costs")["total"]
    assert (1, 0, None) == (found["runs"], found["unknown"], found["cost_usd"])


def test_only_runs_that_ended_in_the_span_count(bench: Bench) -> None:
    worked(bench, "Helper", {"cost_usd": 0.5})
    assert 1 == bench.data("costs", "--since", "1h")["total"]["runs"]
    assert 0 == bench.data("costs", "--until", "1h")["total"]["runs"]
    assert 0 == bench.data("costs", "--since", "9998-01-01")["total"]["runs"]
    assert "No run has ended" in bench.lattice("costs", "--until", "1h").stdout


def test_a_table_for_spreadsheets_leaves_what_is_unknown_empty(bench: Bench) -> None:
    run_id = worked(bench, "Helper", {"tokens_in": 3})
    lines = bench.lattice("costs", "--by", "run", "--csv").stdout.splitlines()
    assert [
        "run,runs,tokens_in,tokens_out,tokens_cached,cost_usd,estimated_usd,unknown",
        f"{run_id},1,3,,,,,1",
    ] == lines
    assert "USAGE" == bench.error("costs", "--csv")["code"]


def test_prices_that_are_off_are_named(bench: Bench) -> None:
    priced(bench, {"m": {"tokens_in": -1}})
    error = bench.error("costs")
    assert ("CONFIG_ERROR", True) == (error["code"], "prices.m.tokens_in" in error["message"])
