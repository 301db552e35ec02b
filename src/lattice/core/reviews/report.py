"""A review as Markdown: what a reader must know first, then every finding with who says so, then the verdict.

All of it is text that others wrote: `lattice.core.markup` makes it inert. The form is the one that
`lattice review import` reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from lattice.core.markup import code, paragraph, prose, sentence, unopened
from lattice.core.reviews.model import (
    READY,
    TEXT_CHARS_MAX,
    TITLE_CHARS_MAX,
    Check,
    Finding,
    MergedFinding,
    Place,
    Report,
    Review,
    Reviewer,
)

_SECTIONS = (("1. Blockers", "blocker"), ("2. Important", "important"), ("3. Potential", "potential"))
_MARKS = {"confirmed": "✅ Confirmed", "likely": "❓ Likely", "refuted": "❌ Refuted"}
_CHECK_MARKS = {"passed": "✅", "failed": "❌", "not_run": "⏭", "timed_out": "⏱"}
_LOST = {"no_file": "the commit has no such file", "no_line": "the file has no such line"}
_PLACES_SHOWN_MAX = 6


def to_markdown(review: Review) -> str:
    """The report. A finding that is refuted and that nobody confirms stands apart from those that stand."""
    refuted = [merged for merged in review.findings if merged.finding.status == "refuted"]
    standing = [merged for merged in review.findings if merged.finding.status != "refuted"]
    parts = (
        _header(review),
        _overview(review, standing),
        _findings(standing, refuted),
        _validation(review, standing),
        _verdict(review, standing),
    )
    return "\n".join(line for part in parts for line in part) + "\n"


def _header(review: Review) -> Iterator[str]:
    models = sorted({reviewer.model for reviewer in review.reviewers if reviewer.model})
    yield "## Code Review"
    yield f"- **Date:** {prose(review.date or 'unknown')}"
    yield f"- **Model:** {', '.join(map(prose, models)) or 'none'}"
    yield f"- **Reviewers:** {_people(review.reviewers)}"
    yield f"- **Branch:** {code(review.branch) if review.branch else 'detached'}"
    base = f" (base {prose(review.base_sha[:12])})" if review.base_sha else ""
    yield f"- **Latest Commit:** {prose((review.commit_sha or 'unknown')[:12])}{base}"
    yield f"- **Story:** {prose(review.task or 'none')}"
    yield f"- **Review Type:** {prose(review.kind or 'none')}"
    yield from ("---", "")


def _overview(review: Review, standing: Sequence[MergedFinding]) -> Iterator[str]:
    if review.overview is not None:
        yield f"**Overview** (by {prose(review.overview.by or 'a model')}, from the findings below)"
        yield from (unopened(_text(review.overview.text, "")), "")
    yield "**The Ugly Truth**"
    if len(review.said) > 1:
        # Each as one item: what one says can then not pass for what another does.
        yield from (f"- **{prose(one.by or 'all')}:** {_text(one.text, '  ')}" for one in review.said)
    else:
        yield unopened(_text(review.summary, "")) or "Nobody sums it up."
    yield from ("", "**What Will Break**")
    yield from _bullets(map(_line, review.will_break) if review.will_break else _named(standing, "blocker"))
    yield from ("", "**What's Missing**")
    unanswered = [check for check in review.checks if check.status in ("not_run", "timed_out")]
    without = [f"{prose(one.name)} took no part: {_line(one.reason or 'no reason is known')}" for one in review.absent]
    silent = [f"{prose(one.name)} gave no answer: {_line(one.detail)}" for one in unanswered]
    yield from _bullets([*map(_line, review.missing), *without, *silent])
    yield from ("", "**The Nits**")
    nits = [merged.finding for merged in standing if merged.finding.severity == "nit"]
    yield from _bullets(f"{_title(one)}{_place(one)}{_after_dash(one.detail)}" for one in nits)
    yield from ("", "---", "")


def _named(standing: Sequence[MergedFinding], severity: str) -> Iterator[str]:
    yield from (f"{_title(one.finding)}{_place(one.finding)}" for one in standing if one.finding.severity == severity)


def _findings(standing: Sequence[MergedFinding], refuted: Sequence[MergedFinding]) -> Iterator[str]:
    number = 0
    sections = [(heading, [one for one in standing if one.finding.severity == kind]) for heading, kind in _SECTIONS]
    if refuted:
        sections.append(("Refuted", list(refuted)))
    for heading, findings in sections:
        yield from (f"### {heading}", "")
        if not findings:
            yield "None."
        for merged in findings:
            number += 1
            yield f"{number}. **{_title(merged.finding)}**"
            yield from (f"   - **{name}:** {text}" for name, text in _facts(merged) if text)
        yield ""


def _facts(merged: MergedFinding) -> Iterator[tuple[str, str]]:
    one = merged.finding
    yield "File", _places(one)
    yield "Category", prose(one.category or "")
    yield "Issue", _text(one.detail)
    yield "Trace", _text(one.trace)
    yield "Fix", _text(one.fix)
    yield "Found by", "; ".join(_said(report) for report in merged.reports if report.finding.status != "refuted")
    yield "Refuted by", "; ".join(_said(report) for report in merged.reports if report.finding.status == "refuted")
    if len(merged.reports) > 1:
        yield "In their words", " / ".join(_line(title) for title in _titles(merged) if title != one.title)


def _titles(merged: MergedFinding) -> tuple[str, ...]:
    return tuple(dict.fromkeys(report.finding.title for report in merged.reports))


def _said(report: Report) -> str:
    """A reviewer with its severity and confidence; who refutes, with why."""
    one = report.finding
    if one.status == "refuted":
        return f"{_person(report.reviewer)}{_after_dash(one.detail)}"
    return f"{_person(report.reviewer)}: {one.severity}, {one.status}"


def _validation(review: Review, standing: Sequence[MergedFinding]) -> Iterator[str]:
    yield from ("## Validation Pass", "")
    for merged in review.findings:
        one = merged.finding
        if one.severity in ("blocker", "important") or one.status == "refuted":
            yield f"- {_MARKS[one.status]} — {_title(one)}{_place(one)}"
    lost = [merged.finding for merged in standing if merged.finding.anchored in _LOST]
    yield from (f"- ⚠ {_title(one)}{_place(one)}: {_LOST[one.anchored or '']}" for one in lost)
    yield from map(_checked, review.checks)
    yield ""


def _checked(check: Check) -> str:
    words = check.status.replace("_", " ")
    return f"- {_CHECK_MARKS[check.status]} {prose(check.name)}: {words}, {_line(check.detail or 'no details')}"


def _verdict(review: Review, standing: Sequence[MergedFinding]) -> Iterator[str]:
    blockers = sum(merged.finding.severity == "blocker" for merged in standing)
    yield from ("## Verdict", "")
    if review.verdict is None:
        yield "None was given."
    elif review.verdict == READY:
        yield f"**Ready.** {f'Blockers reported all the same: {blockers}.' if blockers else 'No blockers.'}"
    else:
        yield f"**Not ready.** Blockers to settle first: {blockers}."


# Pieces


def _bullets(lines: Iterable[str]) -> Iterator[str]:
    said = [f"- {line}" for line in lines]
    yield from said or ["Nothing found."]


def _line(text: str) -> str:
    return sentence(text, TEXT_CHARS_MAX)


def _text(text: str, indent: str = "     ") -> str:
    return paragraph(text, indent, TEXT_CHARS_MAX)


def _title(finding: Finding) -> str:
    return sentence(finding.title, TITLE_CHARS_MAX)


def _after_dash(text: str) -> str:
    return f" — {_line(text)}" if text else ""


def _place(finding: Finding) -> str:
    return f" ({_cited(finding.places[0])})" if finding.file is not None else ""


def _places(finding: Finding) -> str:
    cited = [_cited(place) for place in finding.places]
    more = len(cited) - _PLACES_SHOWN_MAX
    return ", ".join(cited[:_PLACES_SHOWN_MAX]) + (f" and {more} more" if more > 0 else "")


def _cited(place: Place) -> str:
    lines = "" if place.line is None else f":{place.line}"
    if place.line is not None and place.end_line is not None and place.end_line > place.line:
        lines += f"-{place.end_line}"
    return code(f"{place.file}{lines}")


def _people(reviewers: Iterable[Reviewer]) -> str:
    return ", ".join(_person(one) for one in reviewers)


def _person(reviewer: Reviewer) -> str:
    known = ", ".join(prose(one) for one in (reviewer.model, reviewer.kind) if one)
    return f"{prose(reviewer.name)} ({known})" if known else prose(reviewer.name)
