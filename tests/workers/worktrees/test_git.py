"""git as it is, and a git in front of it that refuses, dies, hangs and tells what it was given."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from lattice.errors import GitError, NotFound
from lattice.workers.worktrees.git import Repository, git
from tests.conftest import git as run_git
from tests.conftest import new_repo
from tests.workers.conftest import eventually, is_alive


@pytest.fixture
def top(tmp_path: Path) -> Path:
    top = new_repo(tmp_path / "repo")
    commit(top, "one")
    return top


def commit(top: Path, name: str) -> str:
    (top / name).write_text(name)
    run_git(top, "add", name)
    run_git(top, "commit", "-qm", name)
    return run_git(top, "rev-parse", "HEAD")


def fake_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "git").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


def test_a_refusal_carries_gits_own_words(top: Path) -> None:
    with pytest.raises(GitError, match="not-a-branch") as caught:
        git(["checkout", "not-a-branch"], cwd=top)
    assert "checkout" == caught.value.details["subcommand"]
    assert caught.value.hint


def test_words_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_git(tmp_path, monkeypatch, "head -c 100000 /dev/zero | tr '\\0' x >&2; exit 3")
    with pytest.raises(GitError) as caught:
        git(["status"], cwd=tmp_path)
    assert 2000 <= len(caught.value.message) < 2100
    assert 3 == caught.value.details["status"]


def test_a_git_that_dies_is_told_from_one_that_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_git(tmp_path, monkeypatch, "kill -9 $$")
    with pytest.raises(GitError, match="signal 9") as caught:
        git(["status"], cwd=tmp_path)
    assert "status" not in caught.value.details


def test_a_git_that_hangs_is_killed_with_all_it_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_git(tmp_path, monkeypatch, f"trap '' TERM; sleep 1000 & echo $! > {tmp_path}/pid; echo stuck >&2; wait; wait")
    started = time.monotonic()
    with pytest.raises(GitError, match=r"did not end within 2 s.*stuck"):
        git(["fetch"], cwd=tmp_path, timeout_s=2)
    assert time.monotonic() - started < 60
    below = int((tmp_path / "pid").read_text())
    eventually(lambda: not is_alive(below))  # It closes its end of the pipe a moment before it is dead.


def test_no_git_on_path_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitError, match="git is not on PATH"):
        git(["status"], cwd=tmp_path)


def test_a_folder_that_is_gone_is_said(tmp_path: Path) -> None:
    with pytest.raises(GitError, match="could not be started"):
        git(["status"], cwd=tmp_path / "gone")


def test_the_environment_is_fixed_and_inherited_git_variables_are_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_git(tmp_path, monkeypatch, "env")
    monkeypatch.setenv("GIT_DIR", "/elsewhere")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/agent")
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    seen = dict(line.split("=", 1) for line in git(["x"], cwd=tmp_path, env_extra={"GIT_INDEX_FILE": "i"}).splitlines())
    assert "GIT_DIR" not in seen
    assert "SSH_AUTH_SOCK" not in seen
    assert "C.UTF-8" == seen["LC_ALL"] == seen["LANG"]
    assert "0" == seen["GIT_TERMINAL_PROMPT"] == seen["GIT_OPTIONAL_LOCKS"]
    assert "i" == seen["GIT_INDEX_FILE"]


def test_input_is_given_and_stdin_is_empty_without(top: Path) -> None:
    assert "8ab686eafeb1f44702738c8b0f24f2567c36da6d\n" == git(
        ["hash-object", "--stdin"], cwd=top, input_text="Hello, World!\n"
    )
    assert "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391\n" == git(["hash-object", "--stdin"], cwd=top)


def test_a_repository_is_found_from_within_and_from_a_linked_worktree(top: Path, tmp_path: Path) -> None:
    (top / "deep").mkdir()
    assert Repository(top, top / ".git") == Repository.discover(top / "deep")
    run_git(top, "worktree", "add", "-q", "--detach", str(tmp_path / "linked"))
    assert Repository(tmp_path / "linked", top / ".git") == Repository.discover(tmp_path / "linked")


def test_no_repository_and_a_bare_one_are_refused_with_a_hint(tmp_path: Path) -> None:
    run_git(tmp_path, "init", "-q", "--bare", "bare.git")
    for folder in (tmp_path, tmp_path / "bare.git"):
        with pytest.raises(GitError, match="not in the checkout") as caught:
            Repository.discover(folder)
        assert caught.value.hint


def test_a_ref_becomes_a_full_commit(top: Path) -> None:
    repo = Repository.discover(top)
    sha = run_git(top, "rev-parse", "HEAD")
    run_git(top, "tag", "-a", "-m", "t", "v1")
    assert [sha] * 4 == [repo.resolve(ref) for ref in ("HEAD", "main", "v1", sha[:8])]


@pytest.mark.parametrize(
    "ref", ["", "--all", "-x", "nowhere", "a\nb", "main\0", "main..main", "HEAD^{tree}", "f" * 40, "HEAD:one", "^main"]
)
def test_what_names_no_commit_is_not_found(top: Path, ref: str) -> None:
    with pytest.raises(NotFound) as caught:
        Repository.discover(top).resolve(ref)
    assert caught.value.hint


def test_merge_base_and_parent(top: Path) -> None:
    repo = Repository.discover(top)
    first = repo.resolve("main")
    run_git(top, "checkout", "-qb", "side")
    side = commit(top, "side")
    run_git(top, "checkout", "-q", "main")
    second = commit(top, "two")
    assert first == repo.merge_base(side, second)
    assert first == repo.parent(second)
    assert repo.parent(first) is None
    run_git(top, "checkout", "-q", "--orphan", "root")
    assert repo.merge_base(commit(top, "root"), second) is None


def test_the_default_branch_is_the_remotes_else_configured_else_main_else_master(top: Path, tmp_path: Path) -> None:
    repo = Repository.discover(top)
    run_git(top, "branch", "-m", "odd")
    assert repo.default_head() is None
    run_git(top, "branch", "master")
    master = commit(top, "on odd alone")
    assert repo.parent(master) == repo.default_head()
    run_git(top, "branch", "main")
    odd = commit(top, "on odd alone, too")
    assert master == repo.default_head()
    run_git(top, "config", "init.defaultBranch", "odd")
    assert odd == repo.default_head()
    run_git(tmp_path, "clone", "-q", str(top), "clone")
    run_git(tmp_path / "clone", "reset", "-q", "--hard", "HEAD^")
    assert odd == Repository.discover(tmp_path / "clone").default_head()


def test_a_checkout_whose_path_holds_a_newline_is_found(tmp_path: Path) -> None:
    odd = tmp_path / "two\nlines"
    odd.mkdir()
    run_git(odd, "init", "-q", ".")
    assert (odd, odd / ".git") == (Repository.discover(odd).top, Repository.discover(odd).common_dir)


def test_the_empty_tree_is_a_base_for_a_root_commit(top: Path) -> None:
    repo = Repository.discover(top)
    assert "one\n" == git(["diff", "--name-only", repo.empty_tree(), repo.resolve("main")], cwd=top)
