"""Sweeps: start each worker on the tasks that are due for it. Made for a timer, and safe to call at any time.

It also starts the runs of the queue whose turn has come: a retry that was an hour away has nobody who waits for it.

A sweep holds one lock of the board, and a second one at the same time does nothing. How long ago a worker last
ran on a task is read from the task's log, so a sweep that was missed is made up for by the next.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lattice.commands.board import Board
from lattice.commands.firing import inside_of
from lattice.core.record import Record
from lattice.core.summary import Summary
from lattice.errors import LatticeError, LockTimeout, ValidationError
from lattice.store.files.locks import locked
from lattice.store.protocol import Unread
from lattice.workers import liveness
from lattice.workers.definitions import catalogue
from lattice.workers.definitions.definition import Definition
from lattice.workers.definitions.triggering import Sweep
from lattice.workers.definitions.trust import checkout_of, shown
from lattice.workers.queueing import queue
from lattice.workers.triggering.starting import Consideration, Considered, Occasion, Started, start


class Due(Record):
    """A worker that would start on a task, and the worker whose definition asks for it."""

    worker: str
    asked_by: str
    task: str


class Swept(Record):
    """What a sweep did. `due` is what a dry run would have started."""

    started: tuple[Started, ...] = ()
    from_queue: tuple[str, ...] = ()  # the runs that had waited
    due: tuple[Due, ...] = ()  # also where `problems` says that the worker is not trusted
    problems: tuple[str, ...] = ()
    busy: bool = False  # another sweep was at work, and this one did nothing


def sweep(board: Board, only: Sequence[str], environ: Mapping[str, str], *, dry_run: bool = False) -> Swept:
    """Start what is due, of all workers or of those in `only`. One that fails does not keep another from starting.

    Raises NotFound or DefinitionError for a name in `only`, ValidationError inside a run or a hook.
    """
    inside = inside_of(environ)
    if inside is not None:
        raise ValidationError(f"{inside} is set: a run or a hook starts no sweep.", hint="Sweep from a timer.")
    checkout = checkout_of(board)
    definitions, problems = _asked(checkout, only)
    try:
        with locked(board.path("locks", "sweep.lock"), wait_s=0.0):
            liveness.refresh_all(board, heals=False)
            from_queue = () if dry_run else _from_queue(board, environ, problems)
            started: list[Started] = []
            due: list[Due] = []
            for definition in definitions:
                _Worker(board, checkout, definition, environ, started, due, problems).sweep(dry_run=dry_run)
            return Swept(tuple(started), from_queue, tuple(due), tuple(problems))
    except LockTimeout:
        return Swept(problems=tuple(problems), busy=True)


def occasion_of(asked: Sweep) -> Occasion:
    """What a sweep asks before it starts a worker."""
    return Occasion("sweep", asked.when, asked.every_hours * 3600)


def _from_queue(board: Board, environ: Mapping[str, str], problems: list[str]) -> tuple[str, ...]:
    try:
        return tuple(queue.move(board, environ)) if queue.in_use(board.folder) else ()
    except LatticeError as off:
        problems.append(f"The queue: {off.message}" + (f" {off.hint}" if off.hint else ""))
    except OSError as refused:
        problems.append(f"The queue could not be moved: {refused}")
    return ()


def _asked(checkout: Path, only: Sequence[str]) -> tuple[list[Definition], list[str]]:
    if not only:
        everyone = catalogue.load_all(checkout)
        swept = [definition for definition in everyone.definitions if definition.sweep is not None]
        return swept, [problem.error.message for problem in everyone.problems]
    found = [catalogue.find(name, checkout) for name in only]
    for definition in found:
        if definition.sweep is None:
            raise ValidationError(
                f"{definition.name} says nothing of sweeps.", hint='Put "sweep": {"when": "…"} into its definition.'
            )
    return found, []


class _Worker:
    """The sweep of one worker."""

    def __init__(
        self,
        board: Board,
        checkout: Path,
        definition: Definition,
        environ: Mapping[str, str],
        started: list[Started],
        due: list[Due],
        problems: list[str],
    ) -> None:
        self._board = board
        self._checkout = checkout
        self._definition = definition
        self._environ = environ
        self._started = started
        self._due = due
        self._problems = problems

    def sweep(self, *, dry_run: bool) -> None:
        """Start the worker on the tasks that are due, the one that was changed longest ago first."""
        asked = self._definition.sweep
        if asked is None:
            return
        try:
            if not dry_run and not shown(self._definition, self._checkout, self._environ).trusted:
                self._not_trusted(self._definition.name)
                return
        except LatticeError as off:
            self._problem(off.message, off.hint)
            return
        left = asked.limit
        for row, found in self._fitting(occasion_of(asked)):
            if left == 0:
                break
            if dry_run:
                self._due.append(Due(found.worker, self._definition.name, row.name))
                left -= 1
            else:
                left -= self._start(row, occasion_of(asked))

    def _fitting(self, occasion: Occasion) -> Iterator[tuple[Summary, Considered]]:
        unread: Unread = {}
        with self._board.store.view(unread=unread) as view:
            rows = sorted(view.rows(), key=lambda row: (row.updated_at, row.id))
        self._problems += [said for said in self._board.left_out(unread) if said not in self._problems]
        for row in rows:
            found = Consideration(self._board, self._checkout, self._definition, row, self._environ).first(occasion)
            against = [reason for reason in found.reasons if reason.kind != "not_trusted"]
            for name in dict.fromkeys(reason.about for reason in found.reasons if not against):
                if name is not None:
                    self._not_trusted(name)
            for reason in against:
                if reason.kind == "undecided":
                    self._problem(f"{row.name}: {reason.text}", reason.hint)
            if not against:
                yield row, found

    def _start(self, row: Summary, occasion: Occasion) -> int:
        """Start it on the task, unless that is no longer due. Returns how many runs were started."""
        try:
            answer = start(
                self._board, self._checkout, self._definition, row.id, occasion, {"reason": "sweep"}, self._environ
            )
        except LatticeError as off:
            self._problem(f"{row.name}: {off.message}", off.hint)
            return 0
        match answer:
            case Started():
                self._started.append(answer)
                return 1
            case Considered(reasons=reasons):
                for reason in reasons:
                    if reason.about is not None:
                        self._not_trusted(reason.about)
                return 0

    def _not_trusted(self, name: str) -> None:
        whose = "" if name == self._definition.name else f"{name} is "
        self._problem(
            f"{whose}not trusted, and not started.", f"See what would run, and allow it: lattice worker trust {name}"
        )

    def _problem(self, text: str, hint: str | None) -> None:
        said = f"{self._definition.name}: {text}" + (f" {hint}" if hint else "")
        if said not in self._problems:
            self._problems.append(said)
