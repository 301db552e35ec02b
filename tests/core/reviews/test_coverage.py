"""What a review covered: hunks known by their content."""

from __future__ import annotations

from lattice.core.reviews.coverage import ALL_FILES, FILE_HUNKS_MAX, FILES_MAX, bounded, digest, hunks_of, not_covered

HEAD = """\
diff --git a/a b.py b/a b.py
index 1111111..2222222 100644
--- a/a b.py\t
+++ b/a b.py\t
"""


def hunk(place: str, *lines: str) -> str:
    return "\n".join((f"@@ {place} @@ def f():", *lines, ""))


def test_a_hunk_is_known_wherever_it_stands() -> None:
    before = hunks_of(HEAD + hunk("-3 +3", "-one", "+two"))
    assert before == hunks_of(HEAD + hunk("-30 +44", "-  one", "+\ttwo"))
    assert ["a b.py"] == list(before)


def test_another_content_another_file_and_another_place_in_it_are_other_hunks() -> None:
    before = hunks_of(HEAD + hunk("-3 +3", "-one", "+two"))
    assert ["a b.py"] == not_covered(hunks_of(HEAD + hunk("-3 +3", "-one", "+three")), before)
    assert ["c.py"] == not_covered(hunks_of(HEAD.replace("a b.py", "c.py") + hunk("-3 +3", "-one", "+two")), before)
    twice = hunks_of(HEAD + hunk("-3 +3", "-one", "+two") + hunk("-9 +9", "-one", "+two"))
    assert ["a b.py"] == not_covered(twice, before)
    assert [] == not_covered(before, twice)


def test_a_changed_line_that_reads_like_a_head_is_a_line() -> None:
    patch = HEAD + hunk("-3,2 +3", "--- a/x", "-diff --git a/x b/x", "+++ b/x", "\\ No newline at end of file")
    assert [1] == [len(names) for names in hunks_of(patch).values()]
    assert ["a b.py"] == list(hunks_of(patch))


def test_a_file_without_lines_is_known_by_what_git_says_of_it() -> None:
    binary = "diff --git a/x b/x\nindex {}..{} 100644\nBinary files a/x and b/x differ\n"
    one, other = hunks_of(binary.format("1" * 40, "2" * 40)), hunks_of(binary.format("1" * 40, "3" * 40))
    assert ["x"] == not_covered(other, one)
    mode = "diff --git a/run b/run\nold mode 100644\nnew mode 100755\n"
    assert ["run"] == not_covered(hunks_of(mode), {})


def test_empty_lines_alone_are_nothing_to_look_at() -> None:
    assert {} == hunks_of(HEAD + hunk("-3,0 +3,2", "+", "+   "))


def test_what_is_too_much_is_kept_as_a_digest_and_still_compared() -> None:
    many = [f"{at:016}" for at in range(FILE_HUNKS_MAX + 1)]
    kept = bounded({"a": many})
    assert isinstance(kept["a"], str)
    assert [] == not_covered(kept, kept)
    assert [] == not_covered({"a": many}, kept)
    assert ["a"] == not_covered({"a": many[1:]}, kept)  # of a digest no part is known
    files = bounded({f"f{at}": ["a"] for at in range(FILES_MAX + 1)})
    assert [ALL_FILES] == list(files)
    assert [] == not_covered(files, files)


def test_a_digest_is_that_of_all_hunks_in_any_order() -> None:
    assert digest({"a": ["1", "2"], "b": ["3"]}) == digest({"b": ["3"], "a": ["2", "1"]})
    assert digest({"a": ["1"]}) != digest({"b": ["1"]})


def test_a_name_that_is_no_utf_8_is_spelled_out() -> None:
    assert ["\\xff.py"] == list(hunks_of(HEAD.replace("a b.py", "\udcff.py") + hunk("-1 +1", "-a", "+b")))
