"""What ruff, mypy and eslint print as JSON: a tool's finding is confirmed, for it saw what it says.

The verdict is the tool's own exit status: an error is "not ready". Errors are important, what keeps a file from being
read at all is a blocker, warnings are potential and notes are nits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lattice.core.codec import BadLine, parse, parse_value
from lattice.core.reviews.formats.account import Account
from lattice.core.reviews.model import NOT_READY, READY, Check, Finding, Review, Reviewer, by_one
from lattice.core.text import how_many
from lattice.errors import ValidationError

_SYNTAX = ("invalid-syntax", "syntax", "E999")


def read_ruff(data: bytes, account: Account, by: Reviewer) -> Review:
    """`ruff check --output-format json`. Raises ValidationError."""
    rows = _rows(json_of(data, "ruff"), "ruff", "ruff check --output-format json")
    return by_tool("ruff", [_ruff(row, account) for row in account.rows(rows, "results")], account, by)


def read_mypy(data: bytes, account: Account, by: Reviewer) -> Review:
    """`mypy --output json`: an object a line; lines in words are remarked upon. Raises ValidationError."""
    findings: list[Finding] = []
    for number, line in enumerate(account.rows(data.splitlines(), "lines"), 1):
        if not line.strip():
            continue
        if not line.lstrip().startswith(b"{"):
            account.remark(f"line {number} of mypy's output is not JSON: {line[:80].decode('utf-8', 'replace')}")
            continue
        try:
            findings.append(_mypy(parse(line), account))
        except BadLine as off:
            raise ValidationError(f"Line {number} of mypy's output cannot be read: {off}.", hint=_hint("mypy")) from off
    return by_tool("mypy", findings, account, by)


def read_eslint(data: bytes, account: Account, by: Reviewer) -> Review:
    """`eslint --format json`, or json-with-metadata. Raises ValidationError."""
    shape = json_of(data, "eslint")
    files = _rows(shape.get("results") if isinstance(shape, dict) else shape, "eslint", "eslint --format json")
    findings, suppressed = [], 0
    for file in account.rows(files, "files"):
        said = _rows(file.get("messages"), "eslint", "eslint --format json")
        findings += [_eslint(file, message, account) for message in account.rows(said, "messages")]
        hushed = file.get("suppressedMessages")
        suppressed += len(hushed) if isinstance(hushed, list) else 0
    return by_tool("eslint", findings, account, by, suppressed)


def by_tool(name: str, findings: Sequence[Finding], account: Account, by: Reviewer, suppressed: int = 0) -> Review:
    """The review that a tool gives."""
    reviewer = by.replace(name=by.name or name, kind=by.kind or "tool")
    is_off = any(one.severity in ("blocker", "important") for one in findings)
    told = how_many(len(findings), "finding")
    if suppressed:
        told += f"; {suppressed} suppressed at their source and left out"
        one, many = "finding is suppressed at its source, and was", "findings are suppressed at their source, and were"
        account.remark(f"{how_many(suppressed, one, many)} left out")
    return Review(
        reviewers=(reviewer,),
        findings=by_one(reviewer, account.findings(findings)),
        verdict=NOT_READY if is_off else READY,
        checks=(Check(name, "failed" if is_off else "passed", told),),
    )


def json_of(data: bytes, what: str) -> Any:
    """The JSON value. Raises ValidationError naming what it was to be."""
    try:
        return parse_value(data.removeprefix(b"\xef\xbb\xbf"))
    except BadLine as off:
        raise ValidationError(f"The report cannot be read as {what}: {off}.", hint=_hint(what)) from off


def _hint(what: str) -> str:
    return f"Give what {what} printed, and nothing else; its messages for people go to standard error."


def _rows(value: Any, tool: str, command: str) -> list[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise ValidationError(f"This is not what {tool} prints: a list of objects was expected.", hint=command)
    return value


def _ruff(row: Mapping[str, Any], account: Account) -> Finding:
    code = text_in(row, "code") or "invalid-syntax"  # older versions give no code to what they cannot read
    severity = {"warning": "potential", "info": "nit"}.get(text_in(row, "severity"), "important")
    about = [f"ruff {code}", text_in(row, "name"), text_in(row, "url")]
    return account.finding(
        severity="blocker" if code in _SYNTAX else severity,
        title=text_in(row, "message") or code,
        detail=", ".join(dict.fromkeys(text for text in about if text)),
        places=[_place(account, text_in(row, "filename"), inner(row, "location").get("row"),
                       inner(row, "end_location").get("row"))],
        category=code[:60],
        status="confirmed",
        fix=text_in(inner(row, "fix"), "message"),
    )  # fmt: skip


def _mypy(row: Mapping[str, Any], account: Account) -> Finding:
    code = text_in(row, "code")
    severity = {"note": "nit", "warning": "potential"}.get(text_in(row, "severity"), "important")
    return account.finding(
        severity="blocker" if code in _SYNTAX else severity,
        title=text_in(row, "message") or code or "mypy",
        detail=f"mypy {code}" if code else "",
        places=[_place(account, text_in(row, "file"), row.get("line"), row.get("end_line"))],
        category=code[:60] or None,
        status="confirmed",
        fix=text_in(row, "hint"),
    )


def _eslint(file: Mapping[str, Any], row: Mapping[str, Any], account: Account) -> Finding:
    rule = text_in(row, "ruleId")
    ways = [text_in(inner_row, "desc") for inner_row in listed(row.get("suggestions"))]
    graded = "important" if row.get("severity") == 2 else "potential"
    return account.finding(
        severity="blocker" if row.get("fatal") is True else graded,
        title=text_in(row, "message") or rule or "eslint",
        detail=f"eslint {rule}" if rule else "",
        places=[_place(account, text_in(file, "filePath"), row.get("line"), row.get("endLine"))],
        category=rule[:60] or None,
        status="confirmed",
        fix="\n".join(way for way in ways if way),
    )


def _place(account: Account, file: str, line: Any, end_line: Any) -> Any:
    return account.place(file, line, end_line) if file else None


def text_in(shape: Mapping[str, Any], key: str) -> str:
    """The text under a key; '' for anything else."""
    value = shape.get(key)
    return value if isinstance(value, str) else ""


def inner(shape: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The object under a key; an empty one for anything else."""
    value = shape.get(key)
    return value if isinstance(value, dict) else {}


def listed(value: Any) -> Iterator[Mapping[str, Any]]:
    """The objects of a list; none for anything else."""
    if isinstance(value, list):
        yield from (one for one in value if isinstance(one, dict))
