"""Worktrees of real repositories: made, salvaged, removed, and what git and an agent can do to them."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lattice.errors import GitError, LatticeError, ValidationError
from lattice.workers.worktrees import removal, salvage, worktree
from lattice.workers.worktrees.git import Repository
from lattice.workers.worktrees.worktree_root import cache_root, worktrees_root
from tests.conftest import git, new_repo


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    top = new_repo(tmp_path / "repo")
    (top / "a").write_text("a\n")
    (top / ".gitignore").write_text("*.log\n")
    git(top, "add", ".")
    git(top, "commit", "-qm", "one")
    return Repository.discover(top)


@pytest.fixture
def sha(repo: Repository) -> str:
    return repo.resolve("main")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return worktrees_root(None, {"XDG_STATE_HOME": str(tmp_path / "state")}, "board")


@pytest.fixture
def tree(repo: Repository, root: Path, sha: str) -> Path:
    worktree.make(repo, root / "run1", sha)
    return root / "run1"


def gone(repo: Repository, path: Path) -> bool:
    records = repo.common_dir / "worktrees"
    return not os.path.lexists(path) and not (records.exists() and list(records.iterdir()))


def fake_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A git in front of git; `$*` is what it was asked, `real "$@"` asks the real one."""
    real = subprocess.run(["which", "git"], check=True, capture_output=True, text=True).stdout.strip()
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "git").write_text(f'#!/bin/sh\nreal() {{ {real} "$@"; }}\n{script}\nexec {real} "$@"\n')
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


# --- the root -------------------------------------------------------------------------------------


def test_review_a_blocker_3_worktrees_live_in_a_private_state_folder(tmp_path: Path) -> None:
    root = worktrees_root(None, {"HOME": str(tmp_path / "h")}, "b1")
    assert tmp_path / "h/.local/state/lattice/worktrees/b1" == root
    for folder in (root, root.parent, root.parent.parent):
        assert 0o700 == stat.S_IMODE(folder.stat().st_mode)
    assert root == worktrees_root(None, {"HOME": str(tmp_path / "h")}, "b1")


@pytest.mark.parametrize("shared", ["/tmp", "/var/tmp", "/dev/shm", "/tmp/../tmp/"])
def test_review_a_blocker_3_a_shared_temporary_folder_is_refused(shared: str) -> None:
    with pytest.raises(ValidationError, match="every user can write"):
        worktrees_root(Path(shared), {}, "b1")
    assert not Path(shared, "b1").exists()


def test_review_a_blocker_3_a_symbolic_link_on_the_way_is_refused_and_its_target_untouched(tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "state/lattice").mkdir(parents=True)
    (tmp_path / "state/lattice/worktrees").symlink_to(tmp_path / "victim")
    with pytest.raises(ValidationError, match="symbolic link"):
        worktrees_root(None, {"XDG_STATE_HOME": str(tmp_path / "state")}, "b1")
    assert [] == list((tmp_path / "victim").iterdir())


def test_a_folder_that_another_user_can_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state/lattice").mkdir(parents=True)
    (tmp_path / "state/lattice").chmod(0o777)
    with pytest.raises(ValidationError, match="writable by another user"):
        worktrees_root(None, {"XDG_STATE_HOME": str(tmp_path / "state")}, "b1")
    (tmp_path / "open/inner").mkdir(parents=True)
    (tmp_path / "open").chmod(0o777)
    with pytest.raises(ValidationError, match="writable by every user"):
        worktrees_root(tmp_path / "open/inner", {}, "b1")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state/lattice").mkdir(parents=True)
    os.chown(tmp_path / "state/lattice", 65534, 65534)
    with pytest.raises(ValidationError, match="another user"):
        worktrees_root(None, {"XDG_STATE_HOME": str(tmp_path / "state")}, "b1")


@pytest.mark.parametrize("board", ["", "..", "a/b", ".hidden", "-x", "a\0"])
def test_a_board_name_is_one_component(tmp_path: Path, board: str) -> None:
    with pytest.raises(ValidationError):
        worktrees_root(tmp_path, {}, board)


def test_a_root_that_cannot_be_had_says_why_and_what_to_set() -> None:
    with pytest.raises(ValidationError, match="HOME is 'here', which is no absolute path"):
        worktrees_root(None, {"HOME": "here"}, "b1")
    with pytest.raises(ValidationError, match="HOME is not set"):
        worktrees_root(None, {}, "b1")
    with pytest.raises(ValidationError, match=r"^/proc/nowhere cannot be used for worktrees: No such file") as caught:
        worktrees_root(None, {"XDG_STATE_HOME": "/proc/nowhere"}, "b1")
    assert "set XDG_STATE_HOME" in str(caught.value.hint)
    with pytest.raises(ValidationError, match="cannot be used for a cache") as caught:
        cache_root({"XDG_CACHE_HOME": "/proc/nowhere"}, "b1")
    assert "set XDG_CACHE_HOME" in str(caught.value.hint)


def test_a_git_folder_that_cannot_be_written_is_named(
    repo: Repository, root: Path, sha: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (repo.common_dir / "lattice-worktrees.lock").mkdir()  # what even root cannot open for writing
    with pytest.raises(GitError, match="git's folder") as caught:
        worktree.make(repo, root / "one", sha)
    assert str(repo.common_dir) in str(caught.value.hint)
    monkeypatch.setattr(os, "access", lambda *_: False)  # which is how a read-only mount answers
    with pytest.raises(GitError, match="cannot be written"):
        worktree.check_possible(repo, repo.top, "Sleeper")


# --- make -----------------------------------------------------------------------------------------


def test_a_worktree_is_the_commit_detached(repo: Repository, tree: Path, sha: str) -> None:
    assert "a\n" == (tree / "a").read_text()
    assert sha == git(tree, "rev-parse", "HEAD")
    assert "" == git(tree, "status", "--porcelain")
    assert [repo.top, tree] == worktree.registered(repo)


def test_a_repositorys_hooks_do_not_run(repo: Repository, root: Path, sha: str, tmp_path: Path) -> None:
    hook = repo.common_dir / "hooks/post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    worktree.make(repo, root / "run1", sha)
    assert not (tmp_path / "ran").exists()


def test_parallel_makes_and_removals_do_not_race(repo: Repository, root: Path, sha: str) -> None:
    failed: list[LatticeError] = []

    def cycle(number: int) -> None:
        try:
            for turn in range(4):
                worktree.make(repo, root / f"run{number}-{turn}", sha)
                worktree.remove(repo, root / f"run{number}-{turn}")
        except LatticeError as error:
            failed.append(error)

    threads = [threading.Thread(target=cycle, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == failed
    assert [repo.top] == worktree.registered(repo)


@pytest.mark.parametrize(
    "script",
    [
        'case "$*" in *"worktree add"*) echo "disk is on fire" >&2; exit 128;; esac',
        'case "$*" in *"worktree add"*) real "$@"; echo "disk is on fire" >&2; exit 128;; esac',
        'case "$*" in *"worktree add"*) real "$@"; echo "disk is on fire" >&2; kill -9 $$;; esac',
        'case "$*" in *"reset --hard"*) echo "disk is on fire" >&2; exit 128;; esac',
        'case "$*" in *"reset --hard"*) echo "disk is on fire" >&2; sleep 1000;; esac',
        'case "$*" in *"worktree remove"*|*"reset --hard"*) echo "disk is on fire" >&2; kill -9 $$;; esac',
    ],
    ids=["refuses", "refuses-late", "dies-late", "checkout-refuses", "checkout-hangs", "removal-dies-too"],
)
def test_review_a_blocker_2_a_failing_git_leaves_nothing(
    repo: Repository, root: Path, sha: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    fake_git(tmp_path, monkeypatch, script)
    with pytest.raises(GitError, match="disk is on fire"):
        worktree.make(repo, root / "run1", sha, timeout_s=5)
    assert gone(repo, root / "run1")


def test_what_stands_at_the_path_is_refused_and_untouched(repo: Repository, root: Path, sha: str) -> None:
    (root / "run1").mkdir()
    (root / "run1/mine").write_text("mine")
    with pytest.raises(GitError, match="exists already"):
        worktree.make(repo, root / "run1", sha)
    assert "mine" == (root / "run1/mine").read_text()


def test_a_commit_that_is_not_there_is_gits_error(repo: Repository, root: Path) -> None:
    with pytest.raises(GitError, match=r"git worktree failed.*invalid reference"):
        worktree.make(repo, root / "run1", "f" * 40)
    assert gone(repo, root / "run1")


# --- salvage --------------------------------------------------------------------------------------


def kept(repo: Repository, what: salvage.Salvage | None, path: str) -> str:
    assert what is not None
    assert what.sha == git(repo.top, "rev-parse", what.ref)
    return git(repo.top, "show", f"{what.sha}:{path}")


def test_a_clean_unmoved_tree_needs_no_salvage(repo: Repository, tree: Path, sha: str) -> None:
    (tree / "noise.log").write_text("ignored")
    assert salvage.salvage(repo, tree, "run1", sha) is None
    assert "" == git(repo.top, "for-each-ref", "refs/lattice")


def test_changes_of_every_kind_are_kept(repo: Repository, tree: Path, sha: str) -> None:
    (tree / "a").write_text("changed\n")
    (tree / "new").write_text("new\n")
    (tree / "staged").write_text("staged\n")
    git(tree, "add", "staged")
    (tree / "staged").unlink()  # it is in the index alone now
    found = salvage.salvage(repo, tree, "run1", sha)
    assert "changed" == kept(repo, found, "a")
    assert "new" == kept(repo, found, "new")
    assert found is not None
    assert "staged" == git(repo.top, "show", f"{found.sha}^2:staged")
    assert (2, "refs/lattice/salvage/run1") == (found.changed, found.ref)
    assert "Lattice <lattice@localhost>" == git(repo.top, "log", "-1", "--format=%an <%ae>", found.sha)
    worktree.remove(repo, tree)
    assert "new" == kept(repo, found, "new")


def test_commits_on_the_detached_head_are_kept(repo: Repository, tree: Path, sha: str) -> None:
    (tree / "done").write_text("done\n")
    git(tree, "add", ".")
    git(tree, "commit", "-qm", "done")
    head = git(tree, "rev-parse", "HEAD")
    assert salvage.Salvage("refs/lattice/salvage/run1", head, 1) == salvage.salvage(repo, tree, "run1", sha)


def test_a_left_over_lock_and_hidden_changes_do_not_matter(repo: Repository, tree: Path, sha: str) -> None:
    git(tree, "update-index", "--assume-unchanged", "a")
    (tree / "a").write_text("hidden\n")
    (repo.common_dir / "worktrees/run1/index.lock").touch()
    assert "hidden" == kept(repo, salvage.salvage(repo, tree, "run1", sha), "a")


def test_an_unborn_and_a_missing_head_are_compared_with_the_start(repo: Repository, tree: Path, sha: str) -> None:
    git(tree, "checkout", "-q", "--orphan", "fresh")
    (tree / "new").write_text("new\n")
    found = salvage.salvage(repo, tree, "run1", sha)
    assert "new" == kept(repo, found, "new")
    (repo.common_dir / "worktrees/run1/HEAD").unlink()
    assert "new" == kept(repo, salvage.salvage(repo, tree, "run2", sha), "new")


def test_salvage_again_after_half_a_removal_still_holds_all(repo: Repository, tree: Path, sha: str) -> None:
    (tree / "new").write_text("new\n")
    first = salvage.salvage(repo, tree, "run1", sha)
    assert first == salvage.salvage(repo, tree, "run1", sha)
    (tree / "new").unlink()
    (tree / "a").unlink()
    second = salvage.salvage(repo, tree, "run1", sha)
    assert first is not None
    assert second is not None
    git(repo.top, "merge-base", "--is-ancestor", first.sha, second.sha)


def test_a_deleted_git_file_is_an_error_and_the_tree_can_be_set_aside(
    repo: Repository, tree: Path, sha: str, tmp_path: Path
) -> None:
    git(tree, "commit", "-q", "--allow-empty", "-m", "kept")
    head = git(tree, "rev-parse", "HEAD")
    (tree / "new").write_text("new\n")
    (tree / ".git").unlink()
    with pytest.raises(GitError, match="cannot tell"):
        salvage.salvage(repo, tree, "run1", sha)
    assert head == git(repo.top, "rev-parse", "refs/lattice/salvage/run1")
    worktree.set_aside(repo, tree, tmp_path / "aside/run1")
    assert "new\n" == (tmp_path / "aside/run1/new").read_text()
    assert gone(repo, tree)


def test_a_repository_inside_is_not_taken_for_kept(repo: Repository, tree: Path, sha: str) -> None:
    git(tree, "clone", "-q", str(repo.top), "inner")
    with pytest.raises(GitError, match="repository of its own"):
        salvage.salvage(repo, tree, "run1", sha)


# --- removal --------------------------------------------------------------------------------------


def test_removal_is_whole_and_idempotent(repo: Repository, tree: Path) -> None:
    (tree / "dirty").write_text("x")
    worktree.remove(repo, tree)
    assert gone(repo, tree)
    worktree.remove(repo, tree)


@pytest.mark.parametrize(
    "script",
    [
        'case "$*" in *"worktree remove"*) echo no >&2; exit 1;; esac',
        'case "$*" in *"worktree remove"*) exit 0;; esac',
        'case "$*" in *"worktree remove"*) real "$@"; kill -9 $$;; esac',
        'case "$*" in *"worktree remove"*) sleep 1000;; esac',
    ],
    ids=["refuses", "lies", "dies-late", "hangs"],
)
def test_removal_holds_whatever_git_says(
    repo: Repository, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str
) -> None:
    fake_git(tmp_path, monkeypatch, script)
    worktree.remove(repo, tree, timeout_s=1)
    assert gone(repo, tree)


def test_review_a_finding_4_a_folder_deleted_by_hand_leaves_no_record(repo: Repository, tree: Path, sha: str) -> None:
    removal.remove_tree(tree)
    other = tree.with_name("run2")
    worktree.make(repo, other, sha)
    removal.remove_tree(other)
    worktree.remove(repo, tree)
    assert [repo.top, other] == worktree.registered(repo), "never a prune: another's record is not ours to drop"


def test_an_add_killed_between_its_steps_is_cleaned_up(repo: Repository, root: Path) -> None:
    admin = repo.common_dir / "worktrees/run1"
    admin.mkdir(parents=True)
    (admin / "locked").write_text("initializing")
    worktree.remove(repo, root / "run1")
    assert gone(repo, root / "run1")


def test_a_removal_follows_no_link_and_passes_read_only_and_deep_folders(
    repo: Repository, tree: Path, tmp_path: Path
) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "victim/file").write_text("precious")
    (tree / "link").symlink_to(tmp_path / "victim")
    (tree / "closed/inner").mkdir(parents=True)
    (tree / "closed/inner/file").touch()
    (tree / "closed/inner").chmod(0)
    (tree / "closed").chmod(0o500)
    deep = os.open(tree, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("deeper", dir_fd=deep)
        below = os.open("deeper", os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = below
    os.close(deep)
    (tree / ".git").unlink()
    worktree.remove(repo, tree)
    assert gone(repo, tree)
    assert "precious" == (tmp_path / "victim/file").read_text()


def test_a_link_in_place_of_the_worktree_is_removed_and_not_its_target(
    repo: Repository, tree: Path, tmp_path: Path
) -> None:
    tree.rename(tmp_path / "moved")
    tree.symlink_to(tmp_path / "moved")
    worktree.remove(repo, tree)
    assert gone(repo, tree)
    assert (tmp_path / "moved/a").exists()


def test_the_repository_itself_is_never_removed(repo: Repository, tmp_path: Path) -> None:
    for path in (repo.top, tmp_path, repo.common_dir):
        with pytest.raises(GitError, match="repository itself"):
            worktree.remove(repo, path)
    assert (repo.top / "a").exists()


def test_a_worktree_is_removed_though_its_git_file_leads_elsewhere(repo: Repository, tree: Path, sha: str) -> None:
    other = tree.with_name("run2")
    worktree.make(repo, other, sha)
    (tree / ".git").write_text((other / ".git").read_text())
    worktree.remove(repo, tree)
    assert [repo.top, other] == worktree.registered(repo)
    assert sha == git(other, "rev-parse", "HEAD")


def test_first_runs_that_start_at_once_agree_about_the_folder_of_worktrees(tmp_path: Path) -> None:
    interval = sys.getswitchinterval()
    refused: list[BaseException] = []

    def make(state: Path, together: threading.Barrier) -> None:
        together.wait()
        try:
            worktrees_root(None, {"XDG_STATE_HOME": str(state)}, "board")
        except ValidationError as why:
            refused.append(why)

    sys.setswitchinterval(1e-6)  # so that they are between each other's looks and makings
    try:
        for number in range(200):
            together = threading.Barrier(8)
            state = tmp_path / str(number) / "a" / "b"
            threads = [threading.Thread(target=make, args=(state, together)) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert [] == refused
