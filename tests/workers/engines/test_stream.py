"""Bytes to what was heard: however they are cut, whatever they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice.core.codec import dump
from lattice.core.record import Record
from lattice.core.run import Exited, Reported
from lattice.workers.engines.heard import Heard, RateLimit, Usage
from lattice.workers.engines.stream import LINE_BYTES_MAX, Shown, Stream, finished, replay
from lattice.workers.engines.table import NAMES, engine
from tests.workers.engines.streams import WELL, claude_result, raw

NOISE = (b"warning: something\n", b'{"no": "kind"}\n', b"\xff\xfe\n", b'{"type": NaN}\n', b'{"type":"a","type":"b"}\n')

WORDS = sorted({word for lines in WELL.values() for line in lines for word in json.dumps(line).split('"')[1::2]})
WORDS += ["429", "error", "severity", "turn.failed", "api_retry", "rate_limit_event", "rate_limit_info", "status"]
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=6),
    max_leaves=12,
)
KINDS = sorted({line["type"] for lines in WELL.values() for line in lines} | {"error", "turn.failed", "system"})
MEMBERS = ("message", "result", "part", "item", "error", "stats", "usage", "rate_limit_info")
ANY_LINES = st.fixed_dictionaries({"type": st.sampled_from(KINDS)}, optional=dict.fromkeys(MEMBERS, VALUES))


@st.composite
def odd_lines(draw: st.DrawFn) -> dict[str, Any]:
    """A line of any engine's, with one of its members, at any depth, of another form than it has."""
    whole = draw(st.sampled_from([line for lines in WELL.values() for line in lines]))
    line: dict[str, Any] = json.loads(json.dumps(whole))
    inner = line
    while True:
        key = draw(st.sampled_from(sorted(inner)))
        if not (isinstance(inner[key], dict) and inner[key] and draw(st.booleans())):
            break
        inner = inner[key]
    inner[key] = draw(VALUES)
    return line


def told(name: str, data: bytes, cuts: list[int]) -> Heard:
    stream, at = Stream(engine(name)), 0
    for cut in [*sorted(cuts), len(data)]:
        stream.feed(data[at:cut])
        at = max(at, cut)
    return stream.end()


@pytest.mark.parametrize("name", NAMES)
def test_each_engine_tells_of_a_run_that_went_well(name: str) -> None:
    heard = told(name, raw(*WELL[name]), [])
    assert (True, 0) == (heard.succeeded, heard.unread)


@pytest.mark.parametrize("name", NAMES)
def test_a_byte_at_a_time_is_the_same(name: str) -> None:
    data = b"".join(json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in WELL[name])
    assert told(name, data, []) == told(name, data, list(range(len(data))))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=30, derandomize=True, deadline=None, database=None)
@given(data=st.data())
def test_any_cut_is_the_same(name: str, data: st.DataObject) -> None:
    pieces = [json.dumps(line, ensure_ascii=False).encode() + b"\n" for line in WELL[name]]
    places = data.draw(st.lists(st.tuples(st.integers(0, len(pieces)), st.sampled_from(NOISE)), max_size=5))
    for place, noise in places:
        pieces.insert(place, noise)
    whole = b"".join(pieces)
    cuts = data.draw(st.lists(st.integers(0, len(whole)), max_size=20))
    heard = told(name, whole, cuts)
    assert told(name, whole, []) == heard
    assert (True, len(places)) == (heard.succeeded, heard.unread)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=100, derandomize=True, deadline=None, database=None)
@given(lines=st.lists(odd_lines() | ANY_LINES, max_size=8))
def test_no_line_is_a_crash_and_what_is_heard_can_be_written(name: str, lines: list[dict[str, Any]]) -> None:
    found = engine(name)
    heard = told(name, raw(*lines), [])
    dump({key: value.fields() if isinstance(value, Record) else value for key, value in heard.fields().items()})
    for line in lines:
        shown_text = found.show(line)
        assert shown_text is None or isinstance(shown_text, str)
    assert isinstance(finished(found, heard, Exited(0), 0), Reported)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=50, derandomize=True, deadline=None, database=None)
@given(data=st.binary(max_size=400))
def test_no_bytes_are_a_crash(name: str, data: bytes) -> None:
    assert None is told(name, data, [len(data) // 2]).succeeded


def test_noise_is_counted_and_kept_out() -> None:
    deep = b'{"type":' + b"[" * 100_000 + b"\n"
    heard = told("codex", b"".join(NOISE) + deep + b"\n  \n" + raw(*WELL["codex"]), [])
    assert (True, len(NOISE) + 1) == (heard.succeeded, heard.unread)


def test_what_is_newer_is_no_noise() -> None:
    newer = ({"type": "hologram", "n": 1}, {"type": "item.completed", "item": {"type": "dance", "text": "la"}})
    assert Heard() == told("codex", raw(*newer), [])


@pytest.mark.parametrize("cut", [1, 20])
def test_a_last_line_that_was_cut_is_not_believed(cut: int) -> None:
    heard = told("claude", raw(claude_result("done"))[: -1 - cut], [])
    assert (None, 1) == (heard.succeeded, heard.unread)


def test_a_last_line_without_its_newline_is_whole() -> None:
    assert True is told("claude", raw(claude_result("done"))[:-1], []).succeeded


def test_a_line_of_ten_megabytes_is_read_and_one_of_twenty_is_let_go() -> None:
    stream = Stream(engine("codex"))
    for size in (10 << 20, 20 << 20):
        stream.feed(b'{"type":"item.completed","item":{"type":"agent_message","text":"')
        for _ in range(size // (1 << 20)):
            stream.feed(b"x" * (1 << 20))
        stream.feed(b'"}}\n')
    assert (1 << 20, 1) == (len(stream.heard.text or ""), stream.heard.unread)
    assert LINE_BYTES_MAX < 20 << 20


def test_a_kept_stream_is_replayed_and_shown(tmp_path: Path) -> None:
    path = tmp_path / "stream.jsonl"
    path.write_bytes(b"npm notice\n" + raw(*WELL["codex"]))
    assert "Done: größer" == replay(engine("codex"), path).text
    words = ["npm notice", "session th_1", "→ git diff", "Done: größer", "result: success"]
    shown = Shown(engine("codex"))
    assert words == [piece for byte in path.read_bytes() for piece in shown.feed(bytes([byte]))] + list(shown.end())


def test_what_is_reported_has_only_what_is_known() -> None:
    heard = Heard(succeeded=True, text="fine", usage=Usage(tokens_in=0, cost_usd=0.5))
    assert Reported(True, "fine", {"tokens_in": 0, "cost_usd": 0.5}) == finished(engine("codex"), heard, Exited(0), 0)


def test_a_refusal_at_the_end_is_no_success() -> None:
    heard = Heard(succeeded=True, text="You've hit your limit", rate_limit=RateLimit(after_s=90))
    reported = finished(engine("claude"), heard, Exited(0), 1_795_000_000_000)
    assert (False, True, "2026-11-18T11:08:10Z") == (reported.succeeded, reported.rate_limited, reported.resets_at)
    assert "You've hit your limit" == reported.text


def test_a_stream_without_a_result_is_a_failure() -> None:
    reported = finished(engine("codex"), Heard(text="I begin"), Exited(0), 0)
    assert (False, "the stream of codex ended without a result") == (reported.succeeded, reported.text)
