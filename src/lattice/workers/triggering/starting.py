"""Whether a worker starts by itself on a task, and why not; and its start. Triggers and sweeps both ask here.

Who looks and who starts hold one lock of the task, so that of two at once the second sees the first one's
request in the log: a pause between two runs is counted from there, and no clock file can be lost or be wrong.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from lattice.commands.board import Board
from lattice.commands.queries import setting
from lattice.core.conditions import Seen, holds, parse_condition
from lattice.core.record import Record
from lattice.core.run_events import ProcessRequested
from lattice.core.summary import Summary, summary
from lattice.core.task import ActiveRun, Task
from lattice.errors import AlreadyRunning, LatticeError, NotTrusted
from lattice.ledger import Signature, timestamp
from lattice.store.files.locks import locked
from lattice.workers import launch, liveness, preflight
from lattice.workers.definitions import catalogue
from lattice.workers.definitions.definition import Definition
from lattice.workers.definitions.trust import require_trusted
from lattice.workers.external.lapse import seconds_of
from lattice.workers.runs import RunFolder
from lattice.workers.triggering.task_facts import TaskFacts

LOCK_WAIT_S = 60.0
"""Who else looks at the task may be waiting for a guard; that takes half a minute at most."""


class Occasion(Record):
    """What asks: a trigger or a sweep, the condition it sets, and how long it waits after a run was requested."""

    what: str
    when: str | None
    pause_s: float


class Reason(Record):
    """Why a worker does not start by itself; `kind` is a word for programs."""

    kind: str  # transition, inside_run, condition, undecided, cooling_down, already_running, not_trusted
    text: str
    hint: str | None = None
    about: str | None = None  # the worker that is not trusted


class Considered(Record):
    """What became of the question: the worker to start, with no reason against it, or the reasons."""

    definition: Definition
    worker: str  # the one that starts: the definition's own, or the one it escalates to
    reasons: tuple[Reason, ...]
    seen: tuple[Seen, ...]


class Started(Record):
    """A run that was started, and the worker whose definition asked for it."""

    worker: str
    asked_by: str
    task: str
    run_id: str
    queued: bool = False

    def told(self) -> str:
        """One line that says it."""
        how = "Queued" if self.queued else "Started"
        return f"{how} {self.worker}{in_place_of(self.worker, self.asked_by)} on {self.task}: {self.run_id}"


class Consideration:
    """One definition and one task, looked at now."""

    def __init__(
        self, board: Board, checkout: Path, definition: Definition, row: Summary, environ: Mapping[str, str]
    ) -> None:
        self._board = board
        self._checkout = checkout
        self._definition = definition
        self._environ = environ
        self._facts = TaskFacts(board, definition, row, environ)
        self._seen: list[Seen] = []
        self._worker = definition.name

    def first(self, occasion: Occasion) -> Considered:
        """With the first reason alone, or every worker that is not trusted: what is not needed is not looked up."""
        reasons = []
        for reason in self._reasons(occasion):
            reasons.append(reason)
            if reason.kind != "not_trusted":
                break
        return self._considered(reasons)

    def all(self, occasion: Occasion) -> Considered:
        """With every reason there is."""
        return self._considered(list(self._reasons(occasion)))

    def _considered(self, reasons: list[Reason]) -> Considered:
        return Considered(self._definition, self._worker, tuple(reasons), tuple(self._seen))

    def _reasons(self, occasion: Occasion) -> Iterator[Reason]:
        try:
            if occasion.when is not None and not self._holds(occasion.when):
                yield Reason("condition", f"{occasion.when} does not hold")
            self._worker = self._escalated()
        except LatticeError as off:
            yield Reason("undecided", off.message, off.hint)
            return
        yield from self._cooling_down(occasion.pause_s)
        yield from self._running()
        yield from self._distrusted()

    def _holds(self, condition: str) -> bool:
        asked = setting(self._board, self._definition.actor)
        return holds(parse_condition(condition), self._facts, asked, self._seen)

    def _escalated(self) -> str:
        return next((one.to for one in self._definition.escalate if self._holds(one.when)), self._definition.name)

    def _cooling_down(self, pause_s: float) -> Iterator[Reason]:
        if not pause_s:
            return
        names = {self._definition.name.casefold(), *(one.to.casefold() for one in self._definition.escalate)}
        events = self._board.store.history(self._facts.row.id)[1]
        requests = [event for event in events if isinstance(event.body, ProcessRequested)]
        last = next((event for event in reversed(requests) if _worker_in(event.body) in names), None)
        if last is None:
            return
        until_ms = int((seconds_of(last.ts) + pause_s) * 1000)
        if until_ms > self._board.ledger.source.now_ms():
            said = f"cooling down until {timestamp(until_ms)}: the last run was requested at {last.ts}"
            yield Reason("cooling_down", said)

    def _running(self) -> Iterator[Reason]:
        for run in self._facts.task().active_processes:
            if run.process_type.casefold() == self._worker.casefold() and liveness.blocks(self._board, run):
                yield Reason("already_running", f"running already: {run.run_id}")

    def _distrusted(self) -> Iterator[Reason]:
        for name in dict.fromkeys((self._definition.name, self._worker)):
            try:
                mine = name == self._definition.name
                definition = self._definition if mine else catalogue.find(name, self._checkout)
                require_trusted(definition, self._checkout, self._environ)
            except NotTrusted as off:
                yield Reason("not_trusted", f"{name} is not trusted", off.hint, name)
            except LatticeError as off:
                yield Reason("undecided", off.message, off.hint)


def start(
    board: Board,
    checkout: Path,
    definition: Definition,
    task_id: str,
    occasion: Occasion,
    provenance: Mapping[str, str],
    environ: Mapping[str, str],
) -> Started | Considered:
    """Start the worker on the task, or say why not. The run is requested by the worker's own actor.

    Raises what a start raises; a run that is there already is a reason, and no error.
    """
    with locked(board.path("locks", f"starting_{task_id}.lock"), LOCK_WAIT_S):
        row = summary(board.store.task(task_id))
        found = Consideration(board, checkout, definition, row, environ).first(occasion)
        if found.reasons:
            return found
        plan = preflight.plan(board, preflight.Request(found.worker, task_id), environ)
        # The plan read the definition again: what it holds now is what will run.
        require_trusted(plan.definition, checkout, environ)
        try:
            task = launch.start(board, plan, Signature(plan.definition.actor, provenance=dict(provenance)))
        except AlreadyRunning as off:
            return found.replace(reasons=(Reason("already_running", off.message, off.hint),))
        run = task.run(plan.spec.run_id)
        queued = run is not None and run.state == "queued"
        return Started(found.worker, definition.name, task.name, plan.spec.run_id, queued)


def in_place_of(worker: str, asked_by: str) -> str:
    """What to add to a worker's name where it is the one that another escalates to."""
    return "" if worker == asked_by else f" (in the place of {asked_by})"


def is_of_a_run(board: Board, task: Task, actor: object) -> bool:
    """Whether the actor is that of a run on the task which has no end yet."""
    alive = (run for run in task.active_processes if liveness.blocks(board, run))
    return any(actor == _actor_of(board, run) for run in alive)


def _actor_of(board: Board, run: ActiveRun) -> object:
    """Who acts inside the run; None for one that another machine supervises."""
    if run.external:
        return run.actor
    spec = RunFolder(board.folder, run.run_id).spec()
    return spec.actor if spec is not None else None


def _worker_in(body: object) -> str | None:
    return body.process_type.casefold() if isinstance(body, ProcessRequested) else None
