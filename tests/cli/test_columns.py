"""What a terminal shows: characters in their columns, tables that fit, colour where it is wanted, times for people."""

from __future__ import annotations

import fcntl
import io
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest

from lattice.cli.columns import clusters
from lattice.cli.render import Terminal, cut, table, terminal_of, width
from lattice.core.moments import ago
from tests.cli.conftest import SOURCES, CommandLine

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467"
RUNNER = "\U0001f3c3\U0001f3fd\u200d\u2642\ufe0f"  # with a skin tone, a joiner, and a sign shown as emoji

WIDTHS = [
    ("plain", 5),
    ("日本語", 6),
    ("e\u0301", 1),
    ("a\u200bb", 2),
    ("\u1112\u1161\u11ab", 2),
    (FAMILY, 2),
    (RUNNER, 2),
    ("1\ufe0f\u20e3", 2),
    ("\u2764\ufe0f", 2),
    ("\u2764\ufe0e", 1),
    ("\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7", 4),
    ("\U0001f3fd", 2),
    ("क\u094d\u200dष", 2),
    ("co\u00adop", 5),
    ("\u0301", 0),
]


@pytest.mark.parametrize(("text", "columns"), WIDTHS)
def test_a_text_takes_the_columns_that_a_reader_sees(text: str, columns: int) -> None:
    assert columns == width(text)
    assert text == "".join(cluster for cluster, _ in clusters(text))


@pytest.mark.parametrize("columns", range(8))
@pytest.mark.parametrize("text", [FAMILY * 4, RUNNER * 4, "e\u0301" * 9, "日本語日本語", "\U0001f1e9\U0001f1ea" * 4])
def test_a_cut_text_fits_and_holds_whole_characters_alone(text: str, columns: int) -> None:
    shown = cut(text, columns)
    assert columns - 1 <= width(shown) + 1 <= columns + 1
    whole = {cluster for cluster, _ in clusters(text)}
    assert {cluster for cluster, _ in clusters(shown.removesuffix("…"))} <= whole


HEADS = ("TASK", "STATUS", "PRIORITY", "TITLE", "ASSIGNED")
ROWS = [
    ["LAT-1", "in_progress", "critical", "日本語のタイトル" * 12, "human:ann"],
    ["LAT-20", "done", "low", f"{FAMILY} e\u0301 words and more words " * 4, "agent:a-rather-long-name-for-an-agent"],
    ["LAT-300", "review", "high", "short", "unassigned"],
]
SHOWN = {20: ["TASK", "TITLE"], 40: ["TASK", "STATUS", "TITLE"], 80: list(HEADS), 200: list(HEADS)}


@pytest.mark.parametrize("columns", SHOWN)
def test_a_table_fits_and_leaves_out_what_matters_least(columns: int) -> None:
    lines = table(ROWS, Terminal(columns=columns), 3, HEADS, (4, 2, 1)).splitlines()
    assert SHOWN[columns] == lines[0].split()
    assert all(width(line) <= columns for line in lines)
    assert ["LAT-1", "LAT-20", "LAT-300"] == [line.split()[0] for line in lines[1:]]


@pytest.mark.parametrize("columns", range(1, 130))
@pytest.mark.parametrize("flexible", [0, 3, 4])
def test_no_table_is_wider_than_its_terminal(columns: int, flexible: int) -> None:
    lines = table(ROWS, Terminal(columns=columns), flexible, HEADS).splitlines()
    assert max(map(width, lines)) <= columns
    assert 4 == len(lines)


def test_a_table_for_a_program_is_never_cut() -> None:
    lines = table(ROWS, Terminal(), 3, HEADS).splitlines()
    assert [row[3].split()[-1] in line for row, line in zip(ROWS, lines, strict=True)] == [True] * 3
    assert all(row[4] in line for row, line in zip(ROWS, lines, strict=True))


class Tty(io.StringIO):
    """A terminal as far as colour goes."""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        raise OSError


@pytest.mark.parametrize(
    ("environ", "terminal", "pipe"),
    [
        ({"TERM": "xterm"}, True, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False, False),
        ({"TERM": "xterm", "NO_COLOR": "1", "FORCE_COLOR": "1"}, False, False),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, False),
        ({"TERM": "dumb"}, False, False),
        ({}, False, False),
        ({"TERM": "dumb", "FORCE_COLOR": "1"}, True, True),
        ({"CLICOLOR_FORCE": "1"}, True, True),
        ({"TERM": "xterm", "CLICOLOR": "0", "CLICOLOR_FORCE": "1"}, True, True),
        ({"TERM": "xterm", "FORCE_COLOR": "0"}, False, False),
        ({"TERM": "xterm", "CLICOLOR": "0"}, False, False),
        ({"TERM": "xterm", "CLICOLOR": "1"}, True, False),
    ],
)
def test_colour_is_decided_by_the_environment_then_by_the_terminal(
    environ: dict[str, str], terminal: bool, pipe: bool
) -> None:
    assert (terminal, pipe) == (terminal_of(Tty(), environ).colour, terminal_of(io.StringIO(), environ).colour)


NOW_MS = 1_764_000_000_000  # 2025-11-24T16:00:00Z


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        ("2025-11-24T16:00:00Z", "now"),
        ("2025-11-24T15:59:18Z", "42 s ago"),
        ("2025-11-24T15:00:01Z", "59 min ago"),
        ("2025-11-24T14:00:00Z", "2 h ago"),
        ("2025-11-24T16:00:00+02:00", "2 h ago"),
        ("2025-11-24T14:00:00.123456", "2 h ago"),
        ("2025-10-26T16:00:00Z", "29 d ago"),
        ("2025-10-25T16:00:00Z", "2025-10-25"),
        ("2025-11-24T16:05:00Z", "in 5 min"),
        ("0001-01-01T00:00:00Z", "0001-01-01"),
        ("some day", "some day"),
        ("", ""),
    ],
)
def test_a_person_reads_how_long_ago_something_was(moment: str, said: str) -> None:
    assert said == ago(moment, NOW_MS)
    assert said == Terminal(now_ms=NOW_MS).when(moment)
    assert moment == Terminal().when(moment)


def on_a_terminal(cli: CommandLine, columns: int, *words: str) -> str:
    """What a command prints on a real terminal of that width."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCES), "TERM": "dumb"}
    program = [sys.executable, "-m", "lattice.cli.main", *words]
    with subprocess.Popen(program, cwd=cli.folder, stdin=its, stdout=its, stderr=its, env=environ) as running:
        os.close(its)
        printed = b""
        while chunk := _read(ours):
            printed += chunk
    os.close(ours)
    assert 0 == running.returncode
    return printed.decode().replace("\r\n", "\n")


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:
        return b""  # EIO: the last one who held the other end has left it


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
@pytest.mark.parametrize(
    "words", [("list",), ("list", "--columns", "id,title,description,creator,updated"), ("ready",)]
)
def test_a_list_fits_the_terminal(cli: CommandLine, columns: int, words: tuple[str, ...]) -> None:
    cli("create", "日本語のタイトル" * 12, "--assigned-to", "agent:a-rather-long-name-for-an-agent", "--type", "bug")
    lines = on_a_terminal(cli, columns, *words).splitlines()
    assert 3 == len(lines)
    assert all(width(line) <= columns for line in lines)
    assert ["TASK" if words[-1] != "id,title,description,creator,updated" else "ID", "LAT-1", "LAT-2"] == [
        line.split()[0] for line in lines
    ]


def test_times_are_for_people_on_a_terminal_and_exact_elsewhere(cli: CommandLine) -> None:
    cli("comment", "LAT-1", "Said")
    for words in (("show", "LAT-1"), ("log",), ("comments", "LAT-1"), ("list", "--columns", "id,updated")):
        moment = cli("show", "LAT-1", "--json").data["updated_at"]
        assert moment[:10] in cli.program(*words).out
        shown = on_a_terminal(cli, 80, *words)
        assert moment[:10] not in shown
        assert " ago" in shown or "now" in shown
