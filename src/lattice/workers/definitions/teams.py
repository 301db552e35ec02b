"""The keys of a team: its members, how many of them must answer, and whether they judge each other's findings."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from lattice.core.record import Record
from lattice.errors import choices
from lattice.workers.definitions.agents import AGENTS, TEAM, is_agent
from lattice.workers.definitions.fields import Fields

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from lattice.workers.definitions.definition import Definition

MEMBERS_MAX = 24
OWN = (
    *("name", "description", "engine", "members", "quorum", "second_round", "summary", "outputs", "artifact_role"),
    *("report_prefix", "report_dir", "max_parallel", "triggers", "escalate", "sweep", "budget_usd", "budget_tokens"),
)
"""What a team says of itself. Whatever else stands in its file is what its members have where they say nothing."""

REVIEW: Mapping[str, Any] = {
    "review": {"role": "review", "path": "review.json", "required": True, "schema": "lattice:review", "answer": True}
}
"""What a member owes that names no outputs."""

SUMMARY_FILE = "summary.md"
SUMMARY: Mapping[str, Any] = {"summary": {"path": SUMMARY_FILE, "required": True, "answer": True}}
"""What the writer of a summary owes: its last message, where it writes no file."""

_TEAM_KEYS = ("members", "quorum", "second_round", "summary")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,40}")


class Member(Record):
    """One of a team: a worker of its own, named after both; or a worker that is defined elsewhere."""

    name: str
    worker: str | None
    definition: Definition | None


class TeamRules(Record):
    """What a team is."""

    members: tuple[Member, ...]
    quorum: int  # so many must have given a review
    second_round: str | None = None  # the prompt by which each confirms or refutes what the others found
    summary: Definition | None = None  # who writes a few words on top of the merged findings


def team_of(fields: Fields, engine: str, define: Callable[[Fields], Definition]) -> TeamRules | None:
    """The team's keys; None for another engine. `define` reads an inline member. Raises DefinitionError."""
    if engine != TEAM:
        for key in _TEAM_KEYS:
            if fields.has(key):
                raise fields.off(key, f"a key of engine {TEAM!r}, not of {engine!r}", f"remove {key!r}")
        return None
    inner = fields.inner("members")
    if inner is None or not inner.names():
        raise fields.off("members", "is missing: a team needs them", '{"one": {"engine": "claude", …}, …}')
    names = inner.names()
    if len(names) > MEMBERS_MAX:
        raise fields.off("members", f"at most {MEMBERS_MAX} are possible")
    shared = {key: value for key, value in fields.items() if key not in OWN}
    members = tuple(_member(fields, inner, name, shared, define) for name in names)
    in_range = f"a whole number from 1 to {len(members)}"
    quorum = fields.number("quorum", lambda value: 1 <= value <= len(members) and value % 1 == 0, in_range)
    needed = len(members) if quorum is None else int(quorum)
    return TeamRules(members, needed, fields.relative("second_round"), _summary(fields, shared, define))


def _summary(fields: Fields, shared: Mapping[str, Any], define: Callable[[Fields], Definition]) -> Definition | None:
    given = fields.inner("summary")
    if given is None:
        return None
    _check_keys(given)
    if not is_agent(given.needed("engine")):
        raise given.off("engine", "must be an agent's: a summary is written by a model", choices(AGENTS))
    shape = {**shared, **dict(given.items()), "outputs": SUMMARY, "name": "summary"}
    return define(Fields(fields.path, shape, given.prefix, fields.name)).replace(name=f"{fields.name}/summary")


def _check_keys(given: Fields) -> None:
    for key in (
        "name",
        "actor",
        "members",
        "quorum",
        "second_round",
        "summary",
        "triggers",
        "escalate",
        "sweep",
        "branch",
    ):
        if given.has(key):
            raise given.off(key, "is not a member's to say", f"remove {key!r}")


def _member(
    fields: Fields, inner: Fields, name: str, shared: Mapping[str, Any], define: Callable[[Fields], Definition]
) -> Member:
    given = inner.inner(name)
    if given is None or not _NAME.fullmatch(name):
        raise inner.off(name, "must be a name of at most 41 letters, digits, '-' and '_', and an object")
    if given.has("worker"):
        given.known(("worker",))
        return Member(name, given.needed("worker"), None)
    _check_keys(given)
    if given.text("engine") == TEAM:
        raise given.off("engine", "a team cannot be a member of a team")
    shape = {"outputs": REVIEW, **shared, **dict(given.items()), "name": name}
    definition = define(Fields(fields.path, shape, given.prefix, fields.name))
    return Member(name, None, definition.replace(name=f"{fields.name}/{name}"))
