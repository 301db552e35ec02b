"""The review that a run left among its outputs, read as what its reviewer says, and as no more than that."""

from __future__ import annotations

from typing import Any

from lattice.core.codec import BadLine, parse
from lattice.core.json_schema import problem_with
from lattice.core.reviews.model import Review, Reviewer, parse_review
from lattice.core.reviews.schema import SCHEMA
from lattice.store.files import disk
from lattice.workers.ends.outputs import REVIEW_ROLE
from lattice.workers.runs import RunFolder
from lattice.workers.spec import OutputSpec, RunSpec

REVIEW_BYTES_MAX = 16 << 20


def _output_of(spec: RunSpec) -> OutputSpec | None:
    """The output that is a review; None where the run owes none."""
    return next((one for one in spec.outputs if one.role == REVIEW_ROLE and one.path.endswith(".json")), None)


def review_in(folder: RunFolder, spec: RunSpec, by: Reviewer) -> Review | str:
    """The review in the run's output folder, by its one reviewer; else why there is none to be read.

    A reviewer speaks for itself: what it says of who found what is left out.
    """
    output = _output_of(spec)
    if output is None:
        return "its definition names no output of JSON with the role review"
    path = folder.out / output.path
    if path.is_symlink() or not path.is_file() or path.stat().st_size > REVIEW_BYTES_MAX:
        return f"{output.path} cannot be read"
    try:
        shape: dict[str, Any] = parse(disk.read(path) or b"")
    except BadLine as off:
        return f"{output.path}: {off}"
    problem = problem_with(shape, SCHEMA)
    if problem is not None:
        return f"{output.path} is no review: {problem}"
    plain = [{key: value for key, value in one.items() if key != "found_by"} for one in shape["findings"]]
    return parse_review({**shape, "findings": plain, "reviewers": [], "reviewer": None, "absent": []}, by)
