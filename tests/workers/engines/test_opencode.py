"""What the lines of opencode come to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lattice.workers.engines.heard import RateLimit, Usage
from lattice.workers.engines.opencode import ENGINE, invoke, login
from lattice.workers.engines.protocol import Work
from tests.workers.engines.streams import WELL, heard, opencode, opencode_finish

WORK = Work(Path("/r/prompt.md"), Path("/r/tree"), Path("/r/run_1/out"), Path("/r/run_1/out/final.txt"))
ALL = frozenset({*ENGINE.required, *ENGINE.optional})


def test_a_run_that_went_well_is_told() -> None:
    end = heard("opencode", *WELL["opencode"])
    assert (True, "Done: größer", "ses_1", 2, 1) == (end.succeeded, end.text, end.session_id, end.turns, end.tools)
    assert Usage(160, 20, 40, 0.5) == end.usage


def test_a_step_that_calls_tools_is_no_end() -> None:
    assert None is heard("opencode", opencode_finish("tool-calls")).succeeded


def test_a_step_that_was_cut_off_is_a_failure() -> None:
    end = heard("opencode", opencode_finish("length"))
    assert (False, "its last step ended for the reason length") == (end.succeeded, end.error)


def test_a_price_of_nothing_is_not_known() -> None:
    assert None is heard("opencode", opencode_finish("stop", cost=0)).usage.cost_usd


def test_a_call_told_twice_is_one() -> None:
    lines = [
        opencode("tool_use", tool="bash", callID="c1", state={"status": state}) for state in ("running", "completed")
    ]
    assert 1 == heard("opencode", *lines).tools


def test_an_error_has_its_words() -> None:
    line = {"type": "error", "sessionID": "ses_1", "error": {"name": "APIError", "data": {"message": "429: slow down"}}}
    end = heard("opencode", line)
    assert (False, "429: slow down") == (end.succeeded, end.error)
    assert None is not end.rate_limit


def test_a_reviewer_has_no_settings_of_the_branch() -> None:
    made = invoke(WORK.replace(read_only=True), ALL)
    given = dict(made.set)
    assert "1" == given["OPENCODE_DISABLE_PROJECT_CONFIG"]
    rights = json.loads(given["OPENCODE_CONFIG_CONTENT"])["permission"]
    assert {"*": "deny", "*run_1/out/*": "allow"} == rights["edit"]
    assert "deny" == rights["bash"]["*"]
    assert not {"--auto", "--dangerously-skip-permissions"} & set(made.arguments)


def test_a_worker_is_not_asked() -> None:
    made = invoke(WORK.replace(model="p/m", resume="ses_1"), ALL - {"--auto"})
    words = ("run", "--format", "json", "-m", "p/m", "--session", "ses_1", "--dir", "/r/tree")
    assert (*words, "--dangerously-skip-permissions") == made.arguments
    assert (WORK.prompt, ()) == (made.stdin, made.set)


def test_a_login_is_a_variable_or_a_file(tmp_path: Path) -> None:
    assert False is login({}, tmp_path).known
    assert None is login({"OPENAI_API_KEY": "k"}, tmp_path).known
    (tmp_path / "opencode").mkdir()
    (tmp_path / "opencode/auth.json").write_text("{}")
    assert True is login({"XDG_DATA_HOME": str(tmp_path)}, tmp_path).known


@pytest.mark.parametrize(
    ("after", "expected"), [("90", 90.0), ("1.5", 1.5), ("Sat, 21 Nov 2026 09:00:00 GMT", None), ("", None), (90, None)]
)
def test_when_a_refusal_ends_is_read_from_the_providers_answer(after: object, expected: float | None) -> None:
    data = {"message": "slow down", "statusCode": 429, "responseHeaders": {"Retry-After": after}}
    end = heard("opencode", {"type": "error", "sessionID": "ses_1", "error": {"name": "APIError", "data": data}})
    assert RateLimit(after_s=expected) == end.rate_limit


def test_an_error_of_another_status_is_no_refusal() -> None:
    data = {"message": "no", "statusCode": 500, "responseHeaders": {"retry-after": "90"}}
    assert heard("opencode", {"type": "error", "sessionID": "ses_1", "error": {"data": data}}).rate_limit is None
