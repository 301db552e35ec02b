"""Real repositories, and DiffCheck run on them as the supervisor would run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import lattice
from lattice.workers.builtin.diffcheck.changes import Change, read_changes
from lattice.workers.builtin.diffcheck.git import Git

Files = Mapping[str, "str | bytes | Path"]  # A Path is a symbolic link to it.


def _git(folder: Path, *arguments: str) -> str:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    identity = ("-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "commit.gpgSign=false")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, env=environ, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def _commit(folder: Path, files: Files, message: str) -> str:
    for name in filter(None, _git(folder, "ls-files", "-z").split("\0")):
        (folder / name).unlink()
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path):
            path.symlink_to(content)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
    _git(folder, "add", "--all", "--force")
    _git(folder, "commit", "--quiet", "--allow-empty", "--message", message)
    return _git(folder, "rev-parse", "HEAD")


@pytest.fixture
def commits(tmp_path: Path) -> Callable[[Files, Files], tuple[Path, str, str]]:
    """A repository whose two commits hold these files: its folder, base and commit."""

    def make(before: Files, after: Files) -> tuple[Path, str, str]:
        folder = tmp_path / "repository"
        folder.mkdir()
        _git(folder, "init", "--quiet", "--initial-branch=main")
        base = _commit(folder, before, "before")
        commit = _commit(folder, after, "after")
        return folder, base, commit

    return make


@pytest.fixture
def changes_of(commits: Callable[[Files, Files], tuple[Path, str, str]]) -> Callable[[Files, Files], list[Change]]:
    """The changes DiffCheck reads between two sets of files."""

    def read(before: Files, after: Files) -> list[Change]:
        folder, base, commit = commits(before, after)
        return read_changes(Git(folder, os.environ), base, commit)

    return read


@pytest.fixture(scope="session")
def interpreter() -> tuple[list[str], dict[str, str]]:
    """`-I` where lattice is installed, as in a real run; else the source folder on PYTHONPATH."""
    isolated = [sys.executable, "-I"]
    installed = (
        subprocess.run([*isolated, "-c", "import lattice.errors"], capture_output=True, check=False).returncode == 0
    )
    if installed:
        return isolated, {}
    return [sys.executable], {"PYTHONPATH": str(Path(str(lattice.__file__)).parents[1])}


@pytest.fixture
def run(
    tmp_path: Path, interpreter: tuple[list[str], dict[str, str]]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The module as a process in `folder`; keyword arguments are its environment."""
    command, extra = interpreter
    (tmp_path / "output").mkdir()

    def start(folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
        own_tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        base = {"PATH": own_tools, "HOME": str(tmp_path), "LATTICE_OUTPUT_DIR": str(tmp_path / "output")}
        return subprocess.run(
            [*command, "-m", "lattice.workers.builtin.diffcheck"],
            cwd=folder,
            env=base | extra | environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return start


@pytest.fixture
def review(
    tmp_path: Path,
    commits: Callable[[Files, Files], tuple[Path, str, str]],
    run: Callable[..., subprocess.CompletedProcess[str]],
) -> Callable[..., dict[str, Any]]:
    """review.json of a diff, with `markdown`, `log` and `dirt` (what git status says afterwards) beside it."""

    def make(before: Files, after: Files, **environ: str) -> dict[str, Any]:
        folder, base, commit = commits(before, after)
        done = run(folder, LATTICE_BASE_SHA=base, LATTICE_COMMIT_SHA=commit, LATTICE_TASK_SHORT_ID="LAT-1", **environ)
        assert 0 == done.returncode, done.stderr
        output = tmp_path / "output"
        document: dict[str, Any] = json.loads((output / "review.json").read_text("utf-8"))
        document["markdown"] = (output / "review.md").read_text("utf-8")
        document["log"] = done.stdout
        document["dirt"] = _git(folder, "status", "--porcelain", "--ignored")
        return document

    return make
