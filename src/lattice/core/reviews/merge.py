"""Several reviews made one: a pure function of the set of their reports.

The order of the reviews, how often one is given, and whether some were merged before make no difference:
a merged review keeps every report, and everything in the result follows from the set of them. Header
fields unite by rules that do not depend on the order either.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations, permutations, product

from lattice.core.record import Record
from lattice.core.reviews.model import (
    NOT_READY,
    SEVERITIES,
    TEXT_CHARS_MAX,
    Absent,
    Finding,
    MergedFinding,
    Place,
    Report,
    Review,
    Reviewer,
    Said,
)
from lattice.core.reviews.similarity import Profile, likeness, profile
from lattice.errors import ValidationError

_STATUS_ORDER = ("confirmed", "likely", "refuted")


def merge(reviews: Iterable[Review]) -> Review:
    """One review of all that the given ones report.

    Raises ValidationError where they are of different commits, or there is none.
    """
    given = list(reviews)
    if not given:
        raise ValidationError("There is no review to merge.", hint="Give at least one.")
    reports = {report for review in given for report in review.reports}
    reviewers = {reviewer for review in given for reviewer in review.reviewers} | {one.reviewer for one in reports}
    names = {reviewer.name for reviewer in reviewers}
    absent = {one for review in given for one in review.absent if one.name not in names}
    said = _statements(given)
    return Review(
        reviewers=tuple(sorted(reviewers, key=_key)),
        findings=grouped(reports),
        verdict=_verdict(given),
        base_sha=_one_commit([review.base_sha for review in given], "base"),
        commit_sha=_one_commit([review.commit_sha for review in given], "commit"),
        task=_least(review.task for review in given),
        branch=_least(review.branch for review in given),
        date=max((review.date for review in given if review.date), default=None),
        kind=_kinds(given),
        summary=united_summary(said),
        # Of one set of findings: it says nothing of another.
        overview=given[0].overview if len({review.overview for review in given}) == 1 else None,
        said=said,
        will_break=_lines(given, lambda review: review.will_break),
        missing=_lines(given, lambda review: review.missing),
        checks=tuple(sorted({check for review in given for check in review.checks}, key=_key)),
        absent=tuple(sorted(_first_reasons(absent), key=_key)),
    )


def _key(value: Record) -> tuple[str, ...]:
    """An order that equal records share and different ones never do."""
    return tuple(repr(inner) for inner in value.fields().values())


# Findings


def grouped(reports: Iterable[Report]) -> tuple[MergedFinding, ...]:
    """The reports, those of the same finding together; in order.

    Complete linkage: every two reports of a finding are the same by themselves, so that a chain of
    likenesses never joins what differs at its ends. The likest come together first.
    """
    ordered = sorted(set(reports), key=_report_key)
    alike = _alike(ordered)
    group = list(range(len(ordered)))
    members = {index: [index] for index in group}
    for one, other in sorted(alike, key=lambda pair: (-alike[pair], pair)):
        into, gone = sorted((group[one], group[other]))
        if into == gone:
            continue
        if all((min(a, b), max(a, b)) in alike for a in members[into] for b in members[gone]):
            for index in members[gone]:
                group[index] = into
            members[into] += members.pop(gone)
    made = [_merged([ordered[index] for index in sorted(indexes)]) for indexes in members.values()]
    return tuple(sorted(made, key=finding_order))


def finding_order(merged: MergedFinding) -> tuple[object, ...]:
    """By severity, place and title: the same findings are always told in the same order."""
    one = merged.finding
    return (
        SEVERITIES.index(one.severity),
        one.file or "",
        one.line or 0,
        one.category or "",
        one.title,
        [_report_key(report) for report in merged.reports],
    )


def _report_key(report: Report) -> tuple[object, ...]:
    one = report.finding
    return (one.file or "", one.line or 0, one.title, _key(one), _key(report.reviewer))


def _alike(ordered: Sequence[Report]) -> dict[tuple[int, int], float]:
    """The pairs that are the same, with how much; by index, the smaller first."""
    profiles = [profile(report.finding) for report in ordered]
    found: dict[tuple[int, int], float] = {}
    for one, other in _pairs_of_two_reviewers(ordered, profiles):
        if score := likeness(profiles[one], profiles[other]):
            found[one, other] = round(score, 9)
    # One reviewer said one thing twice where it gives the same words of the same place. Else it meant two.
    twice: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for index, report in enumerate(ordered):
        twice[report.reviewer, profiles[index].text, report.finding.places[:1]].append(index)
    for indexes in twice.values():
        found.update(dict.fromkeys(combinations(indexes, 2), 2.0))
    return found


def _pairs_of_two_reviewers(ordered: Sequence[Report], profiles: Sequence[Profile]) -> set[tuple[int, int]]:
    """The pairs that could be the same: of two reviewers, with a file in common or none named."""
    by_file: dict[str, dict[Reviewer, list[int]]] = defaultdict(lambda: defaultdict(list))
    for index, report in enumerate(ordered):
        for file in profiles[index].files or {""}:
            by_file[file][report.reviewer].append(index)
    unplaced = by_file.pop("", {})
    pairs: set[tuple[int, int]] = set()
    for by_reviewer in [unplaced, *by_file.values()]:
        for one, other in permutations(by_reviewer, 2):
            pairs.update((a, b) for a, b in product(by_reviewer[one], by_reviewer[other]) if a < b)
    for by_reviewer in by_file.values():
        for one, other in product(by_reviewer, unplaced):
            if one != other:
                pairs.update((min(pair), max(pair)) for pair in product(by_reviewer[one], unplaced[other]))
    return pairs


def _merged(reports: list[Report]) -> MergedFinding:
    """One finding of reports that are the same; `reports` are in order."""
    standing = [one.finding for one in reports if one.finding.status != "refuted"]
    best = min(standing or [one.finding for one in reports], key=_precedence)
    everyone = sorted((one.finding for one in reports), key=_precedence)
    placed = next((one for one in [best, *everyone] if one.file is not None), best)
    finding = best.replace(
        status=_status(one.status for one in everyone),
        category=_first(one.category for one in [best, *everyone]),
        fix=_first(one.fix for one in [best, *everyone]) or "",
        trace=_first(one.trace for one in [best, *everyone]) or "",
        file=placed.file,
        line=placed.line,
        end_line=placed.end_line,
        anchor=placed.anchor,
        anchored=placed.anchored,
        also=_other_places(placed, everyone),
    )
    return MergedFinding(finding, tuple(reports))


def _precedence(finding: Finding) -> tuple[object, ...]:
    """Who speaks for all: the worst, the surest, one that knows the line, one that says the most."""
    return (
        SEVERITIES.index(finding.severity),
        _STATUS_ORDER.index(finding.status),
        finding.line is None,
        finding.anchored not in ("found", "moved"),
        -len(finding.detail),
        _key(finding),
    )


def _status(said: Iterable[str]) -> str:
    """Confirmed if anybody does; refuted if somebody does and nobody confirms it."""
    statuses = set(said)
    return next((one for one in ("confirmed", "refuted") if one in statuses), "likely")


def _first(values: Iterable[str | None]) -> str | None:
    return next((value for value in values if value), None)


def _other_places(placed: Finding, everyone: Sequence[Finding]) -> tuple[Place, ...]:
    own = placed.places[:1]
    rest = {place for one in everyone for place in one.places if place not in own}
    return tuple(sorted(rest, key=lambda place: (place.file, place.line or 0, place.end_line or 0)))


# The rest


def _verdict(reviews: Sequence[Review]) -> str | None:
    said = {review.verdict for review in reviews} - {None}
    return NOT_READY if NOT_READY in said else next(iter(said), None)


def _one_commit(shas: Sequence[str | None], what: str) -> str | None:
    """The longest form of the commit that all name; a short form names it where it is its beginning."""
    named = sorted({sha for sha in shas if sha}, key=lambda sha: (-len(sha), sha))
    for sha in named[1:]:
        if not named[0].startswith(sha) and what == "commit":
            raise ValidationError(
                f"The reviews are of different commits: {named[0]} and {sha}.",
                hint="Merge reviews of one commit; lattice review diff compares those of two.",
            )
    return named[0] if named else None


def _least(values: Iterable[str | None]) -> str | None:
    return min((value for value in values if value), default=None)


def _kinds(reviews: Sequence[Review]) -> str | None:
    said = {part for review in reviews for part in (review.kind or "").split(", ") if part}
    return ", ".join(sorted(said)) or None


def _statements(reviews: Sequence[Review]) -> tuple[Said, ...]:
    """Who said what of the whole; a review that was merged before knows it already."""
    known = {one for review in reviews for one in review.said}
    for review in reviews:
        if review.summary and review.summary != united_summary(review.said):
            by = review.reviewers[0].name if len(review.reviewers) == 1 else None
            known.add(Said(review.summary, by))
    return tuple(sorted(known, key=lambda one: (one.by or "", one.text)))


def united_summary(said: Sequence[Said]) -> str:
    """The statements as one text, each with its name where there are several."""
    if len(said) == 1:
        return said[0].text
    texts = (f"{one.by}: {one.text}" if one.by else one.text for one in said)
    return "\n\n".join(texts)[:TEXT_CHARS_MAX].strip()


def _lines(reviews: Sequence[Review], of: Callable[[Review], tuple[str, ...]]) -> tuple[str, ...]:
    """In the order of the one who says them; where several say different ones, in the order of their words."""
    lists = {of(review) for review in reviews} - {()}
    if len(lists) == 1:
        return next(iter(lists))
    return tuple(sorted({line for lines in lists for line in lines}))


def _first_reasons(absent: Iterable[Absent]) -> Iterable[Absent]:
    """One line a name."""
    by_name: dict[str, Absent] = {}
    for one in sorted(absent, key=_key):
        by_name.setdefault(one.name, one)
    return by_name.values()
