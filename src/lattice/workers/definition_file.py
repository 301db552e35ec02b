"""A definition's file: JSON to a typed definition, with errors that name the file and the key."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from lattice.core import codec
from lattice.core.actors import parse_actor
from lattice.errors import DefinitionError, InvalidActor, ValidationError, choices, nearest
from lattice.workers.definition import ENGINES, LATER_ENGINES, PLACEHOLDERS, Definition, Output, expand
from lattice.workers.environment import EnvironmentRules

TIMEOUT_MINUTES_MAX = 10_080
GRACE_SECONDS_MAX = 600
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PROGRAM_PLACEHOLDERS = ("python", "repo")  # the program must not come from the commit under review


def _parse(path: Path, data: bytes) -> dict[str, Any]:
    try:
        shape = codec.parse(data)
        codec.dump(shape)
    except (codec.BadLine, ValidationError) as off:
        raise DefinitionError(f"{path}: {off}", hint="check it with `python -m json.tool`", file=str(path)) from off
    return shape


class _Fields:
    """The keys of one JSON object, taken one by one by type; each error names file and key."""

    def __init__(self, path: Path, shape: dict[str, Any], prefix: str = "", name: object = None) -> None:
        self.path = path
        self.prefix = prefix
        self.name = shape.get("name") if name is None and not prefix else name
        self._shape = shape

    def off(self, key: str, reason: str, hint: str | None = None) -> DefinitionError:
        full = self.prefix + key
        return DefinitionError(
            f"{self.path}: {full}: {reason}", hint=hint, name=self.name, file=str(self.path), key=full
        )

    def known(self, keys: Sequence[str]) -> None:
        for key in self._shape:
            if key not in keys:
                meant = nearest(key, keys)
                raise self.off(key, f"unknown key; did you mean {meant!r}?" if meant else "unknown key", choices(keys))

    def has(self, key: str) -> bool:
        return self._shape.get(key) is not None

    def text(self, key: str) -> str | None:
        value = self._shape.get(key)
        if value is not None and not (isinstance(value, str) and value and not _CONTROL.search(value)):
            raise self.off(key, "must be a text of one line")
        return value

    def needed(self, key: str) -> str:
        value = self.text(key)
        if value is None:
            raise self.off(key, "is missing")
        return value

    def relative(self, key: str) -> str | None:
        """A path below a folder: no absolute one, no `..`."""
        value = self.text(key)
        if value is not None and (
            value.startswith("/") or ".." in PurePosixPath(value).parts or not PurePosixPath(value).parts
        ):
            raise self.off(key, f"{value!r} must be a relative path without '..'")
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        value = self._shape.get(key, default)
        if not isinstance(value, bool):
            raise self.off(key, "must be true or false")
        return value

    def number(self, key: str, accepted: Callable[[float], bool], range_text: str) -> float | None:
        value = self._shape.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.off(key, "must be a number")
        if not (accepted(value) and math.isfinite(value)):
            raise self.off(key, f"must be {range_text}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._shape.get(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) and "\0" not in item for item in value):
            raise self.off(key, "must be a list of texts")
        return tuple(value)

    def inner(self, key: str) -> _Fields | None:
        value = self._shape.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.off(key, "must be an object")
        return _Fields(self.path, value, f"{self.prefix}{key}.", self.name)

    def names(self) -> list[str]:
        return list(self._shape)

    def items(self) -> list[tuple[str, object]]:
        return list(self._shape.items())


_KEYS = tuple(field for field in Definition._fields if field not in ("digest", "source", "builtin"))


def parse_definition(path: Path, data: bytes, *, builtin: bool) -> Definition:
    """The definition in a file's bytes, without its digest. Raises DefinitionError."""
    fields = _Fields(path, _parse(path, data))
    fields.known(_KEYS)
    name = fields.needed("name")
    if not _NAME.fullmatch(name):
        raise fields.off("name", f"{name!r} must be a letter, then at most 63 letters, digits, '-' and '_'")
    engine = _engine(fields)
    sandbox = fields.text("sandbox")
    if sandbox not in (None, "none"):
        raise fields.off("sandbox", f"{sandbox!r} is not available in this version", 'leave it out, or write "none"')
    return Definition(
        name=name,
        engine=engine,
        actor=_actor(fields),
        digest="",
        source=fields.path,
        builtin=builtin,
        description=fields.text("description") or "",
        script=fields.relative("script"),
        command=_command(fields),
        prompt_file=fields.relative("prompt_file"),
        model=fields.text("model"),
        worktree=fields.flag("worktree", default=True),
        base=_ref(fields, "base"),
        timeout_minutes=_minutes(fields, "timeout_minutes") or Definition.timeout_minutes,
        idle_timeout_minutes=_minutes(fields, "idle_timeout_minutes"),
        grace_seconds=_grace(fields),
        env=_environment(fields.inner("env")),
        outputs=_outputs(fields.inner("outputs")),
        artifact_role=fields.text("artifact_role"),
        report_prefix=fields.text("report_prefix"),
        report_dir=fields.relative("report_dir"),
        sandbox=sandbox,
    )


def _engine(fields: _Fields) -> str:
    engine = fields.needed("engine")
    if engine in LATER_ENGINES:
        raise fields.off("engine", f"engine {engine!r} is not available in this version", f"use {choices(ENGINES)}")
    if engine not in ENGINES:
        meant = nearest(engine, ENGINES)
        raise fields.off(
            "engine",
            f"engine {engine!r} is not known" + (f"; did you mean {meant!r}?" if meant else ""),
            f"engines: {choices(ENGINES)}",
        )
    for key in ENGINES:  # Each of the two engines reads the key of its own name.
        if key != engine and fields.has(key):
            raise fields.off(key, f"a key the engine does not use: {engine!r} reads {engine!r}", f"remove {key!r}")
    if not fields.has(engine):
        raise fields.off(engine, f"is missing: engine {engine!r} needs it")
    return engine


def _actor(fields: _Fields) -> str:
    try:
        return parse_actor(fields.needed("actor"))
    except InvalidActor as error:
        raise fields.off("actor", error.message, error.hint) from error


def _command(fields: _Fields) -> tuple[str, ...]:
    command = fields.texts("command")
    if fields.has("command") and not (command and command[0]):
        raise fields.off("command", "must name a program first")
    try:
        expand(command[:1], dict.fromkeys(_PROGRAM_PLACEHOLDERS, "x"))
        expand(command, dict.fromkeys(PLACEHOLDERS, ""))
    except DefinitionError as error:
        raise fields.off("command", error.message, error.hint) from error
    return command


def _ref(fields: _Fields, key: str) -> str | None:
    ref = fields.text(key)
    if ref is not None and ref.startswith("-"):
        raise fields.off(key, f"{ref!r} cannot name a branch or commit")
    return ref


def _minutes(fields: _Fields, key: str) -> float | None:
    in_range = f"more than 0 and at most {TIMEOUT_MINUTES_MAX}"
    return fields.number(key, lambda value: 0 < value <= TIMEOUT_MINUTES_MAX, in_range)


def _grace(fields: _Fields) -> float:
    in_range = f"from 0 to {GRACE_SECONDS_MAX}"
    grace = fields.number("grace_seconds", lambda value: 0 <= value <= GRACE_SECONDS_MAX, in_range)
    return Definition.grace_seconds if grace is None else grace


def _environment(fields: _Fields | None) -> EnvironmentRules:
    if fields is None:
        return EnvironmentRules()
    fields.known(EnvironmentRules._fields)
    values = fields.inner("set")
    pairs: list[tuple[str, str]] = []
    for name, value in values.items() if values is not None else ():
        if not _VARIABLE.fullmatch(name):
            raise fields.off("set", f"{name!r} is not a variable's name")
        if not isinstance(value, str) or "\0" in value:
            raise fields.off("set", f"the value of {name} must be a text")
        pairs.append((name, value))
    return EnvironmentRules(fields.texts("strip"), fields.texts("keep"), tuple(pairs))


def _outputs(fields: _Fields | None) -> tuple[Output, ...]:
    if fields is None:
        return ()
    outputs: list[Output] = []
    for name in fields.names():
        inner = fields.inner(name)
        if inner is None or not _NAME.fullmatch(name):
            raise fields.off(name, "must be a name and an object with role, path and required")
        inner.known(("role", "path", "required"))
        path = inner.relative("path")
        if path is None:
            raise inner.off("path", "is missing")
        outputs.append(Output(name, inner.text("role"), path, inner.flag("required", default=False)))
    return tuple(outputs)
