"""`worker top` on a real terminal: what it draws, what its keys do, and the terminal as it was afterwards."""

from __future__ import annotations

import codecs
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator

import pytest

from lattice.cli.render import Terminal, width
from lattice.cli.screen import _keys
from lattice.cli.worker_top import Top
from lattice.commands.tasks import CreateTask
from tests.workers.conftest import ANN, Bench, eventually
from tests.workers.conftest import bench as bench  # noqa: PLC0414  # a fixture is shared by its name

WAIT_S = 60.0
# The terminal is the one that controls the program, so that a new size and control-C are signals to it.
STARTED = "import fcntl, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); from lattice.cli.main import main"
STYLE = re.compile(r"\x1b\[[0-9;]*m")
ENTERED, LEFT = "\x1b[?1049h", "\x1b[?1049l"


class OnTerminal:
    """`lattice worker top` on a terminal of its own. Its frames are parted by the cursor's way home."""

    def __init__(self, bench: Bench, *words: str, rows: int = 12, columns: int = 120) -> None:
        self.ours, self.theirs = pty.openpty()
        termios.tcsetwinsize(self.theirs, (rows, columns))
        self.before = termios.tcgetattr(self.theirs)
        self.program = subprocess.Popen(
            [sys.executable, "-c", f"{STARTED}; sys.exit(main())", "worker", "top", *words],
            cwd=bench.repo, stdin=self.theirs, stdout=self.theirs, stderr=self.theirs, start_new_session=True,
            env=bench.environ(TERM="xterm"),
        )  # fmt: skip
        self.seen = ""
        self.decoder = codecs.getincrementaldecoder("utf-8")()  # What is read may end within a character.

    def type(self, keys: bytes) -> None:
        os.write(self.ours, keys)

    def resize(self, rows: int, columns: int) -> None:
        termios.tcsetwinsize(self.theirs, (rows, columns))

    def frame(self, fits: Callable[[str], bool]) -> list[str]:
        """The lines of the first whole frame that fits, from here on."""
        ends_at = time.monotonic() + WAIT_S
        while True:
            frames = self.seen.split("\x1b[H")
            for place, each in enumerate(frames[1:], start=1):
                if "\x1b[J" in each and fits(STYLE.sub("", each)):
                    self.seen = "\x1b[H".join(["", *frames[place + 1 :]]) if place + 1 < len(frames) else ""
                    shown = STYLE.sub("", each.partition("\x1b[J")[0]).replace("\x1b[K", "")
                    return shown.replace("\r", "").split("\n")
            assert time.monotonic() < ends_at, f"no such frame; what came: {self.seen[-3000:]!r}"
            self.read()

    def until(self, text: str) -> None:
        """Read until `text` has come."""
        ends_at = time.monotonic() + WAIT_S
        while text not in self.seen:
            assert time.monotonic() < ends_at, f"it did not come; what came: {self.seen[-3000:]!r}"
            self.read()

    def read(self) -> None:
        if select.select([self.ours], [], [], 1.0)[0]:
            self.seen += self.decoder.decode(os.read(self.ours, 65536))

    def ended(self) -> int:
        """The exit status; the terminal has to be as it was."""
        ends_at = time.monotonic() + WAIT_S
        while LEFT not in self.seen or self.program.poll() is None:
            assert time.monotonic() < ends_at, f"it did not end; what came: {self.seen[-3000:]!r}"
            self.read()
        assert self.seen.rindex("\x1b[?25h") < self.seen.rindex(LEFT)  # the cursor is back
        assert self.before == termios.tcgetattr(self.theirs)
        return self.program.returncode

    def close(self) -> None:
        if self.program.poll() is None:
            self.program.kill()
            self.program.wait()
        os.close(self.ours)
        os.close(self.theirs)


@pytest.fixture
def top(bench: Bench) -> Iterator[Callable[..., OnTerminal]]:
    """Starts `worker top`."""
    opened: list[OnTerminal] = []

    def start(*words: str, rows: int = 12, columns: int = 120) -> OnTerminal:
        opened.append(OnTerminal(bench, *words, rows=rows, columns=columns))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def test_it_shows_what_runs_and_follows_its_end(bench: Bench, top: Callable[..., OnTerminal]) -> None:
    screen = top()
    screen.frame(lambda text: "Nothing is running." in text)
    run = bench.running()
    lines = screen.frame(lambda text: run.run_id in text and "running" in text)
    assert "1 run" in lines[0]
    assert lines[-1].startswith("q quit")
    assert any("MiB" in line for line in lines)
    bench.data("worker", "stop", run.run_id, "--wait")
    screen.frame(lambda text: "Nothing is running." in text)
    screen.type(b"q")
    assert 0 == screen.ended()


def test_k_stops_the_selected_run_when_it_is_confirmed(bench: Bench, top: Callable[..., OnTerminal]) -> None:
    runs = [bench.start(bench.worker(name=name)) for name in ("One", "Two")]
    screen = top("--actor", "human:ann", "--reason", "enough")
    screen.frame(lambda text: all(run.run_id in text for run in runs))
    screen.type(b"k")
    screen.frame(lambda text: f"Stop {runs[0].run_id}? y/n" in text)
    screen.type(b"n")
    screen.frame(lambda text: "It was not stopped." in text)
    screen.type(b"\x1b[Bk")
    screen.frame(lambda text: f"Stop {runs[1].run_id}? y/n" in text)
    screen.type(b"y")
    screen.frame(lambda text: f"Asked {runs[1].run_id} to stop." in text)
    eventually(lambda: runs[1].is_closed() and not runs[1].alive())
    assert ("cancelled", {"kind": "cancelled", "reason": "enough"}) == (
        bench.view(runs[1]).state, bench.view(runs[1]).cause,
    )  # fmt: skip
    assert runs[0].alive()
    screen.type(b"q")
    assert 0 == screen.ended()
    bench.data("worker", "stop", runs[0].run_id, "--wait")


def test_a_stop_that_is_refused_is_told_and_stops_nothing(bench: Bench, top: Callable[..., OnTerminal]) -> None:
    run = bench.running()
    screen = top("--actor", "nobody")
    screen.frame(lambda text: run.run_id in text)
    screen.type(b"ky")
    screen.frame(lambda text: "'nobody'" in text and "q quit" not in text)
    assert run.alive()
    screen.type(b"q")
    assert 0 == screen.ended()
    bench.data("worker", "stop", run.run_id, "--wait")


def test_enter_shows_the_run_and_l_its_log_as_harmless_text(bench: Bench, top: Callable[..., OnTerminal]) -> None:
    run = bench.running(r"printf 'hello \033[31mred\n'; exec sleep 300")
    eventually(lambda: b"hello" in run.output_log.read_bytes())
    screen = top(rows=40)
    screen.frame(lambda text: run.run_id in text)
    screen.type(b"\r")
    screen.frame(lambda text: "its program was executed" in text and "q back" in text)
    screen.type(b"q")
    screen.frame(lambda text: "q quit" in text)
    screen.type(b"l")
    lines = screen.frame(lambda text: "hello" in text)
    assert r"hello \x1b[31mred" == lines[0]
    screen.type(b"\x1b")
    screen.frame(lambda text: "q quit" in text)
    screen.type(b"q")
    assert 0 == screen.ended()
    bench.data("worker", "stop", run.run_id, "--wait")


def test_it_follows_the_size_of_the_terminal(bench: Bench, top: Callable[..., OnTerminal]) -> None:
    run = bench.running()
    screen = top(rows=12, columns=120)
    screen.frame(lambda text: run.run_id in text)
    screen.resize(6, 40)
    lines = screen.frame(lambda text: max(map(len, text.split("\r\n"))) < 60)
    assert max(map(width, lines)) <= 40
    assert len(lines) <= 6
    screen.type(b"q")
    assert 0 == screen.ended()
    bench.data("worker", "stop", run.run_id, "--wait")


@pytest.mark.parametrize(
    ("signum", "status"), [(signal.SIGTERM, -signal.SIGTERM), (signal.SIGHUP, -signal.SIGHUP), (signal.SIGINT, 0)]
)
def test_the_terminal_is_given_back_on_a_signal(top: Callable[..., OnTerminal], signum: int, status: int) -> None:
    screen = top()
    screen.frame(lambda text: "Nothing is running." in text)
    screen.program.send_signal(signum)
    assert status == screen.ended()


def test_it_gives_the_terminal_back_while_it_is_stopped(top: Callable[..., OnTerminal]) -> None:
    screen = top()
    screen.frame(lambda text: "Nothing is running." in text)
    screen.type(b"\x1a")
    screen.until(LEFT)
    _, status = os.waitpid(screen.program.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    assert screen.before == termios.tcgetattr(screen.theirs)
    screen.seen = ""
    screen.program.send_signal(signal.SIGCONT)
    screen.frame(lambda text: "Nothing is running." in text)
    screen.type(b"q")
    assert 0 == screen.ended()


def test_without_a_terminal_it_says_what_to_do_and_has_one_look_for_programs(bench: Bench) -> None:
    assert "worker ps" in bench.lattice("worker", "top").stderr
    run = bench.running()
    (row,) = bench.data("worker", "top")
    assert (run.run_id, True) == (row["run_id"], row["memory_bytes"] > 0)
    bench.data("worker", "stop", run.run_id, "--wait")


def test_no_line_is_wider_than_the_screen_however_small_it_is(bench: Bench) -> None:
    run = bench.running()
    shown = Top(bench.board)
    shown.look()
    for keys in ("", "\r", "l"):
        for key in _keys(keys.encode()):
            shown.press(key)
        for columns, rows in ((1, 1), (7, 2), (40, 5), (200, 60)):
            lines = [STYLE.sub("", line) for line in shown.draw(columns, rows, Terminal(columns=columns))]
            assert len(lines) <= rows
            assert max(map(width, lines)) <= max(columns, 10)
        shown.mode = "list"
    bench.data("worker", "stop", run.run_id, "--wait")


def test_a_task_that_cannot_be_read_is_told_of_and_ends_nothing(bench: Bench) -> None:
    run = bench.running()
    CreateTask("Second").run(bench.board, ANN)
    bench.damage("LAT-2")
    shown = Top(bench.board)
    for _ in range(2):
        shown.look()
    head, *_ = (STYLE.sub("", line) for line in shown.draw(200, 9, Terminal(columns=200)))
    assert head.rstrip().endswith("1 run, and 1 task that cannot be read: lattice doctor")
    answer = json.loads(bench.lattice("worker", "top", "--json").stdout)
    assert ([run.run_id], 1) == ([one["run_id"] for one in answer["data"]], len(answer["warnings"]))
    bench.data("worker", "stop", run.run_id, "--wait")


def test_a_narrow_screen_has_the_end_of_a_runs_id_and_so_room_for_more(bench: Bench) -> None:
    run = bench.running()
    shown = Top(bench.board)
    shown.look()
    (narrow,) = [STYLE.sub("", each) for each in shown.draw(40, 9, Terminal(columns=40)) if "Sleeper" in each]
    assert [run.run_id[-8:], "Sleeper", "LAT-1", "running"] == narrow.split()[:4]
    assert any(run.run_id in each for each in shown.draw(120, 9, Terminal(columns=120)))
    assert run.run_id == bench.data("worker", "stop", run.run_id[-8:], "--wait")["run_id"]


def test_keys_are_named_and_unknown_ones_do_nothing() -> None:
    assert ["up", "down", "enter", "q"] == _keys(b"\x1b[A\x1bOB\rq")
    assert ["escape"] == _keys(b"\x1b")
    assert ["k"] == _keys(b"\x1b[15~k")
    assert ["\ufffd", "\ufffd"] == _keys("\u00e9".encode())
