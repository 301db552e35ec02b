"""A merge follows from the set of reports, joins what is the same, and joins nothing that differs."""

from __future__ import annotations

import json
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice.core.reviews.merge import grouped, merge
from lattice.core.reviews.model import (
    Absent,
    Finding,
    Report,
    Review,
    Reviewer,
    by_one,
    parse_review,
    to_json,
)
from lattice.core.reviews.similarity import same
from lattice.errors import ValidationError
from tests.core.reviews.strategies import FINDINGS, REPORTS, REVIEWS, SETTINGS

ANN, BOB, CEM = Reviewer("ann", "m1"), Reviewer("bob", "m2"), Reviewer("cem", "m3")
RACE = Finding(
    "blocker",
    "Race condition in `claim`",
    "The ticket is read before the lock is taken and written after it, so a second claim in between is lost.",
    file="shop/desk.py",
    line=40,
    end_line=71,
    fix="Read the ticket inside the lock.",
)
RACE_TOO = Finding(
    "important",
    "read and write of the ticket race",
    "Two claims that start together both read the old ticket; the lock comes later (`shop/desk.py:66`).",
    file="shop/desk.py",
    line=44,
    status="confirmed",
)


def review(reviewer: Reviewer, *findings: Finding) -> Review:
    return Review((reviewer,), by_one(reviewer, findings))


@SETTINGS
@given(st.lists(REVIEWS, min_size=1, max_size=4), st.data())
def test_neither_order_nor_number_makes_a_difference(reviews: list[Review], data: st.DataObject) -> None:
    again = data.draw(st.permutations(reviews + reviews[:1]))
    assert merge(reviews) == merge(again)


@SETTINGS
@given(REVIEWS, REVIEWS, REVIEWS)
def test_parts_may_be_merged_before(one: Review, two: Review, three: Review) -> None:
    whole = merge([one, two, three])
    assert whole == merge([merge([one, two]), three]) == merge([one, merge([two, three])])
    assert whole == merge([whole]) == merge([whole, two])


@SETTINGS
@given(st.lists(REVIEWS, min_size=1, max_size=3))
def test_every_report_is_kept_once_and_the_file_of_it_says_the_same(reviews: list[Review]) -> None:
    whole = merge(reviews)
    assert {one for review in reviews for one in review.reports} == set(whole.reports)
    assert len(set(whole.reports)) == len(whole.reports)
    assert whole == parse_review(json.loads(json.dumps(to_json(whole))), Reviewer("?"))


@SETTINGS
@given(FINDINGS, FINDINGS, st.booleans())
def test_likeness_has_no_direction(one: Finding, other: Finding, moved: bool) -> None:
    assert same(one, other, moved=moved) is same(other, one, moved=moved)
    assert same(one, one, moved=moved)


@SETTINGS
@given(st.lists(REPORTS, max_size=8))
def test_no_chain_joins_two_that_differ(reports: list[Report]) -> None:
    for merged in grouped(reports):
        for one, other in combinations(merged.reports, 2):
            assert one.reviewer == other.reviewer or same(one.finding, other.finding)


def test_one_race_told_by_two_is_one_finding_with_both_severities() -> None:
    [merged] = merge([review(ANN, RACE), review(BOB, RACE_TOO)]).findings
    assert (ANN, BOB) == merged.finders
    assert ("blocker", "confirmed") == (merged.finding.severity, merged.finding.status)
    assert {("blocker", "likely"), ("important", "confirmed")} == {
        (one.finding.severity, one.finding.status) for one in merged.reports
    }
    assert merged.is_disputed


OTHERS = {
    "another file": RACE_TOO.replace(file="shop/till.py"),
    "another kind": RACE_TOO.replace(title="no test of the ticket", detail="Claims that start together are untested."),
    "far away": RACE_TOO.replace(line=400),
    "other code": RACE_TOO.replace(title="`refund` races"),
    "no place": RACE_TOO.replace(file=None, line=None),
    "other words": RACE_TOO.replace(title="race", detail="Handlers register while signals fire."),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_what_differs_stays_apart(other: Finding) -> None:
    assert 2 == len(merge([review(ANN, RACE), review(BOB, other)]).findings)


def test_one_reviewer_means_two_when_it_says_two() -> None:
    assert 2 == len(merge([review(ANN, RACE, RACE_TOO)]).findings)
    assert 1 == len(merge([review(ANN, RACE, RACE.replace(severity="nit"))]).findings)


def test_a_rule_that_speaks_of_two_lines_found_two_things() -> None:
    long = Finding("nit", "Line too long", "130 > 120", "E501", "a.py", 10)
    found = merge([review(ANN, long, long.replace(line=11)), review(BOB, long.replace(line=11), long)]).findings
    assert [(10, (ANN, BOB)), (11, (ANN, BOB))] == [(one.finding.line, one.finders) for one in found]


REFUSED = RACE.replace(status="refuted", severity="nit")


@pytest.mark.parametrize(
    ("reports", "expected"),
    [
        ((RACE, REFUSED), ("blocker", "refuted")),
        ((RACE.replace(status="confirmed"), REFUSED), ("blocker", "confirmed")),
        ((REFUSED, REFUSED), ("nit", "refuted")),
        ((RACE.replace(severity="potential"), RACE.replace(severity="important")), ("important", "likely")),
    ],
)
def test_who_refutes_does_not_speak_for_its_weight(reports: tuple[Finding, Finding], expected: tuple[str, str]) -> None:
    [merged] = merge([review(ANN, reports[0]), review(CEM, reports[1])]).findings
    assert expected == (merged.finding.severity, merged.finding.status)
    assert (CEM in merged.refuters) == (reports[1].status == "refuted")


def test_a_moved_line_is_found_again_by_its_words_or_its_anchor() -> None:
    later = RACE.replace(line=240, end_line=271)
    assert (False, True) == (same(RACE, later), same(RACE, later, moved=True))
    reworded = RACE_TOO.replace(line=240, anchor="4f")
    assert (False, True) == (same(RACE, reworded), same(RACE.replace(anchor="4f"), reworded))


def test_the_rest_is_united() -> None:
    one = review(ANN).replace(verdict="ready", summary="Fine.", kind="standard", absent=(Absent("bob", "late"),))
    two = review(BOB).replace(verdict="not_ready", summary="It breaks.", kind="critical", will_break=("b", "a"))
    whole = merge([one, two])
    assert ("not_ready", "critical, standard", ()) == (whole.verdict, whole.kind, whole.absent)
    assert "ann: Fine.\n\nbob: It breaks." == whole.summary
    assert ("b", "a") == whole.will_break


def test_reviews_of_two_commits_are_not_one() -> None:
    with pytest.raises(ValidationError, match="different commits"):
        merge([review(ANN).replace(commit_sha="aa11"), review(BOB).replace(commit_sha="bb22")])
    assert (
        "aa11bb"
        == merge([review(ANN, RACE).replace(commit_sha="aa11bb"), review(BOB).replace(commit_sha="aa11")]).commit_sha
    )
