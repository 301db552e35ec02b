"""The keys `sandbox` and `sandbox_fallback` of a definition."""

from __future__ import annotations

from pathlib import PurePosixPath

from lattice.errors import choices
from lattice.workers.definitions.agents import is_agent
from lattice.workers.definitions.fields import Fields
from lattice.workers.sandboxes.sandbox import FALLBACKS, MODES, NAMESPACE, NONE, READ_ONLY, REFUSE, SandboxRules

_ACCESS = (READ_ONLY, "writable")


def sandbox_of(fields: Fields, engine: str) -> SandboxRules:
    """What the worker is to run in: a mode, or an object with one. Raises DefinitionError.

    An agent that asks for nothing has a PID namespace where it can be had, so that nothing it starts outlives it.
    """
    fallback = _one_of(fields, "sandbox_fallback", FALLBACKS) or REFUSE
    if not fields.has("sandbox") and is_agent(engine):
        return SandboxRules(NAMESPACE, fallback=_one_of(fields, "sandbox_fallback", FALLBACKS) or NONE)
    inner = fields.inner("sandbox") if fields.is_object("sandbox") else None
    if inner is None:
        rules = SandboxRules(_one_of(fields, "sandbox", MODES) or NONE, fallback=fallback)
    else:
        rules = _of_object(inner, fallback)
    if fields.has("sandbox_fallback") and rules.mode == NONE:
        raise fields.off("sandbox_fallback", "there is no sandbox to fall back from", "remove it, or name a sandbox")
    _check_branch(fields, rules)
    return rules


def _of_object(inner: Fields, fallback: str) -> SandboxRules:
    inner.known([name for name in SandboxRules._fields if name != "fallback"])
    mode = _one_of(inner, "mode", MODES)
    if mode is None:
        raise inner.off("mode", "is missing", f"modes: {choices(MODES)}")
    if mode != READ_ONLY:
        for key in inner.names():
            if key != "mode" and inner.has(key):
                raise inner.off(key, f"the mode {mode!r} has no such choice", f'remove it, or use "{READ_ONLY}"')
    return SandboxRules(
        mode=mode,
        worktree=_one_of(inner, "worktree", _ACCESS),
        network=inner.flag("network", default=True),
        home=_below_home(inner, "home") if inner.has("home") else None,
        home_writable=_below_home(inner, "home_writable"),
        paths=_absolute(inner, "paths"),
        board=_one_of(inner, "board", _ACCESS) or READ_ONLY,
        fallback=fallback,
    )


def _check_branch(fields: Fields, rules: SandboxRules) -> None:
    """git makes a lock beside the ref: the folder of the branch is writable, so it cannot be that of every branch."""
    branch = fields.text("branch")
    writable = rules.mode == READ_ONLY and rules.worktree != READ_ONLY
    if branch is not None and writable and "/" not in branch:
        hint = 'put it into a folder, as in "lattice/{short_id}/{run}"'
        raise fields.off("branch", f"{branch!r} would open every branch to a worker in a sandbox", hint)


def _one_of(fields: Fields, key: str, valid: tuple[str, ...]) -> str | None:
    value = fields.text(key)
    if value is not None and value not in valid:
        raise fields.off(key, f"{value!r} is not known", f"one of: {choices(valid)}")
    return value


def _below_home(fields: Fields, key: str) -> tuple[str, ...]:
    found = fields.texts(key)
    for text in found:
        parts = PurePosixPath(text).parts
        if not parts or text.startswith(("/", "~")) or ".." in parts:
            raise fields.off(key, f'{text!r} must be a path below the home folder, such as ".claude"')
    return tuple(str(PurePosixPath(text)) for text in found)


def _absolute(fields: Fields, key: str) -> tuple[str, ...]:
    found = fields.texts(key)
    for text in found:
        parts = PurePosixPath(text).parts
        if not text.startswith("/") or ".." in parts or len(parts) < 2:
            hint = f'for the whole file system use the mode "{NAMESPACE}"'
            raise fields.off(key, f"{text!r} must be an absolute path below /, without '..'", hint)
    return tuple("/" + text.strip("/") for text in found)
