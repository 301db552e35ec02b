"""What tests share: a board, a git repository, a signature; and no trace of the caller's own environment."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from lattice.commands.board import Board, read_config
from lattice.commands.init import Init
from lattice.commands.tasks import CreateTask
from lattice.core.task import Task
from lattice.ledger import Signature

ANN = Signature("human:ann")


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Neither the caller's board, nor the caller's git settings, nor the caller's home."""
    for name in list(os.environ):
        if name.startswith(("LATTICE_", "GIT_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path_factory.getbasetemp()))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.getbasetemp() / "state"))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")


@pytest.fixture
def board(tmp_path: Path) -> Board:
    """A new board in `tmp_path`, with short ids LAT-1, LAT-2, …"""
    return make_board(tmp_path)


@pytest.fixture
def task(board: Board) -> Task:
    """LAT-1 of `board`, in the backlog."""
    return CreateTask("First").run(board, ANN).task


@pytest.fixture
def git_repo(tmp_path: Path) -> Path:
    """`tmp_path` as a git repository with one commit on the branch main."""
    new_repo(tmp_path)
    (tmp_path / "README.md").write_text("A project.\n", encoding="utf-8")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "Begin")
    return tmp_path


def new_repo(top: Path) -> Path:
    """`top` as a git repository on the branch main, without a commit; made where it is not there."""
    top.mkdir(parents=True, exist_ok=True)
    git(top, "init", "--quiet", "--initial-branch=main")
    git(top, "config", "user.name", "Ann")
    git(top, "config", "user.email", "ann@example.org")
    return top


def make_board(root: Path) -> Board:
    """A new board in `root`, with project code LAT and default actor human:ann."""
    root.mkdir(parents=True, exist_ok=True)
    config, _ = Init(root, actor="human:ann", project_code="LAT").run()
    return Board(root, config)


def reopened(board: Board) -> Board:
    """The same board as another process would open it."""
    return Board(board.root, read_config(board.root))


def git(folder: Path, *words: str) -> str:
    """git's answer. Raises CalledProcessError where it refuses."""
    done = subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "peer: runs the earlier tool, lattice-tracker 0.2, which needs Python 3.12")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # What a shell runs in its background has SIGINT ignored, and so has all that it starts; tests interrupt that.
        signal.signal(signal.SIGINT, signal.default_int_handler)
