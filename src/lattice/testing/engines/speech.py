"""What every fake engine is: a grammar, a reading of it, and the lines that it says at each step of its turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from lattice.core.record import Record
from lattice.testing.engines.behaviour import Behaviour
from lattice.testing.engines.flags import Given, Grammar

Line = Mapping[str, Any]
UNKNOWN_LINE: Line = {"type": "invented_later", "subtype": "unheard_of", "payload": {"deep": [1, 2, {"er": None}]}}
"""A line as a newer version of any of them might say it."""


class Refused(Exception):
    """The program ends before its turn, as the real one does: what it says, and with which status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Call(Record):
    """A command line as its program understands it."""

    given: Given
    prompt: str | None  # in the arguments
    stdin: str  # "never", "added" to the prompt where there is any, or "instead" of it
    streams: bool  # asked for the format that is spoken here; else it prints its final text
    session_id: str | None = None
    resume: str | None = None
    model: str | None = None
    last_message: str | None = None  # a file
    schema: str | None = None  # a JSON schema, or the name of its file
    budget_usd: float | None = None
    cwd: str | None = None


class Turn(Record):
    """What there is to say: the behaviour, the call, and what was made up for it."""

    behaviour: Behaviour
    call: Call
    session_id: str
    now: float  # seconds since the epoch
    text: str  # the final text
    error: str | None  # None: it succeeds, or says so

    @property
    def model(self) -> str:
        return self.call.model or self.behaviour.model or "fake-1"

    @property
    def resets_at(self) -> int | None:
        """When the provider's refusal is over, to the second."""
        after = self.behaviour.resets_in
        return None if after is None else int(self.now + after)

    @property
    def refused(self) -> bool:
        """The provider refuses, to the end."""
        return self.behaviour.limited and not self.behaviour.limit_passes

    @property
    def over_budget(self) -> bool:
        """It has spent more than its own limit allows."""
        spent, limit = self.behaviour.cost_usd, self.call.budget_usd
        return spent is not None and limit is not None and spent > limit

    def stamp(self) -> str:
        """Now, as most of them write it."""
        return datetime.fromtimestamp(self.now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Speech(Record):
    """One program. The functions are pure: a turn, and its lines."""

    name: str
    version: str
    helps: Mapping[tuple[str, ...], Grammar]  # the words before --help, and what it then tells of
    understand: Callable[[Sequence[str]], Call]  # raises UsageRefused, Refused
    empty_status: int  # with which it ends where there is no prompt
    error_status: int
    begins: Callable[[Turn], list[Line]]
    works: Callable[[Turn], list[Line]]
    long: Callable[[Turn, str], Line]  # a line with so long a text, which is not the final one
    ends: Callable[[Turn, int], list[Line]]  # the lines of one result, by its number from 0
    # What an adapter can be asked for.
    prices: bool = False  # it says what it cost
    takes_session: bool = False  # it uses the session id that it is told
    takes_schema: bool = False  # it answers to a JSON schema
    takes_budget: bool = False  # it keeps to a limit of its own
    adds_up: bool = False  # the price of a resumed conversation is that of all of it
