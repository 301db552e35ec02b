"""The flow of work: which task comes next, claiming it, and closing it with a review."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from itertools import islice

from lattice.commands.board import Board
from lattice.commands.facts import counting, diff_for, facts
from lattice.core.actors import Actor, actor_text, same_actor
from lattice.core.codec import dump
from lattice.core.config import Config
from lattice.core.events import ArtifactAttached, AssignmentChanged, CommentAdded, StatusChanged, TaskEvent
from lattice.core.next import READY, candidates, may_take, resumable
from lattice.core.record import Record
from lattice.core.summary import Summary
from lattice.core.task import EvidenceRef, Task
from lattice.core.text import check_prose
from lattice.core.workflow import NO_FACTS, REVIEWING, WORKING, Facts, change_status, path_to_work, valid_targets
from lattice.errors import (
    InvalidTransition,
    LatticeError,
    LogDamaged,
    NotFound,
    PlanRequired,
    ReviewCycleLimit,
    StorageError,
    ValidationError,
    WriteUncertain,
    choices,
)
from lattice.ledger import Signature
from lattice.store.files.locks import locked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lattice.store.protocol import Unread

REVIEW_ROLE = "review"
DONE = "done"
CLAIMED_AT_ONCE = 16
"""How many candidates are read ahead: as many claimers may be faster before the index is asked again."""
CLAIM_LOCKS = 64  # one of so many for each actor, so that the files do not grow with the actors


class Next(Record):
    """Which task `asker` should work on; None asks for anybody."""

    asker: Actor | None = None
    statuses: tuple[str, ...] = READY

    def run(self, board: Board, unread: Unread | None = None) -> Task | None:
        """The task, or None where nothing is ready. `unread` as a store has it: what waits for one of those, waits."""
        with board.store.view(unread=unread) as view:
            for row in candidates(view, self.asker, self.statuses, unread or ()):
                try:
                    task = _task(board, row.id)
                except (LogDamaged, StorageError) as damage:  # since the view was made
                    if unread is None:
                        raise
                    unread[row.id] = damage
                    continue
                if task is not None and may_take(task, self.asker, self.statuses):
                    return task
        return None


class Claim(Record):
    """Take a task up: it becomes the actor's, and work on it begins."""

    actor: Actor
    statuses: tuple[str, ...] = READY
    force: bool = False
    reason: str | None = None
    facts: Facts = NO_FACTS

    def decide(self, task: Task, config: Config) -> Sequence[TaskEvent]:
        """The moves that begin the work; none where it is begun, or where the task is no longer there to be taken."""
        if not may_take(task, self.actor, self.statuses):
            return []
        events: list[TaskEvent] = []
        if not same_actor(task.assigned_to, self.actor):
            events.append(AssignmentChanged(from_=task.assigned_to, to=self.actor))
            task = task.replace(assigned_to=self.actor)
        for status in self._path(task, config):
            event = change_status(task, status, config, force=self.force, reason=self.reason, facts=self.facts)
            if event is not None:
                events.append(event)
                task = task.replace(status=status)
        return events

    def _path(self, task: Task, config: Config) -> Sequence[str]:
        if task.status == WORKING:
            return ()
        path = path_to_work(config, task.status)
        if not path:
            raise InvalidTransition(
                f"{task.name} cannot be claimed: no moves lead from {task.status} to {WORKING}.",
                hint="See workflow.transitions in .lattice/config.json.",
            )
        return path

    def run(self, board: Board, by: Signature) -> Task | None:
        """Claim the next task, or resume what the actor has. None where nothing is ready.

        Whoever is faster takes a task; the slower one goes on to the next. A task that cannot be begun is
        passed over, and its refusal raised where there is no other. Where a log cannot be read, nothing is
        claimed: the task may be the one that the actor has begun, or hold up the one that seems to come next.
        """
        if self.force and not self.reason:
            raise ValidationError(
                "--reason is required with --force.", hint='Add --reason "why it is right this once".'
            )
        passed: set[str] = set()
        refused: LatticeError | None = None
        with locked(_claim_lock(board, self.actor)), counting(board, WORKING):
            while rows := self._some(board, passed):
                for row in rows:
                    passed.add(row.id)  # Who was faster keeps it, and what is refused is refused again.
                    try:
                        taken = self._take(board, by, row.id)
                    except (PlanRequired, InvalidTransition, ReviewCycleLimit) as off:
                        task = _task(board, row.id)
                        if task is not None and resumable(task, self.actor):
                            raise  # It is the actor's own: there is nothing else to do before it.
                        refused = refused or off
                        continue
                    if taken is not None:
                        return taken
        if refused is not None:
            raise refused
        return None

    def _some(self, board: Board, passed: set[str]) -> list[Summary]:
        """The next few that may be claimed. The index is let go before one is: others need it, too."""
        with board.store.view() as view:
            found = candidates(view, self.actor, self.statuses)
            return list(islice((row for row in found if row.id not in passed), CLAIMED_AT_ONCE))

    def _take(self, board: Board, by: Signature, task_id: str) -> Task | None:
        def decide(task: Task) -> Sequence[TaskEvent]:
            return self.replace(facts=facts(board, task, WORKING)).decide(task, board.config)

        try:
            task = board.ledger.transact(task_id, decide, by).task
        except NotFound:
            return None  # It was archived in between.
        return task if task.status == WORKING and same_actor(task.assigned_to, self.actor) else None


def _task(board: Board, task_id: str) -> Task | None:
    try:
        return board.store.task(task_id)
    except NotFound:
        return None  # It went in between.


class Complete(Record):
    """Close a task with a review: the comment, the artifact and the moves are one act."""

    review: str
    facts: Facts = NO_FACTS

    def decide(self, task: Task, config: Config, artifact_id: str) -> Sequence[TaskEvent]:
        """A review's comment, the move to review where it is not there yet, its artifact, the move to done."""
        if not self.review.strip():
            raise ValidationError("The review is empty.", hint='Say what was looked at: --review "…"')
        check_prose(self.review, "review")
        events: list[TaskEvent] = [CommentAdded(body=self.review, role=REVIEW_ROLE)]
        evidence = EvidenceRef("", REVIEW_ROLE, "comment")
        task = task.replace(evidence_refs=(*task.evidence_refs, evidence))
        if task.status != REVIEWING:
            events.append(self._move(task, REVIEWING, config))
            task = task.replace(status=REVIEWING)
        events.append(ArtifactAttached(artifact_id=artifact_id, role=REVIEW_ROLE))
        events.append(self._move(task, DONE, config))
        return events

    def _move(self, task: Task, to: str, config: Config) -> StatusChanged:
        targets = valid_targets(config, task.status)
        if to not in targets:
            raise InvalidTransition(
                f"Cannot complete {task.name}: it is in {task.status}, which cannot move to {to}. "
                f"Valid transitions: {choices(targets) or 'none'}.",
                hint=f"Bring it to a status that can: lattice status {task.name} STATUS",
                current_status=task.status,
                requested_status=to,
                valid_transitions=list(targets),
            )
        event = change_status(task, to, config, force=False, reason=None, facts=self.facts)
        if event is None:
            raise AssertionError(f"{task.name} moves from {to} to {to}")
        return event

    def run(self, board: Board, ref: str, by: Signature) -> tuple[Task, Sequence[str]]:
        """Complete the task. Returns it, and the statuses it went through.

        Raises ValidationError, InvalidTransition, CompletionBlocked, WipLimit; then nothing was kept.
        """
        task_id = board.resolve(ref)
        artifact_id = board.ledger.new_id("art")
        diff = diff_for(board, task_id, DONE)

        def decide(task: Task) -> Sequence[TaskEvent]:
            to = REVIEWING if task.status != REVIEWING else DONE
            return self.replace(facts=facts(board, task, to, diff)).decide(task, board.config, artifact_id)

        first = board.store.task(task_id)
        decide(first)  # What will be refused is said before a file is kept; it is decided again under the lock.
        self._keep(board, artifact_id, by)
        from lattice.commands import artifacts  # `next`, which is asked again and again, keeps no files

        try:
            with counting(board, REVIEWING):
                written = board.ledger.transact(task_id, decide, by)
        except LatticeError as refused:
            if not isinstance(refused, WriteUncertain):  # The log may yet say that it is there.
                artifacts.discard(board, artifact_id)
            raise
        moves = [event.body for event in written.events if isinstance(event.body, StatusChanged)]
        return written.task, [moves[0].from_, *(move.to for move in moves)]

    def _keep(self, board: Board, artifact_id: str, by: Signature) -> None:
        from lattice.commands import artifacts  # as above

        payload = artifacts.Payload(self.review.encode(), ".md", "text/markdown")
        meta = artifacts.describe(
            artifact_id,
            kind="note",
            title="Review findings",
            summary=self.review[:200],
            payload=payload,
            sensitive=False,
            by=by.actor if isinstance(by.actor, str) else actor_text(by.actor),
            ms=board.ledger.source.now_ms(),
            custom_fields={},
        )
        artifacts.keep(board, meta, payload)


def _claim_lock(board: Board, actor: Actor) -> str:
    """What keeps two claims of one actor apart, so that the second resumes what the first has taken."""
    number = zlib.crc32(dump(actor)) % CLAIM_LOCKS
    return board.path("locks", f"claims_{number:02}.lock")
