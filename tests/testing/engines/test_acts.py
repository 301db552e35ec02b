"""What fake engines do beside talking: the output that they owe, and their ways of getting out of hand."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lattice.testing.engines import behave, install
from tests.conftest import git


class Place:
    """A worktree on a detached HEAD, an output folder, and a fake claude to run there."""

    def __init__(self, folder: Path, repository: Path) -> None:
        self.repository = repository
        self.tree = folder / "tree"
        self.out = folder / "out"
        self.out.mkdir()
        git(repository, "worktree", "add", "--quiet", "--detach", str(self.tree))
        self.fakes = install(folder / "fakes", ["claude"])

    def run(self, *flags: str, **behaviour: Any) -> subprocess.CompletedProcess[bytes]:
        behave(self.fakes, "claude", behaviour)
        return subprocess.run(
            [self.fakes / "claude", "-p", *flags, "Review it."],
            cwd=self.tree,
            env={
                "PATH": os.environ["PATH"],
                "LATTICE_OUTPUT_DIR": str(self.out),
                "LATTICE_WORKTREE": str(self.tree),
                "LATTICE_MAIN_CHECKOUT": str(self.repository),
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=True,
        )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    repository = tmp_path / "repository"
    repository.mkdir()
    git(repository, "init", "--quiet", "--initial-branch=main")
    git(repository, "-c", "user.name=A", "-c", "user.email=a@b.c", "commit", "--quiet", "--allow-empty", "-m", "Begin")
    return Place(tmp_path, repository)


def test_a_review_holds_the_findings_that_it_was_told(place: Place) -> None:
    finding = {"severity": "blocker", "title": "It races", "file": "a.py", "line": 3}
    place.run(findings=[finding])
    review = json.loads((place.out / "review.json").read_text(encoding="utf-8"))
    assert ("not_ready", [finding]) == (review["verdict"], review["findings"])


def test_other_files_are_written_instead_and_nothing_where_it_owes_nothing(place: Place) -> None:
    place.run(files={"notes/report.md": "Fine.\n"}, work={"src/new.py": "x = 1\n"})
    assert "Fine.\n" == (place.out / "notes" / "report.md").read_text(encoding="utf-8")
    assert "x = 1\n" == (place.tree / "src" / "new.py").read_text(encoding="utf-8")
    assert not (place.out / "review.json").exists()
    place.run(**{"is": "no_artifact"})
    assert not (place.out / "review.json").exists()


def test_it_commits_on_the_detached_head_and_leaves_a_lock(place: Place) -> None:
    before = git(place.tree, "rev-parse", "HEAD")
    place.run(escapes=["commit", "index_lock"])
    assert before == git(place.tree, "rev-parse", "HEAD~1")
    assert [place.tree.name] == [path.parent.name for path in place.repository.glob(".git/worktrees/*/index.lock")]


def test_it_writes_outside_and_deletes_its_own_worktree(place: Place) -> None:
    place.run(escapes=["write_outside", "delete_cwd"])
    assert (place.repository / "escaped.txt").exists()
    assert not place.tree.exists()


def test_it_deletes_no_folder_that_is_not_a_runs_worktree(place: Place, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    place.tree, tree = precious, place.tree
    done = subprocess.run(
        [place.fakes / "claude", "-p", "x"],
        cwd=precious,
        env={"LATTICE_WORKTREE": str(tree), "FAKE_ENGINE_BEHAVIOUR": '{"escapes": ["delete_cwd", "commit"]}'},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    assert precious.exists()
    assert 2 == done.stderr.count(b"is not the worktree of a run")


def test_it_leaves_a_deaf_process_in_a_session_of_its_own(place: Place, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    behave(place.fakes, "claude", {"escapes": ["daemon"], "outside": str(note)})
    # To a file: a pipe would be held open by what it leaves.
    with (tmp_path / "log").open("wb") as log:
        subprocess.run(
            [place.fakes / "claude", "-p", "x"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=True
        )
    pid = int(note.read_text(encoding="utf-8"))
    try:
        assert os.getsid(pid) not in (os.getsid(0), pid)
        ignored = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if "SigIgn" in line)
        assert int(ignored.split()[1], 16) >> (signal.SIGTERM - 1) & 1
    finally:
        os.kill(pid, signal.SIGKILL)


def test_a_flood_has_its_size(place: Place) -> None:
    assert 100_000 == len(place.run(flood_bytes=100_000).stderr)
