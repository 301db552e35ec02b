"""What an agent said as text: the places of its errors, where a line begins, and bytes that fit nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lattice.errors import DefinitionError
from lattice.workers import transcript
from lattice.workers.runs import RunFolder
from lattice.workers.transcript import Transcript, end_begin, line_begin, lines_begin, near_end


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


HOLE = 1 << 36
"""Nobody could read so much: it takes no room on a disk, and minutes to go through."""


@pytest.mark.parametrize("count", [1, 2, 3, 7, 500, 100_000])
def test_the_last_lines_begin_where_they_would_if_all_were_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    monkeypatch.setattr(transcript, "_TAIL_BYTES", 5)
    path = tmp_path / "log"
    for end in (b"", b"\n", b"\r", b"\r\n"):
        data = (
            b"".join(b"%d" % number * (number % 9) + (b"\n", b"\r", b"\r\n")[number % 3] for number in range(99)) + end
        )
        path.write_bytes(data)
        for begin in (0, 57):
            lines = data[begin:].splitlines(keepends=True)[-count:]
            assert b"".join(lines) == data[lines_begin(path, begin, count) :]


def test_the_last_lines_are_found_without_reading_what_is_before(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        file.truncate(HOLE)
        file.seek(HOLE)
        file.write(b"\nlast but one\nlast\n")
    assert HOLE + len(b"\nlast but one\n") == lines_begin(path, 0, 1)


def test_the_end_of_a_transcript_is_as_in_the_whole(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transcript, "_TAIL_BYTES", 300)
    talk = [said(f"Line {number}") for number in range(100)]
    errors = [b"odd %d\n" % number for number in range(100)]
    folder.stream.write_bytes(b"".join(talk))
    folder.output_log.write_bytes(b"".join(errors))
    so_far = [(len(b"".join(talk[:at])) - at % 5, len(b"".join(errors[:at])) - at % 3) for at in range(1, 100)]
    noted(folder, *so_far)
    whole = list(Transcript(folder, "claude").end())
    for count in (1, 2, 20, 150, 199, 200, 1000):
        begin = end_begin(folder, "claude", (0, 0), count)
        assert (count > 20) or begin > (0, 0)
        assert whole[-count:] == list(Transcript(folder, "claude", begin).end())[-count:]
    assert so_far[50] <= end_begin(folder, "claude", so_far[50], 1000)


def test_the_end_of_a_transcript_is_found_without_reading_what_is_before(folder: RunFolder) -> None:
    talk = b"\n" + b"".join(said(f"Line {number}" + "x" * 1000) for number in range(500))
    with folder.stream.open("wb") as file:
        file.truncate(HOLE)
        file.seek(HOLE)
        file.write(talk)
    noted(folder, (HOLE + 1, 0), (HOLE + len(talk), 0))
    begin = end_begin(folder, "claude", (0, 0), 10)
    assert (HOLE + 1, 0) == begin
    assert "Line 499" == list(Transcript(folder, "claude", begin).end())[-1].rstrip("x")
