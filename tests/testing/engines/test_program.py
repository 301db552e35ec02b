"""Fake engines as programs: what they take, what they refuse, what they say, and where their behaviour comes from."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lattice.testing.engines import NAMES, behave, install
from lattice.testing.engines.behaviour import BEHAVIOURS, FINAL_TEXT, LONG_LINE_BYTES, Behaviour
from lattice.testing.engines.output import NOISE
from lattice.testing.engines.program import HANGING

WORDS = {
    "claude": ["-p", "--output-format", "stream-json", "--verbose"],
    "codex": ["exec", "--json", "-"],
    "gemini": ["-o", "stream-json"],
    "opencode": ["run", "--format", "json"],
}
SESSION = "11111111-2222-4333-8444-555555555555"
WITHIN_S = 60


@pytest.fixture
def fakes(tmp_path: Path) -> Path:
    return install(tmp_path / "fakes")


def started(
    fakes: Path, *words: str, stdin: bytes = b"Review it.", **environ: str
) -> subprocess.CompletedProcess[bytes]:
    """One start of a fake, with next to nothing in its environment."""
    return subprocess.run(
        [fakes / words[0], *words[1:]],
        input=stdin,
        env={"PATH": os.defpath, **environ},
        cwd=fakes,
        capture_output=True,
        timeout=WITHIN_S,
        check=False,
    )


def streamed(fakes: Path, name: str, *more: str, **behaviour: Any) -> list[dict[str, Any]]:
    behave(fakes, name, behaviour)
    done = started(fakes, name, *WORDS[name], *more)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("name", NAMES)
def test_a_prompt_on_standard_input_is_answered_in_the_stream(fakes: Path, name: str) -> None:
    done = started(fakes, name, *WORDS[name])
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert (0, b"") == (done.returncode, done.stderr)
    assert all(isinstance(line["type"], str) for line in lines)
    said = done.stdout.decode()
    assert all(half in said for half in (FINAL_TEXT[:18], FINAL_TEXT[18:]))  # gemini gives it in two pieces


@pytest.mark.parametrize("name", NAMES)
def test_without_a_prompt_it_fails_as_the_real_one_does(fakes: Path, name: str) -> None:
    done = started(fakes, name, *WORDS[name], stdin=b"")
    assert {"claude": 1, "codex": 1, "gemini": 42, "opencode": 1}[name] == done.returncode
    assert b"no prompt" in done.stderr
    assert b"" == done.stdout


@pytest.mark.parametrize("name", NAMES)
def test_a_flag_that_is_not_known_is_refused_with_the_usage(fakes: Path, name: str) -> None:
    done = started(fakes, name, *WORDS[name], "--invented")
    assert 2 == done.returncode
    assert b"unknown option '--invented'" in done.stderr
    assert b"Usage: " + name.encode() in done.stderr


def test_a_value_that_is_none_of_the_choices_is_refused(fakes: Path) -> None:
    assert 2 == started(fakes, "codex", "exec", "--json", "-s", "everything", "-").returncode


def test_help_names_the_flags_of_the_subcommand(fakes: Path) -> None:
    assert b"--ask-for-approval" not in started(fakes, "codex", "exec", "--help").stdout
    assert b"--output-schema" in started(fakes, "codex", "exec", "--help").stdout
    assert b"--sandbox" not in started(fakes, "codex", "exec", "resume", "--help").stdout
    assert b"--setting-sources" in started(fakes, "claude", "--help", stdin=b"").stdout
    assert b"2.1.0 (Claude Code)\n" == started(fakes, "claude", "--version").stdout


def test_flags_of_exec_stand_before_resume(fakes: Path) -> None:
    before = started(fakes, "codex", "exec", "--json", "-s", "read-only", "resume", SESSION, "-")
    after = started(fakes, "codex", "exec", "resume", "--json", "-s", "read-only", SESSION, "-")
    assert SESSION == json.loads(before.stdout.splitlines()[0])["thread_id"]
    assert (0, 2) == (before.returncode, after.returncode)


def test_claude_streams_only_with_verbose(fakes: Path) -> None:
    assert 1 == started(fakes, "claude", "-p", "--output-format", "stream-json").returncode


def test_claude_uses_the_session_that_it_is_given_and_no_other_form(fakes: Path) -> None:
    assert {SESSION} == {line["session_id"] for line in streamed(fakes, "claude", "--session-id", SESSION)}
    assert 1 == started(fakes, "claude", *WORDS["claude"], "--session-id", "mine").returncode


def test_a_resumed_conversation_of_claude_counts_what_it_cost_before(fakes: Path) -> None:
    told = {"cost_usd": 0.25, "earlier_cost_usd": 2.0}
    assert 0.25 == streamed(fakes, "claude", **told)[-1]["total_cost_usd"]
    assert 2.25 == streamed(fakes, "claude", "--resume", SESSION, **told)[-1]["total_cost_usd"]


def test_claude_stops_at_its_own_budget(fakes: Path) -> None:
    (result,) = [
        line for line in streamed(fakes, "claude", "--max-budget-usd", "1", cost_usd=2.0) if "subtype" in line
    ][-1:]
    assert ("error_max_budget_usd", True) == (result["subtype"], result["is_error"])
    assert 1 == started(fakes, "claude", *WORDS["claude"], "--max-budget-usd", "1").returncode


def test_a_schema_gives_claude_a_structured_answer(fakes: Path) -> None:
    lines = streamed(fakes, "claude", "--json-schema", '{"type": "object"}', structured={"findings": []})
    assert {"findings": []} == lines[-1]["structured_output"]
    assert 1 == started(fakes, "claude", *WORDS["claude"], "--json-schema", "{broken").returncode


def test_codex_writes_its_last_message_and_reads_a_schema(fakes: Path, tmp_path: Path) -> None:
    last = tmp_path / "last"
    assert 0 == started(fakes, "codex", "exec", "--json", "-o", str(last), "-").returncode
    assert FINAL_TEXT == last.read_text(encoding="utf-8")
    missing = started(fakes, "codex", "exec", "--json", "--output-schema", str(tmp_path / "none"), "-")
    assert 1 == missing.returncode


def test_what_it_was_given_is_recorded(fakes: Path, tmp_path: Path) -> None:
    record = tmp_path / "record"
    behave(fakes, "claude", {"record": str(record)})
    started(fakes, "claude", *WORDS["claude"], "First.", stdin=b"Second.", TOKEN="secret")
    (given,) = [json.loads(line) for line in record.read_text(encoding="utf-8").splitlines()]
    assert ([*WORDS["claude"], "First."], "First.\nSecond.") == (given["argv"], given["prompt"])
    assert "TOKEN" in given["environment"]
    assert "secret" not in record.read_text(encoding="utf-8")


def test_the_behaviour_beside_it_is_read_at_every_start_and_the_variable_counts_more(fakes: Path) -> None:
    assert "one" == streamed(fakes, "claude", text="one")[-1]["result"]
    assert "two" == streamed(fakes, "claude", text="two")[-1]["result"]
    third = started(fakes, "claude", *WORDS["claude"], FAKE_ENGINE_BEHAVIOUR='{"text": "three"}')
    assert "three" == json.loads(third.stdout.splitlines()[-1])["result"]


def test_a_prompt_chooses_among_behaviours(fakes: Path) -> None:
    behave(fakes, "claude", {"text": "mild", "when": [{"prompt": "critical", "text": "harsh"}]})
    said = [started(fakes, "claude", "-p", prompt, stdin=b"").stdout for prompt in ("Be kind.", "Be critical.")]
    assert [b"mild\n", b"harsh\n"] == said


def test_a_behaviour_that_is_off_is_said(fakes: Path) -> None:
    (fakes / "claude.json").write_text('{"is": ["invented"]}', encoding="utf-8")
    done = started(fakes, "claude", *WORDS["claude"])
    assert 2 == done.returncode
    assert b"No behaviour of fake engines is named 'invented'" in done.stderr


def test_noise_stands_among_the_lines_and_newer_lines_are_json(fakes: Path) -> None:
    behave(fakes, "opencode", {"is": ["noise", "newer"]})
    lines = started(fakes, "opencode", *WORDS["opencode"]).stdout.splitlines(keepends=True)
    assert set(NOISE) < set(lines)
    assert 1 == sum(b"invented_later" in line for line in lines)
    assert lines[-1].startswith(b"{")


def test_a_cut_line_has_no_end(fakes: Path) -> None:
    behave(fakes, "gemini", {"is": "cut_last_line"})
    last = started(fakes, "gemini", *WORDS["gemini"]).stdout.splitlines(keepends=True)[-1]
    assert last.startswith(b'{"type": "result"')
    assert not last.endswith((b"}", b"\n"))


def test_a_long_line_is_one_line(fakes: Path) -> None:
    behave(fakes, "codex", {"is": "long_line"})
    assert LONG_LINE_BYTES < max(map(len, started(fakes, "codex", *WORDS["codex"]).stdout.splitlines()))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["rate_limit", "error", "error_exit_0", "result_then_exit_1"])
def test_its_exit_status_is_the_behaviours_or_the_real_ones(fakes: Path, name: str, kind: str) -> None:
    behave(fakes, name, {"is": kind})
    assert (0 if kind == "error_exit_0" else 1) == started(fakes, name, *WORDS[name]).returncode


def test_one_that_hangs_says_so_first_and_one_that_is_deaf_needs_to_be_killed(fakes: Path) -> None:
    for kind, ends_by in (("hang_after_result", signal.SIGTERM), ("ignores_sigterm", signal.SIGKILL)):
        behave(fakes, "claude", {"is": kind})
        with subprocess.Popen(
            [fakes / "claude", "-p", "x"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stderr is not None
            assert HANGING.encode() in process.stderr.readline()
            process.terminate()
            if ends_by == signal.SIGKILL:
                assert "SIGTERM" in ignored(process.pid)
                process.kill()
            assert -ends_by == process.wait(WITHIN_S)


def ignored(pid: int) -> set[str]:
    """The signals that a process ignores."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    mask = next(int(line.split()[1], 16) for line in lines if line.startswith("SigIgn"))
    return {one.name for one in signal.Signals if mask >> (one - 1) & 1}


def test_every_named_behaviour_is_one(fakes: Path) -> None:
    assert "ok" in BEHAVIOURS
    for name, fields in BEHAVIOURS.items():
        behave(fakes, "claude", {"is": [name]})
        assert set(fields) <= set(Behaviour().fields()), name


def test_a_program_of_another_name_takes_any_words(tmp_path: Path) -> None:
    place = install(tmp_path, ["my-agent"], {"text": "done"})
    assert b"done\n" == started(place, "my-agent", "--whatever", "x").stdout


@pytest.mark.parametrize("words", [[], ["nobody"]])
def test_the_module_names_the_engines_it_has(words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-m", "lattice.testing.engines", *words], capture_output=True, text=True, check=False
    )
    assert 2 == done.returncode
    assert "claude|codex|gemini|opencode" in done.stderr
