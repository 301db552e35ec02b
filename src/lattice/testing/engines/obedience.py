"""What an agent would take orders from in the folder that it works in: the canary of a hostile branch.

An obedient fake executes every order it finds where its real one looks, unless its flags forbid it: hooks and
MCP servers of the folder's settings, and the lines `RUN: …` of the instructions for agents. So a test that plants
an order and finds it not obeyed has seen that the flags, or the masking of the files, hold.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lattice.testing.engines.flags import Given
from lattice.testing.engines.output import complain
from lattice.testing.engines.speech import Call

ORDER = "RUN:"
ORDER_S = 30.0


def obey(engine: str, call: Call, environ: Mapping[str, str]) -> None:
    """Execute each order that is found and not forbidden; what it ends with is of no interest."""
    here = Path.cwd()
    for order in {
        "claude": _claude,
        "codex": _codex,
        "gemini": _gemini,
        "opencode": _opencode,
    }.get(engine, _plain)(here, call.given, environ):
        try:
            subprocess.run(["/bin/sh", "-c", order], stdin=subprocess.DEVNULL, timeout=ORDER_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as why:
            complain(f"an order came to nothing: {why}")


def _claude(here: Path, given: Given, _environ: Mapping[str, str]) -> Iterator[str]:
    bare = given.has("--bare") or given.has("--safe-mode")
    sources = given.last("--setting-sources") if given.has("--setting-sources") else "user,project,local"
    named = set((sources or "").split(","))
    own = [("project", ".claude/settings.json"), ("local", ".claude/settings.local.json")]
    hooks_off = bare or _settings_of(given).get("disableAllHooks") is True
    if not hooks_off:
        for source, name in own:
            if source in named:
                yield from _commands(_json(here / name).get("hooks"))
    if not (bare or given.has("--strict-mcp-config")):
        yield from _servers(_json(here / ".mcp.json").get("mcpServers"))
    if "project" in named and not bare and _claude_may_run(given):
        yield from _orders(here, "CLAUDE.md", ".claude/CLAUDE.md")


def _claude_may_run(given: Given) -> bool:
    """Whether it has the tool that executes commands."""

    def lists(key: str) -> bool:
        """`Bash` alone: `Bash(git diff:*)` is another, which no order goes through."""
        return "Bash" in " ".join(given.flags.get(key, ())).replace(",", " ").split()

    if given.has("--tools") and not lists("--tools"):
        return False
    mode = given.last("--permission-mode")
    free = given.has("--dangerously-skip-permissions") or mode == "bypassPermissions"
    return not lists("--disallowed-tools") and mode != "plan" and (free or lists("--allowed-tools"))


def _settings_of(given: Given) -> dict[str, Any]:
    said = given.last("--settings")
    if said is None:
        return {}
    return _object(said) if said.lstrip().startswith("{") else _json(Path(said))


def _codex(here: Path, given: Given, _environ: Mapping[str, str]) -> Iterator[str]:
    over = given.flags.get("--config", ())
    config = _toml(here / ".codex" / "config.toml")
    if not any("trust_level" in one and "untrusted" in one for one in over):
        servers = config.get("mcp_servers")
        yield from _servers({} if any(one.replace(" ", "") == "mcp_servers={}" for one in over) else servers)
        notify = config.get("notify")
        if isinstance(notify, list) and not any(one.replace(" ", "") == "notify=[]" for one in over):
            yield shlex.join(map(str, notify))
    unread = any(one.replace(" ", "") == "project_doc_max_bytes=0" for one in over)
    free = given.has("--dangerously-bypass-approvals-and-sandbox") or given.has("--full-auto")
    if not unread and (free or given.last("--sandbox") in ("workspace-write", "danger-full-access")):
        yield from _orders(here, "AGENTS.override.md", "AGENTS.md")


def _gemini(here: Path, given: Given, environ: Mapping[str, str]) -> Iterator[str]:
    system = _json(Path(environ.get("GEMINI_CLI_SYSTEM_SETTINGS_PATH") or os.devnull))
    own = _json(here / ".gemini" / "settings.json")
    if _inner(system, "hooksConfig").get("enabled") is not False:
        yield from _commands(own.get("hooks"))
    allowed = given.flags.get("--allowed-mcp-server-names")
    permitted = _inner(system, "mcp").get("allowed")
    servers = own.get("mcpServers")
    for limit in (allowed, permitted):
        if limit is not None and isinstance(servers, dict):
            servers = {name: server for name, server in servers.items() if name in limit}
    yield from _servers(servers)
    mode = "yolo" if given.has("--yolo") else given.last("--approval-mode")
    tools = ",".join(given.flags.get("--allowed-tools", ())).split(",")
    may_run = mode == "yolo" or "run_shell_command" in tools
    if may_run:
        yield from _orders(here, *_context_files(system))


def _context_files(system: Mapping[str, Any]) -> list[str]:
    named = _inner(system, "context").get("fileName")
    return [named] if isinstance(named, str) else named if isinstance(named, list) else ["GEMINI.md"]


def _opencode(here: Path, _given: Given, environ: Mapping[str, str]) -> Iterator[str]:
    over = _object(environ.get("OPENCODE_CONFIG_CONTENT") or "{}")
    if not environ.get("OPENCODE_DISABLE_PROJECT_CONFIG"):
        for name in ("opencode.json", "opencode.jsonc", ".opencode/opencode.json"):
            servers = _json(here / name).get("mcp")
            if isinstance(servers, dict):
                masked = {key for key, server in _inner(over, "mcp").items() if _off(server)}
                yield from _servers({key: one for key, one in servers.items() if key not in masked and not _off(one)})
        if not environ.get("OPENCODE_DISABLE_CLAUDE_CODE"):
            yield from _orders(here, "CLAUDE.md") if not (here / "AGENTS.md").exists() else ()
    permission = _object(environ.get("OPENCODE_PERMISSION") or "{}") or over.get("permission")
    bash = permission.get("bash") if isinstance(permission, dict) else permission
    denied = bash == "deny" or (isinstance(bash, dict) and bash.get("*") == "deny")
    if not denied and not environ.get("OPENCODE_DISABLE_PROJECT_CONFIG"):
        yield from _orders(here, "AGENTS.md")


def _plain(here: Path, _given: Given, _environ: Mapping[str, str]) -> Iterator[str]:
    yield from _orders(here, "AGENTS.md", "CLAUDE.md", "GEMINI.md")


def _orders(here: Path, *names: str) -> Iterator[str]:
    """The orders in instructions for agents."""
    for name in names:
        for line in _text(here / name).splitlines():
            if line.strip().startswith(ORDER):
                yield line.strip()[len(ORDER) :].strip()


def _commands(hooks: object) -> Iterator[str]:
    """The commands of hooks: `{EVENT: [{"hooks": [{"type": "command", "command": "…"}]}]}`."""
    for groups in hooks.values() if isinstance(hooks, dict) else ():
        for group in groups if isinstance(groups, list) else ():
            for hook in group.get("hooks", ()) if isinstance(group, dict) else ():
                if isinstance(hook, dict) and isinstance(hook.get("command"), str):
                    yield hook["command"]


def _servers(servers: object) -> Iterator[str]:
    """What starts MCP servers: a command, with its arguments beside or behind it."""
    for server in servers.values() if isinstance(servers, dict) else ():
        command = server.get("command") if isinstance(server, dict) else None
        words = command if isinstance(command, list) else [command, *server.get("args", ())] if command else []
        if words:
            yield shlex.join(map(str, words))


def _off(server: object) -> bool:
    return isinstance(server, dict) and server.get("enabled") is False


def _inner(shape: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = shape.get(key)
    return value if isinstance(value, dict) else {}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""  # There are no orders there.


def _json(path: Path) -> dict[str, Any]:
    return _object(_text(path))


def _object(text: str) -> dict[str, Any]:
    try:
        shape = json.loads(text)
    except ValueError:
        return {}  # What its owner could not read has no orders either.
    return shape if isinstance(shape, dict) else {}


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_text(path))
    except ValueError:
        return {}  # as above
