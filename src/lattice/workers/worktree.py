"""The worktree of a run: made where nobody else can write, its contents kept by a ref, its removal verified.

git's own records of worktrees race (5 of 200 parallel `git worktree add` failed here), so one lock in
the common directory is around every change of them; the checkout, which is the long part, is outside it.
Never `git worktree prune`: it took down a worktree that another process was just adding. What is ours is
found by its path, and only that is removed.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from lattice.core.record import Record
from lattice.errors import GitError, LatticeError, ValidationError
from lattice.workers.git import Repository, git
from lattice.workers.lease import locked

SALVAGE_REFS = "refs/lattice/salvage"

_LOCK_NAME = "lattice-worktrees.lock"
_SHARED_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")
_COMPONENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_FULL_TREE = ("-c", "core.sparseCheckout=false", "-c", "submodule.recurse=false")
_IDENTITY = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "Lattice"), ("EMAIL", "lattice@localhost"))
}
_SALVAGE_TIMEOUT_S = 300.0
_REMOVE_TIMEOUT_S = 60.0


def worktrees_root(configured: Path | None, environ: Mapping[str, str], board: str) -> Path:
    """The folder of a board's worktrees, made (0700) and found safe; its real path.

    `configured` or the XDG state folder, then `board`. Raises ValidationError where another user could
    write or put a symbolic link on the way, and for a shared temporary folder: its cleaners take files.
    """
    if not _COMPONENT.fullmatch(board):
        raise ValidationError(f"board name {board!r} cannot be a folder's name", hint="letters, digits, '-', '_', '.'")
    if configured is not None:
        base, below = configured.expanduser(), [board]
        if not base.is_absolute():
            raise ValidationError(f"worktree root {configured} is not absolute", hint="give an absolute path")
    else:
        base, below = _state_home(environ), ["lattice", "worktrees", board]
    base = Path(os.path.realpath(base))
    if str(base) in {os.path.realpath(folder) for folder in _SHARED_FOLDERS}:
        raise ValidationError(
            f"{base} cannot hold worktrees: every user can write there, and cleaners empty it",
            hint="choose a folder of your own for worker.worktree_root",
        )
    try:
        for folder in (*reversed(base.parents), base):
            if not folder.exists():
                folder.mkdir(mode=0o700)
            _check_ancestor(folder)
        return _make_private(base, below)
    except OSError as error:
        raise ValidationError(f"worktree root {base} cannot be used: {error}") from error


def make(repo: Repository, path: Path, sha: str, timeout_s: float = 120) -> None:
    """Check out commit `sha` (a full hash), detached, in a new worktree at `path`.

    Raises GitError with git's words, LockTimeout. After a failure neither folder nor git's record of
    it is left; what was at `path` before is refused and untouched.
    """
    ends_at = time.monotonic() + timeout_s
    with _registry(repo, timeout_s):
        if os.path.lexists(path):
            raise GitError(f"{path} exists already", hint="choose a path that is free", path=str(path))
        with _taken_down_on_failure(repo, path, _remove):
            add = ["worktree", "add", "--quiet", "--no-checkout", "--detach", "--", str(path), sha]
            git([*_FULL_TREE, *add], cwd=repo.top, timeout_s=_left_s(ends_at))
    with _taken_down_on_failure(repo, path, remove):
        git([*_FULL_TREE, "reset", "--hard", "--quiet", sha], cwd=path, timeout_s=_left_s(ends_at))
        head = git(["rev-parse", "--verify", "HEAD"], cwd=path, timeout_s=_left_s(ends_at)).strip()
        if head != sha:
            raise GitError(f"worktree {path} is at {head}, not at {sha}", hint="give a commit's full hash")


class Salvage(Record):
    """What was kept of a worktree: the ref, its commit, and how many paths differ from the start."""

    ref: str
    sha: str
    changed: int


def salvage(repo: Repository, path: Path, run_id: str, start_sha: str) -> Salvage | None:
    """Keep commits and changes of a worktree under refs/lattice/salvage/<run_id>; None if there are none.

    Changes are what differs from HEAD: modified, staged, deleted, untracked and not ignored. They become a
    commit on top of HEAD; what is only in the index becomes its second parent. An earlier salvage of
    the run is not overwritten: what it held stays below the new commit. Raises GitError when git cannot
    tell what is in the folder (then `set_aside`); commits that HEAD held are kept even so.
    """
    if not _COMPONENT.fullmatch(run_id):
        raise ValidationError(f"run id {run_id!r} cannot be part of a ref's name")
    ref = f"{SALVAGE_REFS}/{run_id}"
    admin = next(iter(_admin_folders(repo, path)), None)
    # An unborn HEAD (`checkout --orphan`) or none at all: the files are compared with the start.
    tip = _commit_at(admin, "HEAD") or start_sha
    if tip != start_sha:
        _keep(repo, ref, tip, run_id)  # First, so that no failure below loses commits.
    if os.path.lexists(path):
        _check_link(path, admin)
        with tempfile.TemporaryDirectory(prefix="lattice-salvage-") as scratch:
            tip = _commit_changes(repo, path, admin, Path(scratch), tip=tip, run_id=run_id)
    if tip != start_sha:
        _keep(repo, ref, tip, run_id)
    kept = _commit_at(repo.common_dir, ref)
    if kept is None:
        return None
    names = _in(repo, "diff-tree", "-r", "-z", "--no-renames", "--name-only", start_sha, kept)
    return Salvage(ref, kept, names.count("\0"))


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
            for admin in _admin_folders(repo, path):
                remove_tree(admin)
        except OSError as error:
            raise GitError(f"worktree {path} could not be set aside at {keep_at}: {error}", path=str(path)) from error


def registered(repo: Repository) -> list[Path]:
    """Every worktree that git has on record, the main one first. Raises GitError."""
    listing = git(["worktree", "list", "--porcelain", "-z"], cwd=repo.common_dir)
    return [Path(field.removeprefix("worktree ")) for field in listing.split("\0") if field.startswith("worktree ")]


def remove_tree(path: Path) -> None:
    """Remove what is at `path`, of any depth, whatever its modes, following no link. Raises OSError.

    Folders are moved up to the top before they are emptied: then no path grows too long and no more
    than three descriptors are open, however deep somebody nested it. Another file system mounted
    inside is left alone, and is an error.
    """
    if not os.path.lexists(path):
        return
    if not stat.S_ISDIR(path.lstat().st_mode):
        path.unlink()
        return
    top = _open_folder(str(path), None)
    try:
        moved = 0
        while names := _names(top):
            for name in names:
                if not _unlink_file(name, top):
                    moved = _flatten(name, top, moved)
                    os.rmdir(name, dir_fd=top)
    finally:
        os.close(top)
    path.rmdir()


# --- the root -------------------------------------------------------------------------------------


def _state_home(environ: Mapping[str, str]) -> Path:
    state = environ.get("XDG_STATE_HOME", "")
    if Path(state).is_absolute():  # The specification says to ignore a relative one.
        return Path(state)
    home = environ.get("HOME", "")
    if not Path(home).is_absolute():
        raise ValidationError("no place for worktrees: HOME is not set", hint="set HOME or XDG_STATE_HOME")
    return Path(home, ".local", "state")


def _check_ancestor(folder: Path) -> None:
    """Refuse a folder in which another user could swap the next component."""
    facts = folder.stat()
    if facts.st_uid not in (0, os.geteuid()):
        raise _unsafe(folder, "belongs to another user")
    if facts.st_mode & stat.S_IWOTH and not facts.st_mode & stat.S_ISVTX:
        raise _unsafe(folder, "is writable by every user")
    own_group = facts.st_gid == os.getegid() == os.geteuid()  # a user's private group has only that user
    if facts.st_mode & stat.S_IWGRP and not facts.st_mode & stat.S_ISVTX and not own_group:
        raise _unsafe(folder, "is writable by its group")


def _make_private(base: Path, names: list[str]) -> Path:
    """Make the components below `base`, each ours alone; opened one in another, so that none can be swapped."""
    path, fd = base, os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in names:
            path /= name
            try:
                os.mkdir(name, 0o700, dir_fd=fd)
            except FileExistsError:
                if stat.S_ISLNK(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode):
                    raise _unsafe(path, "is a symbolic link") from None
            inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
            os.close(fd)
            fd = inner
            facts = os.fstat(fd)
            if facts.st_uid != os.geteuid():
                raise _unsafe(path, "belongs to another user")
            if facts.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                raise _unsafe(path, "is writable by another user")
        os.fchmod(fd, 0o700)
    finally:
        os.close(fd)
    return path


def _unsafe(path: Path, reason: str) -> ValidationError:
    return ValidationError(
        f"worktrees cannot live under {path}: it {reason}",
        hint=f"make {path} yours alone (chmod 700), or choose another worker.worktree_root",
        path=str(path),
    )


# --- git's records --------------------------------------------------------------------------------


@contextmanager
def _registry(repo: Repository, timeout_s: float) -> Iterator[None]:
    if not repo.common_dir.is_dir():
        raise GitError(f"the repository's git directory {repo.common_dir} is gone")
    with locked(repo.common_dir / _LOCK_NAME, timeout_s):
        yield


@contextmanager
def _taken_down_on_failure(
    repo: Repository, path: Path, take_down: Callable[[Repository, Path, float], None]
) -> Iterator[None]:
    """On any failure, an interrupt too, remove what was made."""
    try:
        yield
    except BaseException as error:
        try:
            take_down(repo, path, _REMOVE_TIMEOUT_S)
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
    admins = _admin_folders(repo, path)
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
    left = [str(item) for item in (path, *_admin_folders(repo, path)) if os.path.lexists(item)]
    if left:
        raise GitError(f"worktree {path} could not be removed: {', '.join(left)} is still there{words}", path=str(path))


def _admin_folders(repo: Repository, path: Path) -> list[Path]:
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


# --- salvage --------------------------------------------------------------------------------------


def _commit_at(git_dir: Path | None, ref: str) -> str | None:
    """The commit that `ref` names in a git directory; None where it is gone, unborn or nonsense."""
    if git_dir is None:
        return None
    try:
        args = ["rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}"]
        return git(args, cwd=git_dir, env_extra={"GIT_DIR": str(git_dir)}).strip()
    except GitError as error:
        if error.details.get("status") is None:
            raise
        return None


def _in(repo: Repository, *args: str) -> str:
    env = {**_IDENTITY, "GIT_DIR": str(repo.common_dir)}
    return git(args, cwd=repo.common_dir, timeout_s=_SALVAGE_TIMEOUT_S, env_extra=env)


def _keep(repo: Repository, ref: str, sha: str, run_id: str) -> None:
    """Make `ref` hold `sha`, and go on holding what it held."""
    earlier = _commit_at(repo.common_dir, ref)
    if earlier is not None and not _is_ancestor(repo, earlier, sha):
        if _is_ancestor(repo, sha, earlier) or _content(repo, sha) == _content(repo, earlier):
            return
        # A salvage, half a removal, a crash, and salvage again: the first one held more.
        message = f"Joins what was kept before of run {run_id}"
        tree = _in(repo, "rev-parse", f"{sha}^{{tree}}").strip()
        sha = _in(repo, "commit-tree", tree, "-p", sha, "-p", earlier, "-m", message).strip()
    _in(repo, "update-ref", ref, sha)


def _is_ancestor(repo: Repository, above: str, below: str) -> bool:
    try:
        _in(repo, "merge-base", "--is-ancestor", above, below)
    except GitError as error:
        if error.details.get("status") == 1:
            return False
        raise
    return True


def _content(repo: Repository, sha: str) -> str:
    """A commit but for its time: tree and parents."""
    return _in(repo, "rev-list", "-1", "--no-commit-header", "--format=%T %P", sha)


def _check_link(path: Path, admin: Path | None) -> None:
    """The folder must still be the worktree that git has on record."""
    if path.is_symlink():
        raise _untellable(path, "it is a symbolic link")
    try:
        link = (path / ".git").read_bytes().decode("utf-8", "surrogateescape").strip()
    except OSError as error:
        raise _untellable(path, f"its .git file cannot be read: {error.strerror}") from error
    target = os.path.realpath(path / link.removeprefix("gitdir: "))
    if admin is None or not link.startswith("gitdir: ") or target != os.path.realpath(admin):
        raise _untellable(path, "its .git file does not lead to git's record of it")


def _untellable(path: Path, reason: str) -> GitError:
    return GitError(
        f"git cannot tell what is in {path}: {reason}", hint="the folder is kept; look into it by hand", path=str(path)
    )


def _commit_changes(repo: Repository, path: Path, admin: Path | None, scratch: Path, *, tip: str, run_id: str) -> str:
    """`tip`, or a commit on top of it that holds all that differs from it.

    The index is made afresh from `tip`: neither a left-over index.lock nor a bit such as
    assume-unchanged hides a change, at the price of hashing every file once.
    """
    env = {
        **_IDENTITY,
        "GIT_DIR": str(repo.common_dir),
        "GIT_WORK_TREE": str(path),
        "GIT_INDEX_FILE": str(scratch / "index"),
    }

    def run(*args: str) -> str:
        return git([*_FULL_TREE, *args], cwd=path, timeout_s=_SALVAGE_TIMEOUT_S, env_extra=env).strip()

    run("read-tree", tip)
    run("add", "--all", "--", ".")
    for entry in run("ls-files", "--stage", "-z").split("\0"):
        nested = path / entry.partition("\t")[2]
        if entry.startswith("160000 ") and nested.is_dir() and any(nested.iterdir()):
            raise _untellable(path, f"{nested.name} is a repository of its own")
    tree, base_tree = run("write-tree"), run("rev-parse", f"{tip}^{{tree}}")
    parents = [tip]
    staged = _staged_tree(admin, scratch, env)
    if staged not in (None, tree, base_tree):
        message = f"Staged in the worktree of run {run_id}"
        parents.append(run("commit-tree", str(staged), "-p", tip, "-m", message))
    if tree == base_tree and len(parents) == 1:
        return tip
    chain = [word for parent in parents for word in ("-p", parent)]
    return run("commit-tree", tree, *chain, "-m", f"Left in the worktree of run {run_id}")


def _staged_tree(admin: Path | None, scratch: Path, env: Mapping[str, str]) -> str | None:
    """The tree of the worktree's own index; None where there is none, or it is unmerged or damaged."""
    if admin is None or not (admin / "index").is_file():
        return None
    copy = shutil.copyfile(admin / "index", scratch / "staged")
    try:
        return git(["write-tree"], cwd=scratch, env_extra={**env, "GIT_INDEX_FILE": str(copy)}).strip()
    except GitError as error:
        if error.details.get("status") is None:
            raise
        return None  # A conflict's sides are commits already, and its files are in the folder.


# --- removal --------------------------------------------------------------------------------------


def _flatten(name: str, top: int, moved: int) -> int:
    """Unlink the files of a folder and move its folders up to `top`; returns the count of moves so far."""
    folder = _open_folder(name, top)
    try:
        if os.fstat(folder).st_dev != os.fstat(top).st_dev:
            raise OSError(errno.EXDEV, "another file system is mounted there", name)
        for inner in _names(folder):
            if not _unlink_file(inner, folder):
                os.close(_open_folder(inner, folder))  # its mode must allow the move
                os.rename(inner, f".lattice-removed-{os.getpid()}-{moved}", src_dir_fd=folder, dst_dir_fd=top)
                moved += 1
    finally:
        os.close(folder)
    return moved


def _names(folder: int) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries]


def _unlink_file(name: str, folder: int) -> bool:
    """Unlink anything but a folder; False for a folder."""
    if stat.S_ISDIR(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
        return False
    os.unlink(name, dir_fd=folder)
    return True


def _open_folder(name: str, inside: int | None) -> int:
    """Open a folder, no link, after giving its owner all permissions."""
    pinned = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=inside)
    try:
        if os.fstat(pinned).st_mode & 0o700 != 0o700:
            Path(f"/proc/self/fd/{pinned}").chmod(0o700)  # fchmod refuses an O_PATH descriptor
        return os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=pinned)
    finally:
        os.close(pinned)
