"""Reports of tools: the real output of ruff and mypy, eslint's and SARIF's forms, our own JSON; and hostile ones."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lattice.core.reviews.formats import account as accounts
from lattice.core.reviews.formats import reader
from lattice.core.reviews.formats.account import Account
from lattice.core.reviews.model import FINDINGS_MAX, Finding, Place, Reviewer, to_json
from lattice.errors import ValidationError

CODE = "import os\ntide: int = 'high'\nreveal_type(tide)\n"
SAMPLES = Path(__file__).parents[1] / "samples"


def printed(folder: Path, *words: str) -> bytes:
    """What one of the project's own tools prints about a small file."""
    (folder / "src").mkdir(exist_ok=True)
    (folder / "src" / "tides.py").write_text(CODE, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=folder,
        check=False,
        capture_output=True,
        timeout=300,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 1, done.stderr
    return done.stdout


def ruff(folder: Path, form: str) -> bytes:
    return printed(folder, "ruff", "check", "--isolated", "--no-cache", "--output-format", form, "src")


def as_bytes(shape: object) -> bytes:
    return json.dumps(shape).encode()


def findings(reading: accounts.Reading) -> list[Finding]:
    return [merged.finding for merged in reading.review.findings]


def sarif(*results: dict[str, Any], **run: Any) -> bytes:
    tool = {"driver": {"name": "Sonar", "rules": [
        {"id": "R1", "shortDescription": {"text": "Depth"}, "defaultConfiguration": {"level": "error"}},
        {"id": "R2", "messageStrings": {"deep": {"text": "{0} is {1} deep"}},
         "properties": {"security-severity": "9.8"}},
    ]}}  # fmt: skip
    return as_bytes({"version": "2.1.0", "runs": [{"tool": tool, "results": list(results), **run}]})


def at(uri: str, line: int = 3, **more: Any) -> list[dict[str, Any]]:
    return [{"physicalLocation": {"artifactLocation": {"uri": uri, **more}, "region": {"startLine": line}}}]


def only(data: bytes, *roots: str) -> Finding:
    (found,) = findings(reader.read(data, roots=roots))
    return found


def test_what_ruff_prints_is_a_review_by_ruff(tmp_path: Path) -> None:
    reading = reader.read(ruff(tmp_path, "json"), roots=(str(tmp_path),))
    assert ("ruff", "not_ready", (Reviewer("ruff", None, "tool"),)) == (
        reading.format, reading.review.verdict, reading.review.reviewers,
    )  # fmt: skip
    unused = next(one for one in findings(reading) if one.category == "F401")
    assert ("important", "confirmed", (Place("src/tides.py", 1),)) == (unused.severity, unused.status, unused.places)
    assert "`os` imported but unused" == unused.title
    assert "Remove unused import: `os`" == unused.fix


def test_ruff_tells_the_same_as_sarif(tmp_path: Path) -> None:
    """The one tool here that writes both forms: what is found, where, how bad, and how to mend it are equal."""
    seen = [
        {(one.category, one.title, one.severity, one.status, one.places, one.fix) for one in findings(reading)}
        for form in ("json", "sarif")
        for reading in [reader.read(ruff(tmp_path, form), roots=(str(tmp_path),))]
    ]
    assert seen[0] == seen[1]
    assert len(seen[0]) > 1


def test_what_mypy_prints_is_a_review_by_mypy(tmp_path: Path) -> None:
    reading = reader.read(printed(tmp_path, "mypy", "--output", "json", "--cache-dir=.cache", "src/tides.py"))
    wrong, note = findings(reading)
    assert "mypy" == reading.format
    assert ("important", "assignment", (Place("src/tides.py", 2),)) == (wrong.severity, wrong.category, wrong.places)
    assert ("nit", 'Revealed type is "int"') == (note.severity, note.title)


def test_a_mypy_that_found_nothing_is_ready_once_it_is_named() -> None:
    assert "ready" == reader.read(b"", "mypy").review.verdict
    with pytest.raises(ValidationError, match="empty"):
        reader.read(b" \n")
    said = reader.read(b'{"file": "a.py", "line": 1, "message": "m", "severity": "error"}\nFound 1 error\n')
    assert ("line 2 of mypy's output is not JSON: Found 1 error",) == said.remarks


def test_what_eslint_prints_is_a_review_by_eslint() -> None:
    rows = [
        {
            "ruleId": "no-undef",
            "severity": 2,
            "message": "'sail' is not defined.",
            "line": 4,
            "column": 1,
            "endLine": 4,
        },
        {"ruleId": "semi", "severity": 1, "message": "Missing semicolon.", "line": 5, "column": 9},
        {"ruleId": None, "fatal": True, "severity": 2, "message": "Parsing error", "line": 9, "column": 1},
    ]
    file = {"filePath": "/home/ann/ferry/web/app.js", "messages": rows, "suppressedMessages": [{"ruleId": "x"}]}
    for shape in ([file], {"results": [file], "metadata": {}}):
        reading = reader.read(as_bytes(shape), roots=("/home/ann/ferry",))
        assert [
            ("blocker", None, 9), ("important", "no-undef", 4), ("potential", "semi", 5),
        ] == [(one.severity, one.category, one.line) for one in findings(reading)]  # fmt: skip
        assert {"web/app.js"} == {one.file for one in findings(reading)}
        assert ("eslint", "failed") == (reading.review.checks[0].name, reading.review.checks[0].status)
        assert ("1 finding is suppressed at its source, and was left out",) == reading.remarks
    warned = [{"filePath": "a.js", "messages": rows[1:2]}]
    assert "ready" == reader.read(as_bytes(warned)).review.verdict


@pytest.mark.parametrize(
    ("result", "severity", "title", "category"),
    [
        ({"ruleId": "R1", "message": {"text": "Shallow.\nMore."}}, "important", "Shallow.", "R1"),
        ({"ruleId": "R1/a", "message": {"text": "Shallow"}, "level": "note"}, "nit", "Shallow", "R1/a"),
        ({"ruleIndex": 0, "message": {"text": "Shallow"}}, "important", "Shallow", "R1"),
        ({"ruleId": "R9", "message": {"text": "Shallow"}}, "potential", "Shallow", "R9"),
        ({"ruleId": "R2", "message": {"id": "deep", "arguments": ["Bay", "3 m"]}}, "blocker", "Bay is 3 m deep", "R2"),
        ({"ruleId": "R1", "kind": "review", "message": {"text": "Look"}}, "potential", "Look", "R1"),
        ({"message": {"text": "Odd"}, "properties": {"severity": "blocker"}}, "blocker", "Odd", None),
        ({}, "potential", "(without a message)", None),
    ],
)
def test_a_result_of_sarif_has_its_severity_rule_and_words(
    result: dict[str, Any], severity: str, title: str, category: str | None
) -> None:
    found = only(sarif(result))
    assert (severity, title, category) == (found.severity, found.title, found.category)


@pytest.mark.parametrize(
    ("uri", "bases", "place"),
    [
        ("src/a%20b.c", {}, "src/a b.c"),
        ("file:///home/ann/ferry/src/a.c", {}, "src/a.c"),
        ("a.c", {"TOP": {"uri": "file:///home/ann/ferry/lib/"}}, "lib/a.c"),
        ("a.c", {"TOP": {"uri": "lib/", "uriBaseId": "SRC"}, "SRC": {"uri": "file:///home/ann/ferry/"}}, "lib/a.c"),
        ("a.c", {"TOP": {"uri": "file:///build/elsewhere/"}}, "a.c"),
        ("a.c", {"TOP": {"uri": "x/", "uriBaseId": "TOP"}}, "x/x/x/x/x/x/x/x/x/x/a.c"),
        ("../../etc/passwd", {}, None),
        ("file:///etc/passwd", {}, None),
        ("..%2f..%2fetc/passwd", {}, None),
        ("https://example.com/a.c", {}, None),
        ("a%00.c", {}, None),
        ("a\u202e.c", {}, None),
    ],
)
def test_a_uri_is_a_path_below_the_repository_or_no_place(uri: str, bases: dict[str, Any], place: str | None) -> None:
    result = {"message": {"text": "m"}, "locations": at(uri, uriBaseId="TOP")}
    found = only(sarif(result, originalUriBaseIds=bases), "/home/ann/ferry")
    assert (place, "Outside the repository" in found.detail) == (found.file, place is None)


def test_sarif_has_more_places_a_trace_a_fix_and_a_commit() -> None:
    result = {
        "message": {"text": "m"},
        "locations": [
            {"physicalLocation": {"artifactLocation": {"index": 0}, "region": {"startLine": 2, "endLine": 5}}}
        ],
        "relatedLocations": at("b.c"),
        "codeFlows": [{"threadFlows": [{"locations": [
            {"location": {"message": {"text": "cast off"}, **at("b.c", 7)[0]}}]}]}],
        "fixes": [{"description": {"text": "Moor."}}],
    }  # fmt: skip
    data = sarif(
        result,
        artifacts=[{"location": {"uri": "a.c"}}],
        versionControlProvenance=[{"repositoryUri": "https://example.com", "revisionId": "4be91d7"}],
    )
    found = only(data)
    assert (Place("a.c", 2, 5), Place("b.c", 3)) == found.places
    assert ("b.c:7: cast off", "Moor.") == (found.trace, found.fix)
    assert "4be91d7" == reader.read(data).review.commit_sha


def test_results_that_say_that_nothing_is_wrong_or_are_suppressed_are_no_findings() -> None:
    reading = reader.read(
        sarif(
            {"kind": "pass", "message": {"text": "a"}},
            {"baselineState": "absent", "message": {"text": "b"}},
            {"suppressions": [{"kind": "inSource"}], "message": {"text": "c"}},
            {"suppressions": [{"kind": "external", "status": "rejected"}], "message": {"text": "d"}},
            {"suppressions": [], "message": {"text": "e"}},
        )
    )
    assert ["d", "e"] == [one.title for one in findings(reading)]
    assert ("1 finding is suppressed at its source, and was left out",) == reading.remarks


@pytest.mark.parametrize("name", ["numbered.md", "ticked.md"])
def test_what_is_printed_as_json_is_read_as_the_same_review(name: str) -> None:
    review = reader.read((SAMPLES / name).read_bytes()).review
    for shape in (to_json(review), {"ok": True, "data": {"review": to_json(review)}}):
        again = reader.read(as_bytes(shape))
        assert ("json", to_json(review)) == (again.format, to_json(again.review))


def test_an_agents_review_is_cleaned_of_paths_that_lead_out() -> None:
    shape = {
        "verdict": "ready",
        "reviewer": "Vega",
        "findings": [
            {"severity": "nit", "title": "T", "file": "../x", "line": 1, "also": [{"file": "./a//b.c", "line": 2.0}]},
            {"severity": "nit", "title": "U", "file": "/w/a.c", "line": 10**300},
        ],
    }
    reading = reader.read(as_bytes(shape), by=Reviewer("", "v2"), roots=("/w",))
    one, other = findings(reading)
    assert ((Place("a/b.c", 2),), "Outside the repository: ../x:1") == (one.places, one.detail)
    assert (Place("a.c"),) == other.places
    assert (Reviewer("Vega", "v2"),) == reading.review.reviewers
    assert 2 == len(reading.remarks)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"[]", "nothing in it says which tool"),
        (b"{}", "JSON of no format"),
        (b"[1, 2]", "JSON of no format"),
        (b"{oops", "begins as JSON does"),
        (b'{"findings": [], "verdict": "ready", "verdict": "ready"}', "the key 'verdict' stands twice"),
        (b'{"findings": [], "verdict": NaN}', "NaN is not JSON"),
        (b'{"findings": 1e999}', "too large a number"),
        (b'{"findings": ' + b"[" * 100_000, "nested too deep"),
        (b'{"findings": [], "verdict": "perhaps"}', r"\$\.verdict"),
        (b'{"findings": [{"severity": "nit", "title": " "}], "verdict": "ready"}', r"\$\.findings\[0\]\.title"),
        (b'{"findings": [{"severity": "nit", "title": "a\\u0000b"}], "verdict": "ready"}', "NUL"),
        (b'{"findings": [{"severity": "nit", "title": "a\\ud800b"}], "verdict": "ready"}', "half of a character"),
        (b'{"runs": []}', "no run"),
        (b"\xff\xfe", "not UTF-8"),
        (b"#" * (reader.BYTES_MAX + 1), "too long"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_what_cannot_be_read_is_refused_by_name(data: bytes, said: str) -> None:
    with pytest.raises(ValidationError, match=said) as refused:
        reader.read(data)
    assert refused.value.hint or said == "too long"


@pytest.mark.parametrize("format_", [name for name in reader.READERS if name not in ("markdown", "mypy")])
def test_a_named_format_has_to_be_the_one_it_is(format_: str) -> None:
    for data in (b"nothing", b'{"a": 1}', b"[1]", b'"text"', b"null"):
        with pytest.raises(ValidationError):
            reader.read(data, format_)


@pytest.mark.parametrize("format_", ["sarif", "ruff", "eslint", "mypy"])
@pytest.mark.parametrize("value", [None, 1, "x", [], {}, [None], [[]], {"text": 1}, True, -1, 1e300])
def test_a_tools_report_whose_parts_are_not_of_their_form_breaks_nothing(format_: str, value: Any) -> None:
    keys = {
        "sarif": ("ruleId", "ruleIndex", "rule", "message", "level", "kind", "locations", "codeFlows", "suppressions",
                  "properties", "fixes", "relatedLocations", "baselineState"),
        "ruff": ("code", "filename", "location", "end_location", "fix", "message", "severity", "url", "name"),
        "eslint": ("ruleId", "message", "line", "endLine", "severity", "suggestions", "fatal"),
        "mypy": ("file", "line", "end_line", "message", "hint", "code", "severity"),
    }  # fmt: skip
    for key in keys[format_]:
        row = {key: value}
        data = {
            "sarif": sarif({"message": {"text": "m"}, "locations": at("a.c"), **row}),
            "ruff": as_bytes([{"filename": "a.py", "location": {"row": 1}, "message": "m", **row}]),
            "eslint": as_bytes([{"filePath": "a.js", "messages": [{"message": "m", "severity": 2, **row}]}]),
            "mypy": as_bytes({"file": "a.py", "line": 1, "message": "m", "severity": "error", **row}),
        }[format_]
        assert len(findings(reader.read(data, format_))) <= 1


def test_a_report_of_very_many_findings_keeps_the_worst_and_says_so() -> None:
    rows = [{"ruleId": "R9", "message": {"text": f"m{number}"}} for number in range(FINDINGS_MAX + 9)]
    reading = reader.read(sarif(*rows, {"message": {"text": "last"}, "level": "error"}))
    assert (FINDINGS_MAX, "last") == (len(reading.review.findings), findings(reading)[0].title)
    assert [f"10 of {FINDINGS_MAX + 10} findings were left out; a review holds that many"] == list(reading.remarks)


def test_texts_are_cut_at_the_limit_and_it_is_told() -> None:
    reading = reader.read(sarif({"message": {"text": "m\n" + "x" * 9_000}}))
    assert (8_000, ("the detail of 'm' was cut at 8000 characters",)) == (
        len(findings(reading)[0].detail), reading.remarks,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        ("src/a.py", "src/a.py"), ("./src//a.py", "src/a.py"), ("src/../a.py", "a.py"), ("src\\a.py", "src/a.py"),
        ("/w/a.py", "a.py"), ("/w/../etc/x", None), ("/w", None), ("/wide/a.py", None), ("..", None), ("", None),
        ("C:\\ferry\\a.py", None), ("a\x1bb.py", None), ("x" * 1_001, None), (".", None),
    ],
)  # fmt: skip
def test_a_path_is_one_below_the_repository_or_none(raw: str, path: str | None) -> None:
    assert path == Account(("/w",)).path(raw)
