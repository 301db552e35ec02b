"""Pairs as reviewers write them: the same thing in other words, and other things in the same words."""

from __future__ import annotations

import pytest

from lattice.core.reviews.model import Finding
from lattice.core.reviews.similarity import same


def said(title: str, detail: str, line: int, end_line: int | None = None, category: str | None = None) -> Finding:
    return Finding("important", title, detail, category, "shop/desk.py", line, end_line)


ONE_THING = [
    (
        said(
            "Missing timeout on requests.get", "It is called without a timeout, so a hung server blocks for good.", 10
        ),
        said("HTTP call has no timeout", "The call to requests.get can block, since no timeout is passed.", 10),
    ),
    (
        said("File handle leak in load_config", "open() is never closed if json.load raises.", 20, 26),
        said("load_config leaks the file descriptor", "The file opened here is not closed on error.", 21),
    ),
    (
        said("Unused import `os`", "`os` is imported but unused", 1),
        said("os is never used", "Remove the unused import of os.", 1),
    ),
    (
        said("Off-by-one in pagination", "range(1, pages) skips the last page.", 33),
        said("Last page is never fetched", "The loop uses range(1, pages), which leaves out the last: off by one.", 33),
    ),
    (
        said("Password compared with ==", "A timing attack: == on the token; take hmac.compare_digest.", 12),
        said("Token compared in varying time", "Take hmac.compare_digest: == allows a timing attack.", 12),
    ),
]
TWO_THINGS = [
    (
        said("Missing timeout on requests.get", "requests.get is called without a timeout.", 10),
        said("Response status is not checked", "requests.get may answer 500 and the body is read anyway.", 11),
    ),
    (
        said("Unused import `os`", "`os` is imported but unused", 1),
        said("Unused import `sys`", "`sys` is imported but unused", 2),
    ),
    (
        said("Race between check and write in save", "Two can both pass exists() and then write.", 10),
        said("Deadlock when save calls save", "The lock cannot be taken twice, so save inside save blocks.", 11),
    ),
    (
        said("No test for the empty list", "mean([]) is untested", 5),
        said("Division by zero in mean", "mean([]) divides by zero", 5),
    ),
    (
        said("Exception swallowed in sync", "except Exception: pass hides failures of the upload.", 50),
        said("Upload is tried again for ever", "The loop in sync does not give up when the upload fails.", 48),
    ),
    (
        said("Race on the counter", "`hits` is incremented without a lock by several threads.", 10),
        said("Race on shutdown", "`stop` may be called while `start` registers its thread.", 12),
    ),
    (
        said("Cache key ignores the locale", "Two customers of two locales get the same page.", 10),
        said("Cache entries never expire", "The page cache grows without bound.", 10),
    ),
    (
        said("Connection leak in fetch", "The connection is not closed when the query fails.", 30),
        said("Cursor leak in fetch", "The cursor is never closed.", 31),
    ),
    (
        said("Line has trailing white space", "at its end", 4, category="W291"),
        said("Line has trailing white space", "at its end there is some", 4, category="W293"),
    ),
]


@pytest.mark.parametrize(("one", "other"), ONE_THING, ids=lambda finding: finding.title)
def test_the_same_thing_in_other_words(one: Finding, other: Finding) -> None:
    assert same(one, other)


@pytest.mark.parametrize(("one", "other"), TWO_THINGS, ids=lambda finding: finding.title)
def test_other_things_in_the_same_words(one: Finding, other: Finding) -> None:
    assert not same(one, other)
    assert not same(one, other, moved=True)
