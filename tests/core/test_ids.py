"""Identifiers: they grow, they are read to the last character, and nothing else is taken for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice.core.ids import is_id, next_id, parse_id, parse_project_code, parse_short_id, successor, ulid, ulid_ms
from lattice.errors import InvalidId, ValidationError

times = st.integers(0, 253_402_300_799_998)  # to the end of the year 9999
chances = st.integers(0, (1 << 80) - 1)


@given(times, chances)
def test_an_id_is_well_formed_and_tells_its_time(ms: int, chance: int) -> None:
    identifier = next_id("ev", ms, chance, None)
    assert is_id("ev", identifier)
    assert ms == ulid_ms(identifier)


@given(st.lists(st.tuples(times, chances), min_size=2, max_size=20))
def test_ids_grow_whatever_the_clock_and_the_die_say(draws: list[tuple[int, int]]) -> None:
    made: list[str] = []
    for ms, chance in draws:
        made.append(next_id("ev", ms, chance, made[-1] if made else None))
    assert sorted(set(made)) == made
    assert all(is_id("ev", identifier) for identifier in made)


@given(times, times, chances)
def test_ids_sort_as_their_times(one: int, other: int, chance: int) -> None:
    assert (one < other) == (ulid(one, chance) < ulid(other, chance))


def test_the_random_part_carries_over_into_the_time() -> None:
    last = next_id("ev", 5, (1 << 80) - 1, None)
    assert 6 == ulid_ms(next_id("ev", 5, 0, last))


@given(times, chances)
def test_a_successor_is_the_next_number(ms: int, chance: int) -> None:
    assert f"ev_{ulid(ms + ((chance + 1) >> 80), chance + 1)}" == successor(f"ev_{ulid(ms, chance)}")


@pytest.mark.parametrize("made_up", ["zebra", "ev_", "\u0661", "ev_zzz"])
def test_what_a_stranger_took_for_an_id_stops_nobody(made_up: str) -> None:
    assert is_id("ev", next_id("ev", 5, 0, made_up))


GOOD = "task_" + ulid(1_700_000_000_000, 7)


@pytest.mark.parametrize(
    "text",
    [
        "", "task_", GOOD[:-1], GOOD + "0", GOOD + "\n", " " + GOOD, GOOD.lower(), GOOD.replace("task", "ev"),
        "task_8" + GOOD[6:], GOOD[:-1] + "I", GOOD[:-1] + "U", "../" + GOOD, GOOD[:-1] + "\u0661", GOOD[:-1] + "/",
    ],
)  # fmt: skip
def test_what_is_not_an_id_is_refused(text: str) -> None:
    with pytest.raises(InvalidId):
        parse_id("task", text)


@given(st.text())
def test_any_text_is_an_id_or_refused(text: str) -> None:
    assert not is_id("task", text)
    short = parse_short_id(text)
    assert short is None or short == parse_short_id(short)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("LAT-1", "LAT-1"), ("lat-12", "LAT-12"), ("Lat-f-3", "LAT-F-3"), ("LAT-999999999", "LAT-999999999")],
)
def test_a_short_id_is_read_in_any_case(text: str, expected: str) -> None:
    assert expected == parse_short_id(text)


@pytest.mark.parametrize(
    "text",
    ["LAT", "LAT-", "LAT-0", "LAT-01", "LAT-1\n", "LAT-1234567890", "LATLAT-1", "-1", "LAT-١", "L T-1", "A-B-C-1"],
)
def test_what_is_not_a_short_id_is_none(text: str) -> None:
    assert parse_short_id(text) is None


def test_a_project_code_is_one_to_five_letters() -> None:
    assert "LAT" == parse_project_code("lat")
    for text in ("", "TOOLONG", "A1", "É", "A\n", "A-B"):
        with pytest.raises(InvalidId):
            parse_project_code(text)


@pytest.mark.parametrize(("ms", "when"), [(-1, "before 1970"), (253_402_300_800_000, "after the year 9999")])
def test_a_clock_that_no_id_can_tell_is_refused(ms: int, when: str) -> None:
    with pytest.raises(ValidationError, match=when):
        next_id("task", ms, 7, None)
