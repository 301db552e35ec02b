"""How far a long act is, on a real terminal: late, seldom, and gone at the end."""

from __future__ import annotations

import argparse
import os
import pty
import sys
import termios
from collections.abc import Iterator
from typing import TextIO

import pytest

from lattice.cli.progress import ProgressLine, progress
from tests.cli import terminal
from tests.cli.conftest import CommandLine

AT_ONCE = "from lattice.cli import progress; progress.SILENT_S = progress.INTERVAL_S = 0.0"
SHOWN = argparse.Namespace(json=False, quiet=False)


class Screen:
    """A terminal to write to, and what has come there since it was last asked."""

    def __init__(self, encoding: str = "utf-8", columns: int = 80) -> None:
        self.ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (10, columns))
        self.stream: TextIO = os.fdopen(theirs, "w", encoding=encoding)

    def read(self) -> str:
        self.stream.write("\0")
        self.stream.flush()
        seen = b""
        while not seen.endswith(b"\0"):
            seen += os.read(self.ours, 65536)
        return seen[:-1].decode()

    def close(self) -> None:
        os.close(self.ours)
        self.stream.close()


@pytest.fixture
def screen() -> Iterator[Screen]:
    made = Screen()
    yield made
    made.close()


class Clock:
    """Seconds that go by when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_nothing_is_shown_before_a_second_is_over(screen: Screen) -> None:
    clock = Clock()
    shown = ProgressLine(screen.stream, "tasks", clock)
    clock.now += 0.99
    shown(1, 4)
    assert "" == screen.read()
    shown.clear()
    assert "" == screen.read()
    clock.now += 0.02
    shown(2, 4)
    assert "██████████░░░░░░░░░░ 2 of 4 tasks, 1.0 s left" == terminal.left_on(screen.read())


def test_the_line_is_written_ten_times_a_second_at_most(screen: Screen) -> None:
    clock = Clock()
    shown = ProgressLine(screen.stream, "tasks", clock)
    clock.now += 1.0
    for done in range(2001):
        shown(done, 10_000)
        clock.now += 0.001
    assert 19 <= screen.read().count("\r") <= 21  # of two seconds


def test_a_shorter_line_leaves_nothing_of_a_longer_one(screen: Screen) -> None:
    clock = Clock()
    shown = ProgressLine(screen.stream, "tasks", clock)
    clock.now += 100.0
    shown(1, 1000)
    clock.now += 100.0
    shown(1000, 1000)
    assert f"{'█' * 20} 1000 of 1000 tasks" == terminal.left_on(screen.read())


def test_another_round_has_a_pace_of_its_own(screen: Screen) -> None:
    clock = Clock()
    shown = ProgressLine(screen.stream, "tasks", clock)
    clock.now += 3600.0
    shown(10, 10)
    shown(1, 10)
    clock.now += 2.0
    shown(2, 10)
    assert "2 of 10 tasks, 8.0 s left" in terminal.left_on(screen.read())


def test_the_line_is_as_wide_as_the_terminal_at_most() -> None:
    screen, clock = Screen(columns=30), Clock()
    shown = ProgressLine(screen.stream, "tasks", clock)
    clock.now += 2.0
    shown(500, 1000)
    assert 29 == len(terminal.left_on(screen.read()))
    screen.close()


def test_a_terminal_of_another_encoding_gets_ascii() -> None:
    screen, clock = Screen("iso8859-1"), Clock()
    shown = ProgressLine(screen.stream, "tasks", clock)
    clock.now += 2.0
    shown(500, 1000)
    assert "##########.......... 500 of 1000 tasks, 2.0 s left" == terminal.left_on(screen.read())
    screen.close()


@pytest.mark.parametrize("raised", [KeyboardInterrupt, ValueError])
def test_an_act_that_fails_leaves_no_line(
    screen: Screen, monkeypatch: pytest.MonkeyPatch, raised: type[BaseException]
) -> None:
    monkeypatch.setattr(sys, "stderr", screen.stream)
    monkeypatch.setattr("lattice.cli.progress.SILENT_S", 0.0)
    with pytest.raises(raised):
        _broken_off(raised)
    seen = screen.read()
    assert "1 of 10 tasks" in seen
    assert "" == terminal.left_on(seen)


def _broken_off(raised: type[BaseException]) -> None:
    with progress(SHOWN, "tasks") as tell:
        assert tell is not None
        tell(1, 10)
        raise raised


def test_a_terminal_that_is_gone_does_not_stop_the_act() -> None:
    screen, clock = Screen(), Clock()
    shown = ProgressLine(screen.stream, "tasks", clock)
    os.close(screen.ours)
    for done in range(3):
        clock.now += 2.0
        shown(done, 10)
    shown.clear()
    screen.stream.close()


def test_without_a_terminal_nobody_is_told(tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with open(os.path.join(tmp_path, "err"), "w", encoding="utf-8") as file:
        for stream in (file, None):
            monkeypatch.setattr(sys, "stderr", stream)
            with progress(SHOWN, "tasks") as tell:
                assert tell is None


ACTS: dict[str, tuple[str, ...]] = {
    "doctor": ("doctor",),
    "rebuild": ("rebuild", "--all"),
    "log": ("log",),
    "since": ("since", "1d"),
    "export": ("export", "--to", "json", "out.json"),
    "csv": ("export", "--to", "csv", "out.csv"),
    "import": ("import", "--from", "csv", "in.csv", "--actor", "human:ann"),
    "dry run": ("import", "--from", "csv", "in.csv", "--actor", "human:ann", "--dry-run"),
    "look": ("import", "--from", "lattice", "."),
}


@pytest.mark.parametrize("words", ACTS.values(), ids=ACTS)
def test_a_person_sees_how_far_it_is(cli: CommandLine, words: tuple[str, ...]) -> None:
    cli("create", "Second")
    (cli.folder / "in.csv").write_text("title\nThird\nFourth\n", encoding="utf-8")
    screen = terminal.run(cli.folder, *words, "--no-pager", prepared=AT_ONCE, LANG="C.UTF-8")
    assert " of 2 tasks" in screen
    assert " of 2 tasks" not in terminal.left_on(screen)
    assert "█" not in terminal.left_on(screen)


@pytest.mark.parametrize("form", ["--json", "--quiet"])
def test_a_program_on_a_terminal_sees_none_of_it(cli: CommandLine, form: str) -> None:
    cli("create", "Second")
    screen = terminal.run(cli.folder, "log", form, prepared=AT_ONCE)
    assert "\r" not in screen
    assert " of 2 tasks" not in screen
