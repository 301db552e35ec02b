"""What a run's spec.json says of its agent. Reading commands import it: no adapter, no processes."""

from __future__ import annotations

from collections.abc import Mapping

from lattice.core.record import Record
from lattice.workers.engines.heard import Usage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class AgentSpec(Record):
    """How an agent's command line is run: what it is given, and what it may use."""

    template: str  # the prompt's file
    template_sha256: str
    prompt_sha256: str  # of the rendered prompt, which is kept under that name
    stdin: str | None  # the file that is its standard input
    model: str | None = None
    session_id: str | None = None
    resumed: bool = False
    before: Usage | None = None  # what the session had used before, where it goes on and that is known
    budget_usd: float | None = None  # what it is ended for: what it was granted when it started
    budget_tokens: int | None = None
    own_usd: float | None = None  # the ceiling of its own: its definition's, the board's for a run, its team's share
    own_tokens: int | None = None
    counts_usd: bool = True  # whether its cost will be known, or can be estimated
    prices: Mapping[str, Any] = {}  # of the board, for an estimate while it runs
    masked: bool = False  # the commit's own agent settings are not checked out

    @property
    def held_usd(self) -> float | None:
        """The ceiling of money that holds: one that nobody can count against holds nothing."""
        return self.budget_usd if self.counts_usd else None


def decode(shape: Mapping[str, Any]) -> AgentSpec:
    """The agent in a run's spec.json. Raises TypeError where it is none."""
    before = shape.get("before")
    return AgentSpec(**{**shape, "before": Usage(**before) if before is not None else None})


def encoded(agent: AgentSpec) -> dict[str, Any]:
    """As `decode` reads it."""
    return agent.fields() | {"before": agent.before.fields() if agent.before is not None else None}
