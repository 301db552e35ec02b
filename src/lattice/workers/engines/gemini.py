"""Gemini CLI: `gemini -o stream-json`, the prompt on its standard input.

Facts: its own documentation of headless mode; pull request 27137 of google-gemini/gemini-cli (`--skip-trust`, which
comes too late for the workspace's own settings, where the variable GEMINI_CLI_TRUST_WORKSPACE lets them in).

Without `--skip-trust` it ends with 55 in a folder that nobody trusted, which every worktree is. A reviewer has
the default approval, under which nothing is done that would have to be asked for, and the tools that are named;
settings of ours stand in for those of the system, which nothing in a worktree can override: no hooks, no servers,
no instructions of the branch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lattice.workers.engines import said
from lattice.workers.engines.heard import Heard, Usage
from lattice.workers.engines.protocol import Engine, Invocation, Login, Work

_REVIEWER_TOOLS = ("read_file", "read_many_files", "list_directory", "glob", "search_file_content", "grep_search")
_NO_SERVER = "lattice-allows-none"  # a name no server has: the list of those that may start
_SETTINGS = Path(__file__).with_name("gemini_reviewer.json")
_EXITS = (
    (41, "it is not logged in"),
    (42, "it did not accept its prompt or its arguments"),
    (44, "its own sandbox failed"),
    (52, "its settings cannot be read"),
    (53, "it reached its limit of turns"),
    (54, "a tool failed for good"),
    (55, "it does not trust the folder: a version with --skip-trust is needed"),
    (130, "it was interrupted"),
)


def invoke(work: Work, has: frozenset[str]) -> Invocation:
    """Without `-p`: standard input that is no terminal makes it headless, and is the whole prompt."""
    arguments = ["-o", "stream-json", "--approval-mode", "default" if work.read_only else "yolo"]
    if work.model is not None:
        arguments += ["-m", work.model]
    if work.resume is not None:
        arguments += ["--resume", work.resume]
    elif work.session_id is not None and "--session-id" in has:
        arguments += ["--session-id", work.session_id]
    if "--skip-trust" in has:
        arguments.append("--skip-trust")
    if "--include-directories" in has:
        arguments += ["--include-directories", str(work.output_dir)]
    if not work.read_only:
        return Invocation(tuple(arguments), work.prompt)
    settings = ("GEMINI_CLI_SYSTEM_SETTINGS_PATH", str(_SETTINGS))
    return Invocation((*arguments, *_reviewer(has)), work.prompt, (settings,))


def _reviewer(has: frozenset[str]) -> list[str]:
    """No extension and no server of the branch; git to read with, and a file to write: its output."""
    rights = []
    if "--extensions" in has:
        rights += ["--extensions", "none"]
    if "--allowed-mcp-server-names" in has:
        rights += ["--allowed-mcp-server-names", _NO_SERVER]
    if "--allowed-tools" in has:
        git = (f"run_shell_command({command})" for command in said.read_only_git())
        rights += ["--allowed-tools", ",".join((*_REVIEWER_TOOLS, *git, "write_file"))]
    return rights


def hear(heard: Heard, line: Mapping[str, Any]) -> Heard:
    """The state after one more line."""
    kind = line.get("type")
    if kind == "init":
        session, model = said.word(line.get("session_id")), said.word(line.get("model"))
        return heard.replace(session_id=session or heard.session_id, model=model or heard.model)
    if kind == "message":
        return _message(heard, line) if line.get("role") in ("assistant", "model") else heard.replace(message=None)
    if kind == "tool_use":
        return heard.replace(tools=heard.tools + 1, activity=_doing(line), message=None, rate_limit=None)
    if kind == "tool_result":
        return heard.replace(message=None)
    if kind == "error":
        words = said.text(line.get("message"), said.ERROR_CHARS_MAX)
        error = words if line.get("severity") != "warning" and words is not None else heard.error
        heard = heard.replace(error=error, activity=said.activity(words) or heard.activity)
        return said.refused(heard, said.refusal(words))
    if kind == "result":
        return _result(heard, line)
    return heard


def _message(heard: Heard, line: Mapping[str, Any]) -> Heard:
    """A piece of a message goes on with the piece before it, until something else was said."""
    content = line.get("content")
    if not isinstance(content, str) or not content:
        return heard
    goes_on = line.get("delta") is True and heard.message is not None
    whole = (heard.text or "") + content if goes_on else content
    text = said.text(whole) or heard.text
    turns = heard.turns if goes_on else heard.turns + 1
    part = "delta" if line.get("delta") is True else None
    doing = said.activity(content) or heard.activity
    return heard.replace(text=text, turns=turns, message=part, activity=doing, rate_limit=None)


def _result(heard: Heard, line: Mapping[str, Any]) -> Heard:
    stats, failure = said.mapping(line.get("stats")), line.get("error")
    usage = Usage(
        said.whole(stats.get("input_tokens")),
        said.whole(stats.get("output_tokens")),
        said.whole(stats.get("cached")),
    )
    heard = heard.replace(usage=usage, activity=None, message=None)
    tools = said.whole(stats.get("tool_calls"))
    heard = heard.replace(tools=heard.tools if tools is None else tools)
    if line.get("status") != "success" or isinstance(failure, dict):
        words = said.text(said.mapping(failure).get("message"), said.ERROR_CHARS_MAX)
        return said.failed(heard, words or heard.error or "an error without words")
    text = said.text(line.get("response")) or heard.text
    return heard.replace(succeeded=True, error=None, text=text, structured=said.answer(text))


def show(line: Mapping[str, Any]) -> str | None:
    """What was said, and which tools were called."""
    kind = line.get("type")
    if kind == "init":
        return said.activity("session", line.get("session_id"), "·", line.get("model"))
    if kind == "message" and line.get("role") in ("assistant", "model"):
        return said.text(line.get("content"))
    if kind == "tool_use":
        return _doing(line)
    if kind == "error":
        return said.activity("error:", line.get("message"))
    if kind == "result":
        return said.activity("result:", line.get("status"), said.mapping(line.get("error")).get("message"))
    return None


def _doing(line: Mapping[str, Any]) -> str | None:
    given = said.mapping(line.get("parameters"))
    about = given.get("command") or said.short_path(given.get("file_path")) or given.get("pattern")
    return said.activity("→", line.get("tool_name"), about)


def login(environ: Mapping[str, str], home: Path) -> Login:
    """By a key, by the cloud, or by the file of a person's own login."""
    for name in ("GEMINI_API_KEY", "GOOGLE_API_KEY"):
        if environ.get(name):
            return Login(True, name)
    for name in ("GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_GCA", "GOOGLE_APPLICATION_CREDENTIALS"):
        if environ.get(name):
            return Login(None, f"{name}: the cloud's own credentials, which are not looked at")
    base = Path(environ["GEMINI_CLI_HOME"]) if environ.get("GEMINI_CLI_HOME") else home
    for name in ("oauth_creds.json", "gemini-credentials.json"):
        if (base / ".gemini" / name).is_file():
            return Login(True, str(base / ".gemini" / name))
    return Login(False, "log in: gemini, then /auth; or set GEMINI_API_KEY")


ENGINE = Engine(
    name="gemini",
    program="gemini",
    required=("--output-format", "--approval-mode"),
    optional=(
        *("--model", "--resume", "--session-id", "--skip-trust", "--include-directories"),
        *("--extensions", "--allowed-mcp-server-names", "--allowed-tools"),
    ),
    reviewer=("--extensions", "--allowed-mcp-server-names"),
    help_arguments=("--help",),
    credentials=("GEMINI_*", "GOOGLE_*"),
    home=(".gemini/oauth_creds.json", ".gemini/google_accounts.json", ".gemini/settings.json"),
    invoke=invoke,
    hear=hear,
    show=show,
    login=login,
    moved=(("GEMINI_CLI_HOME", ""),),
    install="npm install -g @google/gemini-cli@latest",
    exits=_EXITS,
)
