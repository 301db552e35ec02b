"""The keys of workers that start by themselves: `triggers`, `escalate` and `sweep`."""

from __future__ import annotations

from collections.abc import Sequence

from lattice.core.hooks import ANY, parse_transition
from lattice.core.record import Record
from lattice.errors import ValidationError
from lattice.workers.definitions.fields import Fields

MINUTES_MAX = 60 * 24 * 90
HOURS_MAX = 24 * 90
LIMIT_MAX = 1_000
ESCALATIONS_MAX = 20


class Triggers(Record):
    """The moves between two statuses that start the worker, where a condition holds."""

    transitions: tuple[tuple[str, str], ...]
    when: str | None = None
    cooldown_minutes: float = 0

    def called_by(self, from_: str, to: str | None) -> bool:
        """Whether a move is one of them; None for `to` asks for any that leads out of `from_`."""
        return any(a in (ANY, from_) and (to is None or b in (ANY, to)) for a, b in self.transitions)

    def unknown(self, statuses: Sequence[str]) -> tuple[str, ...]:
        """The ends of transitions that are no status of the board: no task can make such a move."""
        ends = dict.fromkeys(end for move in self.transitions for end in move)
        return tuple(end for end in ends if end not in (*statuses, ANY))


class Escalation(Record):
    """A worker that starts in the place of this one, where a condition holds."""

    to: str
    when: str


class Sweep(Record):
    """The tasks that a sweep starts the worker on, and how often at most."""

    when: str
    every_hours: float
    limit: int


def triggers_of(fields: Fields) -> Triggers | None:
    """`triggers`. Raises DefinitionError, with the place in a condition that cannot be read."""
    inner = fields.inner("triggers")
    if inner is None:
        return None
    inner.known(Triggers._fields)
    moves = []
    for text in inner.texts("transitions"):
        move = parse_transition(text)
        if move is None:
            raise inner.off("transitions", f"{text!r} is no transition", 'write "* -> review"')
        moves.append(move)
    if not moves:
        raise inner.off("transitions", "is missing", 'write ["* -> review"]')
    cooldown = inner.number("cooldown_minutes", lambda value: 0 <= value <= MINUTES_MAX, f"from 0 to {MINUTES_MAX}")
    return Triggers(tuple(moves), _condition(inner), cooldown or 0)


def escalate_of(fields: Fields) -> tuple[Escalation, ...]:
    """`escalate`, in its order. Raises DefinitionError."""
    found = []
    for inner in fields.objects("escalate", ESCALATIONS_MAX):
        inner.known(Escalation._fields)
        to, when = inner.needed("to"), _condition(inner)
        if when is None:
            raise inner.off("when", "is missing: without it, name the other worker in its own triggers")
        if to.casefold() == str(fields.name).casefold():
            raise inner.off("to", f"{to!r} is this worker itself")
        found.append(Escalation(to, when))
    return tuple(found)


def sweep_of(fields: Fields) -> Sweep | None:
    """`sweep`. Raises DefinitionError."""
    inner = fields.inner("sweep")
    if inner is None:
        return None
    inner.known(Sweep._fields)
    when = _condition(inner)
    if when is None:
        raise inner.off("when", "is missing: it says which tasks are due", 'write "status:review missing:review"')
    every = inner.number("every_hours", lambda value: 0 < value <= HOURS_MAX, f"more than 0 and at most {HOURS_MAX}")
    limit = inner.number(
        "limit", lambda value: value == int(value) and 1 <= value <= LIMIT_MAX, f"a whole number from 1 to {LIMIT_MAX}"
    )
    return Sweep(when, 24 if every is None else every, 5 if limit is None else int(limit))


def _condition(fields: Fields) -> str | None:
    text = fields.text("when")
    if text is not None:
        from lattice.core.conditions import parse_condition  # a worker with a condition pays for it

        try:
            parse_condition(text)
        except ValidationError as off:
            raise fields.off("when", off.message, off.hint) from off
    return text
