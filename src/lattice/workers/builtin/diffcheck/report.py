"""The review as JSON for programs and as Markdown for people; both from one `Review`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from lattice.core.json_schema import problem_with
from lattice.core.reviews.model import READY, Check, Finding, MergedFinding, Review
from lattice.core.reviews.model import to_json as review_to_json
from lattice.core.reviews.schema import SCHEMA
from lattice.errors import ValidationError
from lattice.workers.builtin.diffcheck.findings import Severity
from lattice.workers.builtin.diffcheck.secrets import mask
from lattice.workers.builtin.diffcheck.text import code, prose

_SURROGATE = re.compile(r"[\ud800-\udfff]")
_MARKS = {"confirmed": "✅ Confirmed", "likely": "❓ Likely"}
_CHECK_MARKS = {"passed": "✅", "failed": "❌", "not_run": "⏭", "timed_out": "⏱"}


def masked(review: Review, literals: frozenset[str]) -> Review:
    """The review with every text that may quote the repository freed of secrets."""

    def freed(one: Finding) -> Finding:
        return one.replace(
            title=mask(one.title, literals),
            detail=mask(one.detail, literals),
            fix=mask(one.fix, literals),
            file=mask(one.file, literals) if one.file else None,
        )

    return review.replace(
        checks=tuple(
            one.replace(detail=mask(one.detail, literals), argv=tuple(mask(word, literals) for word in one.argv))
            for one in review.checks
        ),
        findings=tuple(
            MergedFinding(
                freed(merged.finding),
                tuple(report.replace(finding=freed(report.finding)) for report in merged.reports),
            )
            for merged in review.findings
        ),
    )


def to_json(review: Review) -> str:
    """`review.json`: keys in a fixed order; a byte of a name that is not UTF-8 is written as `\\xNN`.

    Raises ValidationError where the document would not fit the schema that every reviewer is held to.
    """
    document = _utf8(review_to_json(review))
    if problem := problem_with(document, SCHEMA):
        raise ValidationError(f"The review does not fit the schema of a review: {problem}")
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _utf8(shape: Any) -> Any:
    match shape:
        case str():
            return _SURROGATE.sub(lambda match: f"\\x{ord(match[0]) & 0xFF:02x}", shape)
        case list():
            return [_utf8(one) for one in shape]
        case dict():
            return {_utf8(key): _utf8(value) for key, value in shape.items()}
    return shape


def to_markdown(review: Review) -> str:
    """`review.md`."""
    return "\n".join([*_header(review), *_overview(review), *_sections(review), *_closing(review)]) + "\n"


def _header(review: Review) -> Iterator[str]:
    yield "## Code Review"
    yield f"- **Date:** {review.date}"
    yield "- **Model:** none — DiffCheck (fixed rules and the project's own tools)"
    yield f"- **Branch:** {code(review.branch) if review.branch else 'detached'}"
    yield f"- **Latest Commit:** {(review.commit_sha or '')[:12]} (base {(review.base_sha or '')[:12]})"
    yield f"- **Story:** {prose(review.task) if review.task else 'none'}"
    yield "- **Review Type:** Automatic/Rules"
    yield from ("---", "")


def _overview(review: Review) -> Iterator[str]:
    yield "**The Ugly Truth**"
    yield review.summary
    if review.verdict == READY:
        yield "No rule and no tool found a reason to hold this commit; whether it does the right thing is for a reader."
    else:
        yield "This commit should not be merged as it stands."
    yield from ("", "**What Will Break**")
    yield from _bullets([f"{prose(one.title)}{_place(one)}" for one in _of(review, "blocker")])
    yield from ("", "**What's Missing**")
    missing = [
        f"{prose(one.title)}{_place(one)}"
        for one in (merged.finding for merged in review.findings)
        if one.category == "tests"
    ]
    unread = [f"{prose(one.name)} gave no answer: {prose(one.detail)}" for one in _unanswered(review.checks)]
    yield from _bullets([*missing, *unread])
    yield from ("", "**The Nits**")
    yield from _bullets([f"{prose(one.title)}{_place(one)} — {prose(one.detail)}" for one in _of(review, "nit")])
    yield from ("", "---", "")


def _of(review: Review, severity: Severity) -> list[Finding]:
    return [merged.finding for merged in review.of(severity)]


def _unanswered(checks: Sequence[Check]) -> list[Check]:
    return [check for check in checks if check.status in ("not_run", "timed_out")]


def _bullets(lines: list[str]) -> Iterator[str]:
    yield from (f"- {line}" for line in lines or ["Nothing found."])


def _place(finding: Finding) -> str:
    if finding.file is None:
        return ""
    return f" ({code(finding.file if finding.line is None else f'{finding.file}:{finding.line}')})"


def _sections(review: Review) -> Iterator[str]:
    numbered: tuple[tuple[str, Severity], ...] = (
        ("1. Blockers", "blocker"),
        ("2. Important", "important"),
        ("3. Potential", "potential"),
    )
    for heading, severity in numbered:
        yield from (f"### {heading}", "")
        findings = _of(review, severity)
        if not findings:
            yield "None."
        for number, finding in enumerate(findings, 1):
            yield f"{number}. **{prose(finding.title)}**"
            if finding.file is not None:
                yield f"   - **File:** {_place(finding).strip(' ()')}"
            yield f"   - **Issue:** {prose(finding.detail)}"
            if finding.fix:
                yield f"   - **Fix:** {prose(finding.fix)}"
        yield ""


def _closing(review: Review) -> Iterator[str]:
    yield from ("## Validation Pass", "")
    for finding in _of(review, "blocker"):
        yield f"- {_MARKS[finding.status]} — {prose(finding.title)}{_place(finding)}"
    for check in review.checks:
        words = f"{check.status.replace('_', ' ')}, {prose(check.detail)}"
        yield f"- {_CHECK_MARKS[check.status]} {prose(check.name)}: {words}"
    blockers = len(_of(review, "blocker"))
    yield from ("", "## Verdict", "")
    yield (
        "**Ready.** No blockers."
        if review.verdict == READY
        else f"**Not ready.** Blockers to settle first: {blockers}."
    )
