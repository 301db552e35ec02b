"""What the project says: `[tool.lattice.diffcheck]`, and which tools its configuration names.

Files are read from the commit under review, not from the disk. Nothing here raises for a strange
configuration: it becomes a finding, and the rest of the review goes on.
"""

from __future__ import annotations

import configparser
import json
import tomllib
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any

from lattice.core.markup import visible
from lattice.core.record import Record
from lattice.core.reviews.model import Finding
from lattice.errors import nearest
from lattice.workers.builtin.diffcheck.findings import finding

TOOLS = ("ruff", "mypy", "pytest", "npm-lint", "npm-test")
CONFIG_FILES = (
    "pyproject.toml", "ruff.toml", ".ruff.toml", "mypy.ini", ".mypy.ini", "setup.cfg", "pytest.ini", "tox.ini",
    "package.json",
)  # fmt: skip
_KEYS = ("tools", "exclude", "whole-suite")


class Settings(Record):
    """The project's choices. `exclude` globs are matched on the whole path, and `*` also matches `/`."""

    tools: tuple[str, ...] = TOOLS
    exclude: tuple[str, ...] = ()
    whole_suite: bool = False

    def excludes(self, path: str) -> bool:
        return any(fnmatchcase(path, glob) for glob in self.exclude)


def table_of(files: Mapping[str, bytes]) -> dict[str, Any]:
    """`[tool]` of pyproject.toml, empty when there is none or it does not parse."""
    try:
        document = tomllib.loads(files.get("pyproject.toml", b"").decode("utf-8"))
    except (ValueError, RecursionError):
        return {}  # The syntax rule speaks about a file this diff broke.
    tool = document.get("tool")
    return tool if isinstance(tool, dict) else {}


def read_settings(files: Mapping[str, bytes]) -> tuple[Settings, list[Finding]]:
    """The settings, and a finding for each part that could not be used."""
    lattice = table_of(files).get("lattice", {})
    table = lattice.get("diffcheck", {}) if isinstance(lattice, dict) else {}
    if not isinstance(table, dict):
        return Settings(), [_unusable("diffcheck is not a table")]
    problems = [_unusable(f"unknown key {visible(key, 80)!r}{_meant(key, _KEYS)}") for key in table if key not in _KEYS]
    tools = _strings(table, "tools", TOOLS, problems)
    for name in tools:
        if name not in TOOLS:
            problems.append(_unusable(f"unknown tool {visible(name, 80)!r}{_meant(name, TOOLS)}"))
    whole_suite = table.get("whole-suite", False)
    if not isinstance(whole_suite, bool):
        problems.append(_unusable("whole-suite is neither true nor false"))
    return (
        Settings(
            tools=tuple(name for name in TOOLS if name in tools),
            exclude=_strings(table, "exclude", (), problems),
            whole_suite=whole_suite is True,
        ),
        problems,
    )


def _strings(table: dict[str, Any], key: str, default: tuple[str, ...], problems: list[Finding]) -> tuple[str, ...]:
    value = table.get(key, default)
    if isinstance(value, (list, tuple)) and all(isinstance(one, str) for one in value):
        return tuple(value)
    problems.append(_unusable(f"{key} is not a list of strings"))
    return default


def _meant(word: str, valid: tuple[str, ...]) -> str:
    close = nearest(word, valid)
    return f"; {close!r} was perhaps meant" if close else ""


def _unusable(words: str) -> Finding:
    return finding(
        severity="potential",
        category="configuration",
        title=f"[tool.lattice.diffcheck]: {words}",
        detail=f"That part was ignored. Keys: {', '.join(_KEYS)}; tools: {', '.join(TOOLS)}.",
        file="pyproject.toml",
        fix="Correct the table.",
    )


def changed_settings(before: Settings, after: Settings) -> list[Finding]:
    """A diff that narrows its own review should be seen doing so."""
    if before == after:
        return []
    return [
        finding(
            severity="potential",
            category="configuration",
            title="this diff changes what DiffCheck looks at",
            detail="[tool.lattice.diffcheck] differs from the base; this review already follows the new table.",
            file="pyproject.toml",
            fix="Check that the change is meant.",
        )
    ]


def configured_tools(files: Mapping[str, bytes]) -> frozenset[str]:
    """The tools the project's own configuration names."""
    tool = table_of(files)
    scripts = npm_scripts(files)
    named = {
        "ruff": "ruff" in tool or "ruff.toml" in files or ".ruff.toml" in files,
        "mypy": "mypy" in tool
        or "mypy.ini" in files
        or ".mypy.ini" in files
        or "mypy" in _sections(files, "setup.cfg"),
        "pytest": "pytest" in tool
        or "pytest.ini" in files
        or "pytest" in _sections(files, "tox.ini")
        or "tool:pytest" in _sections(files, "setup.cfg"),
        "npm-lint": "lint" in scripts,
        "npm-test": "test" in scripts,
    }
    return frozenset(name for name, is_named in named.items() if is_named)


def mypy_names_files(files: Mapping[str, bytes]) -> bool:
    """Whether mypy knows by its configuration what to check."""
    keys = ("files", "packages", "modules")
    table = table_of(files).get("mypy")
    if isinstance(table, dict) and any(key in table for key in keys):
        return True
    return any(
        key in _parsed(files, name)["mypy"]
        for name in ("mypy.ini", ".mypy.ini", "setup.cfg")
        if "mypy" in _sections(files, name)
        for key in keys
    )


def npm_scripts(files: Mapping[str, bytes]) -> dict[str, str]:
    """`scripts` of package.json, less the test script that `npm init` writes to say there is none."""
    try:
        document = json.loads(files.get("package.json", b"{}"))
    except (ValueError, RecursionError):
        return {}
    scripts = document.get("scripts") if isinstance(document, dict) else None
    if not isinstance(scripts, dict):
        return {}
    return {name: line for name, line in scripts.items() if isinstance(line, str) and "no test specified" not in line}


def _sections(files: Mapping[str, bytes], name: str) -> list[str]:
    return _parsed(files, name).sections()


def _parsed(files: Mapping[str, bytes], name: str) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read_string(files.get(name, b"").decode("utf-8", "replace"))
    except configparser.Error:
        return configparser.RawConfigParser()  # Its own tool will say so better.
    return parser
