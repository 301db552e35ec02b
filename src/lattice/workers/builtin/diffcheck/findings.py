"""Findings and checks: the values that rules and tools give and the report prints."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Literal

from lattice.core.record import Record

Severity = Literal["blocker", "important", "potential", "nit"]
Confidence = Literal["confirmed", "likely"]
CheckStatus = Literal["passed", "failed", "not_run", "timed_out"]

SEVERITIES: tuple[Severity, ...] = ("blocker", "important", "potential", "nit")
FINDINGS_PER_CATEGORY_MAX = 50


class Finding(Record):
    """One thing a reader should look at. `status` says whether it was seen or is inferred."""

    severity: Severity
    category: str
    title: str
    detail: str
    file: str | None = None
    line: int | None = None
    status: Confidence = "confirmed"
    fix: str = ""


class Check(Record):
    """One run, or refusal to run, of a project's tool."""

    name: str
    argv: tuple[str, ...]
    status: CheckStatus
    detail: str
    duration_s: float = 0.0


class ToolResult(Record):
    """What a tool's adapter hands back."""

    check: Check
    findings: tuple[Finding, ...] = ()


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """Severity, file, line, category, title: the same diff gives the same report."""
    return sorted(
        findings,
        key=lambda one: (
            SEVERITIES.index(one.severity),
            one.file or "",
            one.line or 0,
            one.category,
            one.title,
            one.detail,
        ),
    )


def capped(findings: Iterable[Finding], limit: int = FINDINGS_PER_CATEGORY_MAX) -> list[Finding]:
    """In order, at most `limit` of a category; a finding says how many were left out."""
    kept: list[Finding] = []
    taken: dict[str, int] = defaultdict(int)
    left_out: dict[str, list[Finding]] = defaultdict(list)
    for finding in in_order(findings):
        if taken[finding.category] < limit:
            taken[finding.category] += 1
            kept.append(finding)
        else:
            left_out[finding.category].append(finding)
    for category, rest in left_out.items():
        kept.append(
            Finding(
                severity=rest[0].severity,  # In order, so the worst of those left out.
                category=category,
                title=f"{len(rest)} more findings of this category were left out",
                detail=f"The report names the first {limit} of category {category}.",
                fix="Settle the ones named and run the review again.",
            )
        )
    return in_order(kept)
