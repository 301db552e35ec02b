"""What the lines of Codex come to."""

from __future__ import annotations

import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

from lattice.workers.engines.codex import ENGINE, invoke, login
from lattice.workers.engines.heard import RateLimit, Usage
from lattice.workers.engines.protocol import Work
from tests.workers.engines.streams import CODEX_TURN, WELL, codex_item, heard

WORK = Work(Path("/r/prompt.md"), Path('/r/a "tree".d'), Path("/r/out"), Path("/r/out/final.txt"))
ALL = frozenset({*ENGINE.required, *ENGINE.optional})


def failed(message: str) -> dict[str, object]:
    return {"type": "turn.failed", "error": {"message": message}}


def settings(arguments: tuple[str, ...]) -> dict[str, object]:
    """The values of `-c`, read as TOML, as Codex reads them."""
    found = [value for flag, value in pairwise(arguments) if flag == "-c"]
    return tomllib.loads("\n".join(found))


def test_a_run_that_went_well_is_told() -> None:
    end = heard("codex", *WELL["codex"])
    assert (True, "Done: größer", "th_1", 1, 1) == (end.succeeded, end.text, end.session_id, end.turns, end.tools)
    assert Usage(900, 60, 700) == end.usage  # and no price


def test_turns_add_up() -> None:
    assert Usage(1800, 120, 1400) == heard("codex", CODEX_TURN, CODEX_TURN).usage


def test_a_turn_that_failed_is_a_failure() -> None:
    end = heard("codex", {"type": "turn.started"}, failed("stream disconnected"))
    assert (False, "stream disconnected", None) == (end.succeeded, end.error, end.rate_limit)


@pytest.mark.parametrize(
    ("words", "limit"),
    [
        ("Rate limit reached for m. Please try again in 11.5s.", RateLimit(after_s=11.5)),
        ("You've hit your usage limit. Try again in 3 days 2 hours 5 minutes.", RateLimit(after_s=266_700)),
        ("You've hit your usage limit. Try again in 1h2m3s or later.", RateLimit(after_s=3_723)),
        ("exceeded retry limit, last status: 429 Too Many Requests", RateLimit()),
        ("You've hit your usage limit. Try again at Apr 28th, 2026 10:03 PM.", RateLimit()),
        (
            '{"error":{"message":"usage limit reached","resets_at":1795000000,"resets_in_seconds":60}}',
            RateLimit("2026-11-18T11:06:40Z"),
        ),
    ],
)
def test_an_error_text_tells_of_a_limit_and_its_reset(words: str, limit: RateLimit) -> None:
    assert limit == heard("codex", failed(words)).rate_limit


def test_an_error_and_the_failure_after_it_keep_the_reset() -> None:
    lines = ({"type": "error", "message": "429, resets_at: 1795000000"}, failed("429 Too Many Requests"))
    assert RateLimit("2026-11-18T11:06:40Z") == heard("codex", *lines).rate_limit


def test_a_notice_of_a_retry_is_no_failure() -> None:
    end = heard("codex", {"type": "error", "message": "Reconnecting... 2/5 (429)"}, *WELL["codex"])
    assert (True, None, None) == (end.succeeded, end.error, end.rate_limit)
    assert None is heard("codex", {"type": "error", "message": "Reconnecting... 2/5"}).succeeded


def test_an_error_of_json_within_text_is_unwrapped() -> None:
    assert "bad model" == heard("codex", failed('{"error": {"message": "bad model"}}')).error


def test_an_answer_to_a_schema_is_data() -> None:
    assert {"verdict": "ok"} == heard("codex", codex_item("agent_message", text='{"verdict": "ok"}')).structured


def test_a_reviewer_that_answers_to_a_schema_can_write_nothing() -> None:
    made = invoke(WORK.replace(read_only=True, schema=Path("/r/s.json")), ALL)
    arguments = made.arguments
    assert ("exec", "--json", "-s", "read-only", "-C", str(WORK.worktree)) == arguments[:6]
    assert ("-", WORK.prompt) == (arguments[-1], made.stdin)
    assert "--ignore-rules" in arguments
    assert "/r/s.json" == arguments[arguments.index("--output-schema") + 1]
    untrusted = {str(WORK.worktree): {"trust_level": "untrusted"}}
    assert {"project_doc_max_bytes": 0, "projects": untrusted} == settings(arguments)


def test_a_reviewer_without_a_schema_can_write_its_output() -> None:
    arguments = invoke(WORK.replace(read_only=True), ALL).arguments
    assert "workspace-write" == arguments[3]
    assert {"writable_roots": ["/r/out"]} == settings(arguments)["sandbox_workspace_write"]


def test_options_stand_before_the_session_that_goes_on() -> None:
    arguments = invoke(WORK.replace(resume="th_1", model="m"), ALL).arguments
    assert ("resume", "th_1", "-") == arguments[-3:]
    assert "m" == arguments[arguments.index("-m") + 1]


def test_a_login_is_a_variable_or_a_file(tmp_path: Path) -> None:
    assert False is login({}, tmp_path).known
    assert "CODEX_API_KEY" == login({"CODEX_API_KEY": "k"}, tmp_path).how
    (tmp_path / "auth.json").write_text("{}")
    assert True is login({"CODEX_HOME": str(tmp_path)}, tmp_path).known
