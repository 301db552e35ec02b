"""A review in each form that others read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from lattice.core.markup import encodable
from lattice.core.reviews.annotations import to_github, to_gitlab
from lattice.core.reviews.model import Review, to_json
from lattice.core.reviews.report import to_markdown
from lattice.core.reviews.sarif import to_sarif


def _pretty(shape: object) -> str:
    """ASCII alone, so that nothing in it acts on a terminal either."""
    return json.dumps(encodable(shape), indent=2).replace("\x7f", "\\u007f") + "\n"


FORMS: Mapping[str, Callable[[Review], str]] = {
    "markdown": to_markdown,
    "json": lambda review: _pretty(to_json(review)),
    "sarif": lambda review: _pretty(to_sarif(review)),
    "github": to_github,
    "gitlab": lambda review: _pretty(to_gitlab(review)),
}
"""A report, a `review.json`, a SARIF log, workflow commands, and a code quality report."""


def rendered(review: Review, form: str) -> str:
    """The review in one of `FORMS`; text of whole lines."""
    return FORMS[form](review)
