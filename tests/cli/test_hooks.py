"""Hooks run after the change, only where trusted, and never stand in its way."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from tests.cli.conftest import CommandLine
from tests.workers.conftest import eventually, is_alive

Set = Callable[..., None]
RECORDER = '#!/bin/sh\necho "$LATTICE_EVENT_TYPE $LATTICE_SHORT_ID $LATTICE_ACTOR [$*]" >> seen\ncat >> told\n'


@pytest.fixture
def hooks(cli: CommandLine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Set:
    """Sets the board's hooks; the user's trust is this test's own."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    script(cli, "hooks/record.sh", RECORDER)

    def put(**settings: Any) -> None:
        path = cli.folder / ".lattice" / "config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(config | {"hooks": settings}), encoding="utf-8")

    return put


def script(cli: CommandLine, name: str, text: str) -> Path:
    path = cli.folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


def seen(cli: CommandLine) -> list[str]:
    path = cli.folder / "seen"
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def test_an_untrusted_hook_is_skipped_and_one_line_says_how_to_allow_it(cli: CommandLine, hooks: Set) -> None:
    hooks(post_event="hooks/record.sh", on={"comment_added": "hooks/record.sh"})
    done = cli("comment", "LAT-1", "Hi", "--json")
    assert 0 == done.status
    assert 1 == done.data["comment_count"]
    assert [] == seen(cli)
    assert 1 == done.err.count("\n")
    assert "hooks.post_event, hooks.on.comment_added" in done.err
    assert "lattice trust" in done.err


def test_a_trusted_hook_is_told_of_the_event_by_variables_and_on_its_input(cli: CommandLine, hooks: Set) -> None:
    hooks(post_event=["hooks/record.sh", "$(touch pwned)", "a b"])
    cli("trust", "--yes")
    done = cli("comment", "LAT-1", "It's $(touch pwned)", "--actor", "agent:bot")
    assert ("", 0) == (done.err, done.status)
    assert ["comment_added LAT-1 agent:bot [$(touch pwned) a b]"] == seen(cli)
    told = json.loads((cli.folder / "told").read_text(encoding="utf-8"))
    assert {"body": "It's $(touch pwned)"} == told["data"]
    assert not (cli.folder / "pwned").exists()


def test_a_refused_command_and_a_retry_fire_nothing(cli: CommandLine, hooks: Set) -> None:
    hooks(post_event="hooks/record.sh")
    cli("trust", "--yes")
    assert 1 == cli("status", "LAT-1", "nowhere").status
    assert 0 == cli("status", "LAT-1", "backlog").status  # it is there already
    identity = "task_01K0000000000000000000000A"
    for _ in range(2):
        assert 0 == cli("create", "Once", "--id", identity).status
    assert 1 == len(seen(cli))


def test_the_lock_is_free_while_a_hook_runs_and_its_own_commands_fire_none(cli: CommandLine, hooks: Set) -> None:
    hooks(post_event=["hooks/answer.sh"])
    script(
        cli,
        "hooks/answer.sh",
        '#!/bin/sh\necho x >> seen\nexec "$PYTHON" -m lattice.cli.main comment "$LATTICE_SHORT_ID" "from a hook"\n',
    )
    cli("trust", "--yes")
    home = os.environ["XDG_CONFIG_HOME"]
    done = cli.program("comment", "LAT-1", "first", PYTHON=sys.executable, XDG_CONFIG_HOME=home)
    assert ("", 0) == (done.err, done.status)
    assert ["x"] == seen(cli)
    events = cli("show", "LAT-1", "--json").data["events"]
    assert ["first", "from a hook"] == [event["data"].get("body") for event in events[1:]]
    assert "human:ann" == events[-1]["actor"]


def test_a_failing_hook_is_a_warning_and_its_last_words_are_shown_harmless(cli: CommandLine, hooks: Set) -> None:
    hooks(post_event=["sh", "-c", "echo one; printf 'two\\033[2J\\n' >&2; exit 3"])
    cli("trust", "--yes")
    done = cli("comment", "LAT-1", "Hi", "--json")
    assert (0, 1) == (done.status, done.data["comment_count"])
    assert "exit status 3, 'two\\x1b[2J'" in done.err
    assert "\x1b" not in done.err


def test_a_hook_that_hangs_is_killed_with_its_whole_group(cli: CommandLine, hooks: Set) -> None:
    hooks(post_event=["sh", "-c", "sleep 600 & echo $! > child; echo $$ > leader; wait"], timeout_seconds=3)
    cli("trust", "--yes")
    done = cli("comment", "LAT-1", "Hi")
    assert 0 == done.status
    assert "had not ended after 3 s" in done.err
    pids = [int((cli.folder / name).read_text(encoding="ascii")) for name in ("child", "leader")]
    eventually(lambda: not any(map(is_alive, pids)))


def test_an_interrupt_right_after_its_start_ends_a_hook(
    cli: CommandLine, hooks: Set, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks(post_event=["sleep", "600"])
    cli("trust", "--yes")
    started: list[subprocess.Popen[bytes]] = []
    start, told = subprocess.Popen, tempfile.TemporaryFile

    def noted(*args: Any, **more: Any) -> subprocess.Popen[bytes]:
        started.append(start(*args, **more))
        return started[-1]

    @contextlib.contextmanager
    def interrupted() -> Iterator[IO[bytes]]:
        with told() as file:
            yield file
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(subprocess, "Popen", noted)
        patched.setattr(tempfile, "TemporaryFile", interrupted)
        assert 130 == cli("comment", "LAT-1", "Hi").status
    (hook,) = started
    try:
        assert -signal.SIGKILL == hook.returncode
    finally:
        hook.kill()
        hook.wait()


def test_a_hook_that_leaves_something_in_the_background_is_not_waited_for(cli: CommandLine, hooks: Set) -> None:
    hooks(post_event=["sh", "-c", "sleep 600 & echo $! > child"], timeout_seconds=60)
    cli("trust", "--yes")
    try:
        assert ("", 0) == (cli("comment", "LAT-1", "Hi").err, 0)
        assert is_alive(int((cli.folder / "child").read_text(encoding="ascii")))
    finally:
        os.kill(int((cli.folder / "child").read_text(encoding="ascii")), 9)


def test_a_hook_that_reads_nothing_and_says_much_does_not_hang(cli: CommandLine, hooks: Set) -> None:
    hooks(post_event=["sh", "-c", "exec 0<&-; head -c 1000000 /dev/zero; exit 1"])
    cli("trust", "--yes")
    done = cli("update", "LAT-1", "description=" + "x" * 200_000)
    assert 0 == done.status
    assert "exit status 1" in done.err


def test_one_changed_byte_of_the_script_asks_again(cli: CommandLine, hooks: Set) -> None:
    hooks(post_event="hooks/record.sh")
    cli("trust", "--yes")
    path = script(cli, "hooks/record.sh", RECORDER + "#")
    assert "Not trusted" in cli("comment", "LAT-1", "Hi").err
    path.write_text(RECORDER, encoding="utf-8")  # a branch that brings the trusted content back
    assert "" == cli("comment", "LAT-1", "Hi").err


@pytest.mark.parametrize("argv", [["sh", "hooks/record.sh"], ["env", "--chdir=.", "sh", "./hooks/record.sh"]])
def test_a_script_among_the_arguments_is_pinned_too(cli: CommandLine, hooks: Set, argv: list[str]) -> None:
    hooks(post_event=argv)
    cli("trust", "--yes")
    assert "" == cli("comment", "LAT-1", "Hi").err
    script(cli, "hooks/record.sh", RECORDER + "#")
    assert "Not trusted" in cli("comment", "LAT-1", "Hi").err
    assert 1 == len(seen(cli))


def test_a_changed_entry_asks_again(cli: CommandLine, hooks: Set) -> None:
    hooks(post_event=["hooks/record.sh", "a"])
    cli("trust", "--yes")
    hooks(post_event=["hooks/record.sh", "b"])
    assert "Not trusted" in cli("comment", "LAT-1", "Hi").err
    hooks(on={"comment_added": ["hooks/record.sh", "a"]})
    assert "Not trusted" in cli("comment", "LAT-1", "Hi").err


def test_trust_is_for_one_folder(cli: CommandLine, hooks: Set, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hooks(post_event=["sh", "-c", "echo x >> seen"])
    cli("trust", "--yes")
    elsewhere = tmp_path / "clone"
    os.rename(cli.folder, elsewhere)
    monkeypatch.chdir(elsewhere)
    assert "Not trusted" in cli("comment", "LAT-1", "Hi").err


def test_trust_shows_what_would_run_and_alone_changes_nothing(cli: CommandLine, hooks: Set) -> None:
    hooks(post_event=["hooks/record.sh", "a\x1b[2Jb"], transitions={"* -> review": "absent"})
    shown = cli("trust")
    assert 0 == shown.status
    assert "hooks/record.sh  sha256:" in shown.out
    assert "\x1b" not in shown.out
    assert "'absent' is not on PATH" in shown.err
    found = cli("trust", "--json").data
    assert [False, False] == [hook["trusted"] for hook in found["hooks"]]
    assert ["hooks.post_event", "hooks.transitions.* -> review"] == [hook["key"] for hook in found["hooks"]]
    assert "Nothing is trusted.\n" == cli("trust", "--list").out


def test_what_cannot_run_is_not_trusted_and_does_not_keep_the_rest_from_it(cli: CommandLine, hooks: Set) -> None:
    hooks(post_event="hooks/record.sh", on={"comment_added": "./absent.sh --now"})
    done = cli("trust", "--yes", "--json")
    assert [True, False] == [hook["trusted"] for hook in done.data["hooks"]]
    assert ["hooks.post_event"] == [grant["name"] for grant in cli("trust", "--list", "--json").data]


def test_untrust_takes_it_back(cli: CommandLine, hooks: Set) -> None:
    hooks(post_event="hooks/record.sh")
    cli("trust", "--yes")
    assert ["hooks.post_event"] == cli("untrust", "--quiet").out.split()
    assert "Not trusted" in cli("comment", "LAT-1", "Hi").err
    assert [] == cli("untrust", "--json").data["removed"]


def test_settings_that_are_off_do_not_fail_a_command(cli: CommandLine, hooks: Set) -> None:
    hooks(post_event=7)
    done = cli("comment", "LAT-1", "Hi", "--json")
    assert (0, 1) == (done.status, done.data["comment_count"])
    assert "hooks.post_event" in done.err
    assert "CONFIG_ERROR" == cli("trust", "--json").error["code"]


def test_a_board_without_hooks_does_not_import_them(cli: CommandLine) -> None:
    code = (
        "import sys; from lattice.cli.main import main; main(['comment', 'LAT-1', 'Hi', '--quiet']);"
        "lazy = {'lattice.commands.hooks', 'lattice.commands.trust', 'importlib.metadata'};"
        "sys.exit(sorted(lazy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=cli.folder, capture_output=True, text=True, check=False)
    assert "[]" == done.stderr.strip()
