"""`init`: without questions in a script, with two on a terminal, and never over a board that is there."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lattice.cli.board import suggested_code
from tests.cli.conftest import SOURCES, CommandLine


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("lattice", "LAT"),
        ("my-web-app", "MWA"),
        ("x", "X"),
        ("2024", "LAT"),
        ("Größe", "GE"),
        ("a b c d e f g", "ABCDE"),
    ],
)
def test_a_folders_name_gives_the_project_code(tmp_path: Path, name: str, code: str) -> None:
    assert code == suggested_code(tmp_path / name)


def test_init_in_a_script_asks_nothing(outside: CommandLine) -> None:
    made = outside.program("init", "--json")
    assert (True, "MP", None) == tuple(made.data[key] for key in ("created", "project_code", "default_actor"))
    assert "MP-1\n" == outside("create", "x", "--actor", "human:ann", "--quiet").out


def test_init_tells_the_next_step(outside: CommandLine) -> None:
    said = outside("init", "--project-code", "lat", "--subproject-code", "F")
    assert "Board made in .lattice/\nProject code: LAT-F\nDefault actor: none\n" in said.out
    assert 'Next: lattice create "Your first task" --actor human:you\n' in said.out


def test_init_leaves_a_board_as_it_is(cli: CommandLine) -> None:
    before = cli.tree()
    assert (0, "Lattice already initialized in .lattice/\n", "") == cli("init", "--project-code", "lat")
    again = cli("init", "--project-code", "NEW", "--actor", "human:ann", "--model", "m1")
    assert (0, "Lattice already initialized in .lattice/\n") == (again.status, again.out)
    assert "Warning: The board stays as it is: --project-code, --model changed nothing." in again.err
    assert (False, "LAT") == tuple(cli("init", "--json").data[key] for key in ("created", "project_code"))
    assert before == cli.tree()


def test_init_says_that_it_hides_a_board_above(cli: CommandLine) -> None:
    (cli.folder / "part").mkdir()
    made = cli("init", "--path", "part", "--project-code", "PT")
    assert 0 == made.status
    assert f"Warning: There is a board in {cli.folder} too; in this folder and below" in made.err


def test_init_says_what_stands_in_its_way(outside: CommandLine) -> None:
    (outside.folder / ".lattice").symlink_to("nowhere")
    refused = outside("init")
    assert 1 == refused.status
    assert f"Hint: See what is there: ls -ld {outside.folder}/.lattice" in refused.err


def test_a_board_without_a_code_says_what_that_means(outside: CommandLine) -> None:
    assert "Project code: none, so that tasks get no short ids\n" in outside("init", "--project-code", "").out


def test_init_keeps_what_it_was_told(outside: CommandLine) -> None:
    outside("init", "--project-name", "Big", "--no-heartbeat", "--model", "m1", "--description", "All of it")
    raw = (outside.folder / ".lattice" / "config.json").read_text()
    for said in ('"project_name": "Big"', '"enabled": false', '"model": "m1"', '"description": "All of it"'):
        assert said in raw


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("--project-code", "toolong"), "INVALID_ID"),
        (("--actor", "ann"), "INVALID_ACTOR"),
        (("--path", "missing"), "VALIDATION_ERROR"),
        (("--project-name", "a\x1bb"), "VALIDATION_ERROR"),
    ],
)
def test_a_refused_init_makes_nothing(outside: CommandLine, words: tuple[str, ...], code: str) -> None:
    assert code == outside("init", *words, "--json").error["code"]
    assert [] == list(outside.folder.iterdir())


def test_init_in_another_folder(outside: CommandLine) -> None:
    (outside.folder / "service").mkdir()
    assert "SER" == outside("init", "--path", "service", "--json").data["project_code"]
    assert (outside.folder / "service" / ".lattice" / "config.json").is_file()


def on_a_terminal(folder: Path, typed: bytes, *words: str, **environ: str) -> tuple[int, str]:
    """The exit status and the screen of a program whose input and output are a terminal."""
    ours, theirs = pty.openpty()
    program = subprocess.Popen(
        [sys.executable, "-m", "lattice.cli.main", *words],
        cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs,
        env={"PYTHONPATH": str(SOURCES), "USER": "ann", "TERM": "xterm", **environ},
    )  # fmt: skip
    os.close(theirs)
    os.write(ours, typed)
    screen = b""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if select.select([ours], [], [], 1.0)[0]:
            try:
                screen += os.read(ours, 65536)
            except OSError:  # EIO: the last holder of the other end is gone
                break
    os.close(ours)
    return program.wait(60), screen.decode().replace("\r\n", "\n")


def test_init_on_a_terminal_asks_again_until_the_answer_is_valid(outside: CommandLine) -> None:
    status, screen = on_a_terminal(outside.folder, b"toolong\nABC\n\n", "init")
    assert 0 == status
    assert 2 == screen.count("Project code, what short ids begin with [MP]: ")
    assert "Invalid project code: 'toolong'." in screen
    assert "Project code: ABC\nDefault actor: human:ann\n" in screen


def test_init_on_a_terminal_without_an_answer_makes_nothing(outside: CommandLine) -> None:
    status, screen = on_a_terminal(outside.folder, b"\x04", "init")
    assert (130, []) == (status, list(outside.folder.iterdir()))
    assert "no board was made" in screen


def test_colour_is_for_terminals_that_want_it(cli: CommandLine) -> None:
    cli("create", "Two", "--priority", "critical")
    assert "\x1b[1;31mcritical\x1b[0m" in on_a_terminal(cli.folder, b"", "list")[1]
    for environ in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        status, screen = on_a_terminal(cli.folder, b"", "list", **environ)
        assert "TASK   STATUS" in screen
        assert "RUNS" not in screen
        assert (0, False, True) == (status, "\x1b" in screen, "critical" in screen)
    assert "\x1b" not in cli("list").out


ONE_THING = ("doctor", "stats", "weather", "since 1d", "rebuild --all")


@pytest.mark.parametrize("words", ONE_THING)
def test_one_thing_is_told_of_as_one(cli: CommandLine, words: str) -> None:
    said = cli(*words.split())
    counted = re.findall(r"\b1 [a-z]+", said.out + said.err)
    assert [] == [each for each in counted if each.endswith("s")], said
