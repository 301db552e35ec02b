"""Reviews as chance makes them: few words, few places, so that they meet each other."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st

from lattice.core.reviews.model import (
    CONFIDENCES,
    SEVERITIES,
    VERDICTS,
    Absent,
    Check,
    Finding,
    MergedFinding,
    Place,
    Report,
    Review,
    Reviewer,
)

SETTINGS = settings(max_examples=150, derandomize=True, deadline=None, database=None)
WORDS = (
    "race", "condition", "snapshot", "read", "lock", "written", "counter", "lost", "update", "deadlock", "order",
    "leak", "socket", "closed", "never", "`claim`", "`release`", "test", "missing", "path", "traversal", "stale",
)  # fmt: skip
TEXTS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join)
LINES = st.none() | st.integers(1, 30)
PLACES = st.builds(Place, st.sampled_from(("a.py", "b.py")), LINES, LINES)
FINDINGS = st.builds(
    Finding,
    severity=st.sampled_from(SEVERITIES),
    title=TEXTS,
    detail=st.just("") | TEXTS,
    category=st.sampled_from((None, "concurrency", "tests", "E501")),
    file=st.sampled_from((None, "a.py", "a.py", "b.py")),
    line=LINES,
    end_line=LINES,
    also=st.lists(PLACES, max_size=2).map(tuple),
    status=st.sampled_from(CONFIDENCES),
    fix=st.just("") | TEXTS,
    anchor=st.sampled_from((None, None, "x", "y")),
)
REVIEWERS = st.builds(Reviewer, st.sampled_from(("ann", "bob", "cem")), st.sampled_from((None, "m1")))
REPORTS = st.builds(Report, REVIEWERS, FINDINGS)


def _of(reports: list[Report]) -> tuple[MergedFinding, ...]:
    return tuple(MergedFinding(one.finding, (one,)) for one in reports)


REVIEWS = st.builds(
    Review,
    reviewers=st.lists(REVIEWERS, min_size=1, max_size=2, unique=True).map(tuple),
    findings=st.lists(REPORTS, max_size=5).map(_of),
    verdict=st.none() | st.sampled_from(VERDICTS),
    base_sha=st.sampled_from((None, "ba5e", "ba5e0000")),
    commit_sha=st.sampled_from((None, "c0ffee", "c0ffee00")),
    task=st.sampled_from((None, "LAT-1")),
    date=st.sampled_from((None, "2026-01-01", "2026-01-02")),
    kind=st.sampled_from((None, "critical", "standard", "critical, standard")),
    summary=st.sampled_from(("", "It breaks.", "It holds.")),
    will_break=st.lists(st.sampled_from(("One.", "Two.", "Three.")), max_size=3).map(tuple),
    missing=st.lists(st.sampled_from(("Tests.", "Docs.")), max_size=2).map(tuple),
    checks=st.lists(st.builds(Check, st.sampled_from(("ruff", "mypy")), st.just("passed")), max_size=2).map(tuple),
    absent=st.lists(st.builds(Absent, st.sampled_from(("ann", "dee")), st.sampled_from(("gone", "late")))).map(tuple),
)
