"""The JSON schema of a review: what `lattice review schema` prints, and every reviewer's output is held to.

Keys that it does not name are allowed: an agent may say more, and a newer version may too.
"""

from __future__ import annotations

import json

from lattice.core.json_schema import problem_with
from lattice.core.markup import encodable
from lattice.core.reviews.model import (
    ANCHORED,
    CONFIDENCES,
    SCHEMA_VERSION,
    SEVERITIES,
    VERDICTS,
    Review,
    to_json,
)
from lattice.errors import ValidationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_LINE = {"type": ["integer", "null"], "minimum": 1}
_TEXT = {"type": ["string", "null"]}
_PLACE = {"file": {"type": "string", "minLength": 1}, "line": _LINE, "end_line": _LINE}
_FINDING: dict[str, Any] = {
    "severity": {"enum": list(SEVERITIES), "description": "blocker: must not be merged; nit: taste"},
    "title": {"type": "string", "minLength": 1, "pattern": r"\S", "description": "one line, what is wrong"},
    "detail": {**_TEXT, "description": "why it is wrong, and what happens"},
    "category": {**_TEXT, "description": "one or two words: concurrency, security, tests, …"},
    "file": {**_TEXT, "description": "from the top of the repository"},
    "line": _LINE,
    "end_line": _LINE,
    "also": {"type": "array", "items": {"type": "object", "properties": _PLACE, "required": ["file"]}},
    "status": {"enum": [*CONFIDENCES, None], "description": "confirmed: you saw it happen, or the code proves it"},
    "fix": {**_TEXT, "description": "what to do about it"},
    "trace": {**_TEXT, "description": "how it comes about, step by step"},
    "ref": {**_TEXT, "description": "in a second round: the finding of the first that you judge"},
    "anchor": _TEXT,
    "anchored": {"enum": [*ANCHORED, None]},
}
_REVIEWER = {
    "type": "object",
    "properties": {"name": {"type": "string", "minLength": 1}, "model": _TEXT, "kind": _TEXT, "run_id": _TEXT},
    "required": ["name"],
}

SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Review",
    "description": "A review of the changes between two commits.",
    "type": "object",
    "properties": {
        "schema_version": {"const": SCHEMA_VERSION},
        "verdict": {"enum": list(VERDICTS)},
        "summary": {**_TEXT, "description": "what a reader must know first, without politeness"},
        "will_break": {"type": "array", "items": {"type": "string"}, "description": "what fails in use, and when"},
        "missing": {"type": "array", "items": {"type": "string"}, "description": "what should be there and is not"},
        "findings": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    **_FINDING,
                    "found_by": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {"reviewer": _REVIEWER, **_FINDING},
                            "required": ["reviewer", "severity", "title"],
                        },
                    },
                },
                "required": ["severity", "title"],
            },
        },
        "checks": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "status": {"enum": ["passed", "failed", "not_run", "timed_out"]},
                    "detail": _TEXT,
                    "argv": {"type": "array", "items": {"type": "string"}},
                    "duration_s": {"type": "number", "minimum": 0},
                },
                "required": ["name", "status"],
            },
        },
        "reviewer": _TEXT,
        "reviewers": {"type": "array", "items": _REVIEWER},
        "absent": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"name": {"type": "string"}, "reason": _TEXT},
                "required": ["name"],
            },
        },
        "overview": {
            "type": ["object", "null"],
            "description": "what a model makes of a merge's findings: on top of them, never in their place",
            "properties": {"text": {"type": "string"}, "by": _TEXT},
            "required": ["text"],
        },
        "said": {
            "type": "array",
            "description": "of a merge: who said what of the whole; `summary` unites it",
            "items": {
                "type": "object",
                "properties": {"text": {"type": "string"}, "by": _TEXT},
                "required": ["text"],
            },
        },
        **dict.fromkeys(("base_sha", "commit_sha", "task", "branch", "date", "kind"), _TEXT),
    },
    "required": ["verdict", "findings"],
}


def document(review: Review) -> str:
    """The review as the text of a `review.json`. Raises ValidationError where it would not fit the schema."""
    shape = encodable(to_json(review))
    if problem := problem_with(shape, SCHEMA):
        raise ValidationError(f"The review does not fit the schema of a review: {problem}")
    return json.dumps(shape, ensure_ascii=False, indent=2) + "\n"
