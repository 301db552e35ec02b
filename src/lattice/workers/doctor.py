"""Whether workers can run on this machine: the engines, their versions and logins, and each definition's needs.

No token is spent: a login is looked for in files and variables alone, so that one that has run out, or that a
keyring holds, is told wrongly. It is advice, and no reason to call a worker unfit.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from lattice.commands.board import Board
from lattice.core.record import Record
from lattice.errors import LatticeError
from lattice.workers import budgets
from lattice.workers.definitions import catalogue
from lattice.workers.definitions.definition import Definition
from lattice.workers.engines import table
from lattice.workers.engines.probe import probe, problem
from lattice.workers.engines.protocol import Engine, Login
from lattice.workers.presence import BROKEN, Place, place_of, state_of
from lattice.workers.sandboxes import sandbox
from lattice.workers.sandboxes.sandbox import SandboxRules
from lattice.workers.worktrees.worktree_root import worktrees_of


class EngineHealth(Record):
    """One engine here: its program, and what it cannot do."""

    name: str
    login: Login
    install: str
    path: str | None = None  # None: it is not on PATH
    version: str | None = None
    error: LatticeError | None = None  # why no worker can use it
    reviewer_error: LatticeError | None = None  # why no reviewer can


class WorkerHealth(Record):
    """One definition here, and why it cannot run."""

    name: str
    engine: str | None  # None: its file cannot be read
    error: LatticeError | None = None
    state: str = BROKEN
    sandbox: str = sandbox.NONE
    sandbox_absent: str | None = None  # why it has not the sandbox that it asks for


class Health(Record):
    """All of it. What a worker cannot do without is in the worker's own error too."""

    engines: tuple[EngineHealth, ...]
    workers: tuple[WorkerHealth, ...]
    worktrees: Path | None  # where they go
    worktrees_error: LatticeError | None
    bwrap: str | None
    bwrap_error: str | None

    @property
    def unfit(self) -> tuple[WorkerHealth, ...]:
        """The workers that cannot run. A built-in one whose engines are not installed is none of them."""
        return tuple(worker for worker in self.workers if worker.error is not None and worker.state == BROKEN)


def examine(board: Board, environ: Mapping[str, str]) -> Health:
    """Look at everything a worker needs. Makes the folder of the worktrees, and asks each engine's program for help."""
    worktrees, worktrees_error = None, None
    try:
        worktrees = worktrees_of(board, environ)
    except LatticeError as off:
        worktrees_error = off
    place = place_of(board)
    found = catalogue.load_all(place.top)
    workers = [_worker(board, definition, place, environ, worktrees_error) for definition in found.definitions]
    workers += [WorkerHealth(off.name or off.path.name, None, off.error) for off in found.problems]
    program, bwrap_error = sandbox.available(SandboxRules(), environ)
    engines = tuple(engine_health(table.engine(name), environ) for name in table.NAMES)
    return Health(engines, tuple(workers), worktrees, worktrees_error, program or None, bwrap_error)


def engine_health(engine: Engine, environ: Mapping[str, str]) -> EngineHealth:
    """One engine: is it there, what can it do, is somebody logged in."""
    login = engine.login(environ, Path(environ.get("HOME") or os.path.expanduser("~")))
    path = table.located(engine, environ)
    if path is None:
        return EngineHealth(engine.name, login, engine.install)
    probed = probe(engine, path, environ)
    error = problem(engine, probed)
    reviewer_error = problem(engine, probed, reviewer=True) if error is None else None
    return EngineHealth(engine.name, login, engine.install, path, probed.version, error, reviewer_error)


def _worker(
    board: Board,
    definition: Definition,
    place: Place,
    environ: Mapping[str, str],
    worktrees_error: LatticeError | None,
) -> WorkerHealth:
    error = worktrees_error if definition.worktree else None
    try:
        place.check(definition, environ, board.config.engine_order)
        error = budgets.problem_of(board, definition, place.top, environ) or error
    except LatticeError as off:
        error = off
    state = state_of(definition, error)
    rules = definition.sandbox
    absent = sandbox.available(rules, environ)[1] if rules.mode != sandbox.NONE else None
    return WorkerHealth(definition.name, definition.engine, error, state, rules.mode, absent)
