"""No text of others leaves the place in Markdown that it was given."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice.core.markup import code, encodable, paragraph, prose, sentence, unopened, visible

LINES = st.text(st.sampled_from("ab `\\\n<>*_[]()!#-+=1.|~&@:/w") | st.characters(), max_size=30)


@given(st.text())
def test_no_text_leaves_its_place_in_markdown(text: str) -> None:
    assert not [one for one in visible(text) + prose(text) + code(text) if unicodedata.category(one)[0] == "C"]
    assert "<" not in prose(text).replace("\\<", "")
    body = code(text).strip("`")
    fence = len(code(text)) - len(code(text).lstrip("`"))
    assert "`" * fence not in body


@given(LINES)
def test_a_sentence_stays_on_its_line_and_only_its_code_is_code(text: str) -> None:
    shown = sentence(text)
    assert 1 >= len(shown.splitlines())
    assert not [one for one in shown if unicodedata.category(one)[0] == "C"]
    assert sentence(text) == sentence(f" {text} ")


@given(LINES)
def test_no_line_of_a_paragraph_opens_a_block(text: str) -> None:
    for line in paragraph(text, "  ").split("\n")[1:]:
        assert "  " == line[:2]
        assert line[2] not in "-+=#>~|*_ \t"
        assert not line[2:].lstrip("0123456789").startswith((".", ")")) or not line[2].isdigit()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("use `a_b` now", "use `a_b` now"),
        ("a ` b", "a \\` b"),
        ("``x``", "\\`\\`x\\`\\`"),
        ("<b> `<i>`", "\\<b\\> `<i>`"),
        ("a\n# b\tc", "a \\# b c"),
    ],
)
def test_code_between_backticks_is_kept(said: str, expected: str) -> None:
    assert expected == sentence(said)


def test_what_would_open_a_block_is_text() -> None:
    said = ("- a", "=== b", "12. c", "1) d", "2026 e")
    assert ["\\- a", "\\=== b", "12\\. c", "1\\) d", "2026 e"] == [unopened(line) for line in said]


@given(
    st.recursive(
        st.text(st.characters()) | st.none(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_every_text_can_be_written(shape: object) -> None:
    repr(encodable(shape)).encode()
    assert "\\xff \\ud800" == encodable("\udcff \ud800")
