"""One way in, one way out: the table, the help, and what comes of errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from lattice.cli import queries
from lattice.cli.main import COMMANDS
from tests.cli.conftest import SOURCES, CommandLine

NOT_FOR_HOT_COMMANDS = (
    "subprocess", "dataclasses", "sqlite3", "ctypes", "shutil", "inspect", "difflib", "unicodedata", "tempfile",
    "logging", "mimetypes", "traceback", "asyncio", "socket", "lattice.workers",
)  # fmt: skip


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_examples_that_name_it(outside: CommandLine, name: str) -> None:
    page = outside(*name.split(), "--help")
    assert (0, "") == (page.status, page.err)
    assert f"usage: lattice {name}" in page.out
    assert COMMANDS[name].summary in page.out
    assert f"lattice {name}" in page.out.partition("Examples:")[2]
    assert page.out == outside("help", *name.split()).out


def test_the_overview_names_every_command_and_imports_none(outside: CommandLine) -> None:
    code = "import sys; from lattice.cli.main import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": str(SOURCES)}, capture_output=True, text=True, check=True
    )
    assert all(entry.summary in done.stdout for entry in COMMANDS.values())
    assert not {"argparse", *(entry.module for entry in COMMANDS.values())} & set(done.stderr.split())


def test_python_runs_the_package_as_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "lattice", "--version"],
        env={"PYTHONPATH": str(SOURCES)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("lattice ")


@pytest.mark.parametrize(
    "words", [("show", "LAT-1"), ("list",), ("create", "x"), ("comment", "LAT-1", "x"), ("status", "LAT-1", "planned")]
)
def test_hot_commands_import_nothing_heavy(cli: CommandLine, words: tuple[str, ...]) -> None:
    code = "import sys; from lattice.cli.main import main; r = main(sys.argv[1:]); print(*sys.modules); sys.exit(r)"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.append({str(SOURCES)!r}); {code}", *words],
        capture_output=True,
        text=True,
        check=True,
    )
    imported = set(done.stdout.splitlines()[-1].split())
    assert "lattice.commands.board" in imported  # so that an empty list cannot pass
    # A task's relationships and a listing are read from the index, so that neither opens a file a task.
    allowed = {"sqlite3"} if words[0] in ("show", "list") else set()
    assert [] == [name for name in NOT_FOR_HOT_COMMANDS if name in imported and name not in allowed]


def test_a_group_has_an_overview_of_its_own_and_names_the_nearest(outside: CommandLine) -> None:
    shown = outside("worker", "--help")
    assert (0, "") == (shown.status, shown.err)
    assert "usage: lattice worker COMMAND" in shown.out
    assert f"  run                  {COMMANDS['worker run'].summary}\n" in shown.out
    assert "create" not in shown.out
    assert (2, "", shown.out) == outside("worker")
    refused = outside("worker", "lgos")
    assert "Error: There is no command 'worker lgos'.\nHint: Did you mean 'lattice worker logs'?\n" == refused.err


def test_no_command_shows_the_overview_and_is_a_usage_error(outside: CommandLine) -> None:
    shown = outside()
    assert (2, "") == (shown.status, shown.out)
    assert "lattice create" in shown.err


def test_the_version_is_told(outside: CommandLine) -> None:
    assert (0, "lattice 0.1.0\n", "") == outside("--version")


def test_an_unknown_command_is_answered_with_the_nearest(outside: CommandLine) -> None:
    refused = outside("crate", "x")
    assert (2, "") == (refused.status, refused.out)
    assert "Error: There is no command 'crate'.\nHint: Did you mean 'lattice create'?\n" == refused.err


def test_an_unknown_option_is_answered_with_the_nearest(cli: CommandLine) -> None:
    refused = cli("list", "--asigned", "human:ann", "--json")
    assert 2 == refused.status
    assert {
        "code": "USAGE",
        "message": "Unknown option: '--asigned'.",
        "hint": "Did you mean --assigned?",
    } == refused.error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("show",), "The following arguments are required: TASK."),
        (("show", "LAT-1", "LAT-2"), "Unrecognized arguments: 'LAT-2'."),
        (("show", "LAT-1", "--full", "--compact"), "--full and --compact exclude each other."),
        (("list", "--limit", "0"), "Argument --limit: '0' is not a whole number from 1."),
        (("list", "--limit"), "--limit needs a value."),
        (("list", "--tag", "--quiet"), "--tag needs a value."),
        (("list", "--stat", "done"), "Unknown option: '--stat'."),
        (("status", "LAT-1"), "The following arguments are required: STATUS."),
        (("comment", "LAT-1"), "Give the comment's TEXT, or --file FILE; one of the two."),
        (("comment", "LAT-1", "x", "--file", "y"), "Give the comment's TEXT, or --file FILE; one of the two."),
        (("--json", "list"), "'--json' stands before the command."),
    ],
)
def test_a_wrong_command_line_exits_with_2_in_both_forms(
    cli: CommandLine, words: tuple[str, ...], message: str
) -> None:
    before = cli.tree()
    said = cli(*words)
    assert 2 == said.status
    if "--json" not in words:
        assert ("", f"Error: {message}") == (said.out, said.err.splitlines()[0])
        assert said.err.splitlines()[1].startswith("Hint: ")
        said = cli(*words, "--json")
    assert ("USAGE", message, 2) == (said.error["code"], said.error["message"], said.status)
    assert before == cli.tree()


def test_json_and_quiet_exclude_each_other(cli: CommandLine) -> None:
    assert 2 == cli("list", "--json", "--quiet").status


def test_options_may_stand_anywhere_and_equals_takes_any_value(cli: CommandLine) -> None:
    changed = cli("update", "--json", "LAT-1", "--reason=--why", "priority=high", "--actor", "human:bea", "title=Two")
    assert ("high", "Two") == (changed.data["priority"], changed.data["title"])
    last = cli("show", "LAT-1", "--json").data["events"][-1]
    assert ("human:bea", {"reason": "--why"}) == (last["actor"], last["provenance"])


def test_a_title_that_begins_with_a_dash_goes_after_two(cli: CommandLine) -> None:
    assert "-x --json" == cli("create", "--json", "--", "-x --json").data["title"]
    assert "LAT-3\n" == cli.program("create", "--quiet", "--", "--json").out
    assert ["-x --json", "--json"] == [task["title"] for task in cli("list", "--json").data[1:]]


def test_an_error_names_itself_in_json_and_helps_in_text(cli: CommandLine) -> None:
    refused = cli("show", "LAT-9", "--json")
    assert (1, "", "NOT_FOUND") == (refused.status, refused.err, refused.error["code"])
    assert (1, "", "Error: Short ID 'LAT-9' not found.\nHint: See what there is: lattice list\n") == cli(
        "show", "LAT-9"
    )


def test_without_a_board_every_command_says_so(outside: CommandLine) -> None:
    refused = outside("list", "--json")
    assert (1, "NOT_INITIALIZED") == (refused.status, refused.error["code"])


def test_what_the_system_refuses_is_a_storage_error(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        raise PermissionError(13, "Permission denied", "/boards/x\x1b")

    monkeypatch.setattr(queries, "show", refuse)
    refused = cli("show", "LAT-1", "--json")
    assert (1, "STORAGE_ERROR") == (refused.status, refused.error["code"])
    assert "'/boards/x\\x1b': Permission denied." == refused.error["message"]


def test_a_working_folder_that_is_gone_is_said(cli: CommandLine) -> None:
    gone = cli.folder / "gone"
    code = f"import os, sys; os.rmdir({str(gone)!r}); from lattice.cli.main import main; sys.exit(main(['list']))"
    gone.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=gone, env={"PYTHONPATH": str(SOURCES)}, capture_output=True, check=False
    )
    assert (1, b"Error: The working folder does not exist any more.") == (done.returncode, done.stderr.splitlines()[0])


def test_a_bug_is_one_line_and_a_trace_only_on_request(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> NoReturn:
        raise RuntimeError("odd\x1b[31m")

    monkeypatch.setattr(queries, "show", fail)
    said = cli("show", "LAT-1")
    assert (70, "") == (said.status, said.out)
    assert (
        "lattice: internal error: RuntimeError: odd\\x1b[31m\nset LATTICE_DEBUG=1 for the trace, and report it\n"
        == said.err
    )
    assert "INTERNAL_ERROR" == cli("show", "LAT-1", "--json").error["code"]
    monkeypatch.setenv("LATTICE_DEBUG", "1")
    assert "Traceback" in cli("show", "LAT-1").err


def test_an_interrupt_exits_with_130(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(queries, "show", interrupt)
    assert (130, "", "") == cli("show", "LAT-1")


def test_a_reader_that_goes_away_is_met_in_silence(cli: CommandLine) -> None:
    shell = f"{sys.executable} -m lattice.cli.main show LAT-1; echo $? >status"
    pipe = subprocess.run(
        ["bash", "-c", f"( {shell} ) 2>errors | true; wait"],
        cwd=cli.folder,
        env={"PYTHONPATH": str(SOURCES), "PATH": "/usr/bin:/bin"},
        check=True,
        capture_output=True,
    )
    assert b"" == pipe.stdout + pipe.stderr
    assert ("141\n", "") == ((cli.folder / "status").read_text(), (cli.folder / "errors").read_text())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_an_answer_that_finds_no_room_is_an_error(cli: CommandLine) -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "lattice.cli.main", "show", "LAT-1"],
            cwd=cli.folder, env={"PYTHONPATH": str(SOURCES)}, stdout=full, stderr=subprocess.PIPE, check=False,
        )  # fmt: skip
    assert 1 == done.returncode
    assert done.stderr.startswith(b"Error: The answer could not be written: No space left on device.\nHint: ")
    assert b"Exception" not in done.stderr
