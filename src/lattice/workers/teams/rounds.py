"""A round of a team: its members started side by side, waited for, and what came of each."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from lattice.commands.board import Board
from lattice.core.reviews.model import Absent, Review, Reviewer
from lattice.errors import LatticeError
from lattice.ledger import Signature
from lattice.workers import control, launch, preflight
from lattice.workers.definitions.definition import Definition
from lattice.workers.queueing import queue
from lattice.workers.reviews.reading import review_in
from lattice.workers.run_view import RunView
from lattice.workers.runs import RunFolder, open_runs
from lattice.workers.spec import RunSpec

LOOK_S = 0.2
"""How often the ends are counted, and members that wait in the queue get their turn."""

END_S = 60.0
"""How much longer than its grace a member may take to end, before its team does."""


class Round:
    """Members at work. `reviews` and `absent` are what came of them, once they were waited for."""

    def __init__(
        self, board: Board, parent: RunFolder, spec: RunSpec, environ: Mapping[str, str], by: Signature
    ) -> None:
        self.reviews: tuple[Review, ...] = ()
        self.absent: tuple[Absent, ...] = ()
        self.ended: tuple[tuple[str, RunView], ...] = ()
        self._board = board
        self._parent = parent
        self._spec = spec
        self._environ = environ
        self._by = by
        self._members: list[tuple[str, str]] = []  # name, run
        self._ended: list[control.Ended] = []

    def start(self, members: tuple[tuple[str, Definition], ...], suffix: str) -> None:
        """Start each; one that cannot be started is absent, with the reason. `suffix` tells rounds apart."""
        for name, definition in members:
            try:
                run_id = self._start(definition.replace(name=f"{definition.name}{suffix}"))
            except LatticeError as why:
                self.absent = (*self.absent, Absent(name, why.message))
                print(f"{name}: not started: {why.message}", flush=True)
                continue
            self._members.append((name, run_id))
            self._ended.append(control.Ended(RunFolder(self._board.folder, run_id)))
            print(f"{name}: {run_id}", flush=True)

    def wait(self, told: Callable[[int, int], None]) -> None:
        """Until every member has ended to its last step; `told` hears how many have, of how many."""
        pause, before = threading.Event(), -1
        while (ended := sum(one.wait(0) for one in self._ended)) < len(self._ended):
            if ended != before:
                told(ended, len(self._ended))
                before = ended
            if any(RunFolder(self._board.folder, run_id).waits() for _, run_id in self._members):
                queue.move(self._board, self._environ)
            pause.wait(LOOK_S)
        self.ended = tuple((name, control.finish(self._board, run_id)) for name, run_id in self._members)

    def gather(self) -> None:
        """Read the reviews of those that ended; who gave none is absent."""
        for name, run in self.ended:
            self._gather(name, run)

    def stop(self, reason: str) -> None:
        """Have those that go on ended, and wait for it."""
        left = [run_id for (_, run_id), ended in zip(self._members, self._ended, strict=True) if not ended.wait(0)]
        for run_id in left:
            control.stop(self._board, run_id, reason, self._by)
        for (_, run_id), ended in zip(self._members, self._ended, strict=True):
            if run_id in left:
                ended.wait()
                control.finish(self._board, run_id)

    def _start(self, definition: Definition) -> str:
        request = preflight.Request(definition.name, self._spec.task_id, self._spec.commit_sha, self._spec.base_sha)
        prepared = preflight.plan_of(self._board, definition, request, self._environ, parent=self._spec.run_id)
        launch.start(self._board, prepared, self._by)
        return prepared.spec.run_id

    def _gather(self, name: str, run: RunView) -> None:
        if run.state != "succeeded":
            self.absent = (*self.absent, Absent(name, f"{run.state}: {run.error or 'no reason is known'}"))
            return
        review = _review_of(RunFolder(self._board.folder, run.run_id), name, run)
        if isinstance(review, Review):
            self.reviews = (*self.reviews, review)
        else:
            self.absent = (*self.absent, Absent(name, review))


def stop_members(board: Board, parent: RunSpec, by: Signature, *, wait: bool) -> None:
    """End the members of a team whose conductor is gone, and with `wait` see them end. Raises LatticeError."""
    left = []
    for folder in open_runs(board.folder):
        spec = folder.spec()
        if spec is not None and spec.parent == parent.run_id:
            left.append((folder, spec))
            control.stop(board, folder.run_id, "the run of its team ended", by)
    for folder, spec in left if wait else ():
        control.Ended(folder).wait(spec.grace_s + END_S)


def _review_of(folder: RunFolder, name: str, run: RunView) -> Review | str:
    """The review that the run left; else why there is none to be read."""
    spec = folder.spec()
    if spec is None:
        return "its spec.json cannot be read"
    return review_in(folder, spec, Reviewer(name, run.model or _model(spec), spec.review_kind, run.run_id))


def _model(spec: RunSpec) -> str | None:
    return spec.agent.model if spec.agent is not None else None
