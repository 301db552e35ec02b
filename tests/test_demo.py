"""`make demo`, played whole: it holds what it claims, wherever it is started, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import git
from tools.demo_processes import Process, in_command_line, in_environment
from tools.demo_repository import COMMITS_MAX
from tools.demo_stage import one_line

DEMO = Path(__file__).resolve().parents[1] / "tools" / "demo.py"
LIMIT_S = 300  # for a machine that does much else; alone it takes ten


@pytest.fixture
def temporary(tmp_path: Path) -> Path:
    """The only folder in which the demo may write, and where it must leave nothing."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


@pytest.fixture
def source(git_repo: Path, tmp_path: Path) -> Path:
    """A shallow clone with a detached HEAD, as CI has it, whose subjects are what strangers may write."""
    subjects = ("--help", "\x1b[2J\u202eexe.txt", "Long " * 400, "'; touch /tmp/owned; '", "Last")
    for number, subject in enumerate(subjects):
        (git_repo / "count.txt").write_text(f"{number}\n", encoding="utf-8")
        git(git_repo, "add", "--", "count.txt")
        git(git_repo, "commit", "--quiet", "--cleanup=verbatim", f"--message={subject}")
    clone = tmp_path / "source"
    git(tmp_path, "clone", "--quiet", f"--depth={COMMITS_MAX}", f"file://{git_repo}", str(clone))
    git(clone, "checkout", "--quiet", "--detach")
    return clone


def play(source: Path, temporary: Path, *words: str) -> subprocess.Popen[str]:
    """The demo, started in a session of its own, without a terminal, in the C locale and without an identity."""
    return subprocess.Popen(
        [sys.executable, str(DEMO), "--repository", str(source), *words],
        env={**os.environ, "TMPDIR": str(temporary), "LC_ALL": "C", "LANG": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )


def left_by_it(temporary: Path) -> list[Process]:
    name = os.fsencode(temporary)
    return [*in_environment(name + b"/"), *in_command_line(name + b"/")]


@pytest.mark.slow
def test_the_demo_plays_to_its_end_and_leaves_nothing(source: Path, temporary: Path) -> None:
    head, refs = git(source, "rev-parse", "HEAD"), git(source, "for-each-ref")
    demo = play(source, temporary)
    said, _ = demo.communicate(timeout=LIMIT_S)
    assert 0 == demo.returncode, said
    assert f"{COMMITS_MAX + 1} tasks" in said
    assert 2 == said.count("the run is lost, and says so")
    assert "What to try next" in said
    assert "\x1b" not in said
    assert [] == left_by_it(temporary)
    assert [] == list(temporary.iterdir())
    assert (head, refs, "") == (
        git(source, "rev-parse", "HEAD"),
        git(source, "for-each-ref"),
        git(source, "status", "-s"),
    )


@pytest.mark.slow
def test_it_plays_in_a_repository_of_its_own_where_there_is_none(tmp_path: Path, temporary: Path) -> None:
    """An unpacked archive; and what is kept on request is kept, but does not run."""
    archive = tmp_path / "archive"
    archive.mkdir()
    demo = play(archive, temporary, "--keep")
    said, _ = demo.communicate(timeout=LIMIT_S)
    assert 0 == demo.returncode, said
    assert "made on the spot" in said
    (kept,) = temporary.iterdir()
    assert 5 == len(list((kept / "clone" / ".lattice" / "events").glob("task_*.jsonl")))
    assert [] == left_by_it(temporary)


@pytest.mark.slow
def test_ctrl_c_ends_its_runs_and_removes_its_folder(git_repo: Path, temporary: Path) -> None:
    demo = play(git_repo, temporary)
    assert demo.stdout is not None
    seen = []
    for line in demo.stdout:
        seen.append(line)
        if "Its processes, read from /proc" in line:
            break
    os.killpg(demo.pid, signal.SIGINT)  # What a terminal does: the whole foreground group is told.
    said, _ = demo.communicate(timeout=LIMIT_S)
    assert 130 == demo.returncode, "".join(seen) + said
    assert any(", is alive" in line for line in seen), "a supervised worker was at work"
    assert [] == left_by_it(temporary)
    assert [] == list(temporary.iterdir())


def test_what_does_not_hold_is_said_and_fails(git_repo: Path, temporary: Path) -> None:
    """A repository whose commit cannot be read: the demo ends with git's words, not with a half-told story."""
    tree = git(git_repo, "rev-parse", "HEAD^{tree}")
    (git_repo / ".git" / "objects" / tree[:2] / tree[2:]).unlink()
    demo = play(git_repo, temporary)
    said, _ = demo.communicate(timeout=LIMIT_S)
    assert 1 == demo.returncode, said
    assert "demo: `git clone" in said
    assert "Traceback" not in said
    assert [] == list(temporary.iterdir())


@pytest.mark.parametrize(
    ("expected", "subject"),
    [
        ("Fix the parser", "Fix the parser"),
        ("[2J exe.txt", "\x1b[2J\u202eexe.txt"),
        ("A commit without a subject", " \t\x07"),
        ("a" * 57 + "...", "a" * 61),
        ("a" * 60, "a" * 60),
    ],
)
def test_a_subject_becomes_a_title_that_the_board_takes(expected: str, subject: str) -> None:
    assert expected == one_line(subject)
