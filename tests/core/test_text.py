"""Text that people and agents wrote, on its way in and on its way to a terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice.core.actors import parse_actor
from lattice.core.text import check_line, check_prose, how_many, visible, visible_prose
from lattice.errors import InvalidActor, ValidationError

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@given(st.text(st.characters() | st.sampled_from(BIDI + "\x1b\x9b\r\n\u2028")))
def test_no_control_reaches_a_terminal(text: str) -> None:
    for shown, kept in ((visible(text), ""), (visible_prose(text), "\n\t")):
        harmful = [c for c in shown if (unicodedata.category(c) == "Cc" or c in BIDI) and c not in kept]
        assert [] == harmful


def test_one_thing_is_told_of_as_one() -> None:
    assert ["0 tasks", "1 task", "2 tasks"] == [how_many(number, "task") for number in range(3)]
    assert ["1 process", "2 processes"] == [how_many(number, "process", "processes") for number in (1, 2)]


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"])))
def test_plain_text_is_shown_as_it_is(text: str) -> None:
    assert text == visible(text) == visible_prose(text)


def test_what_is_harmful_is_spelled_out() -> None:
    assert r"a\x1b[31mb\x0ac\u202ed" == visible("a\x1b[31mb\nc\u202ed")
    assert "a\tb\nc\\x0d" == visible_prose("a\tb\nc\r")


@pytest.mark.parametrize("text", ["", " ", "a\nb", "\x1b[2J", "a\u202eb", "a\u2028b", "\ud800", "x" * 1001, "a\0"])
def test_a_line_is_one_line_of_printable_text(text: str) -> None:
    with pytest.raises(ValidationError):
        check_line(text, "title")


@pytest.mark.parametrize("text", ["\0", "a\ud800", "x" * ((1 << 20) + 1), "é" * ((1 << 19) + 1)])
def test_prose_is_what_the_log_can_hold(text: str) -> None:
    with pytest.raises(ValidationError):
        check_prose(text, "comment")


def test_prose_keeps_what_people_paste() -> None:
    pasted = "a\r\n\tb \x1b[31m é ☃ 𝄞 \u2028"
    assert pasted == check_prose(pasted, "comment")


@pytest.mark.parametrize("text", ["human:ann", "agent:claude-4.5", "team:α", "a:b:c", "dashboard:x/y"])
def test_an_actor_is_a_prefix_and_an_identifier(text: str) -> None:
    assert text == parse_actor(text)


@pytest.mark.parametrize(
    "text",
    ["", "ann", "human:", ":ann", "hu man:ann", "human:a b", "human:a\n", "human:\x1b", "1x:a", "h:" + "x" * 201],
)
def test_what_is_not_an_actor_is_refused_with_the_form(text: str) -> None:
    with pytest.raises(InvalidActor, match="prefix:identifier"):
        parse_actor(text)
