"""Certifying: what is right passes every behaviour that is asked for, and what is wrong is named."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from lattice.errors import NotFound, UsageError, ValidationError
from lattice.testing.certify import Certificate, behaviour_of, certify
from lattice.testing.engines.behaviour import BEHAVIOURS
from lattice.testing.rehearsal import End, Expected, expected_end
from lattice.workers.definitions.agents import AgentRules
from lattice.workers.definitions.definition import Definition, Output

REVIEW = {"review": {"role": "review", "path": "review.json", "required": True}}


def script(top: Path, body: str) -> None:
    """A worker `Mine`, which is this shell script."""
    (top / "workers").mkdir()
    (top / "workers" / "mine.sh").write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    (top / "workers" / "mine.sh").chmod(0o755)
    define(top, engine="script", script="workers/mine.sh")


def define(top: Path, **keys: object) -> None:
    (top / "workers").mkdir(exist_ok=True)
    shape = {"name": "Mine", "actor": "agent:mine", "outputs": REVIEW, **keys}
    (top / "workers" / "mine.json").write_text(json.dumps(shape), encoding="utf-8")


def of(top: Path, name: str, *only: str) -> Certificate:
    return certify(name, lambda: top, os.environ, only)


def test_an_adapter_is_certified_without_a_board(tmp_path: Path) -> None:
    found = of(tmp_path, "gemini", "ok", "rate_limit", "cut_last_line")
    assert ("adapter", True) == (found.kind, found.ok)
    assert ["succeeded", "no result", "rate limit"] == [row.seen for row in found.rows]


@pytest.mark.slow
def test_a_worker_that_bears_its_agent_passes(tmp_path: Path) -> None:
    script(tmp_path, "exec claude -p 'Review it.'")
    found = of(tmp_path, "Mine", "ok", "error", "no_artifact", "daemon", "delete_cwd", "commit", "flood")
    assert [] == [row for row in found.rows if not row.ok]
    assert 7 == len(found.rows)


@pytest.mark.slow
def test_the_reviewer_that_comes_along_passes_and_obeys_no_branch(tmp_path: Path) -> None:
    found = of(tmp_path, "CodeReviewLite", "ok", "no_artifact", "rate_limit", "hang_after_result", "obedient")
    assert [] == [row for row in found.rows if not row.ok]
    seen = {row.behaviour: row.seen for row in found.rows}
    assert "failed (verdict)" == seen.pop("no_artifact")
    assert "failed (rate_limit)" == seen.pop("rate_limit")
    assert {"ok": "succeeded", "hang_after_result": "succeeded", "obedient": "succeeded"} == seen


@pytest.mark.slow
def test_a_worker_that_hides_its_agents_failure_does_not_pass(tmp_path: Path) -> None:
    script(tmp_path, "claude -p 'Review it.' || true")
    (ok, error) = of(tmp_path, "mine", "ok", "error").rows
    assert ok.ok
    assert (False, "failed (exit)", "succeeded") == (error.ok, error.expected, error.seen)
    assert ("it ended as succeeded: it succeeded",) == error.differences


@pytest.mark.slow
def test_the_program_of_a_command_is_played_by_a_fake_and_nothing_of_it_is_left(tmp_path: Path) -> None:
    define(
        tmp_path,
        engine="command",
        command=["nobody-has-this", "{short_id}"],
        base="develop",
        setup={"run": [["false"]]},
    )
    before = dict(os.environ)
    assert of(tmp_path, "Mine", "ok").ok
    assert before == dict(os.environ)
    assert [tmp_path / "workers"] == list(tmp_path.iterdir())


def test_a_program_that_no_fake_can_play_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"DiffCheck executes '\{python\}'"):
        of(tmp_path, "DiffCheck")


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="No worker and no engine"):
        of(tmp_path, "Nobody")
    with pytest.raises(UsageError, match="no behaviour 'okay'"):
        of(tmp_path, "claude", "okay")


def test_the_cases_of_an_adapter_are_fixed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cases are fixed"):
        certify("claude", lambda: tmp_path, os.environ, more={"text": "Fine."})


def test_a_file_of_behaviour_is_checked_before_it_is_used(tmp_path: Path) -> None:
    path = tmp_path / "b.json"
    path.write_text('{"text": "Fine."}', encoding="utf-8")
    assert {"text": "Fine."} == behaviour_of(path)
    for wrong in ("[1]", '{"texts": "Fine."}'):
        path.write_text(wrong, encoding="utf-8")
        with pytest.raises(ValidationError):
            behaviour_of(path)


def worker(engine: str) -> Definition:
    return Definition("W", engine, "agent:w", "0", outputs=(Output("review", None, "review.json", required=True),))


def test_a_budget_that_is_passed_is_an_end_that_is_expected() -> None:
    assert "failed" == expected_end(worker("claude").replace(agent=AgentRules(budget_usd=1)), "over_budget").said()
    assert "succeeded" == expected_end(worker("codex").replace(agent=AgentRules(budget_usd=1)), "over_budget").said()
    of_codex = AgentRules(engines=("codex",), budget_usd=1)
    assert "succeeded" == expected_end(worker("auto").replace(agent=of_codex), "over_budget").said()
    assert "failed" == expected_end(worker("auto").replace(agent=AgentRules(budget_tokens=5)), "ok").said()


@pytest.mark.parametrize(
    ("name", "agent", "program"),
    [
        ("ok", "succeeded", "succeeded"),
        ("error", "failed (exit)", "failed (exit)"),
        ("error_exit_0", "failed (verdict)", "succeeded"),
        ("cut_last_line", "failed (verdict)", "succeeded"),
        ("no_artifact", "failed (verdict)", "failed (verdict)"),
        ("hang_after_result", "succeeded", "timed_out (timeout or idle)"),
        ("rate_limit", "failed (rate_limit)", "failed (exit)"),
        ("rate_limit_called_success", "failed (rate_limit)", "failed (verdict)"),
        ("flood", "failed (log_limit)", "failed (log_limit)"),
    ],
)
def test_of_a_program_that_is_no_agent_only_exit_and_outputs_count(name: str, agent: str, program: str) -> None:
    assert agent == expected_end(worker("claude"), name).said()
    assert program == expected_end(worker("command"), name).said()


def test_every_behaviour_has_an_end_that_is_expected() -> None:
    for engine in ("auto", "script"):
        assert {"succeeded", "failed", "timed_out"} == {expected_end(worker(engine), name).state for name in BEHAVIOURS}


def test_what_a_run_leaves_is_a_difference() -> None:
    expected = Expected("failed", ("exit",))
    assert [] == list(expected.differences(End("failed", "exit")))
    assert 1 == len(list(expected.differences(End("failed", "verdict", "Missing."))))
    assert ["it left process 7"] == list(expected.differences(End("failed", "exit", left=("process 7",))))
