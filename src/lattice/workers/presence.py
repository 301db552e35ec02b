"""Whether a worker could run on this machine, and with whom: what `auto` takes, which members of a team are here.

A built-in worker whose engines are not installed is not broken: it is for machines that have them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lattice.core.record import Record
from lattice.errors import LatticeError
from lattice.workers.definitions import catalogue
from lattice.workers.definitions.agents import AUTO
from lattice.workers.definitions.definition import Definition

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


def look(definition: Definition, top: Path, environ: Mapping[str, str], order: tuple[str, ...]) -> Presence:
    """Look at one worker; `order` is the board's, for `auto`."""
    error: LatticeError | None = None
    try:
        catalogue.check(definition, top, environ, order)
    except LatticeError as off:
        error = off
    takes = None
    if definition.engine == AUTO and error is None:
        from lattice.workers import agents  # only the definitions of agents pay for it

        takes = agents.chosen(definition, order, environ).name
    members = _members(definition, top, environ, order)
    quorum = definition.team.quorum if definition.team is not None else None
    return Presence(definition.name, state_of(definition, error), error, takes, members, quorum)


def state_of(definition: Definition, error: LatticeError | None) -> str:
    """What is the matter with the worker, in a word."""
    if error is None:
        return OK
    return NOT_HERE if definition.builtin and error.details.get(catalogue.NOT_HERE) else BROKEN


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
