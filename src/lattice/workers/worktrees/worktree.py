"""The worktree of a run: made, set aside, removed, and its removal verified.

git's own records of worktrees race (5 of 200 parallel `git worktree add` failed here), so one lock in
the common directory is around every change of them; the checkout, which is the long part, is outside it.
Never `git worktree prune`: it took down a worktree that another process was just adding. What is ours is
found by its path, and only that is removed.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lattice.errors import DefinitionError, GitError, LatticeError, StorageError
from lattice.store.files.locks import locked
from lattice.workers.worktrees import branches, masking
from lattice.workers.worktrees.git import FULL_TREE, Repository, git
from lattice.workers.worktrees.removal import remove_tree

_LOCK_NAME = "lattice-worktrees.lock"
_REMOVE_TIMEOUT_S = 60.0


def make(
    repo: Repository, path: Path, sha: str, timeout_s: float = 120, branch: str | None = None, *, masked: bool = False
) -> None:
    """Check out commit `sha` (a full hash) in a new worktree at `path`: detached, or on a new branch.

    `masked` leaves out what the commit has for agents to obey (`masking.py`).

    Raises GitError with git's words, LockTimeout. After a failure neither folder, nor git's record of
    it, nor the branch is left; what was at `path`, or had the branch's name before, is refused and untouched.
    """
    ends_at = time.monotonic() + timeout_s
    with _registry(repo, timeout_s):
        if os.path.lexists(path):
            raise GitError(f"{path} exists already", hint="choose a path that is free", path=str(path))
        if branch is not None:
            branches.create(repo, branch, sha)
        with _taken_down_on_failure(repo, path, _remove, branch, sha):
            at = ["--detach", "--", str(path), sha] if branch is None else ["--", str(path), branch]
            add = ["worktree", "add", "--quiet", "--no-checkout", *at]
            git([*FULL_TREE, *add], cwd=repo.top, timeout_s=_left_s(ends_at))
    with _taken_down_on_failure(repo, path, remove, branch, sha):
        options = [*FULL_TREE, *(masking.without_filters(path) if masked else ())]
        git([*options, "reset", "--hard", "--quiet", sha], cwd=path, timeout_s=_left_s(ends_at))
        if masked:
            masking.mask(path)
        head = git(["rev-parse", "--verify", "HEAD"], cwd=path, timeout_s=_left_s(ends_at)).strip()
        if head != sha:
            raise GitError(f"worktree {path} is at {head}, not at {sha}", hint="give a commit's full hash")


def remove(repo: Repository, path: Path, timeout_s: float = _REMOVE_TIMEOUT_S) -> None:
    """Remove the worktree at `path` and git's record of it; nothing there is fine.

    git is asked first; what it says does not matter, what is left does. Raises GitError if
    something is still there afterwards, LockTimeout.
    """
    with _registry(repo, timeout_s):
        _remove(repo, path, timeout_s)


def set_aside(repo: Repository, path: Path, keep_at: Path) -> None:
    """Move a worktree's folder to `keep_at` (same file system) and drop git's record of it. Raises GitError.

    For when git cannot tell what is in it: nothing is deleted, and nothing is in the way any more.
    """
    _check_not_main(repo, path)
    with _registry(repo, _REMOVE_TIMEOUT_S):
        try:
            if os.path.lexists(path):
                if os.path.lexists(keep_at):
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(keep_at))
                keep_at.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                path.rename(keep_at)
            for admin in admin_folders(repo, path):
                remove_tree(admin)
        except OSError as error:
            raise GitError(f"worktree {path} could not be set aside at {keep_at}: {error}", path=str(path)) from error


def registered(repo: Repository) -> list[Path]:
    """Every worktree that git has on record, the main one first. Raises GitError."""
    return [path for path, _ in _listing(repo)]


def checked_out_at(repo: Repository, branch: str) -> list[Path]:
    """The worktrees that have the branch checked out, the main one first. Raises GitError."""
    found = [path for path, on in _listing(repo) if on == f"refs/heads/{branch}"]
    return [_main_checkout(repo) if path == repo.common_dir else path for path in found]


def _main_checkout(repo: Repository) -> Path:
    """The checkout of a git directory that lies elsewhere, as a submodule's does: git lists that directory."""
    own = git(["rev-parse", "--path-format=absolute", "--git-dir"], cwd=repo.top).removesuffix("\n")
    if Path(own) == repo.common_dir:
        return repo.top
    told = git(["rev-parse", "--show-toplevel"], cwd=repo.common_dir, fine=(0, 128)).removesuffix("\n")
    return Path(told) if told else repo.common_dir


def _listing(repo: Repository) -> list[tuple[Path, str | None]]:
    """Each worktree on record, and the full name of the branch it is on."""
    found: list[tuple[Path, str | None]] = []
    for field in git(["worktree", "list", "--porcelain", "-z"], cwd=repo.common_dir).split("\0"):
        if field.startswith("worktree "):
            found.append((Path(field.removeprefix("worktree ")), None))
        elif field.startswith("branch "):
            found[-1] = (found[-1][0], field.removeprefix("branch "))
    return found


@contextmanager
def _registry(repo: Repository, timeout_s: float) -> Iterator[None]:
    if not repo.common_dir.is_dir():
        raise GitError(f"the repository's git directory {repo.common_dir} is gone")
    with ExitStack() as held:
        try:
            held.enter_context(locked(repo.common_dir / _LOCK_NAME, timeout_s))
        except StorageError as refused:
            raise _unwritable(repo) from refused
        yield


def check_possible(repo: Repository | None, root: Path, worker: str) -> None:
    """Whether a worktree can be made for a worker of the board in `root`, which is in `repo`.

    Raises DefinitionError where it is in none, GitError where git's folder cannot be written.
    """
    if repo is None:
        raise DefinitionError(
            f"{worker} works in a git worktree, and {root} is not in a git repository.",
            hint='git init, or "worktree": false in the definition',
            needs="git repository",
        )
    if not os.access(repo.common_dir, os.W_OK):
        raise _unwritable(repo)


def _unwritable(repo: Repository) -> GitError:
    return GitError(
        f"A worktree is recorded in git's folder, {repo.common_dir}, which cannot be written.",
        hint=f"see whose it is, and how it is mounted: ls -ld {repo.common_dir}; findmnt --target {repo.common_dir}",
    )


@contextmanager
def _taken_down_on_failure(
    repo: Repository,
    path: Path,
    take_down: Callable[[Repository, Path, float], None],
    branch: str | None,
    sha: str,
) -> Iterator[None]:
    """On any failure, an interrupt too, remove what was made."""
    try:
        yield
    except BaseException as error:
        try:
            take_down(repo, path, _REMOVE_TIMEOUT_S)
            if branch is not None:
                branches.delete(repo, branch, sha)
        except LatticeError as second:
            error.add_note(f"and it could not be taken down: {second.message}")
        raise


def _left_s(ends_at: float) -> float:
    return max(0.01, ends_at - time.monotonic())


def _check_not_main(repo: Repository, path: Path) -> None:
    """A mistaken path must never take the repository with it."""
    real = Path(os.path.realpath(path))
    for precious in (repo.top, repo.common_dir):
        if Path(os.path.realpath(precious)).is_relative_to(real):
            raise GitError(f"{path} holds the repository itself and is not removed", path=str(path))


def _remove(repo: Repository, path: Path, timeout_s: float) -> None:
    _check_not_main(repo, path)
    admins = admin_folders(repo, path)
    words = ""
    if admins and not path.is_symlink():  # git would follow the link and empty its target
        try:
            command = ["worktree", "remove", "--force", "--force", "--", str(path)]
            git(command, cwd=repo.common_dir, timeout_s=timeout_s)
        except GitError as error:
            words = f" ({error.message})"  # It counts only if we cannot do it either.
    try:
        remove_tree(path)
        for admin in admins:
            remove_tree(admin)
    except OSError as error:
        raise GitError(f"worktree {path} could not be removed: {error}{words}", path=str(path)) from error
    left = [str(item) for item in (path, *admin_folders(repo, path)) if os.path.lexists(item)]
    if left:
        raise GitError(f"worktree {path} could not be removed: {', '.join(left)} is still there{words}", path=str(path))


def admin_folders(repo: Repository, path: Path) -> list[Path]:
    """git's records of the worktree at `path`: those whose `gitdir` names it.

    A `git worktree add` killed between its first two steps leaves one without a `gitdir`: that is
    ours if it has the run's name, since we hold the lock under which ours are added.
    """
    records = repo.common_dir / "worktrees"
    if not records.is_dir() or records.is_symlink():
        return []
    wanted = Path(os.path.realpath(path.parent), path.name, ".git")
    found = []
    for admin in sorted(records.iterdir()):
        if admin.is_symlink() or not admin.is_dir():
            continue
        try:
            named = os.fsdecode((admin / "gitdir").read_bytes().strip(b"\n"))
        except OSError:
            named = ""
        if named:
            link = Path(os.path.normpath(admin / named))  # relative since git 2.48, where configured so
            if Path(os.path.realpath(link.parent.parent), link.parent.name, link.name) == wanted:
                found.append(admin)
        elif admin.name == path.name:
            found.append(admin)
    return found
