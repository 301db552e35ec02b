"""What the lines of Claude Code come to."""

from __future__ import annotations

from pathlib import Path

import pytest

from lattice.workers.engines.claude import ENGINE, invoke, login
from lattice.workers.engines.heard import Usage
from lattice.workers.engines.protocol import Work
from tests.workers.engines.streams import CLAUDE_INIT, WELL, claude_result, claude_says, heard

WORK = Work(Path("/r/prompt.md"), Path("/r/tree"), Path("/r/out"), Path("/r/out/final.txt"))
ALL = frozenset({*ENGINE.required, *ENGINE.optional})
REJECTED = {"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "resetsAt": 1_795_000_000}}
ALLOWED = {"type": "rate_limit_event", "rate_limit_info": {"status": "allowed_warning", "resetsAt": 1_795_000_000}}


def test_a_run_that_went_well_is_told() -> None:
    end = heard("claude", *WELL["claude"])
    assert (True, "D", None) == (end.succeeded, end.text, end.error)
    assert ("5e55", "claude-m", 3, 1) == (end.session_id, end.model, end.turns, end.tools)
    assert Usage(420, 40, 300, 0.5) == end.usage


def test_an_error_that_calls_itself_a_success_is_an_error() -> None:
    end = heard("claude", CLAUDE_INIT, claude_result("API Error: 500", is_error=True))
    assert (False, "API Error: 500", None) == (end.succeeded, end.error, end.rate_limit)


def test_a_budget_that_ran_out_is_named() -> None:
    line = {**claude_result(""), "subtype": "error_max_budget_usd", "errors": ["Reached maximum budget ($1)"]}
    assert "Reached maximum budget ($1)" == heard("claude", line).error


def test_the_last_of_several_results_counts() -> None:
    first, last = claude_result("waiting", cost=0.2), claude_result("all done", cost=0.7)
    assert ("all done", 0.7) == ((end := heard("claude", first, last)).text, end.usage.cost_usd)
    assert False is heard("claude", first, claude_result("broken", is_error=True)).succeeded
    recovered = heard("claude", claude_result("broken", is_error=True), last)
    assert (True, None) == (recovered.succeeded, recovered.error)


def test_an_empty_result_leaves_what_was_said() -> None:
    assert "I looked." == heard("claude", claude_says("I looked."), claude_result("")).text


@pytest.mark.parametrize("is_error", [True, False])
def test_a_refusal_is_one_whatever_the_result_calls_itself(is_error: bool) -> None:
    end = heard("claude", CLAUDE_INIT, REJECTED, claude_result("You've hit your limit", is_error=is_error))
    assert end.rate_limit is not None
    assert "2026-11-18T11:06:40Z" == end.rate_limit.resets_at


def test_a_notice_told_as_a_message_does_not_pass_for_work() -> None:
    lines = (REJECTED, claude_says("You've hit your limit · resets 2pm"), claude_result("You've hit your limit"))
    assert None is not heard("claude", *lines).rate_limit


def test_an_older_notice_tells_the_reset_in_its_text() -> None:
    notice = {**claude_result("Claude AI usage limit reached|1795000000"), "usage": {"output_tokens": 0}}
    assert (limit := heard("claude", notice).rate_limit) is not None
    assert "2026-11-18T11:06:40Z" == limit.resets_at


def test_a_warning_and_words_about_limits_are_no_refusal() -> None:
    end = heard("claude", ALLOWED, claude_says("hm"), claude_result("The usage limit reached here returns 429."))
    assert (True, None) == (end.succeeded, end.rate_limit)


def test_work_after_a_refusal_shows_that_it_passed() -> None:
    retry = {"type": "system", "subtype": "api_retry", "error_status": 429, "retry_delay_ms": 1500, "attempt": 1}
    assert (limit := heard("claude", retry).rate_limit) is not None
    assert 1.5 == limit.after_s
    assert None is heard("claude", retry, claude_says("on", "Bash"), claude_result("done")).rate_limit


def test_the_programs_own_words_do_not_pass_for_work() -> None:
    notice = {**claude_says("You've hit your limit", "Bash"), "error": "rate_limit"}
    assert None is not heard("claude", REJECTED, notice, claude_result("")).rate_limit


def test_a_message_in_several_lines_is_counted_once() -> None:
    end = heard("claude", claude_says("a"), claude_says("", "Read"), claude_says("b", id_="msg_2"))
    assert (2, 1, Usage(30, 4, 10), Usage()) == (end.turns, end.tools, end.so_far, end.usage)


def test_what_a_subagent_says_is_not_the_final_text() -> None:
    assert "mine" == heard("claude", claude_says("mine"), claude_says("its", parent_tool_use_id="t1")).text


def test_a_session_that_goes_on_costs_what_is_new() -> None:
    before = Usage(400, 10, 300, 0.2)
    assert Usage(420, 40, 300, 0.3) == heard("claude", claude_result("D"), before=before).usage


def test_a_session_of_unknown_past_costs_nobody_knows_what() -> None:
    assert None is heard("claude", claude_result("D"), before=Usage()).usage.cost_usd


def test_a_total_that_starts_anew_is_not_made_less() -> None:
    assert 0.5 == heard("claude", claude_result("D"), before=Usage(cost_usd=0.9)).usage.cost_usd


def test_a_worker_may_edit_and_run() -> None:
    made = invoke(WORK.replace(model="m", session_id="u-1", budget_usd=1.5, schema_text="{}"), ALL)
    assert WORK.prompt == made.stdin
    line = " ".join(made.arguments)
    assert line.startswith("-p --output-format stream-json --verbose --model m --session-id u-1 --max-budget-usd 1.5 ")
    assert "--permission-mode acceptEdits" in line
    assert "--setting-sources" not in line


def test_a_reviewer_reads_and_writes_its_output_only() -> None:
    made = invoke(WORK.replace(read_only=True), ALL)
    line = " ".join(made.arguments)
    assert "--setting-sources user --strict-mcp-config" in line
    assert "Write(//r/out/**)" in line
    assert "acceptEdits" not in line
    allowed = made.arguments[made.arguments.index("--allowedTools") + 1].split(",")
    assert not {"Bash", "Edit", "Write", "WebFetch"} & set(allowed)


def test_flags_that_this_binary_lacks_are_left_out() -> None:
    work = WORK.replace(read_only=True, session_id="u", budget_usd=1.0, schema_text="{}")
    flags = {word for word in invoke(work, frozenset(ENGINE.required)).arguments if word.startswith("--")}
    assert {"--output-format", "--verbose", "--allowedTools", "--disallowedTools", "--permission-mode"} == flags


def test_a_session_that_goes_on_gets_no_new_id() -> None:
    arguments = invoke(WORK.replace(session_id="new", resume="old"), ALL).arguments
    assert ("--resume", "old") == arguments[4:6]
    assert "new" not in arguments


def test_a_login_is_a_variable_or_a_file(tmp_path: Path) -> None:
    assert False is login({}, tmp_path).known
    assert (True, "ANTHROPIC_API_KEY") == ((found := login({"ANTHROPIC_API_KEY": "k"}, tmp_path)).known, found.how)
    assert None is login({"CLAUDE_CODE_USE_BEDROCK": "1"}, tmp_path).known
    (tmp_path / ".claude").mkdir()
    (tmp_path / ".claude/.credentials.json").write_text("{}")
    assert True is login({}, tmp_path).known
    assert False is login({"CLAUDE_CONFIG_DIR": str(tmp_path / "other")}, tmp_path).known
