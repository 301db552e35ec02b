"""What a task knows of its reviews: each in short, and every finding with where its life stands.

Both are folded from the events of `core.review_events` alone, and stand in the snapshot only where there are any.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from lattice.core.actors import Actor
from lattice.core.record import Record
from lattice.core.reviews.model import Finding, Reviewer, finding_to_json, parse_finding, parse_reviewer
from lattice.core.reviews.model import reviewer_to_json as _named

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

OPEN, REGRESSED, FIXED, VERIFIED, WAIVED, REFUTED = "open", "regressed", "fixed", "verified", "waived", "refuted"
STATES = (OPEN, REGRESSED, FIXED, VERIFIED, WAIVED, REFUTED)
UNSETTLED = (OPEN, REGRESSED)
"""What somebody still has to do something about. A regressed finding is one that came back."""


class Opinion(Record):
    """What one reviewer last said of a finding."""

    reviewer: Reviewer
    severity: str
    status: str  # confirmed, likely or refuted
    review_id: str


class StandingFinding(Record):
    """A finding of a task, by its number there, and where its life stands."""

    number: int
    state: str
    finding: Finding  # as it was last reported
    opinions: tuple[Opinion, ...]
    first_review: str
    last_review: str  # the last that found it
    seen_in: str | None  # the commit in which it was last found
    changed_at: str
    changed_by: Actor
    fixed_in: str | None = None
    reason: str | None = None  # of its state: why it was waived, or reopened; what was said of the fix
    wrong: bool = False  # it was waived because it is not so, rather than because it is accepted
    verified_by: str | None = None  # the review that did not find it any more; None where a person said so
    missed_by: str | None = None  # the last review that covered it and did not find it, though nobody had fixed it

    @property
    def name(self) -> str:
        """What people call it: F3."""
        return f"F{self.number}"

    @property
    def is_unsettled(self) -> bool:
        """Whether somebody has to do something about it."""
        return self.state in UNSETTLED

    @property
    def place(self) -> str:
        """`file:line`, as far as it is known; empty where it is about no file."""
        at = self.finding
        return f"{at.file}:{at.line}" if at.file and at.line else at.file or ""

    def to_shape(self) -> dict[str, Any]:
        """Its JSON form, in a snapshot and in an answer."""
        shape = self.fields()
        shape["finding"] = finding_to_json(self.finding)
        shape["opinions"] = [one.fields() | {"reviewer": _named(one.reviewer)} for one in self.opinions]
        return shape


class RecordedReview(Record):
    """A review in short. All of it stands in its event."""

    review_id: str
    at: str
    by: Actor
    run_id: str | None
    reviewers: tuple[Reviewer, ...]
    verdict: str | None
    base_sha: str | None
    commit_sha: str | None
    hunks: str | None  # the digest of what it covered; None where that is not known
    found: tuple[int, ...]  # the numbers of its findings
    new: tuple[int, ...]
    gone: tuple[int, ...]

    def to_shape(self) -> dict[str, Any]:
        """Its JSON form, in a snapshot and in an answer."""
        shape = self.fields()
        shape["reviewers"] = [_named(one) for one in self.reviewers]
        return shape | {key: list(shape[key]) for key in ("found", "new", "gone")}


def parse_standing(shape: Mapping[str, Any]) -> StandingFinding:
    """What `to_shape` gave. Raises KeyError or TypeError for anything else."""
    opinions = tuple(Opinion(**{**one, "reviewer": parse_reviewer(one["reviewer"])}) for one in shape["opinions"])
    return StandingFinding(**{**shape, "finding": parse_finding(shape["finding"]), "opinions": opinions})


def parse_recorded(shape: Mapping[str, Any]) -> RecordedReview:
    """What `to_shape` gave. Raises KeyError or TypeError for anything else."""
    numbers = {key: tuple(shape[key]) for key in ("found", "new", "gone")}
    return RecordedReview(**{**shape, **numbers, "reviewers": tuple(map(parse_reviewer, shape["reviewers"]))})


def with_opinions(before: Sequence[Opinion], added: Iterable[Opinion]) -> tuple[Opinion, ...]:
    """What every reviewer last said; who said something first stands first."""
    last = {_who(one.reviewer): one for one in before}
    for one in added:
        last[_who(one.reviewer)] = one
    return tuple(last.values())


def _who(reviewer: Reviewer) -> tuple[str, str | None, str | None]:
    """A reviewer, whichever run it was."""
    return reviewer.name, reviewer.model, reviewer.kind
