"""A review as SARIF 2.1.0 (OASIS, 2020): what code hosts and editors read findings from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from lattice import __version__
from lattice.core.markup import encodable
from lattice.core.reviews.model import Finding, MergedFinding, Place, Review, Reviewer
from lattice.core.text import visible_prose

_LEVELS = {"blocker": "error", "important": "warning", "potential": "note", "nit": "note"}
_RANKS = {"blocker": 100.0, "important": 70.0, "potential": 40.0, "nit": 10.0}
_GENERAL = "review"
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/")


def to_sarif(review: Review) -> dict[str, Any]:
    """The SARIF log: one run. A refuted finding is there, suppressed, with who refutes it."""
    rules = sorted({_rule(merged.finding) for merged in review.findings})
    log: dict[str, Any] = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "Lattice",
                        "version": __version__,
                        "rules": [{"id": rule, "shortDescription": {"text": rule}} for rule in rules],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "originalUriBaseIds": {"SRCROOT": {"description": {"text": "The top of the repository."}}},
                "results": list(_results(review, rules)),
                "properties": _known(
                    verdict=review.verdict,
                    baseSha=review.base_sha,
                    commitSha=review.commit_sha,
                    task=review.task,
                    summary=visible_prose(review.summary),
                    reviewers=[_person(one) for one in review.reviewers],
                ),
            }
        ],
    }
    return {name: encodable(value) for name, value in log.items()}


def _results(review: Review, rules: list[str]) -> Iterator[dict[str, Any]]:
    seen: Counter[str] = Counter()
    for merged in review.findings:
        one = merged.finding
        result: dict[str, Any] = {
            "ruleId": _rule(one),
            "ruleIndex": rules.index(_rule(one)),
            "kind": "fail",
            "level": _LEVELS[one.severity],
            "rank": _RANKS[one.severity],
            "message": {"text": _message(one)},
            "locations": [_location(place) for place in one.places[:1] if one.file is not None],
            "properties": _properties(merged),
        }
        if one.also:
            result["relatedLocations"] = [_location(place) | {"id": at} for at, place in enumerate(one.also, 1)]
        if one.anchor is not None:
            # GitHub tells results apart by the first; two findings of one line must not be taken for one.
            seen[one.anchor] += 1
            result["partialFingerprints"] = {
                "primaryLocationLineHash": f"{one.anchor}:{seen[one.anchor]}",
                "latticeAnchor/v1": one.anchor,
            }
        if one.status == "refuted":
            by = ", ".join(reviewer.name for reviewer in merged.refuters)
            result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": f"Refuted by {by}."}]
        yield result


def _properties(merged: MergedFinding) -> dict[str, Any]:
    one = merged.finding
    return _known(
        severity=one.severity,
        status=one.status,
        anchored=one.anchored,
        fix=visible_prose(one.fix),
        trace=visible_prose(one.trace),
        foundBy=[_person(reviewer) for reviewer in merged.finders],
        refutedBy=[_person(reviewer) for reviewer in merged.refuters],
    )


def _known(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, "", [])}


def _person(reviewer: Reviewer) -> str:
    return f"{reviewer.name} ({reviewer.model})" if reviewer.model else reviewer.name


def _message(finding: Finding) -> str:
    said = [finding.title, finding.detail, f"Fix: {finding.fix}" if finding.fix else ""]
    return visible_prose("\n\n".join(part for part in said if part))


def _rule(finding: Finding) -> str:
    """The category as an identifier."""
    words = re.sub(r"[^\w./-]+", "-", finding.category or "").strip("-")
    return words or _GENERAL


def _location(place: Place) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": {"uri": uri(place.file), "uriBaseId": "SRCROOT"}}
    if place.line is not None:
        end = place.end_line
        physical["region"] = {"startLine": place.line} | ({"endLine": end} if end and end > place.line else {})
    return {"physicalLocation": physical}


def uri(path: str) -> str:
    """A path as the relative reference of RFC 3986 that names it from the top of the repository."""
    try:
        data = path.lstrip("/").encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        data = encodable(path).lstrip("/").encode()
    return "".join(chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in data) or "."
