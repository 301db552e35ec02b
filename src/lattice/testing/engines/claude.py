"""A fake of the command line `claude -p --output-format stream-json --verbose`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from lattice.testing.engines.flags import Flag, Grammar, UsageRefused
from lattice.testing.engines.speech import Call, Line, Refused, Speech, Turn

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

GRAMMAR = Grammar(
    "claude [options] [prompt]",
    (
        Flag(("-p", "--print")),
        Flag(("--output-format",), "format", one_of=("text", "json", "stream-json")),
        Flag(("--input-format",), "format", one_of=("text", "stream-json")),
        Flag(("--include-partial-messages",)),
        Flag(("--verbose",)),
        Flag(("--model",), "model"),
        Flag(("--fallback-model",), "model"),
        Flag(("--session-id",), "uuid"),
        Flag(("-r", "--resume"), "value", optional=True),
        Flag(("-c", "--continue")),
        Flag(("--fork-session",)),
        Flag(("--no-session-persistence",)),
        Flag(("--max-turns",), "turns"),
        Flag(("--max-budget-usd",), "amount"),
        Flag(("--json-schema",), "schema"),
        Flag(
            ("--permission-mode",),
            "mode",
            one_of=("acceptEdits", "auto", "bypassPermissions", "default", "dontAsk", "plan"),
        ),
        Flag(("--allowedTools", "--allowed-tools"), "tools", many=True),
        Flag(("--disallowedTools", "--disallowed-tools"), "tools", many=True),
        Flag(("--tools",), "tools", many=True),
        Flag(("--dangerously-skip-permissions",)),
        Flag(("--add-dir",), "directories", many=True),
        Flag(("--setting-sources",), "sources"),
        Flag(("--settings",), "file-or-json"),
        Flag(("--mcp-config",), "configs", many=True),
        Flag(("--strict-mcp-config",)),
        Flag(("--disable-slash-commands",)),
        Flag(("--no-chrome",)),
        Flag(("--bare",)),
        Flag(("--safe-mode",)),
        Flag(("--append-system-prompt",), "prompt"),
        Flag(("--system-prompt",), "prompt"),
        Flag(("--effort",), "level"),
        Flag(("--agents",), "json"),
        Flag(("--debug",), "filter", optional=True),
    ),
)


def understand(words: Sequence[str]) -> Call:
    given, _ = GRAMMAR.read(words)
    if not given.has("--print"):
        raise UsageRefused("a fake engine has no terminal to talk to; use -p")
    streams = given.last("--output-format") == "stream-json"
    if streams and not given.has("--verbose"):
        raise Refused("Error: When using --print, --output-format=stream-json requires --verbose", 1)
    session = given.last("--session-id")
    if session is not None and not _UUID.fullmatch(session):
        raise Refused("Error: Invalid session ID. Must be a valid UUID.", 1)
    if session is not None and given.has("--resume") and not given.has("--fork-session"):
        raise Refused("Error: --session-id can only be used with --resume if --fork-session is also specified.", 1)
    return Call(
        given,
        prompt=given.words[0] if given.words else None,
        stdin="added",
        streams=streams,
        session_id=session,
        resume=given.last("--resume"),
        model=given.last("--model"),
        schema=given.last("--json-schema"),
        budget_usd=_amount(given.last("--max-budget-usd")),
    )


def _amount(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        raise UsageRefused("--max-budget-usd must be a number") from None


def _of(turn: Turn, kind: str, **more: Any) -> Line:
    return {"type": kind, **more, "session_id": turn.session_id, "uuid": "00000000-0000-4000-8000-000000000001"}


def _assistant(turn: Turn, content: Sequence[Line], *, synthetic: bool = False) -> Line:
    """What the model says; `synthetic`: what the program says in its place, as it does of a refusal."""
    message: dict[str, Any] = {"id": "msg_1", "type": "message", "role": "assistant", "model": turn.model}
    if synthetic:
        message |= {"model": "<synthetic>", "usage": {"input_tokens": 0, "output_tokens": 0}}
    elif turn.behaviour.tokens_in is not None:
        message["usage"] = {"input_tokens": 3, "output_tokens": 1}  # so far; the result has all
    more = {"error": "rate_limit"} if synthetic else {}
    return _of(turn, "assistant", message={**message, "content": list(content)}, parent_tool_use_id=None, **more)


def _tool_result(turn: Turn, text: str) -> Line:
    content = [{"type": "tool_result", "tool_use_id": "toolu_1", "content": text}]
    return _of(turn, "user", message={"role": "user", "content": content}, parent_tool_use_id=None)


def begins(turn: Turn) -> list[Line]:
    about = {"cwd": turn.call.cwd, "tools": ["Bash", "Read", "Write"], "mcp_servers": [], "permissionMode": "default"}
    return [_of(turn, "system", subtype="init", model=turn.model, **about)]


def works(turn: Turn) -> list[Line]:
    tool = {
        "type": "tool_use",
        "id": "toolu_1",
        "name": "Bash",
        "input": {"command": "git diff", "description": "Look"},
    }
    lines = [
        _assistant(turn, [{"type": "text", "text": "I look at the change first."}]),
        _assistant(turn, [tool]),
        _tool_result(turn, "1 file changed"),
    ]
    if turn.behaviour.limited:
        lines.append(_retry(turn))
        lines.append(_limit(turn, "rejected"))
        if turn.behaviour.limit_passes:
            lines.append(_limit(turn, "allowed"))
    return lines


def _retry(turn: Turn) -> Line:
    about = {"attempt": 1, "max_retries": 10, "retry_delay_ms": 500, "error_status": 429, "error": "rate_limit"}
    return _of(turn, "system", subtype="api_retry", **about)


def _limit(turn: Turn, status: str) -> Line:
    info: dict[str, Any] = {"status": status, "rateLimitType": "five_hour"}
    if turn.resets_at is not None:
        info["resetsAt"] = turn.resets_at
    return _of(turn, "rate_limit_event", rate_limit_info=info)


def long(turn: Turn, text: str) -> Line:
    return _tool_result(turn, text)


def ends(turn: Turn, number: int) -> list[Line]:
    told = turn.behaviour
    is_last = number == told.results - 1
    cost = told.cost_usd
    if cost is not None:
        cost = cost * (number + 1) / told.results + (told.earlier_cost_usd if turn.call.resume else 0)
    text = turn.text if is_last else "I wait for what runs in the background."
    about: dict[str, Any] = {"duration_ms": 1000, "duration_api_ms": 800, "num_turns": told.turns}
    if cost is not None:
        about["total_cost_usd"] = round(cost, 6)
    if told.tokens_in is not None:
        cached = told.tokens_cached or 0
        about["usage"] = {
            "input_tokens": told.tokens_in - cached,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": cached,
            "output_tokens": told.tokens_out,
        }
    if turn.over_budget:
        spent = [f"Reached maximum budget (${turn.call.budget_usd})"]
        return [_of(turn, "result", subtype="error_max_budget_usd", is_error=True, **about, errors=spent)]
    if is_last and turn.error is not None:
        # The real one calls a failure of the provider's a success that is an error.
        failed = _of(turn, "result", subtype="success", is_error=True, **about, result=turn.error)
        words = [_assistant(turn, [{"type": "text", "text": turn.error}], synthetic=True)] if turn.refused else []
        return [*words, failed]
    if turn.call.schema is not None:
        about["structured_output"] = told.structured if told.structured is not None else {"summary": text}
    answer = _assistant(turn, [{"type": "text", "text": text}], synthetic=turn.refused)
    return [answer, _of(turn, "result", subtype="success", is_error=False, **about, result=text)]


SPEECH = Speech(
    name="claude",
    version="2.1.0 (Claude Code)",
    helps={(): GRAMMAR},
    understand=understand,
    empty_status=1,
    error_status=1,
    begins=begins,
    works=works,
    long=long,
    ends=ends,
    prices=True,
    takes_session=True,
    takes_schema=True,
    takes_budget=True,
    adds_up=True,
)
