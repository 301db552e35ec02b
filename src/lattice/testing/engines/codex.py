"""A fake of the command line `codex exec --json -o FILE -C DIR -s MODE -`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lattice.testing.engines.flags import Flag, Given, Grammar, UsageRefused
from lattice.testing.engines.speech import Call, Line, Refused, Speech, Turn

_EVERYWHERE = (
    Flag(("-c", "--config"), "key=value"),
    Flag(("--enable",), "FEATURE"),
    Flag(("--disable",), "FEATURE"),
    Flag(("-i", "--image"), "FILE"),
    Flag(("-m", "--model"), "MODEL"),
    Flag(("--json",)),
    Flag(("-o", "--output-last-message"), "FILE"),
    Flag(("--skip-git-repo-check",)),
    Flag(("--full-auto",)),
    Flag(("--dangerously-bypass-approvals-and-sandbox",)),
    Flag(("--ephemeral",)),
    Flag(("--ignore-user-config",)),
    Flag(("--ignore-rules",)),
    Flag(("--output-schema",), "FILE"),
)
_EXEC_ALONE = (
    Flag(("-s", "--sandbox"), "SANDBOX_MODE", one_of=("read-only", "workspace-write", "danger-full-access")),
    Flag(("-C", "--cd"), "DIR"),
    Flag(("-p", "--profile"), "CONFIG_PROFILE"),
    Flag(("--add-dir",), "DIR"),
    Flag(("--oss",)),
    Flag(("--color",), "COLOR", one_of=("always", "never", "auto")),
)
EXEC = Grammar("codex exec [OPTIONS] [PROMPT]", (*_EVERYWHERE, *_EXEC_ALONE))
RESUME = Grammar("codex exec resume [OPTIONS] [SESSION_ID] [PROMPT]", (*_EVERYWHERE, Flag(("--last",))))
TOP = Grammar(
    "codex [OPTIONS] [PROMPT]\n       codex [OPTIONS] <COMMAND> [ARGS]\n\nCommands:\n  exec  Run without a terminal",
    (
        *(flag for flag in EXEC.flags if flag.key in {"--config", "--model", "--sandbox", "--cd", "--profile"}),
        Flag(
            ("-a", "--ask-for-approval"), "APPROVAL_POLICY", one_of=("untrusted", "on-failure", "on-request", "never")
        ),
    ),
)


def understand(words: Sequence[str]) -> Call:
    top, rest = TOP.read(words, stop_at=("exec", "e"))
    if not rest:
        raise UsageRefused("a fake engine has no terminal to talk to; use exec")
    given, more = EXEC.read(rest[1:], stop_at=("resume",))
    resume = None
    if more:
        after, _ = RESUME.read(more[1:])
        given = Given({**given.flags, **after.flags}, after.words)
        if not given.words:
            raise Refused("Error: no session to resume was named.", 1)
        resume, given = given.words[0], Given(given.flags, given.words[1:])
    given = Given({**top.flags, **given.flags}, given.words)
    if len(given.words) > 1:
        raise UsageRefused(f"unexpected argument '{given.words[1][:80]}' found")
    prompt = given.words[0] if given.words else None
    return Call(
        given,
        prompt=None if prompt == "-" else prompt,
        stdin="instead" if prompt in (None, "-") else "added",
        streams=given.has("--json"),
        resume=resume,
        model=given.last("--model"),
        last_message=given.last("--output-last-message"),
        schema=given.last("--output-schema"),
        cwd=given.last("--cd"),
    )


def begins(turn: Turn) -> list[Line]:
    return [{"type": "thread.started", "thread_id": turn.session_id}, {"type": "turn.started"}]


def _item(kind: str, number: int, **more: Any) -> Line:
    return {"type": kind, "item": {"id": f"item_{number}", **more}}


def _command(output: str, *, done: bool) -> dict[str, Any]:
    state = {"exit_code": 0, "status": "completed"} if done else {"exit_code": None, "status": "in_progress"}
    return {"type": "command_execution", "command": "bash -lc 'git diff'", "aggregated_output": output, **state}


def works(turn: Turn) -> list[Line]:
    lines = [
        _item("item.completed", 0, type="reasoning", text="**Looking at the change**"),
        _item("item.completed", 1, type="agent_message", text="I look at the change first."),
        _item("item.started", 2, **_command("", done=False)),
        _item("item.completed", 2, **_command("1 file changed\n", done=True)),
    ]
    if turn.behaviour.limited and turn.behaviour.limit_passes:
        # What it says while it tries again by itself.
        lines.append({"type": "error", "message": "Reconnecting... 1/5 (stream error: 429 Too Many Requests)"})
    return lines


def long(_turn: Turn, text: str) -> Line:
    return _item("item.completed", 3, **_command(text, done=True))


def limit_text(turn: Turn) -> str:
    """What it says of the provider's refusal: how long from now, in words."""
    after = turn.behaviour.resets_in
    if after is None:
        return "exceeded retry limit, last status: 429 Too Many Requests"
    hours, rest = divmod(int(after), 3600)
    minutes, seconds = divmod(rest, 60)
    parts = ((hours, "hour"), (minutes, "minute"), (seconds, "second"))
    said = " ".join(f"{count} {unit}{'s' if count != 1 else ''}" for count, unit in parts if count) or "0 seconds"
    return f"You've hit your usage limit. Try again in {said}."


def ends(turn: Turn, number: int) -> list[Line]:
    told = turn.behaviour
    is_last = number == told.results - 1
    if is_last and turn.error is not None:
        message = limit_text(turn) if turn.refused else turn.error
        return [{"type": "error", "message": message}, {"type": "turn.failed", "error": {"message": message}}]
    text = turn.text if is_last else "The first part is done."
    completed: dict[str, Any] = {"type": "turn.completed"}
    if told.tokens_in is not None and told.tokens_out is not None:
        completed["usage"] = {  # of this turn alone
            "input_tokens": _share(told.tokens_in, number, told.results),
            "cached_input_tokens": _share(told.tokens_cached or 0, number, told.results),
            "output_tokens": _share(told.tokens_out, number, told.results),
        }
    lines = [_item("item.completed", 4 + number, type="agent_message", text=text), completed]
    return lines if is_last else [*lines, {"type": "turn.started"}]


def _share(whole: int, number: int, parts: int) -> int:
    return whole * (number + 1) // parts - whole * number // parts


SPEECH = Speech(
    name="codex",
    version="codex-cli 0.90.0",
    helps={(): TOP, ("exec",): EXEC, ("exec", "resume"): RESUME},
    understand=understand,
    empty_status=1,
    error_status=1,
    begins=begins,
    works=works,
    long=long,
    ends=ends,
    takes_schema=True,
)
