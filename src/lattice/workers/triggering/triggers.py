"""Triggers: workers that a change of status starts, where their definition is trusted and its condition holds."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from lattice.commands.board import Board
from lattice.commands.firing import inside_of, may_call, mentions_triggers
from lattice.core.events import Event, StatusChanged
from lattice.core.record import Record
from lattice.core.summary import summary
from lattice.core.task import Task
from lattice.core.text import visible
from lattice.errors import LatticeError
from lattice.ledger import Written
from lattice.workers.definitions import catalogue
from lattice.workers.definitions.definition import Definition
from lattice.workers.definitions.triggering import Triggers
from lattice.workers.definitions.trust import checkout_of
from lattice.workers.triggering.starting import Consideration, Considered, Occasion, Reason, Started, is_of_a_run, start

Report = Callable[[str], None]


class Prospect(Record):
    """A definition with triggers, and whether they would start a worker on a task."""

    definition: Definition
    triggers: Triggers
    considered: Considered | None  # None where no task was asked about


def fire(board: Board, written: Written, environ: Mapping[str, str], report: Report | None = None) -> None:
    """Start what the changes of status call for; `report` is told of each start, and of what went wrong.

    For `Ledger.after`, which a face fills: it runs outside the lock, cannot undo the command, and raises nothing.
    """
    if not may_call(board, written, environ):
        return
    if report is None:
        report = _to_stderr
    try:
        checkout = checkout_of(board)
        everyone = catalogue.load_all(checkout)
        for problem in everyone.problems:
            if mentions_triggers(str(problem.path)):
                report(f"Warning: A definition is off, and its triggers start nothing: {problem.error.message}")
        untrusted: list[str] = []
        for definition in everyone.definitions:
            event = _calling(definition.triggers, written)
            if event is not None and not is_of_a_run(board, written.task, event.actor):
                untrusted += _fire_one(board, checkout, definition, event, environ, report)
        if untrusted:
            names = list(dict.fromkeys(untrusted))
            how = "; ".join(f"lattice worker trust {name}" for name in names)
            report(
                f"Warning: Not trusted, and not started: {', '.join(names)}. See what would run, and allow it: {how}"
            )
    except Exception as bug:  # noqa: BLE001  # what was recorded stays acknowledged, whatever a trigger does
        report(f"Warning: The triggers could not be asked: {type(bug).__name__}: {bug}")


def _fire_one(
    board: Board, checkout: Path, definition: Definition, event: Event, environ: Mapping[str, str], report: Report
) -> list[str]:
    """Start the definition's worker on the event's task, and tell it. Returns the workers that are not trusted."""
    triggers = definition.triggers
    if triggers is None:
        return []
    try:
        answer = start(board, checkout, definition, event.task_id, occasion_of(triggers), _provenance(event), environ)
    except LatticeError as off:
        report(f"Warning: {definition.name} was not started: {off.message}" + (f" {off.hint}" if off.hint else ""))
        return []
    match answer:
        case Started():
            report(answer.told())
            return []
        case Considered(reasons=reasons):
            for reason in reasons:
                if reason.kind in ("undecided", "already_running"):
                    further = f" {reason.hint}" if reason.hint else ""
                    report(f"Warning: {definition.name} was not started: {reason.text}{further}")
            return [reason.about for reason in reasons if reason.about is not None]


def prospects(
    board: Board, task: Task | None, to: str | None, environ: Mapping[str, str]
) -> tuple[list[Prospect], list[str]]:
    """Each definition with triggers, and what a move of `task` would start; and the problems of the others.

    The move is to the status `to`; where that is None, any that the definition's triggers name.
    """
    checkout = checkout_of(board)
    everyone = catalogue.load_all(checkout)
    found = []
    for definition in everyone.definitions:
        triggers = definition.triggers
        if triggers is not None:
            considered = None if task is None else _considered(board, checkout, definition, triggers, task, to, environ)
            found.append(Prospect(definition, triggers, considered))
    return found, [problem.error.message for problem in everyone.problems]


def occasion_of(triggers: Triggers) -> Occasion:
    """What a trigger asks before it starts a worker."""
    return Occasion("trigger", triggers.when, triggers.cooldown_minutes * 60)


def _considered(
    board: Board,
    checkout: Path,
    definition: Definition,
    triggers: Triggers,
    task: Task,
    to: str | None,
    environ: Mapping[str, str],
) -> Considered:
    found = Consideration(board, checkout, definition, summary(task), environ).all(occasion_of(triggers))
    first = []
    if not triggers.called_by(task.status, to):
        first.append(Reason("transition", f"no transition of its triggers is {task.status} -> {to or 'anything'}"))
    inside = inside_of(environ)
    if inside is not None:
        first.append(Reason("inside_run", f"{inside} is set: what a run or a hook does starts nothing"))
    return found.replace(reasons=(*first, *found.reasons))


def _calling(triggers: Triggers | None, written: Written) -> Event | None:
    """The last change of status, of those that were written, which calls for the worker."""
    if triggers is None:
        return None
    moves = [event for event in written.events if isinstance(event.body, StatusChanged)]
    return next((event for event in reversed(moves) if _calls(triggers, event.body)), None)


def _calls(triggers: Triggers, body: object) -> bool:
    return isinstance(body, StatusChanged) and triggers.called_by(body.from_, body.to)


def _provenance(event: Event) -> dict[str, str]:
    said = {"triggered_by": event.id}
    if isinstance(event.actor, str):
        said["on_behalf_of"] = event.actor
    if isinstance(event.body, StatusChanged):
        said["reason"] = f"{event.body.from_} -> {event.body.to}"
    return said


def _to_stderr(message: str) -> None:
    if sys.stderr is not None:
        with contextlib.suppress(OSError):  # There is nobody left to tell.
            sys.stderr.write(f"{visible(message)}\n")
            sys.stderr.flush()
