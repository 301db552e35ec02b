"""Codex: `codex exec --json`, the prompt on its standard input.

Facts: its own documentation of the non-interactive mode and of the configuration; issue 41499 of openai/codex (an
untrusted folder's AGENTS.md was read all the same, so that its length is set to 0 for a reviewer).

A reviewer that answers to a schema has a read-only sandbox, since its last message is its answer. Without a
schema it has to write its output, and gets the sandbox of a worker, with the output folder in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lattice.workers.engines import said
from lattice.workers.engines.heard import Heard, Usage
from lattice.workers.engines.protocol import Engine, Invocation, Login, Work

_TOOLS = frozenset({"command_execution", "file_change", "mcp_tool_call", "web_search", "collab_tool_call"})
_PASSING = ("Reconnecting", "Re-connecting", "stream error", "Falling back")  # notices of a retry, sent as errors


def invoke(work: Work, has: frozenset[str]) -> Invocation:
    """Options of `exec` stand before `resume`, which takes few of its own."""
    answers = work.schema is not None and "--output-schema" in has
    sandbox = "read-only" if work.read_only and answers else "workspace-write"
    arguments = ["exec", "--json", "-s", sandbox, "-C", str(work.worktree)]
    if "--skip-git-repo-check" in has:
        arguments.append("--skip-git-repo-check")
    if "--output-last-message" in has:
        arguments += ["-o", str(work.final_message)]
    if answers:
        arguments += ["--output-schema", str(work.schema)]
    if work.model is not None:
        arguments += ["-m", work.model]
    if "--config" in has:
        arguments += _overrides(work, sandbox)
    if work.read_only and "--ignore-rules" in has:
        arguments.append("--ignore-rules")
    if work.resume is not None:
        arguments += ["resume", work.resume]
    return Invocation((*arguments, "-"), work.prompt)


def _overrides(work: Work, sandbox: str) -> list[str]:
    """Settings as `-c`, in TOML; a JSON string is one of TOML."""
    settings = []
    if sandbox == "workspace-write":
        settings.append(f"sandbox_workspace_write.writable_roots=[{json.dumps(str(work.output_dir))}]")
    if work.read_only:
        settings.append("project_doc_max_bytes=0")
        # The table whole: the words of a dotted key are split at every dot, and a path has some.
        settings.append(f'projects={{{json.dumps(str(work.worktree))}={{trust_level="untrusted"}}}}')
    return [word for setting in settings for word in ("-c", setting)]


def hear(heard: Heard, line: Mapping[str, Any]) -> Heard:
    """The state after one more line."""
    kind = line.get("type")
    if kind == "thread.started":
        return heard.replace(session_id=said.word(line.get("thread_id")) or heard.session_id)
    if kind == "turn.started":
        return heard.replace(turns=heard.turns + 1, activity="thinks")
    if kind in ("item.started", "item.updated", "item.completed"):
        return _item(heard, said.mapping(line.get("item")), done=kind == "item.completed")
    if kind == "turn.completed":
        usage = said.added(heard.usage, _usage(line.get("usage")))
        return heard.replace(succeeded=True, error=None, activity=None, usage=usage)
    if kind == "turn.failed":
        return said.failed(heard, _words(line.get("error")) or heard.error or "the turn failed")
    if kind == "error":
        return _error(heard, _words(line))
    return heard


def _item(heard: Heard, item: Mapping[str, Any], *, done: bool) -> Heard:
    kind = said.word(item.get("type")) or said.word(item.get("item_type"))
    if kind in ("agent_message", "assistant_message"):
        text = said.text(item.get("text"))
        if not done or text is None:
            return heard
        return heard.replace(text=text, structured=said.answer(text), activity=said.activity(text), rate_limit=None)
    if kind == "error" and done:
        return heard.replace(activity=said.activity(item.get("message")) or heard.activity)
    if kind not in _TOOLS:
        return heard
    tools = heard.tools + 1 if done else heard.tools
    return heard.replace(tools=tools, activity=_doing(item) or heard.activity, rate_limit=None)


def _error(heard: Heard, words: str | None) -> Heard:
    if words is not None and words.startswith(_PASSING):
        return heard.replace(activity=said.activity(words))
    return said.failed(heard, words or "an error without words")


def _words(value: object) -> str | None:
    """The text of an error: a member, or a member of a JSON object that the text itself is."""
    words = said.text(said.mapping(value).get("message"), said.ERROR_CHARS_MAX)
    inner = said.mapping(said.answer(words))
    deeper = said.text(said.mapping(inner.get("error")).get("message"), said.ERROR_CHARS_MAX)
    # Where the inner one tells less of a refusal than the whole, which has the reset in it, the whole stays.
    return deeper if deeper is not None and said.refusal(words) is None else words


def _usage(value: object) -> Usage:
    usage = said.mapping(value)
    return Usage(
        said.whole(usage.get("input_tokens")),
        said.whole(usage.get("output_tokens")),
        said.whole(usage.get("cached_input_tokens")),
    )


def show(line: Mapping[str, Any]) -> str | None:
    """What was said, and what was done, when it is done."""
    kind = line.get("type")
    if kind == "thread.started":
        return said.activity("session", line.get("thread_id"))
    if kind == "item.completed":
        item = said.mapping(line.get("item"))
        words = said.text(item.get("text")) if item.get("type") != "reasoning" else None
        return words or _doing(item)
    if kind == "turn.completed":
        return "result: success"
    if kind == "turn.failed":
        return said.activity("result: failed:", _words(line.get("error")))
    if kind == "error":
        return said.activity("error:", _words(line))
    return None


def _doing(item: Mapping[str, Any]) -> str | None:
    kind = said.word(item.get("type")) or said.word(item.get("item_type"))
    if kind == "command_execution":
        code = item.get("exit_code")
        return said.activity("→", item.get("command"), f"(exit {code})" if isinstance(code, int) and code else None)
    if kind == "file_change":
        names = [said.short_path(change.get("path")) for change in said.objects(item.get("changes"))]
        return said.activity("→ changes", ", ".join(name for name in names if name))
    if kind == "mcp_tool_call":
        return said.activity("→", item.get("server"), item.get("tool"))
    if kind == "web_search":
        return said.activity("→ searches", item.get("query"))
    return said.activity("error:", item.get("message")) if kind == "error" else None


def login(environ: Mapping[str, str], home: Path) -> Login:
    """By a key, or by the file of `codex login`."""
    for name in ("CODEX_API_KEY", "OPENAI_API_KEY"):
        if environ.get(name):
            return Login(True, name)
    folder = Path(environ["CODEX_HOME"]) if environ.get("CODEX_HOME") else home / ".codex"
    if (folder / "auth.json").is_file():
        return Login(True, str(folder / "auth.json"))
    return Login(False, "log in: codex login; or set CODEX_API_KEY")


ENGINE = Engine(
    name="codex",
    program="codex",
    required=("--json", "--sandbox", "--cd"),
    optional=(
        *("--skip-git-repo-check", "--output-last-message", "--output-schema", "--config", "--model"),
        "--ignore-rules",
    ),
    reviewer=("--config",),
    help_arguments=("exec", "--help"),
    credentials=("CODEX_HOME", "CODEX_API_KEY", "OPENAI_*"),
    home=(".codex/auth.json", ".codex/config.toml"),
    invoke=invoke,
    hear=hear,
    show=show,
    login=login,
    moved=(("CODEX_HOME", ".codex/"),),
    install="npm install -g @openai/codex@latest",
)
