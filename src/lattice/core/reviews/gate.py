"""The gate of a status that asks for a review: what of the task, its findings and its diff is in the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lattice.core.actors import Actor, same_actor
from lattice.core.config import ReviewPolicy
from lattice.core.reviews.coverage import Diff, Hunks, not_covered
from lattice.core.reviews.model import SEVERITIES
from lattice.core.reviews.standing import FIXED, RecordedReview, StandingFinding
from lattice.core.task import Task
from lattice.core.text import how_many
from lattice.errors import CompletionBlocked, ConfigError, Conflict, choices

_NAMED_MAX = 5
_TITLE_CHARS = 80


def check_reviews(
    task: Task, to: str, policy: ReviewPolicy, diff: Diff | None, covered: Mapping[str, Hunks | None]
) -> None:
    """Raise CompletionBlocked where the task lacks the reviews that its move asks for.

    `diff` is the task's own as it is now, needed where the policy asks for a review of the current one;
    `covered` what each review covered, by its id. Raises Conflict where the task's branch changed in between.
    """
    unknown = [severity for severity in policy.no_open if severity not in SEVERITIES]
    if unknown:
        raise ConfigError(
            f"The policy of {to} names a severity that there is none of: {unknown[0][:40]!r}.",
            hint=f"Severities: {choices(SEVERITIES)}.",
        )
    _check_findings(task, to, policy.no_open)
    if not (policy.required or policy.current or policy.reviewers or policy.not_author):
        return
    if not task.reviews:
        raise _blocked(task, to, "it has no review", "See who could review it: lattice worker list")
    counted = _by_others(task, to) if policy.not_author else list(task.reviews)
    if policy.current:
        counted = _current(task, to, counted, diff, covered)
    reviewers = {(who.name, who.model) for one in counted for who in one.reviewers}
    if len(reviewers) < policy.reviewers:
        names = ", ".join(sorted({name for name, _ in reviewers})) or "nobody"
        raise _blocked(
            task,
            to,
            f"it needs {how_many(policy.reviewers, 'reviewer')}, and has {len(reviewers)}: {names}",
            "Let another worker or model review it: lattice worker list",
            reviewers=len(reviewers),
        )


def is_author(task: Task, actor: Actor) -> bool:
    """Whether it is this actor's work: the task is assigned to it, or it fixed what was found."""
    fixers = [one.changed_by for one in task.findings if one.state == FIXED]
    return any(same_actor(actor, author) for author in (task.assigned_to, *fixers))


def _check_findings(task: Task, to: str, severities: Sequence[str]) -> None:
    open_ = [one for one in task.findings if one.is_unsettled and one.finding.severity in severities]
    if not open_:
        return
    open_.sort(key=lambda one: (SEVERITIES.index(one.finding.severity), one.number))
    more = f" and {len(open_) - _NAMED_MAX} more" if len(open_) > _NAMED_MAX else ""
    first = open_[0].name
    raise _blocked(
        task,
        to,
        f"open {'findings' if len(open_) > 1 else 'finding'}: {'; '.join(map(_named, open_[:_NAMED_MAX]))}{more}",
        f"Fix it, then: lattice review fix {task.name} {first}. "
        f"Or say why not: lattice review waive {task.name} {first} --reason TEXT",
        findings=[{"name": one.name, "state": one.state, "place": one.place} for one in open_],
    )


def _by_others(task: Task, to: str) -> list[RecordedReview]:
    if task.assigned_to is None:
        raise _blocked(
            task,
            to,
            "its review has to be by another than its author, and it is assigned to nobody",
            f"Say whose work it is: lattice assign {task.name} ACTOR",
        )
    found = [one for one in task.reviews if not is_author(task, one.by)]
    if not found:
        raise _blocked(task, to, "its author recorded every review of it", "Let another review it: lattice worker list")
    return found


def _current(
    task: Task, to: str, reviews: Sequence[RecordedReview], diff: Diff | None, covered: Mapping[str, Hunks | None]
) -> list[RecordedReview]:
    """Those that saw every hunk of the diff as it is now."""
    if diff is None:
        raise _blocked(
            task, to, "its diff cannot be seen from here", f"Try the command: lattice status {task.name} {to}"
        )
    if diff.branch != task.own_branch:
        raise Conflict(f"The branch of {task.name} was changed in this moment.", hint="Try again.")
    files = {one.review_id: _not_seen(one, diff, covered.get(one.review_id)) for one in reviews}
    found = [one for one in reviews if not files[one.review_id]]
    if found:
        return found
    last = min(reversed(reviews), key=lambda one: len(files[one.review_id]))
    missing = files[last.review_id]
    more = f" and {len(missing) - _NAMED_MAX} more" if len(missing) > _NAMED_MAX else ""
    raise _blocked(
        task,
        to,
        f"not reviewed as it is now: {', '.join(missing[:_NAMED_MAX])}{more} ({last.review_id} did not see this)",
        f"Review what is at {diff.commit_sha[:12]} now: lattice worker list",
        files=missing,
        commit_sha=diff.commit_sha,
    )


def _not_seen(one: RecordedReview, diff: Diff, covered: Hunks | None) -> list[str]:
    if diff.merged and one.commit_sha == diff.commit_sha:
        return []  # What it was measured against has it by now: there is no other span to hold the review against.
    if covered is None:
        return sorted(diff.hunks)
    return not_covered(diff.hunks, covered)


def _named(one: StandingFinding) -> str:
    title = one.finding.title
    short = title if len(title) <= _TITLE_CHARS else f"{title[: _TITLE_CHARS - 1]}…"
    return f"{one.name} {one.finding.severity} {short!r}" + (f" ({one.place})" if one.place else "")


def _blocked(task: Task, to: str, why: str, hint: str, **details: object) -> CompletionBlocked:
    return CompletionBlocked(f"{task.name} cannot move to {to}: {why}.", hint=hint, **details)
