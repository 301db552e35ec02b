"""An agent's run, from its definition: which engine, with which words on its command line, given which prompt."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from pathlib import Path

from lattice.commands.board import Board
from lattice.core.record import Record
from lattice.errors import DefinitionError
from lattice.store.files import digest
from lattice.workers import prompts
from lattice.workers.budgets import own_of
from lattice.workers.definitions.agents import AUTO
from lattice.workers.definitions.catalogue import NOT_HERE
from lattice.workers.definitions.definition import Definition
from lattice.workers.engines import probe, table
from lattice.workers.engines.protocol import Engine, Work
from lattice.workers.engines.spec import AgentSpec
from lattice.workers.environment import child_environment
from lattice.workers.resuming import Session
from lattice.workers.runs import RunFolder


class Agent(Record):
    """An agent that is ready to be executed."""

    engine: str
    argv: tuple[str, ...]
    spec: AgentSpec
    set: tuple[tuple[str, str], ...]  # what its environment is given


def chosen(definition: Definition, board_order: tuple[str, ...], environ: Mapping[str, str]) -> Engine:
    """The engine of a definition; for `auto` the first that is on PATH. Raises DefinitionError."""
    if definition.engine != AUTO:
        return table.engine(definition.engine)
    order = definition.agent.engines or board_order or table.NAMES
    found = next(table.available(order, child_environment(environ, definition.env, {})), None)
    if found is not None:
        return found
    raise _off(
        definition,
        "engine",
        f"none of {', '.join(order)} is on PATH",
        "install one of them, or name the engine that you have; see lattice worker doctor",
        order,
    )


def check(definition: Definition, board_order: tuple[str, ...], top: Path, environ: Mapping[str, str]) -> Engine:
    """Whether the agent can be started: its program, the flags it needs, its prompt. Raises DefinitionError."""
    engine = chosen(definition, board_order, environ)
    template_of(definition, top)
    _probed(definition, engine, environ)
    return engine


def prepare(
    board: Board,
    definition: Definition,
    folder: RunFolder,
    values: Mapping[str, str],
    top: Path,
    environ: Mapping[str, str],
    session: Session | None = None,
) -> Agent:
    """What the run's agent is executed with, in a `session` to go on with if one is given. Nothing is written.

    Raises DefinitionError, BudgetExceeded.
    """
    engine = chosen(definition, board.config.engine_order, environ)
    program, flags = _probed(definition, engine, environ)
    template = template_of(definition, top)
    own = own_of(board, definition, engine)
    sha256 = prompts.digest(prompts.render(template, prompts.values_of(values, folder)))
    session_id = str(uuid.uuid4())
    work = Work(
        prompt=prompts.kept_at(board.folder, sha256),
        worktree=Path(values["worktree"]),
        output_dir=folder.out,
        final_message=folder.out / ".last-message",
        model=definition.model,
        session_id=session_id if session is None else None,
        resume=session.id if session is not None else None,
        read_only=definition.branch is None,
        budget_usd=own.ceiling.usd,
    )
    invocation = engine.invoke(work, flags)
    spec = AgentSpec(
        template=str(definition.prompt_path(top)),
        template_sha256=digest.sha256(template.encode("utf-8", "surrogateescape")).hexdigest(),
        prompt_sha256=sha256,
        stdin=str(invocation.stdin) if invocation.stdin is not None else None,
        model=definition.model,
        session_id=session.id if session is not None else session_id,
        resumed=session is not None,
        before=session.before if session is not None else None,
        budget_usd=own.ceiling.usd,
        budget_tokens=_whole(own.ceiling.tokens),
        own_usd=own.ceiling.usd,
        own_tokens=_whole(own.ceiling.tokens),
        counts_usd=own.counts_usd,
        prices=own.prices,
        masked=definition.branch is None if definition.agent.mask is None else definition.agent.mask,
    )
    return Agent(
        engine.name, (program, *invocation.arguments, *definition.agent.arguments), spec, tuple(invocation.set)
    )


def _whole(tokens: float | None) -> int | None:
    return None if tokens is None else int(tokens)


def template_of(definition: Definition, top: Path) -> str:
    """The text of its prompt's file. Raises DefinitionError where it is missing, no text, or names what is unknown."""
    path = definition.prompt_path(top)
    if path is None:
        raise _off(definition, "prompt_file", "is missing")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise _off(definition, "prompt_file", f"{path} cannot be read: {error.strerror}") from error
    if len(data) > prompts.BYTES_MAX:
        raise _off(definition, "prompt_file", f"{path} is longer than {prompts.BYTES_MAX} bytes")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _off(definition, "prompt_file", f"{path} is not UTF-8: {error.reason}") from error
    if not text.strip():
        raise _off(definition, "prompt_file", f"{path} is empty", "write what the agent is to do")
    if (unknown := prompts.unknown(text)) is not None:
        raise _off(definition, "prompt_file", f"{path}: {unknown.message}", unknown.hint) from unknown
    return text


def _probed(definition: Definition, engine: Engine, environ: Mapping[str, str]) -> tuple[str, frozenset[str]]:
    """The engine's program as an absolute path, and the flags that it has. Raises DefinitionError."""
    program = table.located(engine, child_environment(environ, definition.env, {}))
    if program is None:
        reason, hint = f"{engine.program!r} is not on PATH", f"install {engine.name}, or choose another"
        raise _off(definition, "engine", reason, hint, (engine.name,))
    return program, probe.ready(engine, program, environ, reviewer=definition.branch is None).flags


def _off(
    definition: Definition, key: str, reason: str, hint: str | None = None, not_here: tuple[str, ...] = ()
) -> DefinitionError:
    """The error of a key; `not_here` names the engines that it is about, where they are only not installed."""
    message = f"worker {definition.name}: {definition.source}: {key}: {reason}"
    further = {NOT_HERE: list(not_here)} if not_here else {}
    return DefinitionError(message, hint=hint, name=definition.name, file=str(definition.source), key=key, **further)
