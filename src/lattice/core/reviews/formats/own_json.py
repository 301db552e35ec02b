"""A review in our own schema, `lattice review schema`: what an agent wrote, or what `--json` printed."""

from __future__ import annotations

from lattice.core.json_schema import problem_with
from lattice.core.reviews.formats.account import Account
from lattice.core.reviews.formats.linters import json_of
from lattice.core.reviews.model import PLACES_MAX, Finding, MergedFinding, Report, Review, Reviewer, parse_review
from lattice.core.reviews.schema import SCHEMA
from lattice.core.text import how_many
from lattice.errors import ValidationError


def read(data: bytes, account: Account, by: Reviewer) -> Review:
    """Raises ValidationError naming the place that does not fit the schema."""
    shape = json_of(data, "a review")
    if isinstance(shape, dict) and shape.get("ok") is True and isinstance(shape.get("data"), dict):
        shape = shape["data"]  # the envelope around it
        shape = shape.get("review", shape)
    schema = SCHEMA
    if isinstance(shape, dict) and shape.get("verdict") is None:  # a review may have none; an agent's has to
        shape = {name: value for name, value in shape.items() if name != "verdict"}
        schema = SCHEMA | {"required": ["findings"]}
        account.remark("no verdict was found in it")
    problem = problem_with(shape, schema)
    if problem is not None:
        raise ValidationError(f"This is not a review in our schema: {problem}.", hint="lattice review schema")
    said = shape["reviewer"] if isinstance(shape.get("reviewer"), str) else ""
    review = parse_review(shape, by.replace(name=by.name or said or "report"))
    if len(shape["findings"]) > len(review.findings):
        less = len(shape["findings"]) - len(review.findings)
        account.remark(f"{how_many(less, 'finding was', 'findings were')} left out")
    if (by.name or by.model) and len(review.reviewers) == 1:
        review = _renamed(review, by)
    return review.replace(findings=tuple(_placed_merged(one, account) for one in review.findings))


def _renamed(review: Review, by: Reviewer) -> Review:
    """The review of one reviewer, who is called otherwise here."""
    one = review.reviewers[0]
    called = one.replace(name=by.name or one.name, model=by.model or one.model)
    findings = [
        merged.replace(reports=tuple(Report(called, report.finding) for report in merged.reports))
        for merged in review.findings
    ]
    return review.replace(reviewers=(called,), findings=tuple(findings))


def _placed_merged(merged: MergedFinding, account: Account) -> MergedFinding:
    reports = tuple(report.replace(finding=_placed(report.finding, account)) for report in merged.reports)
    return MergedFinding(_placed(merged.finding, account), reports)


def _placed(finding: Finding, account: Account) -> Finding:
    """The finding with its places below the repository; what lies outside it is told in the detail."""
    found = [(place, account.place(place.file, place.line, place.end_line)) for place in finding.places]
    known = list(dict.fromkeys(place for _, place in found if place is not None))[: PLACES_MAX + 1]
    first = known[0] if known else None
    return finding.replace(
        file=first.file if first is not None else None,
        line=first.line if first is not None else None,
        end_line=first.end_line if first is not None else None,
        also=tuple(known[1:]),
        detail=account.outside(finding.detail),
    )
