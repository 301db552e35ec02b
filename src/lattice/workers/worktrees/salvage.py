"""Keep by a ref what is in a worktree and nowhere else, before the worktree goes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from lattice.core.record import Record
from lattice.errors import GitError, ValidationError
from lattice.workers.worktrees import masking
from lattice.workers.worktrees.git import FULL_TREE, HASH, Repository, git
from lattice.workers.worktrees.worktree import admin_folders
from lattice.workers.worktrees.worktree_root import COMPONENT

SALVAGE_REFS = "refs/lattice/salvage"
EMAIL = "lattice@localhost"
"""Whose the commits are that hold what was not committed."""

_IDENTITY = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in (("NAME", "Lattice"), ("EMAIL", EMAIL))
}
_SALVAGE_TIMEOUT_S = 300.0
_NOTED_AT = (
    *("MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "REBASE_HEAD"),
    *("rebase-merge/orig-head", "rebase-merge/autostash", "rebase-apply/orig-head", "rebase-apply/autostash"),
)


class Salvage(Record):
    """What was kept of a worktree: the ref, its commit, and how many paths differ from the start."""

    ref: str
    sha: str
    changed: int


def salvage(
    repo: Repository, path: Path, run_id: str, start_sha: str, keep: Sequence[str] = (), *, masked: bool = False
) -> Salvage | None:
    """Keep commits and changes of a worktree under refs/lattice/salvage/<run_id>; None if there are none.

    Changes are what differs from HEAD: modified, staged, deleted, untracked and not ignored, or ignored and
    matched by `keep`; in a `masked` worktree not what it was made without. They become a commit on top of
    HEAD; what is only in the index becomes a parent of it.
    Commits that only an unfinished rebase, merge or the like still knows are kept too. An earlier salvage
    of the run is not overwritten: what it held stays below the new commit. Raises GitError when git cannot
    tell what is in the folder (then `set_aside`); commits that HEAD held are kept even so.
    """
    if not COMPONENT.fullmatch(run_id):
        raise ValidationError(f"run id {run_id!r} cannot be part of a ref's name")
    ref = f"{SALVAGE_REFS}/{run_id}"
    admin = next(iter(admin_folders(repo, path)), None)
    # An unborn HEAD (`checkout --orphan`) or none at all: the files are compared with the start.
    tip = _commit_at(admin, "HEAD") or start_sha
    for sha in (tip, *_unfinished(repo, admin)):
        if not _holds(repo, start_sha, sha):
            _keep(repo, ref, sha, run_id)  # First, so that no failure below loses commits.
    if os.path.lexists(path):
        _check_link(path, admin)
        import tempfile  # a worktree that somebody left changed pays for it

        with tempfile.TemporaryDirectory(prefix="lattice-salvage-") as scratch:
            changed = _commit_changes(
                repo, path, admin, Path(scratch), tip=tip, run_id=run_id, keep=keep, masked=masked
            )
        if changed != tip:
            _keep(repo, ref, changed, run_id)
    kept = _commit_at(repo.common_dir, ref)
    if kept is None:
        return None
    names = _in(repo, "diff-tree", "-r", "-z", "--no-renames", "--name-only", start_sha, kept)
    return Salvage(ref, kept, names.count("\0"))


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


def _holds(repo: Repository, start: str, sha: str) -> bool:
    """Whether `sha` is part of the history of `start`; not where that is a mere tree."""
    return sha == start or (_commit_at(repo.common_dir, start) is not None and _is_ancestor(repo, sha, start))


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


def keep_commit(repo: Repository, run_id: str, sha: str) -> str:
    """Keep a commit of the run under its salvage ref, beside what that holds; the ref. Raises GitError."""
    ref = f"{SALVAGE_REFS}/{run_id}"
    _keep(repo, ref, sha, run_id)
    return ref


def keep_head(repo: Repository, path: Path, run_id: str) -> str | None:
    """Keep the commit of a worktree's detached HEAD, however little the disk takes; the ref, None where none is needed.

    For when `salvage` failed. Where git can write no ref, the HEAD file itself is moved into a ref's place:
    its content is that of one, and a rename needs no room. Raises OSError.
    """
    admin = next(iter(admin_folders(repo, path)), None)
    head = (admin / "HEAD").read_text(encoding="ascii").strip() if admin is not None else ""
    if admin is None or not HASH.fullmatch(head) or not _only_noted(repo, None, head):
        return None
    try:
        return keep_commit(repo, run_id, head)
    except GitError:
        place = repo.common_dir / SALVAGE_REFS / run_id
        if not os.path.lexists(place):
            place.parent.mkdir(parents=True, exist_ok=True)
            (admin / "HEAD").rename(place)
        return f"{SALVAGE_REFS}/{run_id}"


def _unfinished(repo: Repository, admin: Path | None) -> list[str]:
    """Commits that git notes beside HEAD while something is going on, and that no branch, tag or HEAD holds.

    A rebase that stopped halfway has HEAD among the new commits, and the old ones are in a file alone.
    """
    found: dict[str, None] = {}
    for name in _NOTED_AT if admin is not None else ():
        sha = _commit_at(admin, name) if name.isupper() else _noted(repo, admin, name)
        if sha is not None:
            found[sha] = None
    return [sha for sha in found if _only_noted(repo, admin, sha)]


def _noted(repo: Repository, admin: Path | None, name: str) -> str | None:
    try:
        text = (admin / name).read_text(encoding="ascii").strip() if admin is not None else ""
    except (OSError, UnicodeDecodeError):
        return None
    return _commit_at(repo.common_dir, text) if HASH.fullmatch(text) else None


def _only_noted(repo: Repository, admin: Path | None, sha: str) -> bool:
    head = _commit_at(admin, "HEAD")
    without = [head] if head is not None else []
    return bool(_in(repo, "rev-list", "-1", sha, "--not", "--branches", "--tags", "--remotes", *without).strip())


def _commit_changes(
    repo: Repository,
    path: Path,
    admin: Path | None,
    scratch: Path,
    *,
    tip: str,
    run_id: str,
    keep: Sequence[str],
    masked: bool,
) -> str:
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

    options = [*FULL_TREE, *(masking.without_filters(path, env) if masked else ())]

    def run(*args: str) -> str:
        return git([*options, *args], cwd=path, timeout_s=_SALVAGE_TIMEOUT_S, env_extra=env).strip()

    run("read-tree", tip)
    if masked:
        masking.spare(path, env)
    run("add", "--all", "--", ".")
    if keep:
        _add_ignored(path, env, keep)
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


def _add_ignored(path: Path, env: Mapping[str, str], keep: Sequence[str]) -> None:
    """Add the ignored files that match a pattern, or lie in a folder that does, to the index of `env`."""
    wanted = ["--others", "--ignored", "--exclude-standard", "-z", "--", *(f":(glob){pattern}" for pattern in keep)]
    names = git([*FULL_TREE, "ls-files", *wanted], cwd=path, timeout_s=_SALVAGE_TIMEOUT_S, env_extra=env)
    if names:
        add = ["--literal-pathspecs", "add", "--force", "--pathspec-from-file=-", "--pathspec-file-nul"]
        git([*FULL_TREE, *add], cwd=path, timeout_s=_SALVAGE_TIMEOUT_S, env_extra=env, input_text=names)


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
