"""The review as JSON for programs and as Markdown for people; both from one `Review`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from lattice.core.record import Record
from lattice.workers.builtin.diffcheck.findings import SEVERITIES, Check, Finding, Severity
from lattice.workers.builtin.diffcheck.secrets import mask
from lattice.workers.builtin.diffcheck.text import code, prose

SCHEMA_VERSION = 1
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_MARKS = {"confirmed": "✅ Confirmed", "likely": "❓ Likely"}
_CHECK_MARKS = {"passed": "✅", "failed": "❌", "not_run": "⏭", "timed_out": "⏱"}


class Review(Record):
    """All there is to say about one diff. `findings` are in order and capped."""

    base_sha: str
    commit_sha: str
    task: str | None
    branch: str | None
    file_count: int
    checks: tuple[Check, ...]
    findings: tuple[Finding, ...]

    @property
    def is_ready(self) -> bool:
        return not any(finding.severity == "blocker" for finding in self.findings)

    @property
    def summary(self) -> str:
        counts = [(sum(one.severity == severity for one in self.findings), severity) for severity in SEVERITIES]
        said = ", ".join(f"{count} {severity}" for count, severity in counts if count) or "no findings"
        ran = sum(check.status in ("passed", "failed") for check in self.checks)
        return f"{self.file_count} files changed: {said}; {ran} of {len(self.checks)} tools ran."

    def of(self, severity: Severity) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity == severity]

    def masked(self, literals: frozenset[str]) -> Review:
        """The review with every text that may quote the repository freed of secrets."""
        return self.replace(
            checks=tuple(
                one.replace(detail=mask(one.detail, literals), argv=tuple(mask(word, literals) for word in one.argv))
                for one in self.checks
            ),
            findings=tuple(
                one.replace(
                    title=mask(one.title, literals),
                    detail=mask(one.detail, literals),
                    fix=mask(one.fix, literals),
                    file=mask(one.file, literals) if one.file else None,
                )
                for one in self.findings
            ),
        )


def to_json(review: Review) -> str:
    """`review.json`: keys in a fixed order; a byte of a name that is not UTF-8 is written as `\\xNN`."""
    document = {
        "schema_version": SCHEMA_VERSION,
        "reviewer": "DiffCheck",
        "verdict": "ready" if review.is_ready else "not_ready",
        "base_sha": review.base_sha,
        "commit_sha": review.commit_sha,
        "task": review.task,
        "branch": review.branch,
        "summary": review.summary,
        "checks": [_whole(check) | {"argv": [_utf8(word) for word in check.argv]} for check in review.checks],
        "findings": [_whole(finding) for finding in review.findings],
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def _whole(record: Check | Finding) -> dict[str, object]:
    return {name: _utf8(value) if isinstance(value, str) else value for name, value in record.fields().items()}


def _utf8(text: str) -> str:
    return _SURROGATE.sub(lambda match: f"\\x{ord(match[0]) & 0xFF:02x}", text)


def to_markdown(review: Review, written_at: str) -> str:
    """`review.md`. `written_at` is the time as the reader should see it."""
    return "\n".join([*_header(review, written_at), *_overview(review), *_sections(review), *_closing(review)]) + "\n"


def _header(review: Review, written_at: str) -> Iterator[str]:
    yield "## Code Review"
    yield f"- **Date:** {written_at}"
    yield "- **Model:** none — DiffCheck (fixed rules and the project's own tools)"
    yield f"- **Branch:** {code(review.branch) if review.branch else 'detached'}"
    yield f"- **Latest Commit:** {review.commit_sha[:12]} (base {review.base_sha[:12]})"
    yield f"- **Story:** {prose(review.task) if review.task else 'none'}"
    yield "- **Review Type:** Automatic/Rules"
    yield from ("---", "")


def _overview(review: Review) -> Iterator[str]:
    yield "**The Ugly Truth**"
    yield review.summary
    if review.is_ready:
        yield "No rule and no tool found a reason to hold this commit; whether it does the right thing is for a reader."
    else:
        yield "This commit should not be merged as it stands."
    yield from ("", "**What Will Break**")
    yield from _bullets([f"{prose(one.title)}{_place(one)}" for one in review.of("blocker")])
    yield from ("", "**What's Missing**")
    missing = [f"{prose(one.title)}{_place(one)}" for one in review.findings if one.category == "tests"]
    unread = [f"{prose(one.name)} gave no answer: {prose(one.detail)}" for one in _unanswered(review.checks)]
    yield from _bullets([*missing, *unread])
    yield from ("", "**The Nits**")
    yield from _bullets([f"{prose(one.title)}{_place(one)} — {prose(one.detail)}" for one in review.of("nit")])
    yield from ("", "---", "")


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
        findings = review.of(severity)
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
    for finding in review.of("blocker"):
        yield f"- {_MARKS[finding.status]} — {prose(finding.title)}{_place(finding)}"
    for check in review.checks:
        words = f"{check.status.replace('_', ' ')}, {prose(check.detail)}"
        yield f"- {_CHECK_MARKS[check.status]} {prose(check.name)}: {words}"
    blockers = len(review.of("blocker"))
    yield from ("", "## Verdict", "")
    yield "**Ready.** No blockers." if review.is_ready else f"**Not ready.** Blockers to settle first: {blockers}."
