"""What is written comes back: events through the codec, queries through their spelling."""

from __future__ import annotations

import json
import zlib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lattice.core.codec import decode, dump, encode
from lattice.core.events import Event, Foreign, every_kind
from lattice.core.query import FIELDS, Condition, Query
from lattice.core.query_language import parse_query

SETTINGS = settings(max_examples=150, derandomize=True, deadline=None, database=None)
TEXTS = st.text(max_size=20)
NUMBERS = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(TEXTS, JSON, max_size=4)
ACTORS = TEXTS | OBJECTS
FORMS: dict[str, st.SearchStrategy[Any]] = {
    "str": TEXTS,
    "bool": st.booleans(),
    "int": st.integers(),
    "float": NUMBERS,
    "tuple[str, ...]": st.lists(TEXTS, max_size=3).map(tuple),
    "tuple[int, ...]": st.lists(st.integers(), max_size=3).map(tuple),
    "Mapping[str, Any]": OBJECTS,
    "tuple[Mapping[str, Any], ...]": st.lists(OBJECTS, max_size=3).map(tuple),
    "Actor": ACTORS,
    "Any": JSON,
}


def form(annotation: str) -> st.SearchStrategy[Any]:
    plain = FORMS[annotation.removesuffix(" | None")]
    return plain | st.none() if annotation.endswith(" | None") else plain


BODIES = st.one_of(
    st.builds(Foreign, TEXTS.map(lambda name: f"x_{name}"), OBJECTS),
    *(
        st.builds(kind, **{name: form(kind.__annotations__[name]) for name in kind._fields})
        for kind in every_kind().values()
    ),
)
BATCHES = st.integers(1, 9).flatmap(lambda size: st.tuples(st.integers(1, size), st.just(size)))
EVENTS = st.builds(
    Event,
    id=TEXTS,
    ts=TEXTS,
    task_id=TEXTS | st.just("res_1"),
    actor=ACTORS,
    body=BODIES,
    agent_meta=st.none() | OBJECTS.filter(bool),
    provenance=st.none() | OBJECTS.filter(bool),
    batch=st.none() | BATCHES,
    prev=st.none() | TEXTS,
)


@SETTINGS
@given(EVENTS)
def test_an_event_comes_back_from_its_line(event: Event) -> None:
    line = encode(event)
    assert b"\n" == line[-1:]
    assert line.isascii()
    assert 1 == len(line.splitlines())
    again = decode(line[:-1])
    assert event == again.replace(raw=None)
    assert line == encode(again)


@SETTINGS
@given(EVENTS, st.dictionaries(TEXTS.map(lambda name: f"newer_{name}"), JSON, min_size=1, max_size=3))
def test_what_a_newer_version_says_beside_is_kept(event: Event, newer: dict[str, Any]) -> None:
    shape = json.loads(encode(event))
    del shape["crc"]
    shape |= newer
    shape["crc"] = f"{zlib.crc32(dump(shape)):08x}"
    again = decode(dump(shape))
    assert again.raw is not None
    assert shape == dict(again.raw)
    assert event == again.replace(raw=None)


@SETTINGS
@given(EVENTS, st.data())
def test_a_line_with_one_changed_byte_is_not_believed(event: Event, data: st.DataObject) -> None:
    line = encode(event)[:-1]
    at = data.draw(st.integers(0, len(line) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != line[at]))
    try:
        changed = decode(line[:at] + bytes((other,)) + line[at + 1 :])
    except ValueError:
        return
    # A sum that is spelled otherwise, or taken away with `prev`, is the one thing that can be: nothing is said by it.
    assert event == changed.replace(raw=None)


WORDS = st.text(st.characters(codec="utf-8", exclude_characters='"'), min_size=1, max_size=12)
VALUES = {
    "number": st.integers(0, 999_999_999).map(str),
    "time": st.sampled_from(("2d", "30m", "12h", "3w", "2026-11-01", "2026-11-01T08:00", "none", "any")),
}


def values_of(field: str) -> st.SearchStrategy[str]:
    known = FIELDS.get(field)
    if known is not None and known.kind == "grade":
        return st.sampled_from((*known.grades, "none", "any"))
    return VALUES.get(known.kind, WORDS) if known is not None else WORDS


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    field = draw(st.sampled_from((*FIELDS, "text", "field.team", "field.a-b.c")))
    operator = ""
    if field in FIELDS and FIELDS[field].kind in VALUES.keys() | {"grade"}:
        operator = draw(st.sampled_from(("", "<", "<=", ">", ">=")))
    many = 1 if field == "text" else 3
    values = draw(st.lists(values_of(field), min_size=1, max_size=many))
    return Condition(field, tuple(values), draw(st.booleans()), operator)


def spelled(query: Query) -> str:
    """The query as a person who is careful would write it: every value in quotes."""
    return " ".join(
        f"{'-' if one.negated else ''}{'' if one.field == 'text' else one.field + ':'}{one.operator}"
        + ",".join(f'"{value}"' for value in one.values)
        for one in query.conditions
    )


@SETTINGS
@given(st.lists(conditions(), max_size=4).map(lambda some: Query(tuple(some))))
def test_a_query_comes_back_from_its_spelling(query: Query) -> None:
    read = parse_query(spelled(query))
    assert query == Query(tuple(one.replace(term="") for one in read.conditions))
    assert read == parse_query("@q", {"q": spelled(query)})
