"""Annotations stand on one line each, and say nothing but what they were given to say."""

from __future__ import annotations

import json
import re
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lattice.core.reviews.annotations import to_github, to_gitlab
from lattice.core.reviews.model import Finding, Review, Reviewer, by_one

ANN = Reviewer("ann")
RACE = Finding(
    "blocker", "Race: claim, lock", "100% lost\nwhen late", "concurrency", "shop/a,b:c.py", 4, 9, fix="Lock."
)


def review(*findings: Finding) -> Review:
    return Review((ANN,), by_one(ANN, findings))


def test_a_command_is_escaped_as_github_reads_it() -> None:
    assert (
        "::error file=shop/a%2Cb%3Ac.py,line=4,endLine=9,title=Race%3A claim%2C lock::"
        "100%25 lost%0Awhen late%0A%0AFix: Lock.\n"
    ) == to_github(review(RACE))


@pytest.mark.parametrize(
    ("finding", "expected"),
    [
        (Finding("important", "A", file="a.py"), "::warning file=a.py,title=A::A\n"),
        (Finding("potential", "A", file="a.py", line=3, anchored="no_line"), "::notice file=a.py,title=A::A\n"),
        (Finding("nit", "A", file="a.py", line=3, anchored="no_file"), "::notice title=A::A\n"),
        (Finding("nit", "A", status="refuted"), ""),
    ],
)
def test_a_command_names_only_a_place_there_is(finding: Finding, expected: str) -> None:
    assert expected == to_github(review(finding))


HOSTILE = st.text(st.sampled_from("a:,%\r\n\x1b\u202e\u2028=") | st.characters(), min_size=1, max_size=20)


@given(HOSTILE)
@example("\u2028")
def test_nothing_begins_another_command(text: str) -> None:
    said = to_github(review(Finding("nit", text, f"x{text}\n::error::y", file=text, line=1)))
    [line, end] = re.split(r"[\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029]", said)
    assert "" == end
    properties, message = re.fullmatch(r"::notice ([^:]*)::(.*)", line).groups()  # type: ignore[union-attr]  # it must match
    assert {"file", "line", "title"} == {one.split("=", 1)[0] for one in properties.split(",")}
    assert unquote(message).endswith("\n::error::y") or "\ufffd" in text
    said.encode()


def test_a_code_quality_report_has_what_gitlab_asks_for() -> None:
    twin = RACE.replace(detail="otherwise")
    bare = Finding("nit", "B")
    issues = to_gitlab(review(RACE, twin, bare, RACE.replace(status="refuted")))
    assert 3 == len(issues) == len({one["fingerprint"] for one in issues})
    assert [("blocker", "shop/a,b:c.py", 4), ("blocker", "shop/a,b:c.py", 4), ("info", ".", 1)] == [
        (one["severity"], one["location"]["path"], one["location"]["lines"]["begin"]) for one in issues
    ]
    assert {"description", "check_name", "fingerprint", "severity", "location"} == set(issues[0])


def test_the_fingerprint_follows_the_line_and_not_its_number() -> None:
    one, later = RACE.replace(anchor="ab"), RACE.replace(anchor="ab", line=90)
    assert [one["fingerprint"] for one in to_gitlab(review(one))] == [
        one["fingerprint"] for one in to_gitlab(review(later))
    ]


@given(HOSTILE)
def test_a_code_quality_report_can_be_written(text: str) -> None:
    json.dumps(to_gitlab(review(Finding("nit", text, text, text, text, 1))), ensure_ascii=False).encode()
