"""A line is known by its content; a path is what the reviewer meant by it, or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice.core.reviews.anchors import candidates, line_anchors, lines_of, located
from lattice.core.reviews.model import Finding, Place
from tests.core.reviews.strategies import SETTINGS

CODE = b"""\
def first(x):
    if not x:
        return None
    return None


def second(x):
    return None
    return None
"""


def finding(line: int | None, **more: object) -> Finding:
    return Finding("important", "a title", file="a.py", line=line).replace(**more)


def at(line: int | None, end: int | None = None) -> Place:
    return Place("a.py", line, end)


def test_equal_lines_are_told_apart() -> None:
    anchors = line_anchors(CODE)
    assert [True, True, True, True, False, False, True, True, True] == [one is not None for one in anchors]
    named = [one for one in anchors if one]
    assert len(set(named)) == len(named)


def test_white_space_and_other_lines_change_no_anchor() -> None:
    changed = b"import os\r\n\r\n" + CODE.replace(b"    ", b"\t").replace(b"\n", b"\r\n")
    assert line_anchors(CODE) == line_anchors(changed)[2:]


@SETTINGS
@given(st.binary(max_size=80))
def test_every_line_of_any_file_is_counted(content: bytes) -> None:
    assert len(lines_of(content)) == len(line_anchors(content))


@SETTINGS
@given(st.binary(max_size=80), st.integers(1, 9), st.none() | st.integers(1, 9))
def test_what_was_found_is_found_again(content: bytes, line: int, end: int | None) -> None:
    once = located(finding(line), at(line, end), content)
    assert once == located(once, once.places[0], content)
    assert once.anchored in ("found", "no_line")


def test_a_line_is_followed_to_where_it_went() -> None:
    before = located(finding(8), at(8, 9), CODE)
    after = located(before, before.places[0], b"import os\n\n" + CODE)
    assert ("moved", 10, 11, before.anchor) == (after.anchored, after.line, after.end_line, after.anchor)
    gone = located(before, before.places[0], CODE.replace(b"return None", b"return 1"))
    assert ("no_line", None) == (gone.anchored, gone.anchor)


def test_a_line_that_the_file_does_not_have_is_looked_for_by_the_code_quoted() -> None:
    said = located(finding(70, detail="`def  second(x)` takes too much"), at(70), CODE)
    assert ("moved", 7) == (said.anchored, said.line)
    assert "no_line" == located(finding(70, detail="`return None` is wrong"), at(70), CODE).anchored
    assert "no_line" == located(finding(70), at(70), b"").anchored


def test_no_file_and_a_file_as_a_whole() -> None:
    assert "no_file" == located(finding(1, anchor="0" * 16, anchored="found"), None, None).anchored
    assert ("found", None) == (
        located(finding(None), at(None), CODE).anchored,
        located(finding(None), at(None), CODE).anchor,
    )


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("src/a.py", Place("src/a.py")),
        ("./src//a.py", Place("src/a.py")),
        ("`src/a.py:12`", Place("src/a.py", 12)),
        ("src/a.py:12-20", Place("src/a.py", 12, 20)),
        ("src/a.py:12:5", Place("src/a.py", 12)),
        ("src/a.py#L3-L9", Place("src/a.py", 3, 9)),
        ("b/src/a.py", Place("src/a.py")),
        ("src\\a.py", Place("src/a.py")),
        ("/tmp/tree/src/a.py", Place("src/a.py")),
        ("file:///tmp/tree/src/a.py:4", Place("src/a.py", 4)),
        ("/somewhere/else/src/a.py", Place("src/a.py")),
        ("C:\\w\\src\\a.py", Place("src/a.py")),
    ],
)
def test_what_a_reviewer_calls_a_file(said: str, expected: Place) -> None:
    assert expected in candidates(Place(said), ["/tmp/tree"])


@pytest.mark.parametrize(
    "said",
    ["../a.py", "src/../../a.py", "/tmp/tree/../../etc/passwd", "a\0.py", "a\n.py", "\x1b[31m", " ", "x" * 5_000],
)
def test_a_hostile_path_means_nothing(said: str) -> None:
    assert () == candidates(Place(said), ["/tmp/tree"])


def test_a_name_alone_is_not_taken_from_an_absolute_path() -> None:
    assert Place("passwd") not in candidates(Place("/etc/passwd"))
