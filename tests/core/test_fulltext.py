"""Words in text: found without case and accents, by their beginnings, and as phrases."""

from __future__ import annotations

import pytest

from lattice.core.fulltext import parse_words, score, snippet
from lattice.core.summary import Words
from lattice.errors import ValidationError

TEXT = Words("Fix the Parser", "The Café crashes at start-up", "a null pointer\nin main", "Trace of Ωmega")


@pytest.mark.parametrize(
    "asked", ["parser", "PARS", "fix crash", "cafe", '"null pointer"', "start-up", '"null poin', "ωmega", "trace main"]
)
def test_what_is_there_is_found(asked: str) -> None:
    assert score(parse_words(asked), TEXT) > 0


@pytest.mark.parametrize("asked", ["arser", "parser footer", '"pointer null"', '"nul pointer"', "up-start"])
def test_what_is_not_there_is_not_found(asked: str) -> None:
    assert 0 == score(parse_words(asked), TEXT)


def test_a_title_counts_more_than_a_comment() -> None:
    here, there = Words("crash", "", "", ""), Words("", "", "crash", "")
    assert score(parse_words("crash"), here) > score(parse_words("crash"), there)


@pytest.mark.parametrize("asked", ["", "  ", '""', "!!! -"])
def test_nothing_to_look_for_is_refused(asked: str) -> None:
    with pytest.raises(ValidationError, match="no word"):
        parse_words(asked)


def test_a_snippet_shows_the_place_and_only_what_the_title_does_not() -> None:
    assert "" == snippet(parse_words("fix"), TEXT)
    assert "a null pointer in main" == snippet(parse_words("pointer"), TEXT)
    long = Words("t", "word " * 100 + "needle " + "word " * 100, "", "")
    shown = snippet(parse_words("needle"), long)
    assert (True, True, True) == (shown.startswith("…"), "needle" in shown, shown.endswith("…"))
