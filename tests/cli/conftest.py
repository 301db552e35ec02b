"""A command line on a board of its own: in this process, and as a program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import lattice
from lattice.cli.main import main

SOURCES = Path(lattice.__file__).parents[1]


class Outcome(NamedTuple):
    """What came of one command line."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def data(self) -> Any:
        assert self.json["ok"] is True, self.out
        return self.json["data"]

    @property
    def error(self) -> Any:
        assert self.json["ok"] is False, self.out
        return self.json["error"]


class CommandLine:
    """Runs `lattice` in `folder`."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.capsys = capsys

    def __call__(self, *words: str) -> Outcome:
        """In this process."""
        self.capsys.readouterr()
        status = main(words)
        return Outcome(status, *self.capsys.readouterr())

    def program(self, *words: str | bytes, stdin: bytes = b"", **environ: str) -> Outcome:
        """As a program of its own."""
        done = subprocess.run(
            [sys.executable, "-m", "lattice.cli.main", *words],
            cwd=self.folder,
            input=stdin,
            capture_output=True,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(SOURCES), **environ},
            timeout=60,
            check=False,
        )
        return Outcome(done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8"))

    def tree(self) -> dict[str, bytes]:
        """Every file of the board but its locks, which hold nothing, and the index, which a look may change."""
        board = self.folder / ".lattice"
        files = (path for path in board.rglob("*") if path.is_file() and "locks" not in path.parts)
        files = (path for path in files if not path.name.startswith("index.sqlite"))
        return {str(path.relative_to(board)): path.read_bytes() for path in files}


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """A command line in a folder without a board."""
    folder = tmp_path / "my-project"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return CommandLine(folder, capsys)


@pytest.fixture
def cli(outside: CommandLine) -> CommandLine:
    """A command line on a board with one task, LAT-1."""
    assert 0 == outside("init", "--project-code", "LAT", "--actor", "human:ann").status
    assert 0 == outside("create", "First", "--description", "One\nTwo").status
    return outside
