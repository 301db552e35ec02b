"""The log is what SARIF 2.1.0 requires, whatever the reviewers wrote."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice.core.json_schema import problem_with
from lattice.core.reviews.merge import merge
from lattice.core.reviews.model import Finding, Review, Reviewer, by_one
from lattice.core.reviews.sarif import to_sarif, uri
from tests.core.reviews.strategies import REVIEWS, SETTINGS

ANN = Reviewer("ann", "m1")
TEXT = {"type": "object", "properties": {"text": {"type": "string", "minLength": 1}}, "required": ["text"]}
LOCATION = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "id": {"type": "integer", "minimum": -1},
        "physicalLocation": {
            "type": "object",
            "additionalProperties": False,
            "required": ["artifactLocation"],
            "properties": {
                "artifactLocation": {
                    "type": "object",
                    "additionalProperties": False,
                    "properties": {"uri": {"type": "string", "minLength": 1}, "uriBaseId": {"const": "SRCROOT"}},
                },
                "region": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["startLine"],
                    "properties": {key: {"type": "integer", "minimum": 1} for key in ("startLine", "endLine")},
                },
            },
        },
    },
}
LOCATIONS = {"type": "array", "items": LOCATION, "uniqueItems": True}
RESULT = {
    "type": "object",
    "additionalProperties": False,
    "required": ["message", "ruleId"],
    "properties": {
        "ruleId": {"type": "string"},
        "ruleIndex": {"type": "integer", "minimum": 0},
        "kind": {"const": "fail"},  # what a level other than none asks for
        "level": {"enum": ["error", "warning", "note"]},
        "rank": {"type": "number", "minimum": 0, "maximum": 100},
        "message": TEXT,
        "locations": LOCATIONS | {"maxItems": 1},
        "relatedLocations": LOCATIONS,
        "partialFingerprints": {"type": "object", "additionalProperties": {"type": "string"}},
        "properties": {"type": "object"},
        "suppressions": {
            "type": "array",
            "uniqueItems": True,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["kind"],
                "properties": {
                    "kind": {"enum": ["inSource", "external"]},
                    "status": {"enum": ["accepted", "underReview", "rejected"]},
                    "justification": {"type": "string"},
                },
            },
        },
    },
}
"""Of the standard's sections 3.13 to 3.35, what concerns the properties that we write."""
RULE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["id"],
    "properties": {"id": {"type": "string", "minLength": 1}, "shortDescription": TEXT},
}
DRIVER = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name"],
    "properties": {
        "name": {"type": "string"},
        "version": {"type": "string"},
        "rules": {"type": "array", "items": RULE, "uniqueItems": True},
    },
}
RUN = {
    "type": "object",
    "additionalProperties": False,
    "required": ["tool"],
    "properties": {
        "tool": {"type": "object", "required": ["driver"], "properties": {"driver": DRIVER}},
        "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
        "originalUriBaseIds": {"type": "object", "additionalProperties": {"type": "object"}},
        "results": {"type": "array", "items": RESULT},
        "properties": {"type": "object"},
    },
}
LOG = {
    "type": "object",
    "additionalProperties": False,
    "required": ["version", "runs"],
    "properties": {
        "$schema": {"type": "string"},
        "version": {"const": "2.1.0"},
        "runs": {"type": "array", "items": RUN},
    },
}


@SETTINGS
@given(st.lists(REVIEWS, min_size=1, max_size=2))
def test_any_review_is_a_valid_log(reviews: list[Review]) -> None:
    whole = merge(reviews)
    log = to_sarif(whole)
    assert problem_with(log, LOG) is None
    [run] = log["runs"]
    assert len(whole.findings) == len(run["results"])
    rules = [rule["id"] for rule in run["tool"]["driver"]["rules"]]
    assert [one["ruleId"] for one in run["results"]] == [rules[one["ruleIndex"]] for one in run["results"]]


def results(*findings: Finding) -> list[dict[str, Any]]:
    log = to_sarif(Review((ANN,), by_one(ANN, findings)))
    made: list[dict[str, Any]] = log["runs"][0]["results"]
    return made


def test_a_finding_carries_its_place_its_line_and_who_says_so() -> None:
    one = Finding("blocker", "A", "B", "lock order", "a b.py", 3, 5, fix="C", anchor="ab", anchored="found")
    [result] = results(one)
    assert ("lock-order", "error", "A\n\nB\n\nFix: C") == (result["ruleId"], result["level"], result["message"]["text"])
    place = result["locations"][0]["physicalLocation"]
    assert ("a%20b.py", {"startLine": 3, "endLine": 5}) == (place["artifactLocation"]["uri"], place["region"])
    assert ["ann (m1)"] == result["properties"]["foundBy"]


def test_two_findings_of_one_line_are_two_to_a_code_host() -> None:
    one = Finding("nit", "A", file="a", line=1, anchor="ab")
    hosts = [
        result["partialFingerprints"]["primaryLocationLineHash"] for result in results(one, one.replace(title="B"))
    ]
    assert ["ab:1", "ab:2"] == hosts


def test_a_refuted_finding_is_suppressed() -> None:
    [result] = results(Finding("nit", "A", status="refuted"))
    assert "Refuted by ann." == result["suppressions"][0]["justification"]


@given(st.text())
def test_every_path_has_a_reference_that_names_it(path: str) -> None:
    made = uri(path)
    assert re.fullmatch(r"(?:[A-Za-z0-9._~/-]|%[0-9A-F]{2})+", made)
    assert path.lstrip("/").encode() == unquote_to_bytes(made) or made == "."


@pytest.mark.parametrize("text", ["\x1b[31m\u202e", "\udcff", "a\0b"])
def test_hostile_text_can_be_written_and_is_shown(text: str) -> None:
    log = to_sarif(Review((ANN,), by_one(ANN, [Finding("nit", text, text, text, text, 1, fix=text)]), summary=text))
    written = json.dumps(log, ensure_ascii=False).encode()
    assert text not in written.decode()
    assert problem_with(log, LOG) is None
