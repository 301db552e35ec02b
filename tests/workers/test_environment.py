"""What a worker inherits, and what not."""

from __future__ import annotations

import pytest

from lattice.workers.environment import DEFAULT_STRIP, EnvironmentRules, child_environment

NO_RULES = EnvironmentRules()


@pytest.mark.parametrize("name", DEFAULT_STRIP)
def test_a_marker_of_an_outer_agent_or_git_is_stripped(name: str) -> None:
    assert {"PATH": "/bin"} == child_environment({"PATH": "/bin", name: "1"}, NO_RULES, {})


@pytest.mark.parametrize(
    "name",
    ["ANTHROPIC_API_KEY", "CLAUDE_CONFIG_DIR", "CLAUDE_CODE_OAUTH_TOKEN", "CODEX_HOME", "OPENAI_API_KEY", "GIT_SSH"],
)
def test_review_b_finding_7_credentials_with_a_marker_s_prefix_survive(name: str) -> None:
    assert {name: "secret"} == child_environment({name: "secret"}, NO_RULES, {})


def test_patterns_strip_by_exact_case_and_keep_wins() -> None:
    environ = {"FOO_A": "1", "FOO_B": "2", "foo_a": "3", "CLAUDECODE": "1"}
    rules = EnvironmentRules(strip=("FOO_*",), keep=("FOO_B", "CLAUDECODE"))
    assert {"FOO_B": "2", "foo_a": "3", "CLAUDECODE": "1"} == child_environment(environ, rules, {})


def test_an_outer_run_s_names_never_pass_for_this_one_s() -> None:
    environ = {"LATTICE_RUN_ID": "outer", "LATTICE_ANYTHING": "1"}
    rules = EnvironmentRules(keep=("LATTICE_*",))
    assert {"LATTICE_RUN_ID": "own"} == child_environment(environ, rules, {"LATTICE_RUN_ID": "own"})


def test_set_comes_after_strip_and_given_wins() -> None:
    rules = EnvironmentRules(strip=("A",), set=(("A", "set"), ("B", "set")))
    assert {"A": "set", "B": "given"} == child_environment({"A": "inherited"}, rules, {"B": "given"})


def test_the_callers_environment_is_left_as_it_was() -> None:
    environ = {"CLAUDECODE": "1"}
    child_environment(environ, NO_RULES, {"A": "1"})
    assert {"CLAUDECODE": "1"} == environ
