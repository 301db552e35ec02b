"""The ceilings of a board's runs: what a run's own is, what others spent and hold, and whether one more fits.

The figures are those of the logs, for runs that ended, and of the specs of the runs of this machine that go. Both are
read under the queue's lock, in which a run that is granted its ceiling also takes its lease, so that of two that start
at once the second sees what the first one holds (`docs/decisions/0016-costs-and-ceilings.md`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from lattice.commands.board import Board
from lattice.core.budgets import TOKENS, UNITS, USD, Amount, Budgets, Ceiling, bound, grant, lowest, parse_budgets
from lattice.core.costs import MILLION, price_of, tokens
from lattice.core.record import Record
from lattice.errors import BudgetExceeded
from lattice.ledger import timestamp
from lattice.workers import costs, overview
from lattice.workers.definitions.agents import is_agent
from lattice.workers.definitions.definition import Definition
from lattice.workers.run_view import RunView
from lattice.workers.runs import RunFolder
from lattice.workers.spec import RunSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from lattice.workers.definitions.teams import TeamRules
    from lattice.workers.engines.protocol import Engine


def budgets_of(board: Board) -> Budgets:
    """The board's ceilings. Raises ConfigError."""
    return parse_budgets(board.config.raw.get("budgets"))


class Own(Record):
    """The ceiling of a run's own, and whether its cost will be known, or can be estimated."""

    ceiling: Amount
    counts_usd: bool
    prices: Mapping[str, Any]  # as config.json has them


def problem_of(board: Board, definition: Definition, top: Path, environ: Mapping[str, str]) -> BudgetExceeded | None:
    """Why no run of the worker could start below the ceilings there are, whatever was spent.

    Of a team: why fewer of its members could start than its quorum. Raises ConfigError, DefinitionError.
    """
    if definition.team is not None:
        return _problem_of_team(board, definition, definition.team, top, environ)
    if not is_agent(definition.engine):
        return None
    from lattice.workers.agents import chosen  # agents ask this module

    try:
        own_of(board, definition, chosen(definition, board.config.engine_order, environ))
    except BudgetExceeded as off:
        return off
    return None


def check_team(board: Board, definition: Definition, top: Path, environ: Mapping[str, str]) -> None:
    """Raises BudgetExceeded for a team that cannot come to its quorum below the ceilings, DefinitionError."""
    if (off := problem_of(board, definition, top, environ)) is not None:
        raise off


def kept_out(
    board: Board, definition: Definition, team: TeamRules, top: Path, environ: Mapping[str, str]
) -> dict[str, BudgetExceeded]:
    """The members of a team that are here and could not start below the ceilings there are, and why.

    Raises ConfigError, DefinitionError.
    """
    return _looked_at(board, definition, team, top, environ)[1]


def _looked_at(
    board: Board, definition: Definition, team: TeamRules, top: Path, environ: Mapping[str, str]
) -> tuple[int, dict[str, BudgetExceeded]]:
    """How many members are here, and those of them that could not start. Whose share is how large changes nothing."""
    from lattice.workers.teams import roll  # only the definitions of teams pay for it

    present = roll.call(definition, team, top, environ, board.config.engine_order).present
    shares = shared(definition, (found for _, found in present), max(1, len(present)))
    looked = ((name, problem_of(board, one, top, environ)) for (name, _), one in zip(present, shares, strict=True))
    return len(present), {name: off for name, off in looked if off is not None}


def _problem_of_team(
    board: Board, definition: Definition, team: TeamRules, top: Path, environ: Mapping[str, str]
) -> BudgetExceeded | None:
    here, out = _looked_at(board, definition, team, top, environ)
    left = here - len(out)
    if not out or left >= team.quorum:
        return None
    why = next(iter(out.values()))
    return BudgetExceeded(
        f"worker {definition.name}: {left} of its {len(team.members)} members could start, and its quorum is "
        f"{team.quorum}. Kept out: {', '.join(out)}. {why.message}",
        hint=why.hint,
        name=definition.name,
        members=list(out),
    )


def shared(team: Definition, members: Iterable[Definition], seats: int) -> tuple[Definition, ...]:
    """The members, those without a ceiling of their own with an equal share of their team's: one of so many seats."""
    most = team.agent
    usd = None if most.budget_usd is None else int(most.budget_usd / seats * MILLION) / MILLION
    tokens_each = None if most.budget_tokens is None else max(1, most.budget_tokens // seats)
    return tuple(
        one.replace(
            agent=one.agent.replace(
                budget_usd=one.agent.budget_usd or usd, budget_tokens=one.agent.budget_tokens or tokens_each
            )
        )
        if is_agent(one.engine)
        else one
        for one in members
    )


def own_of(board: Board, definition: Definition, engine: Engine) -> Own:
    """The lower of the definition's ceiling and the board's for each run.

    Raises BudgetExceeded where a ceiling of money would hold nothing, since nobody would know what the run cost.
    """
    budgets, agent = budgets_of(board), definition.agent
    prices = costs.prices_of(board)
    price = price_of(prices, definition.model)
    most_tokens = lowest(agent.budget_tokens, budgets.run.tokens)
    most_usd = lowest(agent.budget_usd, budgets.run.usd)
    counts_usd = engine.tells_cost or price is not None
    if not engine.tells_cost:
        most_usd = lowest(most_usd, bound(most_tokens, price))
    alone = agent.budget_usd is not None and most_tokens is None
    if not counts_usd and not budgets.allows_unknown and (budgets.in_dollars or alone):
        raise _uncounted(definition, engine, "budget_usd" if alone else "budgets of config.json")
    return Own(Amount(most_usd, most_tokens), counts_usd, dict(_mapping(board.config.raw.get("prices"))))


def is_asked(board: Board, spec: RunSpec) -> bool:
    """Whether the run has to fit below a ceiling that it shares with others."""
    if spec.agent is None:
        return False
    return budgets_of(board).shared or any(ceiling is not None for _, ceiling in _team(board, spec))


class Book:
    """What is spent and held now, for as long as the queue's lock is held; runs that are granted theirs hold it."""

    def __init__(self, board: Board, running: Iterable[RunSpec]) -> None:
        self.granted: dict[str, RunSpec] = {}
        self.refused: dict[str, BudgetExceeded] = {}
        self._board = board
        self._budgets = budgets_of(board)
        self._prices = costs.prices_of(board)
        self._holding = [spec for spec in running if spec.agent is not None]
        self._day_begins = f"{timestamp(board.ledger.source.now_ms())[:10]}T00:00:00Z"
        self._day: list[RunView] | None = None
        self._tasks: dict[str, list[RunView]] = {}

    def ask(self, spec: RunSpec) -> BudgetExceeded | None:
        """Grant the run its ceilings, which it holds from now on; or why it does not fit below one."""
        if spec.agent is None:
            return None
        ceilings = list(self._ceilings(spec))
        agent = spec.agent
        try:
            granted = grant(Amount(agent.own_usd, agent.own_tokens), ceilings, UNITS if agent.counts_usd else (TOKENS,))
        except BudgetExceeded as refused:
            self.refused[spec.run_id] = refused
            return refused
        held = agent.replace(
            budget_usd=granted.usd if agent.counts_usd else agent.own_usd,
            budget_tokens=None if granted.tokens is None else int(granted.tokens),
        )
        self.granted[spec.run_id] = spec.replace(agent=held)
        self._holding.append(self.granted[spec.run_id])
        return None

    def _ceilings(self, spec: RunSpec) -> Iterator[Ceiling]:
        for unit in UNITS:
            if (limit := self._budgets.task.of(unit)) is not None:
                mates = [other for other in self._holding if other.task_id == spec.task_id]
                yield self._ceiling(f"task_{unit}", unit, limit, self._of_task(spec.task_id), mates)
            if (limit := self._budgets.day.of(unit)) is not None:
                yield self._ceiling(f"day_{unit}", unit, limit, self._of_day(), self._holding)
        for unit, limit in _team(self._board, spec):
            if limit is not None:
                runs = [run for run in self._of_task(spec.task_id) if run.parent == spec.parent]
                mates = [other for other in self._holding if other.parent == spec.parent]
                yield self._ceiling(f"its team's budget_{unit}", unit, limit, runs, mates)

    def _ceiling(self, name: str, unit: str, limit: float, ended: list[RunView], going: list[RunSpec]) -> Ceiling:
        over = {run.run_id for run in ended}
        charges = [self._charge(run, unit) for run in ended]
        spent = sum(charge for charge in charges if charge is not None)
        held = [_held(spec, unit) for spec in going if spec.run_id not in over]
        # One that began before there was a ceiling may use all that is left of it.
        reserved = sum(one for one in held if one is not None) if None not in held else max(0.0, limit - spent)
        return Ceiling(name, unit, limit, spent, reserved, sum(charge is None for charge in charges))

    def _charge(self, run: RunView, unit: str) -> float | None:
        """What a run that ended counts for: what it used; where nobody knows, what it could have. None: neither."""
        cost = costs.of_run(run, self._prices)
        if unit == USD and cost is not None:
            return cost.usd
        if unit == TOKENS:
            told = [tokens(run.usage or {}, name) for name in ("tokens_in", "tokens_out")]
            if any(count is not None for count in told):
                return float(sum(count or 0 for count in told))
        if not costs.is_unknown(run.replace(usage=None) if unit == TOKENS else run, None):
            return 0.0
        most = run.budget_usd if unit == USD else run.budget_tokens
        return None if most is None else float(most)

    def _of_task(self, task_id: str) -> list[RunView]:
        if task_id not in self._tasks:
            self._tasks[task_id] = overview.history(self._board, task_id)
        return self._tasks[task_id]

    def _of_day(self) -> list[RunView]:
        if self._day is None:
            begins = self._day_begins
            found = overview.history(self._board, since=begins)
            self._day = [run for run in found if (run.ended_at or "") >= begins]
        return self._day


def _held(spec: RunSpec, unit: str) -> float | None:
    """What a run that goes may yet use; 0 in dollars where nobody will know what it cost."""
    if spec.agent is None:
        return 0.0
    if unit == TOKENS:
        return spec.agent.budget_tokens
    return spec.agent.held_usd if spec.agent.counts_usd else 0.0


def _team(board: Board, spec: RunSpec) -> Iterator[tuple[str, float | None]]:
    """The ceilings of the team that the run belongs to."""
    parent = RunFolder(board.folder, spec.parent).spec() if spec.parent is not None else None
    if parent is not None:
        yield USD, parent.team_usd
        yield TOKENS, parent.team_tokens


def _uncounted(definition: Definition, engine: Engine, ceiling: str) -> BudgetExceeded:
    model = f"{definition.model!r}" if definition.model else "a model that its definition does not name"
    return BudgetExceeded(
        f"worker {definition.name}: nobody would know what it cost, and {ceiling} limits that: {engine.name} tells no "
        f"price, and prices of config.json has none for {model}.",
        hint='Add the model to prices (and name it in the definition), or say "budgets": {"unknown": "allow"}.',
        name=definition.name,
        ceiling=ceiling,
    )


def _mapping(raw: object) -> Mapping[str, Any]:
    return raw if isinstance(raw, Mapping) else {}
