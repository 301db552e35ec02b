"""The events of reviews and findings: what each carries, and its effect on a task.

A module of its own, since most logs have none: `core.events` asks for it where a log names one of these.
A finding has a number on its task. Where two branches that both gave out a number are merged, the later
review's finding gets the next one; what speaks of a number that is not there changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from lattice.core.events import Event, TaskEvent
from lattice.core.reviews import coverage
from lattice.core.reviews.model import (
    Finding,
    MergedFinding,
    Report,
    Review,
    Reviewer,
    finding_to_json,
    parse_finding,
    parse_review,
    parse_reviewer,
    reviewer_to_json,
    to_json,
)
from lattice.core.reviews.standing import (
    FIXED,
    OPEN,
    REFUTED,
    REGRESSED,
    VERIFIED,
    WAIVED,
    Opinion,
    RecordedReview,
    StandingFinding,
    with_opinions,
)
from lattice.core.task import Task
from lattice.errors import ValidationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NEW, STILL, BACK = "new", "still", "regressed"
"""How a review's finding stands to what the task knew: new, known, or one that was fixed and came back."""

_OWN = ("reviewers", "verdict", "base_sha", "commit_sha", "findings", "schema_version")


class ReviewRecorded(TaskEvent, kind="review_recorded"):
    """The task's diff was reviewed. All of the review stands here, and what each finding was to the task."""

    review_id: str
    reviewers: tuple[Mapping[str, Any], ...]
    verdict: str | None
    base_sha: str | None
    commit_sha: str | None
    findings: tuple[Mapping[str, Any], ...]  # number, seen, and the finding; of each report what it says otherwise
    run_id: str | None = None
    artifact_ids: tuple[str, ...] = ()
    hunks: Mapping[str, Any] | None = None
    gone: tuple[int, ...] = ()
    left_out: int = 0
    report: Mapping[str, Any] | None = None

    def apply(self, task: Task, event: Event) -> Task:
        try:
            return self._applied(task, event)
        except (KeyError, TypeError, AttributeError, ValueError) as off:
            raise ValidationError(f"{event.id} records a review that is not of its form: {off!r}.") from off

    def _applied(self, task: Task, event: Event) -> Task:
        known = {one.number: one for one in task.findings}
        found: list[int] = []
        new: list[int] = []
        for entry in self.findings:
            number, merged = entry["number"], merged_in(entry)
            before = known.get(number)
            if entry["seen"] == NEW and before is not None:
                number, before = max(known) + 1, None  # Another branch gave out this number, too.
            if before is None:
                known[number] = self._first(number, merged, event)
                new.append(number)
            else:
                known[number] = self._again(before, entry["seen"], merged, event)
            found.append(number)
        for number in self.gone:
            if number in known and known[number].is_unsettled:
                known[number] = known[number].replace(missed_by=self.review_id)
        review = RecordedReview(
            self.review_id, event.ts, event.actor, self.run_id, tuple(map(parse_reviewer, self.reviewers)),
            self.verdict, self.base_sha, self.commit_sha, None if self.hunks is None else coverage.digest(self.hunks),
            tuple(found), tuple(new), self.gone,
        )  # fmt: skip
        return task.replace(reviews=(*task.reviews, review), findings=tuple(known.values()))

    def _first(self, number: int, merged: MergedFinding, event: Event) -> StandingFinding:
        return StandingFinding(
            number=number,
            state=REFUTED if merged.finding.status == "refuted" else OPEN,
            finding=merged.finding,
            opinions=with_opinions((), self._opinions(merged)),
            first_review=self.review_id,
            last_review=self.review_id,
            seen_in=self.commit_sha,
            changed_at=event.ts,
            changed_by=event.actor,
        )

    def _again(self, before: StandingFinding, seen: str, merged: MergedFinding, event: Event) -> StandingFinding:
        opinions = with_opinions(before.opinions, self._opinions(merged))
        if merged.finding.status == "refuted":
            return before.replace(opinions=opinions)  # It was looked at, and not found: a person decides.
        again = before.replace(
            finding=merged.finding,
            opinions=opinions,
            last_review=self.review_id,
            seen_in=self.commit_sha,
            missed_by=None,
        )
        state = REGRESSED if seen == BACK else OPEN if before.state == REFUTED else before.state
        return again if state == before.state else _turned(again, state, event)

    def _opinions(self, merged: MergedFinding) -> list[Opinion]:
        said = [(one.reviewer, one.finding) for one in merged.reports]
        return [Opinion(who, one.severity, one.status, self.review_id) for who, one in said]

    def review(self) -> Review:
        """The review as it was recorded. Raises KeyError or TypeError where the log holds something else."""
        reviewers = tuple(map(parse_reviewer, self.reviewers))
        bare = parse_review({**(self.report or {}), "findings": ()}, Reviewer(""))
        return bare.replace(
            reviewers=reviewers,
            verdict=self.verdict,
            base_sha=self.base_sha,
            commit_sha=self.commit_sha,
            findings=tuple(map(merged_in, self.findings)),
        )


def entry_of(number: int, seen: str, merged: MergedFinding) -> dict[str, Any]:
    """A finding as the event carries it: each report is told by what it says otherwise."""
    said = merged.finding.fields()
    found_by = [
        {"reviewer": reviewer_to_json(one.reviewer)}
        | {name: value for name, value in _whole(one.finding).items() if getattr(one.finding, name) != said[name]}
        for one in merged.reports
    ]
    return {"number": number, "seen": seen, **finding_to_json(merged.finding), "found_by": found_by}


def merged_in(entry: Mapping[str, Any]) -> MergedFinding:
    """The finding that `entry_of` told. Raises KeyError or TypeError where it is something else."""
    finding = parse_finding(entry)
    said = _whole(finding)
    reports = [Report(parse_reviewer(one["reviewer"]), parse_finding(said | dict(one))) for one in entry["found_by"]]
    return MergedFinding(finding, tuple(reports))


def report_of(review: Review) -> dict[str, Any]:
    """What a review says beside its findings, and who said it of which commits."""
    return {key: value for key, value in to_json(review).items() if key not in _OWN and value not in (None, "", [])}


def _whole(finding: Finding) -> dict[str, Any]:
    """Every field of a finding, empty ones too."""
    also = {"also": finding_to_json(finding).get("also", [])}
    return finding.fields() | also


class FindingFixed(TaskEvent, kind="finding_fixed"):
    """Somebody says that a finding is fixed; a later review that does not find it any more verifies that."""

    finding: int
    commit_sha: str | None = None
    note: str | None = None

    def apply(self, task: Task, event: Event) -> Task:
        return _turn(task, self.finding, FIXED, event, fixed_in=self.commit_sha, reason=self.note)


class FindingWaived(TaskEvent, kind="finding_waived"):
    """Somebody decided that nothing is done about a finding, and said why. It stays so when it is found again."""

    finding: int
    reason: str
    wrong: bool = False

    def apply(self, task: Task, event: Event) -> Task:
        return _turn(task, self.finding, WAIVED, event, reason=self.reason, wrong=self.wrong)


class FindingVerified(TaskEvent, kind="finding_verified"):
    """A finding is not there any more: a later review did not find it, or a person looked."""

    finding: int
    review_id: str | None = None
    note: str | None = None

    def apply(self, task: Task, event: Event) -> Task:
        return _turn(task, self.finding, VERIFIED, event, verified_by=self.review_id, reason=self.note)


class FindingReopened(TaskEvent, kind="finding_reopened"):
    """A finding has to be looked at again, whatever was decided about it."""

    finding: int
    reason: str

    def apply(self, task: Task, event: Event) -> Task:
        return _turn(task, self.finding, OPEN, event, reason=self.reason)


EVENTS: tuple[type[TaskEvent], ...] = (
    ReviewRecorded, FindingFixed, FindingWaived, FindingVerified, FindingReopened,
)  # fmt: skip


def _turn(task: Task, number: int, state: str, event: Event, **changes: Any) -> Task:
    return task.replace(
        findings=tuple(
            _turned(one, state, event).replace(**changes) if one.number == number else one for one in task.findings
        )
    )


def _turned(one: StandingFinding, state: str, event: Event) -> StandingFinding:
    """The finding in another state; of what was said of the one before, only where it was fixed is kept."""
    return one.replace(
        state=state,
        changed_at=event.ts,
        changed_by=event.actor,
        reason=None,
        wrong=False,
        verified_by=None,
        missed_by=None,
    )
