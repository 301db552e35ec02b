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
    budget_usd: float | None = None
    budget_tokens: int | None = None
    masked: bool = False  # the commit's own agent settings are not checked out


def decode(shape: Mapping[str, Any]) -> AgentSpec:
    """The agent in a run's spec.json. Raises TypeError where it is none."""
    before = shape.get("before")
    return AgentSpec(**{**shape, "before": Usage(**before) if before is not None else None})


def encoded(agent: AgentSpec) -> dict[str, Any]:
    """As `decode` reads it."""
    return agent.fields() | {"before": agent.before.fields() if agent.before is not None else None}
