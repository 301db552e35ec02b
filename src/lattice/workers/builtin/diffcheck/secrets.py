"""Credentials in added lines: known forms, and literals of high entropy given to a telling name.

A finding never repeats what it found: `Masked` shows at most the first four characters, and
`mask` does the same to any other text before it enters the report.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

from lattice.core.record import Record
from lattice.core.reviews.model import Finding, MergedFinding, Review
from lattice.workers.builtin.diffcheck import paths
from lattice.workers.builtin.diffcheck.changes import AddedLine, Change
from lattice.workers.builtin.diffcheck.findings import finding

SHOWN_CHARS_MAX = 4
_LENGTH_MIN = 16
_BITS_PER_CHAR_MIN = 3.3  # 16 random hexadecimal digits have about 3.3, identifiers made of words about 3.
_KEY_LINES = 4  # The body of a key may follow headers such as Proc-Type.

_KNOWN = (
    ("AWS access key id", re.compile(r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])")),
    ("GitHub token", re.compile(r"(?<![A-Za-z0-9])(?:gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{40,})")),
    ("Slack token", re.compile(r"(?<![A-Za-z0-9])xox[abeoprs]-[A-Za-z0-9-]{10,}")),
    ("Google API key", re.compile(r"(?<![A-Za-z0-9])AIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])")),
    ("Stripe live key", re.compile(r"(?<![A-Za-z0-9])[sr]k_live_[A-Za-z0-9]{16,}")),
)
_PRIVATE_KEY = re.compile(r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_KEY_BODY = re.compile(r"[A-Za-z0-9+/=]{40,}")
_NAME = r"[\w.-]{0,60}(?:password|passwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key)[\w-]{0,40}"
_QUOTED = re.compile(
    rf"(?i)(?<![\w.-]){_NAME}[\"']?\]?\s*(?::\s*[\w\[\], |]{{1,40}}=|:=|=>|=|:)\s*[bru]?([\"'`])"
    rf"(?P<value>[^\"'`\s]{{{_LENGTH_MIN},}})\1"
)
_BARE = re.compile(rf"(?i)^\s*(?:export\s+|-\s+)?{_NAME}\s*[=:]\s*(?P<value>[^\"'`\s#]{{{_LENGTH_MIN},}})\s*(?:#.*)?$")
_BARE_SUFFIXES = frozenset({".env", ".properties", ".ini", ".cfg", ".conf", ".yaml", ".yml", ".sh"})
_PLACEHOLDER = re.compile(
    r"(?i)example|change[_-]?me|placeholder|dummy|redacted|sample|fake|your[_-]|xxxx|\*\*\*|\.\.\.|1234567|abcdefg|"
    r"\$\{|\$\(|\{\{|<[\w -]+>|%\(|\{\w*\}|os\.environ|getenv|process\.env|secrets\.|://|^[/.$]"
)


class Secret(Record):
    """Where a literal was found; `certain` when its form is a known one."""

    kind: str
    line: int
    literal: str
    certain: bool


def find_secrets(change: Change) -> Iterator[Secret]:
    """At most one secret a line, the known form before the guessed one."""
    guess = not paths.is_foreign(change.path)  # Lock files are full of checksums.
    for index, line in enumerate(change.added):
        found = _private_key(change.added, index) or _known(line)
        if found is None and guess:
            found = _guessed(line, bare=_takes_bare_values(change.path))
        if found is not None:
            yield found


def _takes_bare_values(path: str) -> bool:
    return paths.suffix(path) in _BARE_SUFFIXES or path.rsplit("/", 1)[-1].startswith(".env")


def _private_key(added: tuple[AddedLine, ...], index: int) -> Secret | None:
    """A header alone may be code that reads keys; with a body, or alone on its line, it is a key."""
    line = added[index]
    match = _PRIVATE_KEY.search(line.text)
    if match is None:
        return None
    alone = line.text.strip(" \t\r\"'`\\n") == match[0]
    following = (one.text for one in added[index + 1 : index + 1 + _KEY_LINES])
    with_body = any(_KEY_BODY.search(text) for text in (line.text[match.end() :], *following))
    return Secret("private key", line.number, match[0], alone or with_body)


def _known(line: AddedLine) -> Secret | None:
    for kind, pattern in _KNOWN:
        match = pattern.search(line.text)
        if match and not re.search(r"(?i)example|x{5}|0{8}", match[0]):
            return Secret(kind, line.number, match[0], True)
    return None


def _guessed(line: AddedLine, *, bare: bool) -> Secret | None:
    match = _QUOTED.search(line.text) or (_BARE.search(line.text) if bare else None)
    if match and looks_random(match["value"]):
        return Secret("credential", line.number, match["value"], False)
    return None


def looks_random(value: str) -> bool:
    """Long, no placeholder, digits among letters, and few repetitions."""
    if len(value) < _LENGTH_MIN or _PLACEHOLDER.search(value):
        return False
    digits = sum(one.isdigit() for one in value)
    letters = sum(one.isalpha() for one in value)
    return digits >= 2 and letters >= 2 and bits_per_char(value) >= _BITS_PER_CHAR_MIN


def bits_per_char(value: str) -> float:
    """Shannon entropy of the characters of `value`, in bits a character."""
    total = len(value)
    return -sum(count / total * math.log2(count / total) for count in Counter(value).values())


def as_finding(change: Change, secret: Secret) -> Finding:
    shown = "" if secret.kind == "private key" else f" It begins with {secret.literal[:SHOWN_CHARS_MAX]!r}."
    return finding(
        severity="blocker" if secret.certain else "important",
        category="secret",
        title=f"{secret.kind} in the diff",
        detail=f"A literal of {len(secret.literal)} characters.{shown} Once pushed, it must count as known.",
        file=change.path,
        line=secret.line,
        status="confirmed" if secret.certain else "likely",
        fix="Revoke it, take it out of the commit, and read it from the environment or a secret store.",
    )


def mask(text: str, literals: frozenset[str]) -> str:
    """`text` without any secret: those found in this diff, and whatever else has a known form."""
    for literal in sorted(literals, key=len, reverse=True):
        text = text.replace(literal, f"{literal[:SHOWN_CHARS_MAX]}…")
    for _, pattern in _KNOWN:
        text = pattern.sub(lambda match: f"{match[0][:SHOWN_CHARS_MAX]}…", text)
    return text


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
        missing=tuple(mask(line, literals) for line in review.missing),
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
