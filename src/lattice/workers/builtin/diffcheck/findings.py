"""How DiffCheck says what it found: findings that are confirmed unless said otherwise, so many of a category."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Literal

from lattice.core.record import Record
from lattice.core.reviews.merge import grouped
from lattice.core.reviews.model import Check, Finding, MergedFinding, Report, Reviewer
from lattice.core.text import how_many

Severity = Literal["blocker", "important", "potential", "nit"]
Confidence = Literal["confirmed", "likely"]

REVIEWER = Reviewer("DiffCheck", kind="rules")
FINDINGS_PER_CATEGORY_MAX = 50


def finding(
    severity: Severity,
    category: str,
    title: str,
    detail: str,
    file: str | None = None,
    line: int | None = None,
    status: Confidence = "confirmed",
    fix: str = "",
) -> Finding:
    """What a rule or a tool saw; `status` says otherwise where it infers."""
    return Finding(severity, title, detail, category, file, line, status=status, fix=fix)


class ToolResult(Record):
    """What a tool's adapter hands back."""

    check: Check
    findings: tuple[Finding, ...] = ()


def in_order(findings: Iterable[Finding]) -> list[MergedFinding]:
    """Severity, file, line, category, title: the same diff gives the same report."""
    return list(grouped(Report(REVIEWER, one) for one in findings))


def capped(findings: Iterable[Finding], limit: int = FINDINGS_PER_CATEGORY_MAX) -> list[MergedFinding]:
    """In order, at most `limit` of a category; a finding says how many were left out."""
    kept: list[Finding] = []
    taken: dict[str | None, int] = defaultdict(int)
    left_out: dict[str, list[Finding]] = defaultdict(list)
    for merged in in_order(findings):
        one = merged.finding
        if taken[one.category] < limit:
            taken[one.category] += 1
            kept.append(one)
        else:
            left_out[one.category or ""].append(one)
    for category, rest in left_out.items():
        kept.append(
            rest[0].replace(  # In order, so the worst of those left out.
                title=how_many(len(rest), "more finding of this category was", "more findings of this category were")
                + " left out",
                detail=f"The report names the first {limit} of category {category}.",
                file=None,
                line=None,
                status="confirmed",
                fix="Settle the ones named and run the review again.",
            )
        )
    return in_order(kept)
