"""Whether two findings are the same: by where they point, what kind of thing they say, and their words.

Rather two findings than one wrong one: places that lie apart, kinds that differ and code that differs each
forbid it, whatever the words. Everything is decided on two findings alone, so that an answer does not
depend on what else is in the review.
"""

from __future__ import annotations

import math
import re
from enum import IntEnum

from lattice.core.record import Record
from lattice.core.reviews.kinds import kinds, kinds_of_category
from lattice.core.reviews.model import Finding, Place

NEAR_LINES = 3
"""Models miscount lines by a few; further off is another place."""

_SPAN_LINES_MAX = 25  # Two ranges of about this length that overlap are one place; a longer one is a neighbourhood.
_SPAN_SHARED_MIN = 0.25  # …unless this much of both together is in both, or they begin at about the same line.
_START_LINES = 10
_RULE = re.compile(r"[A-Z]+\d+")  # A linter's: E501

_CITATION = re.compile(
    r"[\w.@~+-]*/[\w./@~+-]*(?::\d+(?:-\d+)?)?|\b[\w-]+\.\w{1,5}:\d+(?:-\d+)?|\blines? \d+(?:-\d+)?\b"
)
_IDENTIFIER = re.compile(r"--?[a-z][\w-]+|[A-Za-z_]\w*(?:\.\w+)*")
_QUOTED = re.compile(r"[`'\"]([^`'\"\n]{1,80})[`'\"]")
_WORD = re.compile(r"[a-z][a-z']+|\d{2,}")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_STOP = frozenset({
    "a", "about", "add", "after", "all", "also", "an", "and", "any", "are", "as", "at", "be", "because", "been",
    "before", "being", "but", "by", "can", "code", "consider", "could", "do", "does", "done", "each", "either",
    "else", "ensure", "ever", "every", "file", "files", "fix", "for", "from", "function", "get", "gets", "has",
    "have", "here", "how", "if", "in", "instead", "into", "is", "issue", "it", "its", "itself", "just", "line",
    "lines", "make", "makes", "may", "method", "might", "more", "most", "must", "need", "needs", "never", "new",
    "no", "not", "now", "of", "off", "on", "once", "one", "only", "or", "other", "our", "out", "over", "own",
    "problem", "same", "should", "so", "some", "such", "than", "that", "the", "their", "them", "then", "there",
    "these", "they", "this", "those", "to", "too", "under", "until", "up", "use", "used", "uses", "using",
    "very", "via", "was", "we", "well", "were", "what", "when", "where", "whether", "which", "while", "who",
    "why", "will", "with", "without", "would", "you", "your",
})  # fmt: skip
_AMISS = frozenset({
    "bad", "broken", "bug", "condition", "error", "incorrect", "invalid", "lack", "lacks", "missing", "possible",
    "possibly", "potential", "unsafe", "wrong",
})  # fmt: skip
_ENDINGS = ("ations", "ation", "ings", "ing", "edly", "ies", "ied", "ers", "ed", "es", "er", "ly", "s", "e")
_STEM_CHARS_MIN = 4


class Nearness(IntEnum):
    """How the places of two findings lie."""

    APART = 0
    UNPLACED = 1  # one of them names no file
    FILE = 2  # the same file; one of them names no line
    NEAR = 3  # within NEAR_LINES, or a further place of one is at a place of the other
    SAME = 4  # the same code line, or ranges that are mostly the same


class Profile(Record):
    """What of a finding is compared: worked out once, compared often."""

    finding: Finding
    files: frozenset[str]
    text: str  # title and detail as they are, but for spaces and case
    title_kinds: frozenset[str]  # where the title has none, those of its category
    all_kinds: frozenset[str]
    title_code: frozenset[str]
    all_code: frozenset[str]
    words: frozenset[str]
    subject: frozenset[str]  # the words of the title that say neither the kind nor that something is amiss


def profile(finding: Finding) -> Profile:
    """The finding as it is compared."""
    whole = f"{finding.title}\n{finding.detail}\n{finding.fix}"
    # A trace repeats places and calls; a path that both cite says where, which is compared elsewhere.
    prose, title = _CITATION.sub(" ", whole), _CITATION.sub(" ", finding.title)
    named = kinds(title) or kinds_of_category(finding.category)  # A title says more: "concurrency" is a deadlock too.
    return Profile(
        finding,
        frozenset(place.file for place in finding.places),
        " ".join(f"{finding.title}\n{finding.detail}".casefold().split()),
        named,
        named | kinds(prose),
        _code(title),
        _code(prose) | _mentioned(prose),
        _words(prose),
        _words(" ".join(word for word in _plain(title).split() if word not in _AMISS and not kinds(word))),
    )


def same(one: Finding, other: Finding, *, moved: bool = False) -> bool:
    """Whether both say the same of the same code. Symmetric. See `likeness` for `moved`."""
    return likeness(profile(one), profile(other), moved=moved) > 0


def likeness(one: Profile, other: Profile, *, moved: bool = False) -> float:
    """How much two findings are the same thing, from 0 (they are not) to 2 (the same words at the same place).

    `moved`: they are of different commits, so that lines of the same file may have shifted: the same words
    then count wherever in the file they are. Without it, the same words at two places are two findings.
    """
    near = nearness(one.finding, other.finding)
    if near is Nearness.APART and not (moved and one.files & other.files):
        return 0.0
    if _kinds_differ(one, other) or _code_differs(one, other):
        return 0.0
    if one.text == other.text:
        return _of_equal_texts(one, other, near, moved=moved)
    shared, either = len(one.words & other.words), len(one.words | other.words)
    if not shared:
        return 0.0
    cosine = shared / math.sqrt(len(one.words) * len(other.words))
    strong = bool(one.title_kinds & other.title_kinds)
    weak = _is_mentioned(one, other)
    if not _subjects_meet(one, other, near):
        return 0.0
    needed = _needed(near, strong=strong, weak=weak, moved=moved)
    if cosine < needed or (shared < _SHARED_MIN and shared < either):
        return 0.0
    return near / 8 + min(cosine, 1.0)


_SHARED_MIN = 2
_NEVER = 2.0
# Nearness to the cosine of the words that makes two findings one: with a kind in both titles, with the kind of a
# title somewhere in the other's text, with none.
_COSINE_MIN = {
    Nearness.SAME: (0.12, 0.25, 0.55),
    Nearness.NEAR: (0.22, 0.40, 0.70),
    Nearness.FILE: (0.45, 0.60, 0.80),
    Nearness.UNPLACED: (0.75, 0.85, 0.90),
}


def _needed(near: Nearness, *, strong: bool, weak: bool, moved: bool) -> float:
    by_kind = _COSINE_MIN.get(near)
    if near is Nearness.APART:  # In the same file, or `likeness` would have given up.
        by_kind = _COSINE_MIN[Nearness.FILE] if moved else None
    if by_kind is None:
        return _NEVER
    return by_kind[0 if strong else 1 if weak else 2]


def _of_equal_texts(one: Profile, other: Profile, near: Nearness, *, moved: bool) -> float:
    """The same words: one finding at one place, but a rule that speaks of two lines has found two things."""
    at, also = one.finding, other.finding
    if near is Nearness.SAME or moved or at.places[:1] == also.places[:1]:
        return 1.0 + near / 4
    return 0.0


def nearness(one: Finding, other: Finding) -> Nearness:
    """How the two lie in the commit."""
    if one.file is None or other.file is None:
        return Nearness.UNPLACED
    if one.file == other.file and one.anchor is not None and one.anchor == other.anchor:
        return Nearness.SAME
    here, there = one.places, other.places
    files = {place.file for place in here} & {place.file for place in there}
    if not files:
        return Nearness.APART
    best = _between(here[0], there[0])
    if best < Nearness.NEAR:
        # A further place that both cite says that they are near, never that they are the same.
        further = max(_between(place, that) for place in here for that in there)
        best = max(best, min(further, Nearness.NEAR))
    return best


def _between(one: Place, other: Place) -> Nearness:
    if one.file != other.file:
        return Nearness.APART
    if one.line is None or other.line is None:
        return Nearness.FILE
    start, end = one.line, max(one.line, one.end_line or one.line)
    begin, stop = other.line, max(other.line, other.end_line or other.line)
    common = min(end, stop) - max(start, begin) + 1
    if common < 1 - NEAR_LINES:
        return Nearness.APART
    if common < 1:
        return Nearness.NEAR
    longest = max(end - start, stop - begin) + 1
    all_lines = max(end, stop) - min(start, begin) + 1
    begin_alike = abs(start - begin) <= _START_LINES
    is_one = longest <= _SPAN_LINES_MAX or common >= _SPAN_SHARED_MIN * all_lines or begin_alike
    return Nearness.SAME if is_one else Nearness.NEAR


def _kinds_differ(one: Profile, other: Profile) -> bool:
    """Both titles (or categories) say what they are about, and it is not the same."""
    rules = [_RULE.fullmatch(it.finding.category or "") for it in (one, other)]
    if all(rules) and one.finding.category != other.finding.category:
        return True
    return bool(one.title_kinds and other.title_kinds) and not one.title_kinds & other.title_kinds


def _is_mentioned(one: Profile, other: Profile) -> bool:
    """The kind that a title names stands in the other's text."""
    if not one.title_kinds | other.title_kinds:
        return False
    return all(
        not this.title_kinds or bool(this.title_kinds & that.all_kinds) for this, that in ((one, other), (other, one))
    )


def _subjects_meet(one: Profile, other: Profile, near: Nearness) -> bool:
    """What the titles are about comes up in the other's words: at one line some of it, elsewhere most of it.

    "Race on the counter" and "Race on shutdown" have their kind in common and nothing else.
    """
    if not one.subject or not other.subject:
        return True
    shares = [len(a.subject & b.words) / len(a.subject) for a, b in ((one, other), (other, one))]
    return max(shares) > (0 if near is Nearness.SAME else 0.5)


def _code_differs(one: Profile, other: Profile) -> bool:
    """Both titles name code, and neither mentions what the other's names."""
    if not one.title_code or not other.title_code:
        return False
    return not (one.title_code & other.all_code or other.title_code & one.all_code)


def _code(text: str) -> frozenset[str]:
    """What `text` names of the code: what is quoted, and words that only code has, as `snake_case` and `--flag`."""
    quoted = {found for inside in _QUOTED.findall(text) for found in _IDENTIFIER.findall(inside)}
    bare = {word for word in _IDENTIFIER.findall(text) if "_" in word.strip("_") or word.startswith("--")}
    return frozenset(part.casefold().strip("-_") for word in quoted | bare for part in (word, word.split(".")[-1]))


def _mentioned(text: str) -> frozenset[str]:
    """Every word that could be a name of code."""
    return frozenset(word.casefold().strip("-_") for word in _IDENTIFIER.findall(text))


def _words(text: str) -> frozenset[str]:
    """The stems of the words that carry meaning; names of code are taken apart."""
    return frozenset(_stem(word) for word in _WORD.findall(_plain(text)) if word not in _STOP)


def _plain(text: str) -> str:
    return _HUMP.sub(" ", text).replace("_", " ").casefold()


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _STEM_CHARS_MIN:
            return word.removesuffix(ending)
    return word
