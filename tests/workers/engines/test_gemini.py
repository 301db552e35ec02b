"""What the lines of Gemini come to."""

from __future__ import annotations

import json
from pathlib import Path

from lattice.core.run import Exited
from lattice.workers.engines.gemini import ENGINE, invoke, login
from lattice.workers.engines.heard import Heard, RateLimit, Usage
from lattice.workers.engines.protocol import Work
from lattice.workers.engines.stream import finished
from tests.workers.engines.streams import GEMINI_STATS, WELL, heard

WORK = Work(Path("/r/prompt.md"), Path("/r/tree"), Path("/r/out"), Path("/r/out/final.txt"))
ALL = frozenset({*ENGINE.required, *ENGINE.optional})
LIMITED = {"type": "error", "severity": "error", "message": "RESOURCE_EXHAUSTED (429). Please retry in 34.5s."}


def says(text: str, *, delta: bool = True) -> dict[str, object]:
    return {"type": "message", "role": "assistant", "content": text, "delta": delta}


def test_a_run_that_went_well_is_told() -> None:
    end = heard("gemini", *WELL["gemini"])
    assert (True, "Done: größer", "g_1", "gemini-m") == (end.succeeded, end.text, end.session_id, end.model)
    assert (1, 1, Usage(200, 60, 80)) == (end.turns, end.tools, end.usage)


def test_pieces_go_on_until_something_else_is_said() -> None:
    tool = {"type": "tool_use", "tool_name": "glob", "parameters": {}}
    assert "cd" == heard("gemini", says("a"), says("b"), tool, says("c"), says("d")).text
    assert "whole" == heard("gemini", says("a"), says("whole", delta=False)).text


def test_a_failure_has_its_words() -> None:
    result = {"type": "result", "status": "error", "error": {"type": "E", "message": "no model"}, "stats": {}}
    end = heard("gemini", result)
    assert (False, "no model", Usage()) == (end.succeeded, end.error, end.usage)


def test_a_refusal_is_one_whatever_the_result_calls_itself() -> None:
    well = {"type": "result", "status": "success", "stats": GEMINI_STATS}
    assert RateLimit(after_s=34.5) == heard("gemini", says("a"), LIMITED, well).rate_limit
    assert None is heard("gemini", LIMITED, says("a"), well).rate_limit


def test_a_warning_is_no_failure() -> None:
    warning = {"type": "error", "severity": "warning", "message": "loop detected"}
    assert None is heard("gemini", warning).error


def test_an_exit_status_says_why_there_is_no_result() -> None:
    reported = finished(ENGINE, Heard(), Exited(55), 0)
    assert reported.text is not None
    assert "--skip-trust" in reported.text


def test_a_reviewer_is_not_let_loose() -> None:
    worker, reviewer = (" ".join(invoke(WORK.replace(read_only=one), ALL).arguments) for one in (False, True))
    assert "--approval-mode yolo" in worker
    assert "--approval-mode default --skip-trust" in reviewer
    assert "--extensions none --allowed-mcp-server-names" in reviewer
    assert "run_shell_command(git diff)" in reviewer
    assert "run_shell_command," not in reviewer


def test_a_reviewer_has_no_settings_of_the_branch() -> None:
    ((name, path),) = invoke(WORK.replace(read_only=True), ALL).set
    assert "GEMINI_CLI_SYSTEM_SETTINGS_PATH" == name
    assert False is json.loads(Path(path).read_text())["hooksConfig"]["enabled"]
    assert () == invoke(WORK, ALL).set


def test_the_prompt_is_standard_input() -> None:
    made = invoke(WORK.replace(model="m", resume="g_1"), ALL)
    assert WORK.prompt == made.stdin
    assert not {"-p", "--prompt"} & set(made.arguments)


def test_a_login_is_a_variable_or_a_file(tmp_path: Path) -> None:
    assert False is login({}, tmp_path).known
    assert None is login({"GOOGLE_GENAI_USE_VERTEXAI": "true"}, tmp_path).known
    (tmp_path / ".gemini").mkdir()
    (tmp_path / ".gemini/oauth_creds.json").write_text("{}")
    assert True is login({}, tmp_path).known
    assert True is login({"GEMINI_API_KEY": "k"}, tmp_path / "x").known
