"""`worker replay`: what is kept says the same again, and what was recorded otherwise is named."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.workers.conftest import bench as bench  # noqa: PLC0414  # a fixture is shared by its name
from tests.workers.test_agents import ENGINES, Agents
from tests.workers.test_agents import agents as agents  # noqa: PLC0414  # as above


@pytest.mark.parametrize(
    ("engine", "behaviour"),
    [*((engine, "ok") for engine in ENGINES), ("claude", "cut_last_line"), ("claude", "rate_limit"), ("codex", "error")]
    + [(engine, "rate_limit_without_time") for engine in ("claude", "gemini")],
)
def test_a_stream_says_the_same_again(agents: Agents, engine: str, behaviour: str) -> None:
    agents.behave(engine, behaviour)
    run, _ = agents.ended(engine)
    before = agents.bench.tree()
    done = agents.bench.lattice("worker", "replay", run.run_id, "--json")
    read: dict[str, Any] = json.loads(done.stdout)["data"]
    assert (0, []) == (done.returncode, read["differences"]), read
    assert read["today"]["result"] == read["then"]["result"] == ("succeeded" if behaviour == "ok" else "failed")
    assert before == agents.bench.tree()


def test_what_was_recorded_otherwise_is_named_and_exits_with_1(agents: Agents) -> None:
    agents.behave("claude", text="Fine \x1b[31mred.")
    run, _ = agents.ended()
    kept = json.loads(run.certificate.read_bytes())
    kept["evidence"]["result"] |= {"succeeded": False, "usage": {"tokens_in": 7}}
    run.certificate.write_text(json.dumps(kept), encoding="utf-8")
    with run.stream.open("ab") as stream:
        stream.write(b'\n{"type": broken\n')
    done = agents.bench.lattice("worker", "replay", run.run_id)
    assert 1 == done.returncode
    assert "differs from what was recorded: result, tokens in, tokens cached, tokens out, cost usd." in done.stdout
    assert "1 line that could not be read" in done.stdout
    assert "Fine \\x1b[31mred." in done.stdout
    assert "\x1b" not in done.stdout
    names = agents.bench.lattice("worker", "replay", run.run_id, "--quiet").stdout.split()
    assert ["result", "tokens_in", "tokens_cached", "tokens_out", "cost_usd"] == names


def test_a_run_that_ended_without_a_word_of_its_end_has_nothing_to_compare(agents: Agents) -> None:
    run, _ = agents.ended()
    run.certificate.unlink()
    run.outcome.unlink()
    done = agents.bench.lattice("worker", "replay", run.run_id)
    assert (0, True) == (done.returncode, "Nothing was recorded of its result" in done.stdout)


def test_a_run_without_a_stream_is_an_error_that_says_why(agents: Agents) -> None:
    refused = agents.bench.error("worker", "replay", agents.bench.ended("true").run_id)
    assert ("NOT_FOUND", True) == (refused["code"], "it is no agent's" in refused["message"])
    run, _ = agents.ended()
    run.stream.unlink()
    assert "there is none on this machine" in agents.bench.error("worker", "replay", run.run_id)["message"]
