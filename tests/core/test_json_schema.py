"""The subset of JSON Schema: what it takes, what it refuses, and that no keyword is passed over in silence."""

from __future__ import annotations

from typing import Any

import pytest

from lattice.core.json_schema import check_schema, problem_with
from lattice.errors import ValidationError

FINDING = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$defs": {
        "finding": {
            "type": "object",
            "required": ["severity", "line"],
            "additionalProperties": False,
            "properties": {
                "severity": {"enum": ["high", "low"]},
                "line": {"type": "integer", "minimum": 1},
                "inner": {"type": "array", "items": {"$ref": "#/$defs/finding"}, "maxItems": 2},
            },
        }
    },
    "type": "array",
    "items": {"$ref": "#/$defs/finding"},
    "minItems": 1,
}
GOOD = {"severity": "high", "line": 3}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ([GOOD], None),
        ([{**GOOD, "inner": [GOOD]}], None),
        ([], "$: has 0, at least 1"),
        ({}, "$: must be array"),
        ([{"severity": "high"}], "$[0]: 'line' is missing"),
        ([{**GOOD, "line": 0}], "$[0].line: 0 is out of range"),
        ([{**GOOD, "line": True}], "$[0].line: must be integer"),
        ([{**GOOD, "severity": "mid"}], "$[0].severity: must be one of"),
        ([{**GOOD, "more": 1}], "$[0]: 'more' is not known"),
        ([{**GOOD, "inner": [GOOD, GOOD, GOOD]}], "$[0].inner: has 3, at most 2"),
        ([GOOD, {**GOOD, "inner": [{**GOOD, "line": "3"}]}], "$[1].inner[0].line: must be integer"),
    ],
)
def test_a_list_of_findings(value: Any, said: str | None) -> None:
    check_schema(FINDING)
    off = problem_with(value, FINDING)
    assert off is None if said is None else said in (off or "")


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"type": ["string", "null"]}, [None, "a"], [1, False]),
        ({"type": "integer"}, [1, 1.0], [1.5, True, 1e999]),
        ({"type": "number"}, [1, 1.5], [False, "1"]),
        ({"const": 1}, [1, 1.0], [True, 2]),
        ({"enum": [[1, {"a": True}]]}, [[1, {"a": True}]], [[1, {"a": 1}], [1]]),
        ({"pattern": "^a"}, ["ab", 1], ["ba"]),
        ({"minLength": 2, "maxLength": 3}, ["ab", 1], ["a", "abcd"]),
        ({"minProperties": 1}, [{"a": 1}], [{}]),
        ({"maximum": 3, "exclusiveMinimum": 0}, [3, "x"], [0, 4]),
        ({"exclusiveMaximum": 3}, [2], [3]),
        ({"uniqueItems": True}, [[1, True]], [[1, 1.0]]),
        ({"not": {"type": "null"}}, [1], [None]),
        ({"allOf": [{"minimum": 1}, {"maximum": 2}]}, [1], [0, 3]),
        ({"anyOf": [{"type": "string"}, {"minimum": 5}]}, ["a", 5], [4]),
        ({"oneOf": [{"minimum": 1}, {"maximum": 5}]}, [0, 6], [3]),
        ({"additionalProperties": {"type": "string"}}, [{"a": "b"}], [{"a": 1}]),
        ({"properties": {"a": False}}, [{}], [{"a": 1}]),
        (True, [1], []),
        (False, [], [1]),
    ],
)
def test_each_keyword(schema: Any, good: list[Any], bad: list[Any]) -> None:
    check_schema(schema)
    assert [None] * len(good) == [problem_with(value, schema) for value in good]
    assert [] == [value for value in bad if problem_with(value, schema) is None]


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ([], "must be an object, true or false"),
        ({"propertis": {}}, "did you mean 'properties'"),
        ({"properties": {"a": {"if": {}}}}, "$.properties.a: the keyword 'if' is not known"),
        ({"type": "text"}, "$.type must be one or more of"),
        ({"type": [["string"]]}, "$.type must be one or more of"),
        ({"minLength": -1}, "$.minLength must be a whole number"),
        ({"minimum": "1"}, "$.minimum must be a number"),
        ({"pattern": "("}, "is not a regular expression"),
        ({"pattern": 1}, "is not a regular expression"),
        ({"required": "a"}, "$.required must be a list of texts"),
        ({"enum": 1}, "$.enum must be a list"),
        ({"anyOf": []}, "$.anyOf must be a list of schemas"),
        ({"properties": []}, "$.properties must be an object of schemas"),
        ({"uniqueItems": 1}, "$.uniqueItems must be true or false"),
        ({"$ref": "other.json"}, "is not in this file"),
        ({"$ref": "#/$defs/a"}, "is not in this file"),
    ],
)
def test_a_schema_that_cannot_be_applied_in_full_is_refused(schema: Any, said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        check_schema(schema)
    assert said in refused.value.message


def test_a_schema_that_refers_to_itself_comes_to_an_end() -> None:
    loop = {"$defs": {"a": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}
    check_schema(loop)
    assert "nested more than" in (problem_with(1, loop) or "")
