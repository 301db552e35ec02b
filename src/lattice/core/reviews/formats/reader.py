"""Which format a report is in, told by its content; and the one way to read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lattice.core.codec import BadLine, parse_value
from lattice.core.reviews.formats import linters, markdown, own_json, sarif
from lattice.core.reviews.formats.account import Account, Reading, whole
from lattice.core.reviews.model import Review, Reviewer, to_json
from lattice.errors import ValidationError, choices

BYTES_MAX = 16 << 20
AUTO = "auto"
READERS: Mapping[str, Callable[[bytes, Account, Reviewer], Review]] = {
    "markdown": markdown.read,
    "sarif": sarif.read,
    "ruff": linters.read_ruff,
    "mypy": linters.read_mypy,
    "eslint": linters.read_eslint,
    "json": own_json.read,
}
FORMATS = (AUTO, *READERS)


def read(
    data: bytes,
    format: str = AUTO,  # noqa: A002  # the word that the command line has for it
    *,
    by: Reviewer | None = None,
    roots: Sequence[str] = (),
) -> Reading:
    """The review that a report is. `by` overrides who gave it; absolute paths may lie below one of `roots`.

    Raises ValidationError saying what is wrong with it; a report that is only too long is cut, and says so.
    """
    if len(data) > BYTES_MAX:
        raise ValidationError(
            f"The report is too long; the limit is {BYTES_MAX} bytes.", hint="Run the tool on the changed files alone."
        )
    name = detected(data) if format == AUTO else format
    account = Account(roots)
    review = READERS[name](data, account, by or Reviewer(""))
    whole(to_json(review))
    return Reading(name, review, account.remarks)


def detected(data: bytes) -> str:
    """The format's name. Raises ValidationError where nothing tells."""
    text = data.removeprefix(b"\xef\xbb\xbf").strip()
    if not text:
        raise ValidationError(
            "The report is empty.", hint="A tool that found nothing has to be named: --format mypy, where it was mypy."
        )
    if not text.startswith((b"{", b"[")):
        return "markdown"
    try:
        shape = parse_value(text)
    except BadLine as off:
        first = text.split(b"\n", 1)[0].strip()
        if first != text and _is_mypy(_value(first)):
            return "mypy"
        if text.startswith(b"[") and not text.startswith((b"[{", b"[\n", b"[]", b"[\r")):
            return "markdown"  # it begins with a link
        raise ValidationError(
            f"The report begins as JSON does, but cannot be read: {off}.", hint="Name its format with --format."
        ) from off
    return _of_json(shape)


def _of_json(shape: Any) -> str:
    rows = shape if isinstance(shape, list) else shape.get("results") if isinstance(shape, dict) else None
    row = rows[0] if isinstance(rows, list) and rows and isinstance(rows[0], dict) else {}
    if isinstance(shape, dict) and isinstance(shape.get("runs"), list):
        return "sarif"
    if "filePath" in row and "messages" in row:
        return "eslint"
    if isinstance(shape, list) and "filename" in row and "location" in row:
        return "ruff"
    if _is_mypy(shape):
        return "mypy"
    inside = shape.get("data") if isinstance(shape, dict) and shape.get("ok") is True else shape
    if isinstance(inside, dict) and ("findings" in inside or "review" in inside):
        return "json"
    if shape == []:
        raise ValidationError(
            "The report is an empty list, and nothing in it says which tool found nothing.",
            hint="Name the tool: --format ruff, or --format eslint.",
        )
    raise ValidationError(
        f"The report is JSON of no format that can be read: {choices(tuple(READERS)[1:])}.",
        hint="Name its format with --format; lattice review import --help tells how each tool prints it.",
    )


def _value(line: bytes) -> Any:
    try:
        return parse_value(line)
    except BadLine:
        return None


def _is_mypy(shape: Any) -> bool:
    return isinstance(shape, dict) and {"file", "line", "message", "severity"} <= shape.keys()
