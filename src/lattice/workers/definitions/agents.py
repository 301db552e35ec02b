"""The keys of workers whose engine is an agent's command line: what it is asked, and what it may use."""

from __future__ import annotations

from lattice.core.record import Record
from lattice.errors import DefinitionError, choices, nearest
from lattice.workers.definitions.fields import Fields

AUTO = "auto"
AGENTS = ("claude", "codex", "gemini", "opencode")
"""The agents that have an adapter, in the order in which `auto` looks for one."""

TEAM = "team"
BUDGET_USD_MAX = 10_000
BUDGET_TOKENS_MAX = 1_000_000_000
OWN = ("engines", "arguments", "budget_usd", "budget_tokens", "mask_agent_files")
"""The keys that no other engine has a use for."""


class AgentRules(Record):
    """What a definition says of its agent, beside the model and the prompt."""

    engines: tuple[str, ...] = ()  # for `auto`: in this order; nothing: the board's, else every one
    arguments: tuple[str, ...] = ()  # further words of its command line
    budget_usd: float | None = None
    budget_tokens: int | None = None
    mask: bool | None = None  # keep the commit's own agent settings out; None: where it makes no branch


def is_agent(engine: str) -> bool:
    """Whether the engine is an agent's command line."""
    return engine in AGENTS or engine == AUTO


def agent_of(fields: Fields, engine: str) -> AgentRules:
    """The keys of an agent. Raises DefinitionError, for a key that the engine has no use for, too."""
    if engine == TEAM:  # The other keys are there for its members.
        return AgentRules(budget_usd=_usd(fields), budget_tokens=_tokens(fields))
    if not is_agent(engine):
        for key in OWN:
            if fields.has(key):
                raise fields.off(key, f"a key the engine does not use: {engine!r} is no agent", f"remove {key!r}")
        return AgentRules()
    if not fields.has("prompt_file"):
        raise fields.off("prompt_file", f"is missing: engine {engine!r} needs it", "prompts/workers/NAME.md")
    if fields.has("engines") and engine != AUTO:
        raise fields.off("engines", f"a key of engine {AUTO!r}, not of {engine!r}", "remove it")
    return AgentRules(
        engines=engines_of(fields, "engines"),
        arguments=fields.texts("arguments"),
        budget_usd=_usd(fields),
        budget_tokens=_tokens(fields),
        mask=fields.flag("mask_agent_files", default=False) if fields.has("mask_agent_files") else None,
    )


def engines_of(fields: Fields, key: str) -> tuple[str, ...]:
    """Names of agents, in an order. Raises DefinitionError."""
    names = fields.texts(key)
    for name in names:
        if name not in AGENTS:
            raise not_known(fields, key, name, AGENTS)
    return names


def not_known(fields: Fields, key: str, name: str, known: tuple[str, ...]) -> DefinitionError:
    """The error of an engine's name that there is none of."""
    meant = nearest(name, known)
    words = f"; did you mean {meant!r}?" if meant else ""
    return fields.off(key, f"engine {name!r} is not known{words}", f"engines: {choices(known)}")


def _usd(fields: Fields) -> float | None:
    return fields.number("budget_usd", lambda value: 0 < value <= BUDGET_USD_MAX, f"from 0 to {BUDGET_USD_MAX}")


def _tokens(fields: Fields) -> int | None:
    in_range = f"a whole number from 1 to {BUDGET_TOKENS_MAX}"
    value = fields.number("budget_tokens", lambda value: 1 <= value <= BUDGET_TOKENS_MAX and value % 1 == 0, in_range)
    return None if value is None else int(value)
