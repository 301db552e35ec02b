"""A fake of the command line `gemini -o stream-json --approval-mode yolo -m M -p TEXT`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lattice.testing.engines.flags import Flag, Grammar, UsageRefused
from lattice.testing.engines.speech import Call, Line, Speech, Turn

GRAMMAR = Grammar(
    "gemini [options] [query..]",
    (
        Flag(("-p", "--prompt"), "string"),
        Flag(("-i", "--prompt-interactive"), "string"),
        Flag(("-m", "--model"), "string"),
        Flag(("-o", "--output-format"), "string", one_of=("text", "json", "stream-json")),
        Flag(("-d", "--debug")),
        Flag(("-s", "--sandbox")),
        Flag(("-y", "--yolo")),
        Flag(("--approval-mode",), "string", one_of=("default", "auto_edit", "yolo", "plan")),
        Flag(("--policy",), "file", many=True),
        Flag(("--admin-policy",), "file", many=True),
        Flag(("--allowed-mcp-server-names",), "array", many=True),
        Flag(("--allowed-tools",), "array", many=True),
        Flag(("-e", "--extensions"), "array", many=True),
        Flag(("-r", "--resume"), "string"),
        Flag(("--session-id",), "string"),
        Flag(("--include-directories",), "array", many=True),
        Flag(("--skip-trust",)),
    ),
)
_ERROR_TYPE = "FatalTurnError"


def understand(words: Sequence[str]) -> Call:
    given, _ = GRAMMAR.read(words)
    if given.has("--prompt-interactive"):
        raise UsageRefused("a fake engine has no terminal to talk to; use -p")
    if given.words and given.has("--prompt"):
        raise UsageRefused("Cannot use both a positional prompt and the --prompt (-p) flag together")
    if given.has("--yolo") and given.has("--approval-mode"):
        raise UsageRefused(
            "Cannot use both --yolo (-y) and --approval-mode together. Use --approval-mode=yolo instead."
        )
    return Call(
        given,
        prompt=" ".join(given.words) or given.last("--prompt"),
        stdin="added",
        streams=given.last("--output-format") == "stream-json",
        session_id=given.last("--session-id"),
        resume=given.last("--resume"),
        model=given.last("--model"),
    )


def _of(turn: Turn, kind: str, **more: Any) -> Line:
    return {"type": kind, "timestamp": turn.stamp(), **more}


def begins(turn: Turn) -> list[Line]:
    return [
        _of(turn, "init", session_id=turn.session_id, model=turn.model),
        _of(turn, "message", role="user", content="(the prompt)"),
    ]


def works(turn: Turn) -> list[Line]:
    tool = {"tool_name": "run_shell_command", "tool_id": "shell-1", "parameters": {"command": "git diff"}}
    lines = [
        _of(turn, "message", role="assistant", content="I look at the change first.", delta=True),
        _of(turn, "tool_use", **tool),
        _of(turn, "tool_result", tool_id="shell-1", status="success", output="1 file changed"),
    ]
    if turn.behaviour.limited and turn.behaviour.limit_passes:
        said = "Attempt 1 failed with status 429. Retrying with backoff."
        lines.append(_of(turn, "error", severity="warning", message=said))
    return lines


def long(turn: Turn, text: str) -> Line:
    return _of(turn, "tool_result", tool_id="shell-2", status="success", output=text)


def limit_text(turn: Turn) -> str:
    """What it says of the provider's refusal: how long from the line's own time."""
    after = turn.behaviour.resets_in
    until = "" if after is None else f" Please retry in {after:g}s."
    return f"You exceeded your current quota (429 RESOURCE_EXHAUSTED).{until}"


def ends(turn: Turn, number: int) -> list[Line]:
    told = turn.behaviour
    is_last = number == told.results - 1
    stats: dict[str, Any] = {}
    if told.tokens_in is not None and told.tokens_out is not None:
        stats["stats"] = {  # of the whole session so far
            "total_tokens": told.tokens_in + told.tokens_out,
            "input_tokens": told.tokens_in,
            "output_tokens": told.tokens_out,
            "cached": told.tokens_cached or 0,
            "input": told.tokens_in - (told.tokens_cached or 0),
            "duration_ms": 1000,
            "tool_calls": 1,
        }
    if is_last and turn.error is not None:
        message = limit_text(turn) if turn.refused else turn.error
        failed = {"type": "RetryableQuotaError" if turn.refused else _ERROR_TYPE, "message": message}
        return [
            _of(turn, "error", severity="error", message=message),
            _of(turn, "result", status="error", error=failed, **stats),
        ]
    text = turn.text if is_last else "The first part is done."
    middle = len(text) // 2
    return [  # a message comes in pieces
        _of(turn, "message", role="assistant", content=text[:middle], delta=True),
        _of(turn, "message", role="assistant", content=text[middle:], delta=True),
        _of(turn, "result", status="success", **stats),
    ]


SPEECH = Speech(
    name="gemini",
    version="0.26.0",
    helps={(): GRAMMAR},
    understand=understand,
    empty_status=42,
    error_status=1,
    begins=begins,
    works=works,
    long=long,
    ends=ends,
    takes_session=True,
)
