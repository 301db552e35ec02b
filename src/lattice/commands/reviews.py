"""What one may ask about reviews: record one, see them, and decide about what they found.

The rules are those of `core.reviews.life`; here they are asked of the fresh task, under its lock.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from lattice.commands.board import Board
from lattice.core.actors import Actor
from lattice.core.events import TaskEvent
from lattice.core.record import Record
from lattice.core.review_events import ReviewRecorded
from lattice.core.reviews import life
from lattice.core.reviews.coverage import Hunks
from lattice.core.reviews.model import SEVERITIES, Review
from lattice.core.reviews.scoreboard import Score, scoreboard
from lattice.core.reviews.standing import STATES, UNSETTLED, RecordedReview, StandingFinding
from lattice.core.run_events import ProcessCompleted, ProcessFailed
from lattice.core.task import Task, from_snapshot
from lattice.core.text import how_many
from lattice.core.workflow import check_choice
from lattice.errors import Conflict, NotFound, ValidationError
from lattice.ledger import Signature, Written

OPEN = "open"
ALL = "all"
_REVIEWED = b'"findings": ['


class Recorded(Record):
    """A review as it was written: the task after it, and what each finding was to the task."""

    task: Task
    event: ReviewRecorded
    repeated: bool = False  # the same run's review stood there already


def record(
    board: Board,
    ref: str,
    review: Review,
    by: Signature,
    *,
    run_id: str | None = None,
    artifact_ids: Sequence[str] = (),
    hunks: Hunks | None = None,
) -> Recorded:
    """Record a review of the task that `ref` names. `hunks`: what it covered, None where that is not known.

    Who ends a run asks `life.recorded` itself, so that the review and the end are one act.
    """
    review_id = board.ledger.new_id("rev")
    fitting = life.fitted(review)  # before the lock: a long one takes its time
    left_out = len(review.findings) - len(fitting.findings)

    def decide(task: Task) -> Sequence[TaskEvent]:
        return life.recorded(
            task,
            fitting,
            review_id=review_id,
            run_id=run_id,
            artifact_ids=artifact_ids,
            hunks=hunks,
            left_out=left_out,
        )

    written = board.ledger.transact(board.resolve(ref), decide, by)
    for event in written.events:
        if isinstance(event.body, ReviewRecorded):
            return Recorded(written.task, event.body)
    before = next(one for one in written.task.reviews if one.run_id == run_id)
    return Recorded(written.task, recorded_as(board, written.task, before.review_id), True)


# Reading


def reviewed_tasks(board: Board, ref: str | None) -> Iterator[Task]:
    """The task that `ref` names; without it, every task that has a review, oldest first. Archived ones are left out."""
    if ref is not None:
        yield board.store.task(board.resolve(ref))
        return
    with board.store.view() as view:
        texts = [document.text for document in view.documents() if _REVIEWED in document.text]
    for text in texts:  # A title may say the same: then the task has no review, and nothing is shown of it.
        task = from_snapshot(json.loads(text))
        if task.reviews:
            yield task


class Asked(Record):
    """Which findings: by the state of their lives, their severity, their file. `open` means what is unsettled."""

    status: str = OPEN
    severities: tuple[str, ...] = ()
    file: str | None = None

    def checked(self) -> Asked:
        """The same. Raises ValidationError for a state or severity that there is none of."""
        check_choice(self.status, (ALL, *STATES), "status of a finding", "statuses")
        for severity in self.severities:
            check_choice(severity, SEVERITIES, "severity", "severities")
        return self

    def of(self, task: Task) -> list[StandingFinding]:
        """The task's findings that fit, the worst first."""
        states = STATES if self.status == ALL else UNSETTLED if self.status == OPEN else (self.status,)
        found = [
            one
            for one in task.findings
            if one.state in states
            and (not self.severities or one.finding.severity in self.severities)
            and (self.file is None or one.finding.file == self.file)
        ]
        return sorted(found, key=lambda one: (_weight(one), one.number))


def _weight(one: StandingFinding) -> int:
    severity = one.finding.severity
    return SEVERITIES.index(severity) if severity in SEVERITIES else len(SEVERITIES)


def review_of(task: Task, ref: str | None) -> RecordedReview:
    """The review that `ref` names: an id, the end of one, a place as R2; without it, the last. Raises NotFound."""
    if not task.reviews:
        raise NotFound(f"{task.name} has no review.", hint="lattice worker list says who could review it.")
    if ref is None:
        return task.reviews[-1]
    named = ref.upper()
    if named[:1] == "R" and named[1:].isascii() and named[1:].isdecimal() and len(named) < 8:
        place = int(named[1:])
        if 1 <= place <= len(task.reviews):
            return task.reviews[place - 1]
    found = [one for one in task.reviews if one.review_id == ref or (len(ref) > 3 and one.review_id.endswith(named))]
    if len(found) == 1:
        return found[0]
    raise NotFound(
        f"{task.name} has {'more than one' if found else 'no'} review {ref[:40]!r}; it has R1 to R{len(task.reviews)}.",
        hint=f"lattice review list {task.name}",
    )


def recorded_as(board: Board, task: Task, review_id: str) -> ReviewRecorded:
    """The event of a review, in which all of it stands. Raises NotFound where the log has it no more."""
    for event in board.store.history(task.id)[1]:
        if isinstance(event.body, ReviewRecorded) and event.body.review_id == review_id:
            return event.body
    raise NotFound(f"The log of {task.name} has no review {review_id}.", hint="lattice doctor")


class Difference(Record):
    """What became of the findings from one review of a task to another."""

    before: RecordedReview
    after: RecordedReview
    new: tuple[StandingFinding, ...]
    still: tuple[StandingFinding, ...]
    gone: tuple[StandingFinding, ...]


def difference(task: Task, before: str | None, after: str | None) -> Difference:
    """Between two reviews of a task; by default, its last two. Raises NotFound, Conflict."""
    if before is None and len(task.reviews) < 2:
        raise NotFound(f"{task.name} has {how_many(len(task.reviews), 'review')}; a difference needs two.")
    one = review_of(task, before) if before is not None else task.reviews[-2]
    other = review_of(task, after)
    if one.review_id == other.review_id:
        raise Conflict("Both are the same review.", hint=f"lattice review list {task.name}")
    was, now = set(one.found), set(other.found)
    parts = [tuple(f for f in task.findings if f.number in numbers) for numbers in (now - was, now & was, was - now)]
    return Difference(one, other, *parts)


def scores(board: Board, ref: str | None, by: str) -> list[Score]:
    """What each reviewer found, of a task or of the whole board; `by` is worker or model."""
    tasks = list(reviewed_tasks(board, ref))
    costs: dict[str, float] = {}
    for task in tasks:
        for event in board.store.history(task.id)[1]:
            body = event.body
            if isinstance(body, (ProcessCompleted, ProcessFailed)):
                cost = (body.usage or {}).get("cost_usd")
                if isinstance(cost, (int, float)) and not isinstance(cost, bool) and cost >= 0:
                    costs[body.run_id] = float(cost)
    return scoreboard(tasks, costs, by)


# Deciding


def parse_number(text: str) -> int:
    """The number that `F3` or `3` names. Raises ValidationError."""
    digits = text[1:] if text[:1] in ("F", "f") else text
    if not (digits.isascii() and digits.isdecimal() and len(digits) < 8 and int(digits) > 0):
        raise ValidationError(f"{text[:40]!r} names no finding.", hint="Say F3, as lattice review findings lists them.")
    return int(digits)


class Fix(Record):
    """A finding is fixed, in this commit where one is known."""

    finding: int
    commit_sha: str | None = None
    note: str | None = None

    def decide(self, task: Task, actor: Actor) -> list[TaskEvent]:
        del actor
        return life.fix(task, self.finding, commit_sha=self.commit_sha, note=self.note)


class Waive(Record):
    """Nothing is done about a finding; `wrong`: since it is not so."""

    finding: int
    reason: str
    wrong: bool = False

    def decide(self, task: Task, actor: Actor) -> list[TaskEvent]:
        return life.waive(task, self.finding, reason=self.reason, wrong=self.wrong, actor=actor)


class Verify(Record):
    """A person looked, and the finding is not there any more."""

    finding: int
    note: str | None = None

    def decide(self, task: Task, actor: Actor) -> list[TaskEvent]:
        return life.verify(task, self.finding, note=self.note, actor=actor)


class Reopen(Record):
    """A finding has to be looked at again."""

    finding: int
    reason: str

    def decide(self, task: Task, actor: Actor) -> list[TaskEvent]:
        del actor
        return life.reopen(task, self.finding, reason=self.reason)


Act = Fix | Waive | Verify | Reopen


def act(board: Board, ref: str, asked: Act, by: Signature) -> Written:
    """Decide about a finding of the task that `ref` names. Nothing is written where nothing changes."""
    return board.ledger.transact(board.resolve(ref), lambda task: asked.decide(task, by.actor), by)
