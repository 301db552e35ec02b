"""A fake of the command line `opencode run --format json -m MODEL MESSAGE`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lattice.testing.engines.flags import Flag, Given, Grammar, UsageRefused
from lattice.testing.engines.speech import Call, Line, Speech, Turn

_EVERYWHERE = (
    Flag(("--print-logs",)),
    Flag(("--log-level",), "level", one_of=("DEBUG", "INFO", "WARN", "ERROR")),
    Flag(("--pure",)),
)
RUN = Grammar(
    "opencode run [message..]",
    (
        *_EVERYWHERE,
        Flag(("--command",), "string"),
        Flag(("-c", "--continue")),
        Flag(("-s", "--session"), "string"),
        Flag(("--fork",)),
        Flag(("--share",)),
        Flag(("-m", "--model"), "provider/model"),
        Flag(("--agent",), "string"),
        Flag(("--format",), "string", one_of=("default", "json")),
        Flag(("-f", "--file"), "array"),
        Flag(("--title",), "string"),
        Flag(("--attach",), "url"),
        Flag(("--dir",), "string"),
        Flag(("--port",), "number"),
        Flag(("--variant",), "string"),
        Flag(("--thinking",)),
        Flag(("--dangerously-skip-permissions", "--auto")),
    ),
)
TOP = Grammar("opencode [project]\n       opencode run [message..]", _EVERYWHERE)


def understand(words: Sequence[str]) -> Call:
    top, rest = TOP.read(words, stop_at=("run",))
    if not rest:
        raise UsageRefused("a fake engine has no terminal to talk to; use run")
    run, _ = RUN.read(rest[1:])
    given = Given({**top.flags, **run.flags}, run.words)
    return Call(
        given,
        prompt=" ".join(given.words) or None,
        stdin="added",
        streams=given.last("--format") == "json",
        resume=given.last("--session"),
        model=given.last("--model"),
        cwd=given.last("--dir"),
    )


def _of(turn: Turn, kind: str, **more: Any) -> Line:
    return {"type": kind, "timestamp": int(turn.now * 1000), "sessionID": turn.session_id, **more}


def _part(turn: Turn, kind: str, name: str, **more: Any) -> Line:
    ids = {"id": "prt_1", "sessionID": turn.session_id, "messageID": "msg_1"}
    return _of(turn, kind, part={**ids, "type": name, **more})


def _tool(turn: Turn, output: str) -> Line:
    state = {"status": "completed", "input": {"command": "git diff"}, "output": output, "title": "git diff"}
    return _part(turn, "tool_use", "tool", callID="call_1", tool="bash", state=state)


def begins(turn: Turn) -> list[Line]:
    return [_part(turn, "step_start", "step-start", snapshot="0" * 40)]


def works(turn: Turn) -> list[Line]:
    return [
        _part(turn, "text", "text", text="I look at the change first."),
        _tool(turn, "1 file changed"),
        _part(turn, "step_finish", "step-finish", reason="tool-calls", **_spent(turn, 0)),
        _part(turn, "step_start", "step-start", snapshot="1" * 40),
    ]


def long(turn: Turn, text: str) -> Line:
    return _tool(turn, text)


def _spent(turn: Turn, number: int) -> dict[str, Any]:
    """What one step used: all of it in steps, the first of them before it called a tool."""
    told = turn.behaviour
    steps = told.results + 1

    def share(whole: int) -> int:
        return whole * (number + 1) // steps - whole * number // steps

    spent: dict[str, Any] = {}
    if told.cost_usd is not None:
        spent["cost"] = round(told.cost_usd / steps, 9)
    if told.tokens_in is not None and told.tokens_out is not None:
        cached = told.tokens_cached or 0
        cache = {"read": share(cached), "write": 0}
        spent["tokens"] = {
            "input": share(told.tokens_in) - share(cached),
            "output": share(told.tokens_out),
            "reasoning": 0,
            "cache": cache,
        }
    return spent


def _error(turn: Turn, message: str) -> dict[str, Any]:
    if not turn.refused:
        return {"name": "UnknownError", "data": {"message": message}}
    after = turn.behaviour.resets_in
    headers = {} if after is None else {"retry-after": f"{after:g}"}
    said = "Too Many Requests: rate limit exceeded"
    about = {"message": said, "statusCode": 429, "isRetryable": True, "responseHeaders": headers}
    return {"name": "APIError", "data": about}


def ends(turn: Turn, number: int) -> list[Line]:
    told = turn.behaviour
    is_last = number == told.results - 1
    if is_last and turn.error is not None:
        return [_of(turn, "error", error=_error(turn, turn.error))]
    text = turn.text if is_last else "The first part is done."
    lines = [
        _part(turn, "text", "text", text=text),
        _part(turn, "step_finish", "step-finish", reason="stop", **_spent(turn, number + 1)),
    ]
    return lines if is_last else [*lines, _part(turn, "step_start", "step-start", snapshot="2" * 40)]


SPEECH = Speech(
    name="opencode",
    version="1.1.40",
    helps={(): TOP, ("run",): RUN},
    understand=understand,
    empty_status=1,
    error_status=1,
    begins=begins,
    works=works,
    long=long,
    ends=ends,
    prices=True,
)
