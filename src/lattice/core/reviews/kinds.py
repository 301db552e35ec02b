"""What kind of thing a finding is about: a small lexicon, from the words that reviewers use to one name.

The names are narrower than categories: a race and a deadlock are both concurrency, and never the same
finding. Words come from Common Weakness Enumeration titles and everyday reviews; a kind that is missing
here costs a merge that could have been, never a wrong one.
"""

from __future__ import annotations

import re
from functools import cache

# Each kind with the phrases that name it. They match at the start of a word, so that a stem stands for its forms;
# with a space after it, a phrase is whole words.
_PHRASES = {
    "race": "race |races |racy |racing |toctou|time of check|check then act|lost update|lost write|data race|"
    "not atomic|non atomic|unsynchroni|read modify write|interleav|concurrent|concurrency",
    "deadlock": "deadlock|livelock|lock order|lock inversion",
    "leak": "leak|never closed|not closed|unclosed|not released|never released|accumulat|not cleaned up|"
    "not clean up|no cleanup|without cleanup|orphan|pile up|piles up|never removed|prune",
    "stuck": "zombie|stuck|never end|never complete|never finish|cannot close|stale state|lifecycle|"
    "hangs |hanging|hung |inconsistent state|partial state|half written",
    "timeout": "timeout|time out|timed out|time limit|deadline|watchdog",
    "injection": "injection|shell true|unescaped|unsaniti|use of eval |evals |xss |cross site",
    "traversal": "traversal|path escape|zip slip|symlink|symbolic link|dot dot",
    "temp": "temp dir|temp file|temporary dir|temporary file|tmp|predictable path|mkdtemp",
    "secret": "secret|credential|password|api key|private key|hardcoded key|hard coded key|token leak",
    "auth": "authenticat|authori|permission|privilege|access control|csrf |acl ",
    "untested": "no test|missing test|untested|not tested|lacks test|without test|test coverage|uncovered|add test",
    "unvalidated": "not validat|never validat|unvalidat|no validation|missing validation|without validation|"
    "unchecked|not checked|never checked|input validation|validat",
    "swallowed": "swallow|silent|ignored error|ignores error|bare except|except pass|error handling|unhandled|"
    "uncaught|not caught|error path",
    "null": "null|none dereference|nonetype|nil |undefined|attributeerror|keyerror|missing key",
    "bounds": "off by one|out of bounds|out of range|index error|indexerror|overflow|underflow|fencepost|boundary",
    "division": "division by zero|divide by zero|zero division|zerodivision",
    "encoding": "encoding|unicode|utf 8|surrogate|mojibake|charset|locale",
    "slow": "performance|slow|quadratic|n 1 quer|inefficien|hot path|o n 2|unbounded memory|memory usage",
    "types": "mypy |type error|typing |type annotation|type hint|incompatible type|wrong type",
    "unused": "unused|dead code|unreachable|never used|not used|never called",
    "duplicate": "duplicat|copy paste|copied code|repeated code",
    "naming": "naming|misnamed|misleading name|rename|typo|spelling|misspel",
    "docs": "docstring|documentation|comment says|outdated comment|readme|undocumented",
    "missing_file": "file missing|missing file|does not exist|do not exist|not exist|no such file|broken at launch|"
    "broken reference",
    "environment": "env |environment var",
    "compatibility": "backward|breaking change|incompatib|deprecat|migration",
    "numbers": "rounding|floating point|precision|decimal",
    "dates": "timezone|time zone|utc |daylight|naive datetime",
}

# What says nothing about the kind: reviewers give it for want of a better word.
_VAGUE = frozenset({
    "bug", "bugs", "code", "correctness", "design", "error", "errors", "general", "issue", "logic", "maintainability",
    "other", "quality", "reliability", "robustness", "style", "architecture", "data", "integrity", "data integrity",
    "safety", "security", "vulnerability", "concurrency bug", "tests", "testing", "test", "lint",
})  # fmt: skip
_WORD = re.compile(r"[^\W_]+")


@cache
def _patterns() -> dict[str, re.Pattern[str]]:
    return {kind: re.compile(rf"\b(?:{phrases})") for kind, phrases in _PHRASES.items()}


def kinds(text: str) -> frozenset[str]:
    """The kinds that the words of `text` name."""
    words = " ".join((*_WORD.findall(text.casefold()), ""))
    return frozenset(kind for kind, pattern in _patterns().items() if pattern.search(words))


def kinds_of_category(category: str | None) -> frozenset[str]:
    """The kinds that a category names; one the lexicon does not know is a kind of its own, a vague one is none."""
    said = " ".join(_WORD.findall((category or "").casefold()))
    if not said or said in _VAGUE:
        return frozenset()
    return kinds(said) or frozenset({said})
