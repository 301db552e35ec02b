"""The life of a finding: open, fixed in a commit, verified; waived with a reason; regressed where it comes back.

Every rule is here, a pure function of the task as its lock's holder sees it. A review's silence about a
finding verifies a fix only where that review could have found it again, and it never closes what nobody
fixed: a reviewer that overlooks a blocker must not be able to take it away.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lattice.core.actors import Actor, actor_text
from lattice.core.codec import dump
from lattice.core.events import TaskEvent
from lattice.core.record import Record
from lattice.core.review_events import (
    BACK,
    NEW,
    STILL,
    FindingFixed,
    FindingReopened,
    FindingVerified,
    FindingWaived,
    ReviewRecorded,
    entry_of,
    report_of,
)
from lattice.core.reviews.coverage import ALL_FILES, Hunks
from lattice.core.reviews.gate import is_author
from lattice.core.reviews.model import (
    SEVERITIES,
    Finding,
    MergedFinding,
    Review,
    Reviewer,
    finding_to_json,
    parse_finding,
)
from lattice.core.reviews.model import reviewer_to_json as _named
from lattice.core.reviews.similarity import Profile, likeness, profile
from lattice.core.reviews.standing import FIXED, REFUTED, VERIFIED, WAIVED, StandingFinding
from lattice.core.task import Task
from lattice.core.text import check_line
from lattice.errors import Conflict, NotAllowed, NotFound, ValidationError

RECORD_BYTES_MAX = 1 << 20  # of one review in the log, whose lines end at 4 MiB
TASK_FINDINGS_MAX = 1_000
REASON_CHARS_MAX = 2_000
_TEXTS_CHARS = (8_000, 2_000, 500, 100)
_TOOLS = ("rules",)  # the kinds of reviewers that apply rules, and find nothing else
_PEOPLE = ("human", "dashboard")


class Compared(Record):
    """What a review says beside what the task knows."""

    seen: tuple[tuple[int, str], ...]  # of each of its findings: the number on the task, and new, still or regressed
    gone: tuple[int, ...]  # the task's findings that it covered and did not find


def recorded(
    task: Task,
    review: Review,
    *,
    review_id: str,
    run_id: str | None = None,
    artifact_ids: Sequence[str] = (),
    hunks: Hunks | None = None,
    left_out: int = 0,
) -> list[TaskEvent]:
    """The events that record a review on its task; none where that run's review stands there already.

    `hunks` are those of the diff that it covered, None where that is not known; `left_out` is how many findings
    a `fitted` before the lock took away, as a long review should be.
    """
    if any(review_id == one.review_id or (run_id is not None and run_id == one.run_id) for one in task.reviews):
        return []
    kept = fitted(review, room=TASK_FINDINGS_MAX - len(task.findings))
    compared = compare(task, kept, hunks)
    event = ReviewRecorded(
        review_id=review_id,
        reviewers=tuple(map(_named, kept.reviewers)),
        verdict=kept.verdict,
        base_sha=kept.base_sha,
        commit_sha=kept.commit_sha,
        findings=tuple(
            entry_of(number, seen, merged) for (number, seen), merged in zip(compared.seen, kept.findings, strict=True)
        ),
        run_id=run_id,
        artifact_ids=tuple(artifact_ids),
        hunks=hunks,
        gone=compared.gone,
        left_out=left_out + len(review.findings) - len(kept.findings),
        report=report_of(kept) or None,
    )
    fixed = {one.number for one in task.findings if one.state == FIXED}
    return [event, *(FindingVerified(number, review_id) for number in compared.gone if number in fixed)]


def compare(task: Task, review: Review, hunks: Hunks | None) -> Compared:
    """Which of a review's findings the task knows, and which of the task's it does not find any more."""
    numbers = _matches(task.findings, review.findings)
    free = max((one.number for one in task.findings), default=0)
    seen: list[tuple[int, str]] = []
    for place, merged in enumerate(review.findings):
        before = task.finding(numbers[place]) if place in numbers else None
        if before is None:
            free += 1
            seen.append((free, NEW))
        else:
            seen.append((before.number, BACK if _came_back(before, review, merged) else STILL))
    known = {number for number, _ in seen}
    gone = [one.number for one in task.findings if one.number not in known and _is_gone(task, one, review, hunks)]
    return Compared(tuple(seen), tuple(gone))


def _came_back(before: StandingFinding, review: Review, merged: MergedFinding) -> bool:
    """Whether what was fixed is there again. A review of the commit that it was fixed after says nothing of the fix."""
    if before.state not in (FIXED, VERIFIED) or merged.finding.status == "refuted":
        return False
    return review.commit_sha is None or review.commit_sha != before.seen_in


def _is_gone(task: Task, one: StandingFinding, review: Review, hunks: Hunks | None) -> bool:
    """Whether this review's silence means that the finding is not there."""
    if one.state in (VERIFIED, WAIVED, REFUTED) or hunks is None or review.commit_sha in (None, one.seen_in):
        return False
    finders = {opinion.reviewer.name for opinion in one.opinions}
    # A tool finds its own kind of thing; a reader, who has a model or a way of reading, all there is to see.
    if not any(_is_reader(who) or who.name in finders for who in review.reviewers):
        return False
    bases = {before.base_sha for before in task.reviews if before.review_id == one.last_review}
    if review.base_sha in bases:
        return True  # The same span: a file that is not in it any more is as it was before.
    return one.finding.file is not None and (one.finding.file in hunks or ALL_FILES in hunks)


def _is_reader(who: Reviewer) -> bool:
    return who.model is not None or who.kind not in (None, *_TOOLS)


def _matches(known: Sequence[StandingFinding], found: Sequence[MergedFinding]) -> dict[int, int]:
    """Of the findings at these places the number that the task knows them by: the likest first, each once."""
    old = [(one.number, profile(one.finding)) for one in known]
    new = [(place, profile(merged.finding)) for place, merged in enumerate(found)]
    pairs = sorted(((-how, number, place) for place, this in new for number, that in old for how in _alike(this, that)))
    numbers: dict[int, int] = {}
    taken: set[int] = set()
    for _, number, place in pairs:
        if place not in numbers and number not in taken:
            numbers[place] = number
            taken.add(number)
    return numbers


def _alike(this: Profile, that: Profile) -> Iterator[float]:
    """How alike two findings of different commits are, where they are the same."""
    if this.files and that.files and not this.files & that.files:
        return  # Most pairs: told without a look at their words.
    how = likeness(this, that, moved=True)
    if how > 0:
        yield how


# What the log can hold


def fitted(review: Review, *, room: int = TASK_FINDINGS_MAX) -> Review:
    """The review in the form that a log can hold: long texts are cut, and the least findings left out, last.

    `room`: how many findings the task may still get.
    """
    by_weight = sorted(range(len(review.findings)), key=lambda at: (_weight(review.findings[at].finding), at))
    kept = set(by_weight[: max(room, 0)])
    review = review.replace(findings=tuple(one for at, one in enumerate(review.findings) if at in kept))
    for chars in _TEXTS_CHARS:
        shorter = _cut(review, chars)
        if _chars(shorter) <= RECORD_BYTES_MAX and _size(shorter) <= RECORD_BYTES_MAX:
            return shorter
    return _fewer(shorter.replace(findings=tuple(map(_without_texts, shorter.findings))))


def _fewer(review: Review) -> Review:
    """As many of the worst findings as there is room for, in their order."""
    room = RECORD_BYTES_MAX - _size(review.replace(findings=()))
    kept: set[int] = set()
    for at in sorted(range(len(review.findings)), key=lambda at: (_weight(review.findings[at].finding), at)):
        room -= len(dump(entry_of(at, NEW, review.findings[at]))) + 1
        if room < 0:
            break
        kept.add(at)
    return review.replace(findings=tuple(one for at, one in enumerate(review.findings) if at in kept))


def _weight(finding: Finding) -> int:
    """Its place among the severities; what is unknown comes last."""
    return SEVERITIES.index(finding.severity) if finding.severity in SEVERITIES else len(SEVERITIES)


def _cut(review: Review, chars: int) -> Review:
    return review.replace(
        findings=tuple(
            MergedFinding(
                _shortened(merged.finding, chars),
                tuple(one.replace(finding=_shortened(one.finding, chars)) for one in merged.reports),
            )
            for merged in review.findings
        ),
        summary=review.summary[:chars].rstrip(),
        will_break=tuple(text[:chars].rstrip() for text in review.will_break),
        missing=tuple(text[:chars].rstrip() for text in review.missing),
        checks=tuple(one.replace(detail=one.detail[:chars].rstrip()) for one in review.checks),
    )


def _shortened(finding: Finding, chars: int) -> Finding:
    texts = {name: getattr(finding, name)[:chars] for name in ("detail", "fix", "trace")}
    return parse_finding(finding_to_json(finding.replace(**texts)))


def _without_texts(merged: MergedFinding) -> MergedFinding:
    """Of each report what it thinks of the finding, and nothing of its words."""
    said = tuple(
        one.replace(finding=merged.finding.replace(severity=one.finding.severity, status=one.finding.status))
        for one in merged.reports
    )
    return merged.replace(reports=said)


def _chars(review: Review) -> int:
    """The least that it can take: told without putting together what is far too long."""
    return sum(len(one.finding.detail) + len(one.finding.fix) for one in review.findings)


def _size(review: Review) -> int:
    return len(dump([report_of(review), [entry_of(0, NEW, merged) for merged in review.findings]]))


# What is done about a finding


def fix(task: Task, number: int, *, commit_sha: str | None, note: str | None) -> list[TaskEvent]:
    """It is fixed, in this commit where one is known. Raises NotFound, Conflict."""
    one = finding_of(task, number)
    if one.state == VERIFIED or (one.state == FIXED and one.fixed_in == commit_sha):
        return []
    if commit_sha is not None and commit_sha == one.seen_in:
        raise Conflict(
            f"{one.name} was found in that very commit, {commit_sha[:12]}.",
            hint=f"Commit the fix, then: lattice review fix {task.name} {one.name} --commit SHA",
        )
    return [FindingFixed(number, commit_sha, _line(note, "note"))]


def waive(task: Task, number: int, *, reason: str, wrong: bool, actor: Actor) -> list[TaskEvent]:
    """Nothing is done about it. Raises NotFound, ValidationError; NotAllowed for an agent whose work it is about."""
    one = finding_of(task, number)
    said = _line(reason, "reason")
    if said is None:
        raise ValidationError("The reason is empty.", hint='Say why nothing is done about it: --reason "…"')
    if not is_person(actor) and is_author(task, actor):
        raise NotAllowed(
            f"{actor_text(actor)} is the author of {task.name}, and does not waive what was found in it.",
            hint=f"Fix it, or let somebody else decide: lattice status {task.name} needs_human",
        )
    if one.state == WAIVED and (one.reason, one.wrong) == (said, wrong):
        return []
    return [FindingWaived(number, said, wrong)]


def verify(task: Task, number: int, *, note: str | None, actor: Actor) -> list[TaskEvent]:
    """A person looked, and it is not there any more. Raises NotFound, NotAllowed for an agent."""
    one = finding_of(task, number)
    if not is_person(actor):
        raise NotAllowed(
            f"{actor_text(actor)} is no person: a fix is verified by a person, or by a review that does not find it.",
            hint="Review it again: lattice worker list",
        )
    return [] if one.state == VERIFIED else [FindingVerified(number, note=_line(note, "note"))]


def reopen(task: Task, number: int, *, reason: str) -> list[TaskEvent]:
    """It has to be looked at again. Raises NotFound, ValidationError."""
    one = finding_of(task, number)
    said = _line(reason, "reason")
    if said is None:
        raise ValidationError("The reason is empty.", hint='Say what is still wrong: --reason "…"')
    return [] if one.is_unsettled else [FindingReopened(number, said)]


def finding_of(task: Task, number: int) -> StandingFinding:
    """The finding of this number. Raises NotFound that names those there are."""
    one = task.finding(number)
    if one is None:
        there = f"it has F1 to F{max(known.number for known in task.findings)}" if task.findings else "it has none"
        raise NotFound(f"{task.name} has no finding F{number}; {there}.", hint=f"lattice review findings {task.name}")
    return one


def is_person(actor: Actor) -> bool:
    """Whether a person acts, by the name that is given."""
    return isinstance(actor, str) and actor.partition(":")[0] in _PEOPLE


def _line(text: str | None, what: str) -> str | None:
    """One line that says something, or None. Raises ValidationError."""
    return check_line(text, what, chars_max=REASON_CHARS_MAX) if text is not None and text.strip() else None
