"""What is longer than the screen goes through a pager, on a real terminal, and nothing else does."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from lattice.cli import main
from tests.cli import terminal
from tests.cli.conftest import CommandLine
from tests.cli.terminal import Session

ROWS = 10
TASKS = 30
RECORDS = "#!/bin/sh\ncat > paged\n"
ANSWERS = "#!/bin/sh\ntrap 'echo interrupted; echo over; exit' INT\ncat > paged\necho up\nwhile :; do sleep 1; done\n"


@pytest.fixture
def long(cli: CommandLine) -> CommandLine:
    """A board whose list is longer than the screen."""
    for number in range(2, TASKS + 1):
        assert 0 == cli("create", f"Task number {number}").status
    return cli


def pager(folder: Path, script: str = RECORDS) -> str:
    """The command line of a pager that writes what it is given to the file `paged`."""
    path = folder / "a pager"
    path.write_text(script, encoding="utf-8")
    path.chmod(0o755)
    return f"'{path}' -x"


def paged(folder: Path) -> str | None:
    file = folder / "paged"
    return file.read_text(encoding="utf-8") if file.exists() else None


def test_a_long_answer_is_given_to_the_pager_whole(long: CommandLine) -> None:
    screen = terminal.run(long.folder, "list", LATTICE_PAGER=pager(long.folder), PAGER="false")
    text = paged(long.folder) or ""
    assert "" == screen
    assert TASKS + 1 == len(text.splitlines())
    assert all(f"Task number {number}" in text for number in range(2, TASKS + 1))
    assert "\x1b[" in text


def test_pager_is_used_where_no_other_is_named(long: CommandLine) -> None:
    assert "" == terminal.run(long.folder, "list", PAGER=pager(long.folder))
    assert "Task number 2" in (paged(long.folder) or "")


def test_an_error_status_is_the_commands_own(long: CommandLine) -> None:
    log = next((long.folder / ".lattice" / "events").glob("task_*.jsonl"))
    log.write_bytes(b"damaged\n")
    assert (1, "") == Session(long.folder, "doctor", LATTICE_PAGER=pager(long.folder)).end()
    assert log.name in (paged(long.folder) or "")


@pytest.mark.parametrize(
    ("words", "environ"),
    [
        (("list", "--limit", "3"), {}),
        (("list", "--no-pager"), {}),
        (("list", "--json"), {}),
        (("list", "--quiet"), {}),
        (("list",), {"LATTICE_PAGER": ""}),
        (("list",), {"LATTICE_PAGER": "cat"}),
        (("list",), {"TERM": "dumb"}),
        (("list", "--help", "--no-pager"), {}),
        (("help", "--no-pager"), {}),
    ],
    ids=["short", "--no-pager", "--json", "--quiet", "empty", "cat", "dumb", "help", "overview"],
)
def test_without_a_pager(long: CommandLine, words: tuple[str, ...], environ: dict[str, str]) -> None:
    command = pager(long.folder)
    named, kind = environ.get("LATTICE_PAGER", command), environ.get("TERM", "xterm")
    status, screen = Session(long.folder, *words, LATTICE_PAGER=named, PAGER=command, TERM=kind).end()
    assert (0, None) == (status, paged(long.folder))
    assert 3 <= len(screen.splitlines())


@pytest.mark.parametrize("words", [("--help",), ("help",), ("worker", "--help"), ("list", "--help")])
def test_long_help_is_paged(cli: CommandLine, words: tuple[str, ...]) -> None:
    assert "" == terminal.run(cli.folder, *words, LATTICE_PAGER=pager(cli.folder))
    assert (paged(cli.folder) or "").startswith("usage: lattice")


def test_what_goes_to_a_program_is_not_paged(long: CommandLine) -> None:
    done = long.program("list", LATTICE_PAGER=pager(long.folder), TERM="xterm")
    assert (0, TASKS, None) == (done.status, len(done.out.splitlines()), paged(long.folder))


def test_a_program_pays_nothing_for_the_pager(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "lattice.cli.pager", raising=False)
    assert 0 == main.main(["list"])
    assert "lattice.cli.pager" not in sys.modules


@pytest.mark.parametrize(("more", "is_paged"), [(2, False), (1, True)])
def test_a_line_that_is_folded_takes_two_rows_and_the_prompt_one(cli: CommandLine, more: int, is_paged: bool) -> None:
    cli("comment", "LAT-1", f"{'x' * 50}\n{'y' * 20}")
    rows = len(cli("comments", "LAT-1").out.splitlines()) + more
    command = pager(cli.folder)
    screen = terminal.run(cli.folder, "comments", "LAT-1", rows=rows, columns=50, LATTICE_PAGER=command)
    assert is_paged == (paged(cli.folder) is not None), screen


def test_a_pager_that_ends_early_is_no_error(cli: CommandLine) -> None:
    text = "\n".join("a line of many" for _ in range(20_000))  # more than a pipe holds
    cli.folder.joinpath("long.txt").write_text(text, encoding="utf-8")
    assert 0 == cli("attach", "LAT-1", "long.txt", "--title", "long").status
    artifact = cli("artifact", "list", "LAT-1", "--quiet").out.strip()
    screen = terminal.run(cli.folder, "artifact", "show", artifact, LATTICE_PAGER="true")
    assert "" == screen


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("no-such-pager -x", "No such file or directory"),
        ("less 'x", "No closing quotation"),
        ("/", "Permission denied"),
        ("touch; touch made", "No such file or directory"),
    ],
)
def test_without_the_pager_that_is_named_the_answer_is_printed(long: CommandLine, command: str, why: str) -> None:
    screen = terminal.run(long.folder, "list", LATTICE_PAGER=command)
    assert f"Task number {TASKS}" in screen
    assert f"Warning: The pager {command!r} could not be started: {why}.\n" in screen
    assert not (long.folder / "made").exists()  # no shell reads it


def test_control_c_is_the_pagers(long: CommandLine) -> None:
    session = Session(long.folder, "list", LATTICE_PAGER=pager(long.folder, ANSWERS))
    session.until("up\n".replace("\n", "\r\n"))
    session.type(b"\x03")
    status, screen = session.end()
    assert (0, True) == (status, "interrupted\nover\n" in screen), screen


@pytest.mark.skipif(shutil.which("less") is None, reason="less is missing")
def test_less_is_the_default(long: CommandLine) -> None:
    session = Session(long.folder, "list", rows=ROWS)
    assert f"Task number {TASKS}" not in session.until(":")
    session.type(b"G")
    session.until(f"Task number {TASKS}")
    session.type(b"q")
    assert 0 == session.end()[0]
