"""The keys of workers that change code: `branch`, and what their worktree needs: `keep`, `copy`, `setup`."""

from __future__ import annotations

from pathlib import PurePosixPath

from lattice.commands.edges import parse_branch
from lattice.errors import DefinitionError, ValidationError
from lattice.workers.definitions.definition import (
    BRANCH_PLACEHOLDERS,
    PLACEHOLDERS,
    PROGRAM_PLACEHOLDERS,
    Setup,
    expand,
)
from lattice.workers.definitions.fields import Fields, minutes
from lattice.workers.worktrees.copying import NEVER


def branch_of(fields: Fields) -> str | None:
    """`branch`: a name that git could have, and that no two runs share. Raises DefinitionError."""
    template = fields.text("branch")
    if template is None:
        return None
    _needs_worktree(fields, "branch")
    samples = dict.fromkeys(BRANCH_PLACEHOLDERS, "x")
    try:
        named = parse_branch(expand([template], samples)[0])
        other = expand([template], samples | {"run": "y", "run_id": "z"})[0]
    except (DefinitionError, ValidationError) as error:
        raise fields.off("branch", error.message, error.hint) from error
    if named == other:
        hint = 'add {run}, as in "lattice/{short_id}/{run}"'
        raise fields.off("branch", f"{template!r} names one branch for every run", hint)
    return template


def keep_of(fields: Fields) -> tuple[str, ...]:
    """`keep`: patterns of ignored files that are kept when the worktree goes. Raises DefinitionError."""
    return _patterns(fields, "keep")


def copy_of(fields: Fields) -> tuple[str, ...]:
    """`copy`: patterns of files of the main checkout. Raises DefinitionError."""
    return _patterns(fields, "copy")


def setup_of(fields: Fields) -> Setup | None:
    """`setup`: commands, and what of their work is cached under which key. Raises DefinitionError."""
    inner = fields.inner("setup")
    if inner is None:
        return None
    _needs_worktree(fields, "setup")
    inner.known(Setup._fields)
    commands = inner.lists("run")
    if not commands or not all(argv and argv[0] for argv in commands):
        raise inner.off("run", 'must be a list of commands, each a list of words: [["npm", "ci"]]')
    try:
        for argv in commands:
            expand(argv[:1], dict.fromkeys(PROGRAM_PLACEHOLDERS, "x"))
            expand(argv, dict.fromkeys(PLACEHOLDERS, ""))
    except DefinitionError as error:
        raise inner.off("run", error.message, error.hint) from error
    cache, key = _paths(inner, "cache"), _paths(inner, "key")
    if bool(cache) != bool(key):
        missing = "key" if cache else "cache"
        raise inner.off(missing, "is missing: a cache needs what is kept, and the files that it hangs on")
    return Setup(commands, minutes(inner, "timeout_minutes"), cache, key)


def _needs_worktree(fields: Fields, key: str) -> None:
    if not fields.flag("worktree", default=True):
        raise fields.off(key, "needs a worktree of its own", 'take "worktree": false out')


def _patterns(fields: Fields, key: str) -> tuple[str, ...]:
    if fields.has(key):
        _needs_worktree(fields, key)
    return _paths(fields, key)


def _paths(fields: Fields, key: str) -> tuple[str, ...]:
    """Paths or patterns below the checkout: neither absolute, nor with `..`, nor into the repository or the board."""
    found = fields.texts(key)
    for text in found:
        parts = PurePosixPath(text).parts
        if not parts or text.startswith("/") or ".." in parts or "\n" in text:
            raise fields.off(key, f"{text!r} must be a relative path without '..'")
        if any(part in NEVER for part in parts):
            raise fields.off(key, f"{text!r} leads into {' or '.join(NEVER)}")
    return tuple(str(PurePosixPath(text)) for text in found)
