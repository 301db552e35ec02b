"""Who takes part in a team: its members as workers that can run here, and those that cannot, with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lattice.core.record import Record
from lattice.core.reviews.model import Absent
from lattice.errors import DefinitionError, LatticeError, SandboxUnavailable
from lattice.workers import prompts
from lattice.workers.definitions import catalogue
from lattice.workers.definitions.definition import Definition
from lattice.workers.definitions.teams import Member, TeamRules


class Roll(Record):
    """The members that can run here, and those that are missing."""

    present: tuple[tuple[str, Definition], ...]
    absent: tuple[Absent, ...]
    not_here: tuple[str, ...] = ()  # engines whose absence is all that keeps the absent ones; nothing: there is more


def call(
    definition: Definition, team: TeamRules, top: Path, environ: Mapping[str, str], order: tuple[str, ...]
) -> Roll:
    """Look at each member. Raises DefinitionError for one that names no worker, or a team."""
    present: list[tuple[str, Definition]] = []
    absent: list[Absent] = []
    engines: list[str] | None = []
    for member in team.members:
        found = _definition_of(definition, member, top)
        try:
            catalogue.check(found, top, environ, order)
        except (DefinitionError, SandboxUnavailable) as why:
            absent.append(Absent(member.name, why.message))
            missing = why.details.get(catalogue.NOT_HERE)
            engines = [*engines, *missing] if engines is not None and isinstance(missing, list) else None
        else:
            present.append((member.name, found))
    return Roll(tuple(present), tuple(absent), tuple(dict.fromkeys(engines or ())))


def check(definition: Definition, top: Path, environ: Mapping[str, str], order: tuple[str, ...]) -> None:
    """Whether enough of the team can run here, and its prompts are in order. Raises DefinitionError."""
    team = definition.team
    if team is None:
        return
    if team.second_round is not None:
        second_round(definition, team, top)
    roll = call(definition, team, top, environ, order)
    if len(roll.present) < team.quorum:
        missing = "; ".join(f"{one.name}: {one.reason}" for one in roll.absent)
        further = {catalogue.NOT_HERE: list(roll.not_here)} if roll.not_here else {}
        raise DefinitionError(
            f"worker {definition.name}: {len(roll.present)} of its {len(team.members)} members can run here, and its "
            f"quorum is {team.quorum}. {missing}",
            hint="install what is missing, or lower the quorum; see lattice worker doctor",
            name=definition.name,
            absent=[one.name for one in roll.absent],
            **further,
        )


def second_round(definition: Definition, team: TeamRules, top: Path) -> str | None:
    """The path of the second round's prompt, below where the definition's files are. Raises DefinitionError."""
    if team.second_round is None:
        return None
    path = definition.folder(top) / team.second_round
    try:
        off = prompts.unknown(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as why:
        raise DefinitionError(
            f"worker {definition.name}: {definition.source}: second_round: {path} cannot be read: {why}",
            name=definition.name,
            key="second_round",
        ) from why
    if off is not None:
        message = f"worker {definition.name}: {definition.source}: second_round: {path}: {off.message}"
        raise DefinitionError(message, hint=off.hint, name=definition.name, key="second_round")
    return team.second_round


def _definition_of(team: Definition, member: Member, top: Path) -> Definition:
    if member.definition is not None:
        return member.definition
    try:
        found = catalogue.find(member.worker or "", top)
    except LatticeError as off:
        raise _off(team, member, off.message, off.hint) from off
    if found.team is not None:
        raise _off(team, member, f"{found.name} is a team itself", "name its members here")
    if found.branch is not None:
        raise _off(team, member, f"{found.name} changes code, and a team reviews", "choose another worker")
    return found.replace(name=f"{team.name}/{member.name}")


def _off(team: Definition, member: Member, reason: str, hint: str | None) -> DefinitionError:
    key = f"members.{member.name}.worker"
    return DefinitionError(f"worker {team.name}: {team.source}: {key}: {reason}", hint=hint, name=team.name, key=key)
