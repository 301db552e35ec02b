"""What an agent said as text: the places of its errors, where a line begins, and bytes that fit nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lattice.errors import DefinitionError
from lattice.workers import transcript
from lattice.workers.runs import RunFolder
from lattice.workers.transcript import Transcript, line_begin, near_end


def said(text: str) -> bytes:
    message = {"type": "assistant", "message": {"content": [{"type": "text", "text": text}]}}
    return json.dumps(message).encode() + b"\n"


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path, "run_01")
    made.path.mkdir(parents=True)
    return made


def noted(folder: RunFolder, *sizes: tuple[int, int]) -> None:
    """What the supervisor noted a second apart."""
    lines = (f"{second}000 {stream} {errors}\n" for second, (stream, errors) in enumerate(sizes, 1))
    (folder.path / "output.times").write_text("".join(lines), encoding="ascii")


def test_errors_stand_where_they_came_as_far_as_that_was_noted(folder: RunFolder) -> None:
    one, two = said("One"), said("Two\nlines")
    folder.stream.write_bytes(one + two + said("Three"))
    folder.output_log.write_bytes(b"setting up\nodd\nlate")
    noted(folder, (0, 11), (len(one), 11), (len(one + two), 15))
    assert ["! setting up", "One", "Two", "lines", "! odd", "Three", "! late"] == list(
        Transcript(folder, "claude").end()
    )


def test_a_place_within_a_line_gives_the_line_whole(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcript, "_READ_BYTES", 7)
    one, two = said("One"), said("Two")
    folder.stream.write_bytes(one + two)
    begins = [line_begin(folder.stream, at) for at in (0, 5, len(one) - 1, len(one), len(one) + 20)]
    assert [0, 0, 0, len(one), len(one)] == begins
    assert ["Two"] == list(Transcript(folder, "claude", (len(one) + 3, 0)).end())


def test_what_comes_bit_by_bit_is_told_once_and_by_whole_lines(folder: RunFolder) -> None:
    one = said("One")
    told = Transcript(folder, "claude")
    assert [] == list(told.more())  # nothing is there yet
    folder.stream.write_bytes(one[:9])
    folder.output_log.write_bytes(b"od")
    assert [] == list(told.more())
    folder.stream.write_bytes(one)
    assert ["One"] == list(told.more())
    assert [] == list(told.more())
    assert ["! od"] == list(told.end())


def test_what_fits_no_format_is_told_as_it_came(folder: RunFolder) -> None:
    folder.stream.write_bytes(b"npm notice\n\xff\x00{\n[1]\n" + said("\x1b[31mred")[:-1])
    assert ["npm notice", "\ufffd\x00{", "[1]", "\x1b[31mred"] == list(Transcript(folder, "claude").end())


def test_the_end_of_a_long_stream_is_told_without_its_beginning(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcript, "END_BYTES", 10)
    folder.stream.write_bytes(said("One") + said("Two"))
    assert ["Two"] == near_end(folder, "claude")


def test_an_engine_of_a_later_version_is_an_error_that_names_the_way_out(folder: RunFolder) -> None:
    with pytest.raises(DefinitionError) as refused:
        Transcript(folder, "later")
    assert refused.value.hint == "lattice worker logs run_01 --raw"
