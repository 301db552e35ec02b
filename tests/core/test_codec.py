"""Lines and events: what goes in comes out, and what is not an event is named and never a crash."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lattice.core.codec import _FORMS, BadLine, _made_encoder, _text, decode, encode
from lattice.core.events import Event, Foreign, TaskEvent, every_kind, evolve
from lattice.core.task import Task, from_snapshot, to_snapshot
from lattice.errors import ValidationError

GOLDEN = Path(__file__).parents[1] / "golden" / "events.jsonl"
LINES = GOLDEN.read_bytes().splitlines(keepends=True)
PLAIN = next(line for line in LINES if b"task_unarchived" in line)  # its data is empty

text = st.text(st.characters(exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)


def event(body: TaskEvent | Foreign, **more: Any) -> Event:
    return Event("ev_1", "2026-11-20T23:39:05Z", "task_1", "human:ann", body, **more)


@given(st.dictionaries(text, json_values, max_size=5), text)
def test_any_json_comes_back_as_it_went(data: Mapping[str, Any], actor: str) -> None:
    sent = event(Foreign("x_any", data)).replace(actor=actor)
    line = encode(sent)
    assert line.endswith(b"\n")
    assert 1 == line.count(b"\n")
    assert line.isascii()
    assert sent == decode(line[:-1]).replace(raw=None)


@given(json_values)
def test_a_python_without_the_c_code_writes_the_same_text(value: object) -> None:
    with pytest.MonkeyPatch.context() as without:
        without.setattr(json.encoder, "c_make_encoder", None)
        assert _made_encoder()(value) == _text(value)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_event_or_a_bad_line(line: bytes) -> None:
    try:
        decode(line)
    except BadLine:
        return
    raise AssertionError("random bytes made an event")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800", ["\udfff"], {"\ud83d": 1}, object()])
def test_what_json_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        encode(event(Foreign("x_any", {"value": value})))


def test_too_deep_and_too_large_are_refused() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ValidationError):
        encode(event(Foreign("x_any", {"deep": deep})))
    while deep:
        deep = deep.pop()  # taken apart by hand, or freeing it would recurse
    with pytest.raises(ValidationError, match="too large"):
        encode(event(Foreign("x_any", {"text": "x" * (4 << 20)})))


@pytest.mark.parametrize("line", LINES, ids=lambda line: str(json.loads(line)["type"]))
def test_a_golden_line_is_read_and_written_again_the_same(line: bytes) -> None:
    assert line == encode(decode(line[:-1]))


def test_every_event_type_has_a_golden_line_with_every_field() -> None:
    written: dict[str, set[str]] = {}
    for line in LINES:
        shape = json.loads(line)
        written.setdefault(shape["type"], set()).update(shape["data"])
    missing = {
        f"{kind}.{field}"
        for kind, body in every_kind().items()
        for field in (name.rstrip("_") for name in body._fields)
        if field not in written.get(kind, set())
    }
    assert not missing
    assert not set(every_kind()) - set(written)


def test_every_field_of_every_event_has_a_form() -> None:
    annotations = {kind.__annotations__[name] for kind in every_kind().values() for name in kind._fields}
    assert set() == annotations - set(_FORMS)


def test_the_golden_log_adds_up() -> None:
    task: Task | None = None
    for line in LINES:
        task = evolve(task, decode(line[:-1]))
    assert task is not None
    assert ("LAT-2", "done", 1, ()) == (task.short_id, task.status, task.comment_count, task.active_processes)
    assert {"n": {"any": [1, True]}, "deep": [{"x": None}]} == task.custom_fields
    assert ["artifact", "comment"] == [ref.source_type for ref in task.evidence_refs]
    assert task == from_snapshot(json.loads(json.dumps(to_snapshot(task))))


def test_unknown_keys_and_types_are_kept() -> None:
    line = LINES[0].replace(b',"crc":', b',"crd":').replace(b'"prev":null', b'"later":null')
    assert json.loads(line) == decode(line).raw
    (unknown,) = (line for line in LINES if b"invented_tomorrow" in line)
    assert Foreign("invented_tomorrow", {"z": [1, 2]}) == decode(unknown[:-1]).body


def test_a_line_that_names_the_one_before_it_needs_its_checksum() -> None:
    shape = json.loads(LINES[0])
    del shape["crc"]
    with pytest.raises(BadLine, match="checksum is missing"):
        decode(json.dumps(shape).encode())


@pytest.mark.parametrize(
    "line",
    [
        b"", b"\0", b"\xff\xfe", b'{"id":1,"id":1}', b'{"a":{"b":1,"b":2}}', b'{"a":NaN}',
        b'{"a":-Infinity}', b'{"a":1e999}', b'{"a":' + b"9" * 10_000 + b"}", b"[" * 100_000,
        b'{"a":' * 100_000, b'{"a":0x1}', b"{'a':1}", b"[" * 100_000 + b"]" * 100_000,
    ],
    ids=lambda line: repr(line[:20]),
)  # fmt: skip
def test_a_hostile_line_is_a_bad_line(line: bytes) -> None:
    with pytest.raises(BadLine):
        decode(line)
    inside = PLAIN.replace(b'"data":{}', b'"data":{"x":' + (line or b'"') + b"}")
    inside = inside.replace(json.loads(PLAIN)["crc"].encode(), b"").replace(b'"crc":"",', b"")
    with pytest.raises(BadLine):
        decode(re.sub(rb'"prev":"[^"]*",', b"", inside))


def test_without_what_makes_it_hostile_the_line_is_read() -> None:
    bare = re.sub(rb'"(prev|crc)":"[^"]*",', b"", PLAIN)
    assert "task_unarchived" == decode(bare).type


WRONG: tuple[Any, ...] = (None, True, 1, 1.5, "text", [], [1], ["a", None], {}, {"a": 1}, [[]])


@pytest.mark.parametrize("line", LINES, ids=lambda line: str(json.loads(line)["type"]))
def test_a_wrong_type_anywhere_is_a_bad_line_or_harmless(line: bytes) -> None:
    """Every field, of the event and of its data, takes each JSON type in turn; what is read can be applied."""
    shape = json.loads(line)
    del shape["crc"]
    before = None
    for earlier in LINES[: LINES.index(line)]:
        before = evolve(before, decode(earlier[:-1]))
    shape.pop("prev")
    places = [(shape, key) for key in (*shape, "agent_meta", "provenance", "batch", "prev", "crc")]
    places += [(shape["data"], key) for key in shape["data"]]
    for holder, key in places:
        was_there, right = key in holder, holder.get(key)
        for wrong in WRONG:
            holder[key] = wrong
            applied(before, json.dumps(shape).encode())
        del holder[key]
        applied(before, json.dumps(shape).encode())
        if was_there:
            holder[key] = right


def applied(before: Task | None, line: bytes) -> None:
    try:
        after = evolve(before, decode(line))
    except (BadLine, ValidationError):
        return
    assert after == from_snapshot(json.loads(json.dumps(to_snapshot(after))))
