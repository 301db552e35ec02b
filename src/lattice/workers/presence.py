"""Whether a worker could run on this machine, and with whom: what `auto` takes, which members of a team are here.

A built-in worker whose engines are not installed is not broken: it is for machines that have them; nor is one that
works in a worktree, where there is no commit to make one of.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lattice.commands.board import Board
from lattice.core.record import Record
from lattice.errors import LatticeError, NotFound
from lattice.workers.definitions import catalogue
from lattice.workers.definitions.agents import AUTO
from lattice.workers.definitions.definition import Definition
from lattice.workers.worktrees import worktree
from lattice.workers.worktrees.git import Repository
from lattice.workers.worktrees.span import tip_of

OK = "ok"
BROKEN = "broken"
NOT_HERE = "not here"


class MemberPresence(Record):
    """A member of a team, and why it cannot run."""

    name: str
    reason: str | None


class Presence(Record):
    """One worker here."""

    name: str
    state: str  # ok, broken, not here
    error: LatticeError | None = None
    takes: str | None = None  # the engine that `auto` is here
    members: tuple[MemberPresence, ...] = ()
    quorum: int | None = None

    @property
    def broken(self) -> bool:
        return self.state == BROKEN


class Place(Record):
    """Where a board's workers run: the folder whose workers/ counts, and its repository, if it has one."""

    root: Path
    top: Path
    repo: Repository | None
    empty: NotFound | None  # why it has no commit that a worktree could be made of

    def check(self, definition: Definition, environ: Mapping[str, str], order: tuple[str, ...]) -> None:
        """Whether the worker could run here; `order` is the board's, for `auto`. Raises LatticeError."""
        catalogue.check(definition, self.top, environ, order)
        if (self.repo is None or self.empty is not None) and self._needs_worktree(definition, environ, order):
            worktree.check_possible(self.repo, self.root, definition.name)
            if self.empty is not None:
                raise self.empty

    def _needs_worktree(self, definition: Definition, environ: Mapping[str, str], order: tuple[str, ...]) -> bool:
        if definition.team is None:
            return definition.worktree
        from lattice.workers.teams import roll  # only the definitions of teams pay for it

        present = roll.call(definition, definition.team, self.top, environ, order).present
        return sum(not member.worktree for _, member in present) < definition.team.quorum


def place_of(board: Board) -> Place:
    """Where the board is. Raises GitError."""
    repo = Repository.around(board.root)
    empty = None
    if repo is not None:
        try:
            tip_of(repo)
        except NotFound as off:
            empty = off
    return Place(board.root, repo.top if repo is not None else board.root, repo, empty)


def look(definition: Definition, place: Place, environ: Mapping[str, str], order: tuple[str, ...]) -> Presence:
    """Look at one worker; `order` is the board's, for `auto`."""
    error: LatticeError | None = None
    try:
        place.check(definition, environ, order)
    except LatticeError as off:
        error = off
    takes = None
    if definition.engine == AUTO and error is None:
        from lattice.workers import agents  # only the definitions of agents pay for it

        takes = agents.chosen(definition, order, environ).name
    members = _members(definition, place.top, environ, order)
    quorum = definition.team.quorum if definition.team is not None else None
    return Presence(definition.name, state_of(definition, error), error, takes, members, quorum)


def state_of(definition: Definition, error: LatticeError | None) -> str:
    """What is the matter with the worker, in a word."""
    if error is None:
        return OK
    absent = error.details.get(catalogue.NOT_HERE) or error.details.get("needs")
    return NOT_HERE if definition.builtin and absent else BROKEN


def _members(
    definition: Definition, top: Path, environ: Mapping[str, str], order: tuple[str, ...]
) -> tuple[MemberPresence, ...]:
    if definition.team is None:
        return ()
    from lattice.workers.teams import roll  # only the definitions of teams pay for it

    try:
        called = roll.call(definition, definition.team, top, environ, order)
    except LatticeError:
        return ()  # One of them names no worker: its error says so.
    reasons = {one.name: one.reason for one in called.absent}
    return tuple(MemberPresence(member.name, reasons.get(member.name)) for member in definition.team.members)
