"""opencode: `opencode run --format json`, the prompt on its standard input.

Facts: its own documentation of the command line, of permissions and of the variables of its environment; issues
2810 and 40544 of anomalyco/opencode (what a `step_finish` has, and that it names no model).

It has no result of its own: a step that finished for another reason than to call tools is the end of its work.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lattice.workers.engines import said
from lattice.workers.engines.heard import Heard, RateLimit, Usage
from lattice.workers.engines.protocol import Engine, Invocation, Login, Work

_GOES_ON = ("tool-calls", "tool_calls", "unknown")
_WELL = ("stop", "end_turn")
_KEYS = ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GEMINI_API_KEY", "OPENROUTER_API_KEY", "OPENCODE_API_KEY")


def invoke(work: Work, has: frozenset[str]) -> Invocation:
    """A reviewer's rights and the branch's settings are a matter of its environment."""
    arguments = ["run", "--format", "json"]
    if work.model is not None:
        arguments += ["-m", work.model]
    if work.resume is not None:
        arguments += ["--session", work.resume]
    if "--dir" in has:
        arguments += ["--dir", str(work.worktree)]
    if work.read_only:
        if "--pure" in has:
            arguments.append("--pure")  # no plugins
        return Invocation(tuple(arguments), work.prompt, _reviewer(work))
    approve = next((flag for flag in ("--auto", "--dangerously-skip-permissions") if flag in has), None)
    return Invocation((*arguments, *([approve] if approve else [])), work.prompt)


def _reviewer(work: Work) -> tuple[tuple[str, str], ...]:
    """Rights by pattern, the last that fits wins; a path may be told from the root or from the worktree."""
    output = f"*{work.output_dir.parent.name}/{work.output_dir.name}/*"
    rights = {
        "edit": {"*": "deny", output: "allow"},
        "bash": {"*": "deny", **{f"{command}*": "allow" for command in said.read_only_git()}},
        "external_directory": {"*": "deny", output: "allow", f"{work.output_dir}/*": "allow"},
        "webfetch": "deny",
        "websearch": "deny",
    }
    return (
        ("OPENCODE_CONFIG_CONTENT", json.dumps({"permission": rights, "share": "disabled"})),
        ("OPENCODE_DISABLE_PROJECT_CONFIG", "1"),
        ("OPENCODE_DISABLE_CLAUDE_CODE", "1"),
        ("OPENCODE_DISABLE_AUTOUPDATE", "1"),
    )


def hear(heard: Heard, line: Mapping[str, Any]) -> Heard:
    """The state after one more line."""
    kind, part = line.get("type"), said.mapping(line.get("part"))
    heard = heard.replace(session_id=said.word(line.get("sessionID")) or heard.session_id)
    if kind == "step_start":
        return heard.replace(turns=heard.turns + 1, activity="thinks")
    if kind == "text":
        return _text(heard, part)
    if kind == "tool_use":
        return _tool(heard, part)
    if kind == "step_finish":
        return _finished(heard, part)
    if kind == "error":
        heard = said.failed(heard, _words(line.get("error")) or _words(line) or "an error without words")
        return said.refused(heard, _refusal(said.mapping(line.get("error"))))
    return heard


def _text(heard: Heard, part: Mapping[str, Any]) -> Heard:
    text = said.text(part.get("text"))
    return heard if text is None else heard.replace(text=text, activity=said.activity(text), rate_limit=None)


def _tool(heard: Heard, part: Mapping[str, Any]) -> Heard:
    """A call is told again as it goes on: each is counted once, when it is first told."""
    name = said.word(part.get("callID")) or said.word(part.get("id"))
    again = name is not None and name == heard.message
    tools = heard.tools if again else heard.tools + 1
    return heard.replace(tools=tools, activity=_doing(part), message=name, rate_limit=None)


def _finished(heard: Heard, part: Mapping[str, Any]) -> Heard:
    tokens, cache = said.mapping(part.get("tokens")), said.mapping(said.mapping(part.get("tokens")).get("cache"))
    read, written = said.whole(cache.get("read")), said.whole(cache.get("write"))
    used = Usage(
        said.total(said.whole(tokens.get("input")), read, written),
        said.total(said.whole(tokens.get("output")), said.whole(tokens.get("reasoning"))),
        read,
        said.number(part.get("cost")) or None,  # 0 is what it says of a model whose price it does not know
    )
    heard = heard.replace(usage=said.added(heard.usage, used), activity=None, message=None)
    reason = said.word(part.get("reason"))
    if reason in _GOES_ON:
        return heard
    if reason is None or reason in _WELL:
        return heard.replace(succeeded=True, error=None, structured=said.answer(heard.text))
    return said.failed(heard, f"its last step ended for the reason {reason}")


def _words(value: object) -> str | None:
    error = said.mapping(value)
    inner = said.mapping(error.get("data")).get("message") or error.get("message") or error.get("name")
    return said.text(inner, said.ERROR_CHARS_MAX)


def _refusal(error: Mapping[str, Any]) -> RateLimit | None:
    """What the provider's answer says of a refusal where its words do not: the status, and the header of the reset."""
    data = said.mapping(error.get("data"))
    if data.get("statusCode") != 429:
        return None
    headers = {name.lower(): value for name, value in said.mapping(data.get("responseHeaders")).items()}
    after = said.word(headers.get("retry-after"))
    is_span = after is not None and after.isascii() and after.replace(".", "", 1).isdigit()
    known = said.refusal(_words(error))
    return RateLimit(after_s=float(after)) if is_span and after else known or RateLimit()


def show(line: Mapping[str, Any]) -> str | None:
    """What was said, and which tools were called."""
    kind, part = line.get("type"), said.mapping(line.get("part"))
    if kind == "text":
        return said.text(part.get("text"))
    if kind == "tool_use":
        return _doing(part)
    if kind == "step_finish" and part.get("reason") not in _GOES_ON:
        return said.activity("result:", part.get("reason"))
    if kind == "error":
        return said.activity("error:", _words(line.get("error")) or _words(line))
    return None


def _doing(part: Mapping[str, Any]) -> str | None:
    given = said.mapping(said.mapping(part.get("state")).get("input"))
    about = given.get("command") or said.short_path(given.get("filePath")) or given.get("pattern")
    return said.activity("→", part.get("tool"), about)


def login(environ: Mapping[str, str], home: Path) -> Login:
    """By the file of `opencode auth login`, or by the key of a provider; which one the model needs is not known."""
    data = Path(environ["XDG_DATA_HOME"]) if environ.get("XDG_DATA_HOME") else home / ".local/share"
    if (data / "opencode/auth.json").is_file():
        return Login(True, str(data / "opencode/auth.json"))
    for name in _KEYS:
        if environ.get(name):
            return Login(None, f"{name}, if the model is that provider's")
    return Login(False, "log in: opencode auth login; or set the key of the model's provider")


ENGINE = Engine(
    name="opencode",
    program="opencode",
    tells_cost=True,
    required=("--format",),
    optional=("--model", "--session", "--dir", "--pure", "--auto", "--dangerously-skip-permissions"),
    reviewer=(),
    help_arguments=("run", "--help"),
    credentials=("OPENCODE_*", *_KEYS),
    home=(".local/share/opencode/auth.json", ".config/opencode/opencode.json"),
    invoke=invoke,
    hear=hear,
    show=show,
    login=login,
    install="npm install -g opencode-ai@latest",
)
