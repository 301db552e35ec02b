"""The diff as git gives it, whatever the names and contents."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice.errors import GitError
from lattice.workers.builtin.diffcheck.changes import LINE_CHARS_MAX, AddedLine, Change, parse_patch, parse_raw

ChangesOf = Callable[..., list[Change]]


def test_added_lines_carry_their_numbers_in_the_new_file(changes_of: ChangesOf) -> None:
    [change] = changes_of({"a.txt": "1\n2\n3\n"}, {"a.txt": "1\nnew\n3\nlast"})
    assert (AddedLine(2, "new"), AddedLine(4, "last")) == change.added
    assert 1 == change.deleted_count
    assert 4 == change.line_count


@pytest.mark.parametrize(
    "name",
    ["with space.py", "ünï.py", "new\nline.py", "tab\there.py", 'quo"te.py', "back\\slash.py", "-dash.py", ":(top)x.py",
     os.fsdecode(b"latin\xe9.py"), "+++ b.py", "a b/c d.py"],
)  # fmt: skip
def test_any_file_name_is_read(changes_of: ChangesOf, name: str) -> None:
    [change] = changes_of({}, {name: "one\n"})
    assert (name, (AddedLine(1, "one"),)) == (change.path, change.added)


def test_content_that_looks_like_a_patch_is_content(changes_of: ChangesOf) -> None:
    lines = ("++ b/other.py", "@@ -1 +1 @@", "diff --git a/x b/x", "\\ No newline at end of file", "-- a/x")
    [change] = changes_of({"p": "-- a/gone\n"}, {"p": "\n".join(lines)})
    assert lines == tuple(line.text for line in change.added)


def test_attributes_cannot_hide_a_source_file(changes_of: ChangesOf) -> None:
    found = changes_of({}, {".gitattributes": "*.py -diff\n", "x.py": "pass\n"})
    assert [(AddedLine(1, "pass"),)] == [change.added for change in found if change.path == "x.py"]


def test_binary_links_and_deleted_files_have_no_lines(changes_of: ChangesOf) -> None:
    before = {"gone.py": "x = 1\n"}
    found = changes_of(before, {"junk": b"\x00\x01" * 500, "link.py": Path("/etc/passwd")})
    assert {"gone.py": "D", "junk": "A", "link.py": "A"} == {one.path: one.status for one in found}
    assert [(), (), ()] == [one.added for one in found]
    assert [None] == [one.content for one in found if one.path == "link.py"]


def test_invalid_utf8_and_huge_lines_are_read_and_cut(changes_of: ChangesOf) -> None:
    [change] = changes_of({}, {"a.txt": b"caf\xe9\n" + b"x" * (10 << 20) + b"\nend\n"})
    assert ["caf\ufffd", "x" * LINE_CHARS_MAX, "end"] == [line.text for line in change.added]


def test_a_truncated_listing_is_an_error() -> None:
    with pytest.raises(GitError):
        parse_raw(b":000000 100644 0 1 A\0name")


@given(st.binary())
def test_any_bytes_are_a_patch_or_a_git_error(patch: bytes) -> None:
    try:
        found = parse_patch(b"+++ b/f\n@@ -0,0 +1,3 @@\n" + patch)
    except GitError:
        return
    assert 3 <= len(found["f"].added)


@given(st.lists(st.text(st.characters(exclude_characters="\n", exclude_categories=["Cs"]), max_size=40), min_size=1))
def test_every_added_line_comes_back(texts: list[str]) -> None:
    body = "".join(f"+{text}\n" for text in texts)
    found: dict[str, Any] = dict(parse_patch(f"+++ b/f\n@@ -0,0 +1,{len(texts)} @@\n{body}".encode()))
    assert list(enumerate(texts, 1)) == [tuple(line) for line in found["f"].added]
