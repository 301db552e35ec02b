"""A definition's file: JSON to a typed definition, with errors that name the file and the key."""

from __future__ import annotations

import re
from pathlib import Path

from lattice.core import codec
from lattice.core.actors import parse_actor
from lattice.errors import DefinitionError, InvalidActor, ValidationError
from lattice.workers.definitions.agents import TEAM, agent_of, not_known
from lattice.workers.definitions.code import branch_of, copy_of, keep_of, setup_of
from lattice.workers.definitions.definition import (
    ENGINES,
    PLACEHOLDERS,
    PROGRAM_PLACEHOLDERS,
    PROGRAMS,
    RESULT_FILE,
    REVIEW_SCHEMA,
    Definition,
    Output,
    expand,
)
from lattice.workers.definitions.fields import Fields, minutes
from lattice.workers.definitions.queueing import max_parallel_of, retries_of
from lattice.workers.definitions.sandboxing import sandbox_of
from lattice.workers.definitions.teams import team_of
from lattice.workers.definitions.triggering import escalate_of, sweep_of, triggers_of
from lattice.workers.environment import EnvironmentRules

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

GRACE_SECONDS_MAX = 600
AFTER_RESULT_SECONDS_MAX = 3_600
LOG_LIMIT_MB_MAX = 10_240
OUTPUTS_MAX = 100
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def is_worker_name(name: str) -> bool:
    """Whether a worker may be called so."""
    return _NAME.fullmatch(name) is not None


def _parse(path: Path, data: bytes) -> dict[str, Any]:
    try:
        shape = codec.parse(data)
        codec.dump(shape)
    except (codec.BadLine, ValidationError) as off:
        raise DefinitionError(f"{path}: {off}", hint="mend it, then: lattice worker check", file=str(path)) from off
    return shape


KEYS = (
    *(field for field in Definition._fields if field not in ("digest", "source", "builtin", "agent", "team")),
    *("engines", "arguments", "budget_usd", "budget_tokens", "mask_agent_files"),
    *("members", "quorum", "second_round", "summary", "sandbox_fallback"),
)
_TEAM_HAS_NOT = {
    name: getattr(Definition, name)
    for name in ("prompt_file", "model", "env", "sandbox", "branch", "keep", "copy", "setup", "retries", "review_kind")
} | {"worktree": False}
"""What a team's file says for its members, and not for itself."""


def parse_definition(path: Path, data: bytes, *, builtin: bool) -> Definition:
    """The definition in a file's bytes, without its digest. Raises DefinitionError."""
    return _definition(Fields(path, _parse(path, data)), builtin=builtin)


def _definition(fields: Fields, *, builtin: bool) -> Definition:
    fields.known(KEYS)
    name = fields.needed("name")
    if not is_worker_name(name):
        raise fields.off("name", f"{name!r} must be a letter, then at most 63 letters, digits, '-' and '_'")
    engine = _engine(fields)
    found = Definition(
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
        timeout_minutes=minutes(fields, "timeout_minutes") or Definition.timeout_minutes,
        idle_timeout_minutes=minutes(fields, "idle_timeout_minutes"),
        grace_seconds=_grace(fields),
        interrupt_seconds=_interrupt(fields),
        after_result_seconds=_after_result(fields),
        log_limit_mb=_log_limit(fields),
        env=_environment(fields.inner("env")),
        outputs=_outputs(fields.inner("outputs"), fields.text("artifact_role")),
        artifact_role=fields.text("artifact_role"),
        report_prefix=fields.text("report_prefix"),
        report_dir=fields.relative("report_dir"),
        sandbox=sandbox_of(fields, engine),
        branch=branch_of(fields),
        keep=keep_of(fields),
        copy=copy_of(fields),
        setup=setup_of(fields),
        max_parallel=max_parallel_of(fields),
        retries=retries_of(fields),
        triggers=triggers_of(fields),
        escalate=escalate_of(fields),
        sweep=sweep_of(fields),
        agent=agent_of(fields, engine),
        review_kind=fields.text("review_kind"),
        team=team_of(fields, engine, lambda member: _definition(member, builtin=builtin)),
    )
    return found if found.team is None else found.replace(**_TEAM_HAS_NOT)


def _engine(fields: Fields) -> str:
    engine = fields.needed("engine")
    if engine not in ENGINES:
        raise not_known(fields, "engine", engine, ENGINES)
    for key in PROGRAMS:  # Each of the two reads the key of its own name; a team keeps them for its members.
        if key != engine != TEAM and fields.has(key):
            raise fields.off(key, f"a key the engine does not use: {engine!r} is not {key!r}", f"remove {key!r}")
    if engine in PROGRAMS and not fields.has(engine):
        raise fields.off(engine, f"is missing: engine {engine!r} needs it")
    return engine


def _actor(fields: Fields) -> str:
    try:
        return parse_actor(fields.needed("actor"))
    except InvalidActor as error:
        raise fields.off("actor", error.message, error.hint) from error


def _command(fields: Fields) -> tuple[str, ...]:
    command = fields.texts("command")
    if fields.has("command") and not (command and command[0]):
        raise fields.off("command", "must name a program first")
    try:
        expand(command[:1], dict.fromkeys(PROGRAM_PLACEHOLDERS, "x"))
        expand(command, dict.fromkeys(PLACEHOLDERS, ""))
    except DefinitionError as error:
        raise fields.off("command", error.message, error.hint) from error
    return command


def _ref(fields: Fields, key: str) -> str | None:
    ref = fields.text(key)
    if ref is not None and ref.startswith("-"):
        raise fields.off(key, f"{ref!r} cannot name a branch or commit")
    return ref


def _grace(fields: Fields) -> float:
    in_range = f"from 0 to {GRACE_SECONDS_MAX}"
    grace = fields.number("grace_seconds", lambda value: 0 <= value <= GRACE_SECONDS_MAX, in_range)
    return Definition.grace_seconds if grace is None else grace


def _interrupt(fields: Fields) -> float | None:
    grace = _grace(fields)
    return fields.number("interrupt_seconds", lambda value: 0 <= value <= grace, f"from 0 to grace_seconds, {grace:g}")


def _after_result(fields: Fields) -> float | None:
    in_range = f"more than 0 and at most {AFTER_RESULT_SECONDS_MAX}"
    return fields.number("after_result_seconds", lambda value: 0 < value <= AFTER_RESULT_SECONDS_MAX, in_range)


def _log_limit(fields: Fields) -> float:
    in_range = f"more than 0 and at most {LOG_LIMIT_MB_MAX}"
    limit = fields.number("log_limit_mb", lambda value: 0 < value <= LOG_LIMIT_MB_MAX, in_range)
    return Definition.log_limit_mb if limit is None else limit


def _environment(fields: Fields | None) -> EnvironmentRules:
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


def _outputs(fields: Fields | None, role: str | None) -> tuple[Output, ...]:
    """The outputs; `role` is that of each which names none of its own."""
    if fields is None:
        return ()
    outputs: list[Output] = []
    if len(fields.names()) > OUTPUTS_MAX:
        raise DefinitionError(f"{fields.path}: outputs: at most {OUTPUTS_MAX} are possible", file=str(fields.path))
    for name in fields.names():
        inner = fields.inner(name)
        if inner is None or not _NAME.fullmatch(name):
            raise fields.off(name, "must be a name and an object with role, path, required, schema and answer")
        inner.known(("role", "path", "required", "schema", "answer"))
        path = inner.relative("path")
        if path is None:
            raise inner.off("path", "is missing")
        if path == RESULT_FILE:
            raise inner.off("path", f"{path!r} is where an engine reports its result", "name the output otherwise")
        required = inner.flag("required", default=False)
        given = inner.text("schema")
        schema = given if given == REVIEW_SCHEMA else inner.relative("schema")
        answer = inner.flag("answer", default=False)
        outputs.append(Output(name, inner.text("role") or role, path, required, schema, answer))
    return tuple(outputs)
