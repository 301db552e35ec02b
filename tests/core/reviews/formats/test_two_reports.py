"""Two reports of one diff, by two models in two dialects, read whole and merged: one race, two finders."""

from __future__ import annotations

from pathlib import Path

import pytest

from lattice.core.reviews.formats import reader
from lattice.core.reviews.merge import merge
from lattice.core.reviews.model import Review

SAMPLES = Path(__file__).parents[1] / "samples"
SHARED = Path(__file__).parents[5] / "shared" / "reviews"
OURS = [SAMPLES / "numbered.md", SAMPLES / "ticked.md"]
THEIRS = [SHARED / "critical-review-a.md", SHARED / "critical-review-b.md"]
PAIRS = [pytest.param(pair, id=pair[0].stem) for pair in (OURS, THEIRS) if all(path.is_file() for path in pair)]
"""Our own always; the two that the project began with where they lie beside it, as they do in our CI."""


def reviews(pair: list[Path]) -> list[Review]:
    read = [reader.read(path.read_bytes()) for path in pair]
    assert {"markdown"} == {one.format for one in read}
    return [one.review for one in read]


@pytest.mark.parametrize("pair", PAIRS)
def test_the_race_that_both_report_is_one_finding_with_two_finders_and_nothing_else_is_merged(pair: list[Path]) -> None:
    one, other = reviews(pair)
    merged = merge([one, other])
    both = [found for found in merged.findings if len(found.reports) > 1]
    assert [True] == ["race" in found.finding.title.casefold() for found in both]
    assert {*one.reviewers, *other.reviewers} == set(both[0].finders)
    assert len(one.findings) + len(other.findings) - 1 == len(merged.findings)


@pytest.mark.parametrize("pair", PAIRS)
def test_both_are_read_whole(pair: list[Path]) -> None:
    """Every item of a list of findings, with its place where the report gives one, and every section."""
    for path, review in zip(pair, reviews(pair), strict=True):
        text = path.read_text("utf-8")
        assert all(
            (review.verdict == "not_ready", review.summary, review.will_break, review.missing, review.commit_sha)
        )
        ticked = sum(line.startswith(("- ✅ Conf", "- ❓ Likely but", "- ❌ Ref")) for line in text.splitlines())
        numbered = text.count("**Issue:**")
        nits = text.partition("**The Nits**\n")[2].partition("\n\n")[0].count("\n- ") + 1
        assert ticked + numbered + nits == len(review.findings), path.name
        assert sum(merged.finding.file is not None for merged in review.findings) >= text.count("**File:**")


def test_the_two_beside_the_project_say_what_they_say() -> None:
    """Their numbers, where they are; the test above holds our own everywhere."""
    if len(PAIRS) == 1:
        assert not all(path.is_file() for path in THEIRS)
        return
    one, other = reviews(THEIRS)
    assert [3, 2, 1, 3] == [len(one.of(severity)) for severity in ("blocker", "important", "potential", "nit")]
    assert [3, 2, 2, 2] == [len(other.of(severity)) for severity in ("blocker", "important", "potential", "nit")]
    assert 3 == sum(merged.finding.status == "confirmed" for merged in one.findings)
    assert ["failed", "not_run", "not_run"] == [check.status for check in other.checks]
