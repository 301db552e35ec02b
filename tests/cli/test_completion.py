"""Completion, asked of the real shells."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lattice.cli.main import COMMANDS
from tests.cli.conftest import SOURCES, CommandLine

_BASH = r"""
. "$1"; shift
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
_lattice
printf '%s\n' "${COMPREPLY[@]}"
"""
_FISH = "source $argv[1]; complete -C $argv[2]"
# zsh has no way to ask from outside: compadd is what a completion function says its words by.
_ZSH = r"""
compdef() { :; }
compadd() { print -rl -- "${(@P)@[-1]}"; }
_files() { print -r -- FILES; }
compset() { :; }
. "$1"; shift
words=("$@") CURRENT=$#
_lattice
"""

CASES = [
    (("stat",), {"status", "stats"}),
    (("help", "rebu"), {"rebuild"}),
    (("worker", "l"), {"list", "logs"}),
    (("worker", "run", "Diff"), {"DiffCheck"}),
    (("show", ""), {"LAT-1", "LAT-2"}),
    (("show", "--json", "LAT"), {"LAT-1", "LAT-2"}),
    (("worker", "run", "DiffCheck", "LAT-2"), {"LAT-2"}),
    (("archive", "LAT-1", "LAT-2"), {"LAT-2"}),
    (("status", "LAT-1", "in_p"), {"in_planning", "in_progress"}),
    (("create", "x", "--prio"), {"--priority"}),
    (("create", "x", "--priority", "h"), {"high"}),
    (("create", "x", "--description", "LAT", "--priority", "h"), {"high"}),
    (("create", "x", "--type", "b"), {"bug"}),
    (("link", "LAT-1", "dep"), {"depends_on"}),
    (("export", "--to", "m"), {"markdown"}),
    (("import", "--from", "g"), {"github"}),
    (("review", "fix", "LAT-1", "F"), {"F1", "F2"}),
    (("review", "waive", "LAT-1", "--wrong", "F2"), {"F2"}),
    (("review", "fix", "LAT-2", "F"), set()),
    (("review", "show", "LAT-1", "R"), {"R1", "R2"}),
    (("review", "diff", "LAT-1", "R1", "R"), {"R1", "R2"}),
    (("review", "diff", "LAT-2", "R"), set()),
    (("review", "findings", "--severity", "b"), {"blocker"}),
    (("review", "findings", "LAT-1", "--status", "re"), {"regressed", "refuted"}),
    (("nothing", ""), set()),
]

REPORT = """# Review

## Blockers

### A lock is missing

It is not taken.

## Nits

### A name is long

It could be shorter.
"""


@pytest.fixture
def installed(cli: CommandLine, tmp_path: Path) -> dict[str, str]:
    """An environment with `lattice` on PATH, on a board of two tasks, one reviewed, and the scripts in `tmp_path`."""
    assert 0 == cli("create", "Second").status
    for text in (REPORT, REPORT + "\nThat is all.\n"):
        (tmp_path / "report.md").write_text(text, encoding="utf-8")
        assert 0 == cli("review", "import", str(tmp_path / "report.md"), "--task", "LAT-1").status
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "lattice"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m lattice.cli.main "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    for shell in ("bash", "zsh", "fish"):
        (tmp_path / shell).write_text(cli("completion", shell).out, encoding="utf-8")
    return {"PATH": f"{folder}:{os.environ['PATH']}", "PYTHONPATH": str(SOURCES), "HOME": str(tmp_path), "TERM": "dumb"}


def ask(shell: str, words: tuple[str, ...], script: Path, folder: Path, environ: dict[str, str]) -> set[str]:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    line = ["lattice", *words]
    argv = {
        "bash": ["bash", "--norc", "-c", _BASH, "bash", str(script), *line],
        "zsh": ["zsh", "-f", "-c", _ZSH, "zsh", str(script), *line],
        "fish": ["fish", "--no-config", "-c", _FISH, str(script), " ".join(line)],
    }[shell]
    done = subprocess.run(argv, cwd=folder, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert "" == done.stderr
    found = {word.partition("\t")[0] for word in done.stdout.split("\n")} - {""}
    # zsh narrows its words down by itself, after the function has said them.
    return {word for word in found if word.startswith(words[-1])} if shell == "zsh" else found


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_is_offered_what_fits(cli: CommandLine, installed: dict[str, str], tmp_path: Path, shell: str) -> None:
    found = [(words, ask(shell, words, tmp_path / shell, cli.folder, installed)) for words, _ in CASES]
    assert CASES == found


@pytest.mark.parametrize(("words", "expected"), [
    (("create", "x", "--priority", "=", "h"), "high"),
    (("create", "x", "--priority", "="), "critical"),
])  # fmt: skip
def test_bash_cuts_an_option_at_its_sign(
    cli: CommandLine, installed: dict[str, str], tmp_path: Path, words: tuple[str, ...], expected: str
) -> None:
    assert expected in ask("bash", words, tmp_path / "bash", cli.folder, installed)


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_a_board_cannot_run_code_by_being_completed(
    cli: CommandLine, installed: dict[str, str], tmp_path: Path, shell: str
) -> None:
    path = cli.folder / ".lattice" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["workflow"]["statuses"] += ["$(touch pwned)", "`touch pwned`", "review\x1b[2J"]
    path.write_text(json.dumps(config), encoding="utf-8")
    found = ask(shell, ("status", "LAT-1", ""), tmp_path / shell, cli.folder, installed)
    assert "review" in found
    assert not any("\x1b" in word for word in found)
    assert not (cli.folder / "pwned").exists()
    if shell == "bash":  # fish quotes what it inserts; bash does not
        assert not any("touch" in word for word in found)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_knows_every_command_and_holds_no_error(
    cli: CommandLine, installed: dict[str, str], tmp_path: Path, shell: str
) -> None:
    text = (tmp_path / shell).read_text(encoding="utf-8")
    assert [] == [name for name in COMMANDS if f"'{name}'" not in text and f"'{name.split()[-1]}'" not in text]
    if shutil.which(shell):
        checked = subprocess.run([shell, "-n", tmp_path / shell], capture_output=True, text=True, check=False)
        assert ("", 0) == (checked.stderr, checked.returncode)


def test_it_says_which_shells_there_are(cli: CommandLine) -> None:
    assert "USAGE" == cli("completion", "--json").error["code"]
    assert "USAGE" == cli("completion", "tcsh", "--json").error["code"]
    assert "USAGE" == cli("completion", "bash", "--values", "roles", "--json").error["code"]
    assert ["task", "bug", "spike", "chore"] == cli("completion", "--values", "types", "--json").data
