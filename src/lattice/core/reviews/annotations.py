"""A review at the lines of a change: GitHub's workflow commands, and GitLab's code quality report."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from lattice.core.markup import encodable
from lattice.core.reviews.model import Finding, MergedFinding, Review
from lattice.core.text import visible, visible_prose

_GITHUB = {"blocker": "error", "important": "warning", "potential": "notice", "nit": "notice"}
_GITLAB = {"blocker": "blocker", "important": "major", "potential": "minor", "nit": "info"}


def to_github(review: Review) -> str:
    """A workflow command a finding, as a step's output; refuted ones are left out.

    Each stands on a line of its own, and nothing that a reviewer wrote can begin another line.
    """
    return "".join(f"{_command(merged.finding)}\n" for merged in _standing(review))


def _standing(review: Review) -> Iterator[MergedFinding]:
    yield from (merged for merged in review.findings if merged.finding.status != "refuted")


def _command(finding: Finding) -> str:
    properties: dict[str, object] = {}
    if finding.file is not None and finding.anchored != "no_file":
        properties["file"] = finding.file
        if finding.line is not None and finding.anchored != "no_line":
            properties["line"] = finding.line
            if finding.end_line is not None and finding.end_line > finding.line:
                properties["endLine"] = finding.end_line
    properties["title"] = finding.title
    listed = ",".join(f"{name}={_property(str(value))}" for name, value in properties.items())
    return f"::{_GITHUB[finding.severity]} {listed}::{_data(_words(finding))}"


def _data(text: str) -> str:
    """As `@actions/core` escapes a message: https://github.com/actions/toolkit, packages/core, command."""
    escaped = encodable(visible_prose(text)).replace("%", "%25").replace("\r", "%0D")
    return re.sub("[\n\u2028\u2029]", "%0A", escaped)


def _property(text: str) -> str:
    return _data(visible(text)).replace(":", "%3A").replace(",", "%2C")


def _words(finding: Finding) -> str:
    said = [finding.detail or finding.title, f"Fix: {finding.fix}" if finding.fix else ""]
    return "\n\n".join(part for part in said if part)


def to_gitlab(review: Review) -> list[dict[str, Any]]:
    """The issues of a code quality report; refuted ones are left out. What has no file is at the top folder."""
    seen: Counter[str] = Counter()
    issues = []
    for merged in _standing(review):
        one = merged.finding
        print_ = _fingerprint(one)
        seen[print_] += 1
        issues.append(
            {
                "description": visible(" ".join(f"{one.title}: {_words(one)}".split())),
                "check_name": visible(one.category or "review"),
                "fingerprint": print_ if seen[print_] == 1 else _hash(print_, str(seen[print_])),
                "severity": _GITLAB[one.severity],
                "location": {"path": visible(one.file or "."), "lines": {"begin": one.line or 1}},
            }
        )
    return [encodable(issue) for issue in issues]


def _fingerprint(finding: Finding) -> str:
    """The same for the same finding of a later commit: by the line's content where it is known."""
    return _hash(finding.file or "", finding.anchor or str(finding.line), finding.category or "", finding.title)


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "replace")).hexdigest()
