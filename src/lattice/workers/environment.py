"""The environment of a worker: what it inherits, what is taken from it, what it is given.

Stripped is by list, never by prefix: a marker such as CLAUDECODE makes a nested agent refuse or misbehave,
while ANTHROPIC_API_KEY, CLAUDE_CONFIG_DIR, CODEX_HOME and OPENAI_API_KEY share its prefix and are what the
agent logs in with.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from lattice.core.record import Record

OWN_PREFIX = "LATTICE_"

DEFAULT_STRIP: tuple[str, ...] = (
    "CLAUDECODE",
    "CLAUDE_CODE_ENTRYPOINT",
    "CLAUDE_CODE_SESSION_ID",
    "CLAUDE_CODE_CHILD_SESSION",
    "CLAUDE_CODE_EXECPATH",
    "CODEX_THREAD_ID",
    "CODEX_CI",
    "CODEX_SANDBOX",
    "CODEX_SANDBOX_NETWORK_DISABLED",
    "GEMINI_CLI",
    "OPENCODE",
    "OPENCODE_PID",
    "CURSOR_AGENT",
    "CURSOR_TRACE_ID",
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_PREFIX",
)
"""Markers of an agent or a git command that we may be running inside of: names, and no patterns."""

_STRIPPED = frozenset(DEFAULT_STRIP)


class EnvironmentRules(Record):
    """What a definition changes: patterns to strip, patterns to keep in spite of them, values to set."""

    strip: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    set: tuple[tuple[str, str], ...] = ()


def child_environment(environ: Mapping[str, str], rules: EnvironmentRules, given: Mapping[str, str]) -> dict[str, str]:
    """`environ` without what is stripped, then the definition's values, then `given`, which wins.

    Every inherited LATTICE_* goes, kept or not: an outer run's names must not pass for this one's.
    """
    inherited = {
        name: value
        for name, value in environ.items()
        if not name.startswith(OWN_PREFIX)
        and ((name not in _STRIPPED and not _any(name, rules.strip)) or _any(name, rules.keep))
    }
    return {**inherited, **dict(rules.set), **given}


def _any(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
