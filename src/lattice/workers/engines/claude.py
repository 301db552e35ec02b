"""Claude Code: `claude -p --output-format stream-json`, the prompt on its standard input.

Facts: its own documentation of headless mode and of the command line; issues 38673 (an empty `result` beside a
text that was said) and 57096 (a real refusal has the status `rejected`) of anthropics/claude-code.

Where a session goes on, the price is that of the whole of it, so that what was paid before is taken off; the
tokens are those of the run. What the messages say of theirs is less than the result says in the end.

Each `result` ends a turn, and another may follow where something in the background came back. The last one
counts, for success too: the turn after a failed one goes on from it, and says how it ended. A refusal by the
provider stays, whatever a result calls itself, until the model is seen to work again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lattice.workers.engines import said
from lattice.workers.engines.heard import Heard, RateLimit, Usage
from lattice.workers.engines.protocol import Engine, Invocation, Login, Work

_WORKER_TOOLS = ("Bash", "Read", "Grep", "Glob", "Edit", "MultiEdit", "Write", "NotebookEdit", "Task", "TodoWrite")
_REVIEWER_TOOLS = ("Read", "Grep", "Glob", "Task", "TodoWrite")
_REVIEWER_NEVER = ("WebFetch", "WebSearch", "NotebookEdit")
_NO_HOOKS = '{"disableAllHooks":true}'
_REFUSED = ("rejected", "denied")
_NOTICE = ("Claude AI usage limit reached", "You've hit your", "You've reached your", "You've used your")
_CREDENTIALS = ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")


def invoke(work: Work, has: frozenset[str]) -> Invocation:
    """The prompt on standard input, and no list as the last argument: lists take all words that follow."""
    arguments = ["-p", "--output-format", "stream-json", "--verbose"]
    if work.model is not None:
        arguments += ["--model", work.model]
    if work.resume is not None:
        arguments += ["--resume", work.resume]
    elif work.session_id is not None and "--session-id" in has:
        arguments += ["--session-id", work.session_id]
    if work.budget_usd is not None and "--max-budget-usd" in has:
        arguments += ["--max-budget-usd", f"{work.budget_usd:.6f}".rstrip("0").rstrip(".")]
    if work.schema_text is not None and "--json-schema" in has:
        arguments += ["--json-schema", work.schema_text]
    if "--add-dir" in has:
        arguments += ["--add-dir", str(work.output_dir)]
    arguments += _rights(work, has)
    return Invocation(tuple(arguments), work.prompt)


def _rights(work: Work, has: frozenset[str]) -> list[str]:
    """What it may do without a person to ask. A reviewer does not take what the branch brings for its settings."""
    if not work.read_only:
        return ["--allowedTools", ",".join(_WORKER_TOOLS), "--permission-mode", "acceptEdits"]
    git = (f"Bash({command}:*)" for command in said.read_only_git())
    output = (f"Edit(/{work.output_dir}/**)", f"Write(/{work.output_dir}/**)")  # // begins an absolute path there
    rights = ["--allowedTools", ",".join((*_REVIEWER_TOOLS, *git, *output))]
    rights += ["--disallowedTools", ",".join(_REVIEWER_NEVER)]
    if "--setting-sources" in has:
        rights += ["--setting-sources", "user"]
    if "--strict-mcp-config" in has:
        rights.append("--strict-mcp-config")
    if "--settings" in has:
        rights += ["--settings", _NO_HOOKS]
    if "--safe-mode" in has:
        rights.append("--safe-mode")  # no CLAUDE.md either
    return [*rights, "--permission-mode", "default"]


def hear(heard: Heard, line: Mapping[str, Any]) -> Heard:
    """The state after one more line."""
    kind = line.get("type")
    heard = heard.replace(session_id=said.word(line.get("session_id")) or heard.session_id)
    if kind == "system":
        return _system(heard, line)
    if kind == "assistant":
        return _assistant(heard, line)
    if kind == "rate_limit_event":
        return _rate_limit(heard, said.mapping(line.get("rate_limit_info")))
    if kind == "result":
        return _result(heard, line)
    return heard


def _system(heard: Heard, line: Mapping[str, Any]) -> Heard:
    subtype = line.get("subtype")
    if subtype == "init":
        return heard.replace(model=said.word(line.get("model")) or heard.model)
    if subtype == "api_retry":
        delay_ms = said.number(line.get("retry_delay_ms"))
        heard = heard.replace(activity=said.activity("waits for the API:", line.get("error")))
        if line.get("error_status") == 429 or line.get("error") == "rate_limit":
            return said.refused(heard, RateLimit(after_s=None if delay_ms is None else delay_ms / 1000))
    return heard


def _assistant(heard: Heard, line: Mapping[str, Any]) -> Heard:
    message = said.mapping(line.get("message"))
    usage, blocks = _usage(message.get("usage")), said.objects(message.get("content"))
    tools = [block for block in blocks if block.get("type") == "tool_use"]
    own = message.get("model") == "<synthetic>" or line.get("error") is not None  # the program's words, not a model's
    texts = [said.text(block.get("text")) for block in blocks if block.get("type") == "text"]
    last = next((text for text in reversed(texts) if text is not None), None)
    if not own and (tools or (usage.tokens_out and not (last or "").startswith(_NOTICE))):
        heard = heard.replace(rate_limit=None)
    name = said.word(message.get("id"))
    if not own and (name is None or name != heard.message):  # each block of a message repeats the message's usage
        heard = heard.replace(so_far=said.added(heard.so_far, usage), turns=heard.turns + 1, message=name)
    if line.get("parent_tool_use_id") is None:
        heard = heard.replace(text=last or heard.text, activity=said.activity(last) or heard.activity)
    doing = said.activity(_doing(tools[-1])) if tools else heard.activity
    return heard.replace(tools=heard.tools + len(tools), activity=doing)


def _rate_limit(heard: Heard, info: Mapping[str, Any]) -> Heard:
    status = info.get("status")
    if status in _REFUSED and info.get("isUsingOverage") is not True:
        return heard.replace(rate_limit=RateLimit(said.moment(info.get("resetsAt"))))
    return heard.replace(rate_limit=None) if isinstance(status, str) else heard


def _result(heard: Heard, line: Mapping[str, Any]) -> Heard:
    subtype, words = line.get("subtype"), said.text(line.get("result"))
    cost = said.since(said.number(line.get("total_cost_usd")), heard.before)
    used = _usage(line.get("usage")).replace(cost_usd=cost)
    turns = said.whole(line.get("num_turns"))
    heard = heard.replace(
        usage=used,
        turns=heard.turns if turns is None else turns,
        structured=said.kept(line.get("structured_output")) or said.answer(words),
        text=words or heard.text,
        activity=None,
        message=None,
    )
    if line.get("is_error") is True or subtype != "success":
        errors = line.get("errors")
        told = [said.text(error) for error in errors] if isinstance(errors, list) else []
        text = words or "; ".join(error for error in told if error) or said.word(subtype)
        heard = said.failed(heard, said.text(text, said.ERROR_CHARS_MAX))
        return said.refused(heard, heard.rate_limit or RateLimit()) if _is_refusal(line) else heard
    if words is not None and words.startswith(_NOTICE) and not used.tokens_out:
        heard = said.refused(heard, said.refusal(words) or RateLimit())
    return heard.replace(succeeded=True, error=None)


def _is_refusal(line: Mapping[str, Any]) -> bool:
    return line.get("api_error_status") == 429 or line.get("error") == "rate_limit"


def _usage(value: object) -> Usage:
    usage = said.mapping(value)
    cached = said.whole(usage.get("cache_read_input_tokens"))
    tokens_in = said.whole(usage.get("input_tokens"))
    written = said.whole(usage.get("cache_creation_input_tokens"))
    return Usage(said.total(tokens_in, written, cached), said.whole(usage.get("output_tokens")), cached)


def show(line: Mapping[str, Any]) -> str | None:
    """What was said and which tools were called, a line each."""
    kind = line.get("type")
    if kind == "assistant":
        blocks = said.objects(said.mapping(line.get("message")).get("content"))
        shown = [_doing(block) if block.get("type") == "tool_use" else said.text(block.get("text")) for block in blocks]
        return "\n".join(one for one in shown if one) or None
    if kind == "system" and line.get("subtype") == "init":
        return said.activity("session", line.get("session_id"), "·", line.get("model"))
    if kind == "system" and line.get("subtype") == "api_retry":
        return said.activity("waits for the API:", line.get("error"))
    if kind == "rate_limit_event":
        info = said.mapping(line.get("rate_limit_info"))
        return said.activity("rate limit:", info.get("status"), said.moment(info.get("resetsAt")))
    if kind == "result":
        return said.activity("result: an error," if line.get("is_error") is True else "result:", line.get("subtype"))
    return None


def _doing(block: Mapping[str, Any]) -> str:
    given = said.mapping(block.get("input"))
    about = given.get("command") or said.short_path(given.get("file_path")) or given.get("pattern")
    return said.activity("→", block.get("name"), about) or "→"


def login(environ: Mapping[str, str], home: Path) -> Login:
    """By a key or a token, by a cloud that stands in for the provider, or by the file of `claude login`."""
    for name in _CREDENTIALS:
        if environ.get(name):
            return Login(True, name)
    for name in environ:
        if name.startswith("CLAUDE_CODE_USE_") and environ[name] not in {"", "0"}:
            return Login(None, f"{name}: the cloud's own credentials, which are not looked at")
    folder = Path(environ["CLAUDE_CONFIG_DIR"]) if environ.get("CLAUDE_CONFIG_DIR") else home / ".claude"
    if (folder / ".credentials.json").is_file():
        return Login(True, str(folder / ".credentials.json"))
    return Login(False, "log in: claude, then /login; or set ANTHROPIC_API_KEY")


ENGINE = Engine(
    name="claude",
    program="claude",
    tells_cost=True,
    required=("--print", "--output-format", "--verbose", "--allowedTools", "--permission-mode"),
    optional=(
        *("--model", "--resume", "--session-id", "--max-budget-usd", "--json-schema", "--add-dir"),
        *("--disallowedTools", "--setting-sources", "--strict-mcp-config", "--settings", "--safe-mode"),
    ),
    reviewer=("--disallowedTools", "--setting-sources", "--strict-mcp-config"),
    help_arguments=("--help",),
    credentials=("ANTHROPIC_*", "CLAUDE_CODE_OAUTH_TOKEN", "CLAUDE_CODE_USE_*", "CLAUDE_CONFIG_DIR"),
    home=(".claude/.credentials.json", ".claude.json"),
    invoke=invoke,
    hear=hear,
    show=show,
    login=login,
    moved=(("CLAUDE_CONFIG_DIR", ".claude/"),),
    install="npm install -g @anthropic-ai/claude-code@latest",
)
