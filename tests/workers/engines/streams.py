"""Lines in each engine's format, of our own making, by the facts of `docs` and issues that the adapters name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lattice.workers.engines.heard import Heard, Usage
from lattice.workers.engines.stream import Stream
from lattice.workers.engines.table import engine

Line = Mapping[str, Any]


def raw(*lines: Line) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def heard(name: str, *lines: Line, before: Usage | None = None) -> Heard:
    """What the engine of that name has said after these lines."""
    stream = Stream(engine(name), before)
    stream.feed(raw(*lines))
    return stream.end()


CLAUDE_INIT: Line = {"type": "system", "subtype": "init", "session_id": "5e55", "model": "claude-m", "tools": ["Bash"]}


def claude_says(text: str, *tools: str, id_: str = "msg_1", **more: Any) -> Line:
    blocks: list[Line] = [{"type": "text", "text": text}] if text else []
    blocks += [{"type": "tool_use", "id": f"t{n}", "name": name, "input": {}} for n, name in enumerate(tools)]
    usage = {"input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 2}
    message = {"id": id_, "model": "claude-m", "role": "assistant", "content": blocks, "usage": usage}
    return {"type": "assistant", "session_id": "5e55", "message": message, **more}


def claude_result(text: str, *, is_error: bool = False, cost: float = 0.5, **more: Any) -> Line:
    return {
        "type": "result",
        "subtype": "success",
        "is_error": is_error,
        "result": text,
        "num_turns": 3,
        "session_id": "5e55",
        "total_cost_usd": cost,
        "usage": {
            "input_tokens": 100,
            "cache_creation_input_tokens": 20,
            "cache_read_input_tokens": 300,
            "output_tokens": 40,
        },
        **more,
    }


def codex_item(kind: str, state: str = "completed", **more: Any) -> Line:
    return {"type": f"item.{state}", "item": {"id": "item_0", "type": kind, **more}}


CODEX_TURN: Line = {
    "type": "turn.completed",
    "usage": {"input_tokens": 900, "cached_input_tokens": 700, "output_tokens": 60},
}

GEMINI_STATS: Line = {"total_tokens": 260, "input_tokens": 200, "output_tokens": 60, "cached": 80, "tool_calls": 1}


def opencode(kind: str, **part: Any) -> Line:
    return {"type": kind, "timestamp": 1_795_000_000_000, "sessionID": "ses_1", "part": part}


def opencode_finish(reason: str, cost: float = 0.25) -> Line:
    tokens = {"input": 50, "output": 7, "reasoning": 3, "cache": {"read": 20, "write": 10}}
    return opencode("step_finish", reason=reason, cost=cost, tokens=tokens)


WELL: Mapping[str, tuple[Line, ...]] = {
    "claude": (
        CLAUDE_INIT,
        claude_says("I look.", "Bash"),
        claude_says("Done: größer", id_="msg_2"),
        claude_result("D"),
    ),
    "codex": (
        {"type": "thread.started", "thread_id": "th_1"},
        {"type": "turn.started"},
        codex_item("command_execution", command="git diff", exit_code=0),
        codex_item("agent_message", text="Done: größer"),
        CODEX_TURN,
    ),
    "gemini": (
        {"type": "init", "session_id": "g_1", "model": "gemini-m"},
        {"type": "message", "role": "user", "content": "review"},
        {"type": "tool_use", "tool_name": "glob", "tool_id": "1", "parameters": {"pattern": "*.py"}},
        {"type": "tool_result", "tool_id": "1", "status": "success", "output": "a.py"},
        {"type": "message", "role": "assistant", "content": "Done: ", "delta": True},
        {"type": "message", "role": "assistant", "content": "größer", "delta": True},
        {"type": "result", "status": "success", "stats": GEMINI_STATS},
    ),
    "opencode": (
        opencode("step_start"),
        opencode("tool_use", tool="bash", callID="c1", state={"status": "completed", "input": {"command": "ls"}}),
        opencode_finish("tool-calls"),
        opencode("step_start"),
        opencode("text", id="prt_1", text="Done: größer"),
        opencode_finish("stop"),
    ),
}
"""A run of each that goes well."""
