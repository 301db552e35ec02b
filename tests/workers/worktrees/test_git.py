"""git as it is, and a git in front of it that refuses, dies, hangs and tells what it was given."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from lattice.errors import GitError, NotFound
from lattice.workers.worktrees.git import Repository, git


def run(*args: str, cwd: Path) -> str:
    return subprocess.run(["git", *args], cwd=cwd, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def top(tmp_path: Path) -> Path:
    top = tmp_path / "repo"
    top.mkdir()
    run("init", "-q", "-b", "main", cwd=top)
    run("config", "user.name", "T", cwd=top)
    run("config", "user.email", "t@example.com", cwd=top)
    commit(top, "one")
    return top


def commit(top: Path, name: str) -> str:
    (top / name).write_text(name)
    run("add", name, cwd=top)
    run("commit", "-qm", name, cwd=top)
    return run("rev-parse", "HEAD", cwd=top)


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
    with pytest.raises(GitError, match=r"did not end within 0\.5 s.*stuck"):
        git(["fetch"], cwd=tmp_path, timeout_s=0.5)
    assert time.monotonic() - started < 3
    stat = Path("/proc", (tmp_path / "pid").read_text().strip(), "stat")
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


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
    run("worktree", "add", "-q", "--detach", str(tmp_path / "linked"), cwd=top)
    assert Repository(tmp_path / "linked", top / ".git") == Repository.discover(tmp_path / "linked")


def test_no_repository_and_a_bare_one_are_refused_with_a_hint(tmp_path: Path) -> None:
    run("init", "-q", "--bare", "bare.git", cwd=tmp_path)
    for folder in (tmp_path, tmp_path / "bare.git"):
        with pytest.raises(GitError, match="not in the checkout") as caught:
            Repository.discover(folder)
        assert caught.value.hint


def test_a_ref_becomes_a_full_commit(top: Path) -> None:
    repo = Repository.discover(top)
    sha = run("rev-parse", "HEAD", cwd=top)
    run("tag", "-a", "-m", "t", "v1", cwd=top)
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
    run("checkout", "-qb", "side", cwd=top)
    side = commit(top, "side")
    run("checkout", "-q", "main", cwd=top)
    second = commit(top, "two")
    assert first == repo.merge_base(side, second)
    assert first == repo.parent(second)
    assert repo.parent(first) is None
    run("checkout", "-q", "--orphan", "root", cwd=top)
    assert repo.merge_base(commit(top, "root"), second) is None


def test_the_default_branch_is_the_remotes_else_configured_else_main_else_master(top: Path, tmp_path: Path) -> None:
    repo = Repository.discover(top)
    run("branch", "-m", "odd", cwd=top)
    assert repo.default_branch() is None
    run("branch", "master", cwd=top)
    assert "master" == repo.default_branch()
    run("branch", "main", cwd=top)
    assert "main" == repo.default_branch()
    run("config", "init.defaultBranch", "odd", cwd=top)
    assert "odd" == repo.default_branch()
    run("clone", "-q", str(top), "clone", cwd=tmp_path)
    assert "origin/odd" == Repository.discover(tmp_path / "clone").default_branch()


def test_the_empty_tree_is_a_base_for_a_root_commit(top: Path) -> None:
    repo = Repository.discover(top)
    assert "one\n" == git(["diff", "--name-only", repo.empty_tree(), repo.resolve("main")], cwd=top)
