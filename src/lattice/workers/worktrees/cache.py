"""What a setup makes, kept for the next run that needs the same: dependencies, a compiler's output.

    $XDG_CACHE_HOME/lattice/<board>/<key digest>/0, 1, …     one copy for each path of the definition's `cache`

An entry gets its name by a rename when it is whole, and is never changed after that. It is copied, by
reference where the file system can (btrfs, xfs, APFS), and never hard-linked: a worker that writes into
a linked file would change it for every run to come.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from lattice.errors import RunSetupError
from lattice.store.files.digest import file_digest, sha256
from lattice.workers.worktrees.removal import remove_tree

CACHE_AGE_S = 30 * 24 * 3600.0
"""How long an entry is kept after it was used last."""

_NEW, _GONE = ".new-", ".gone-"
_COPY = ("cp", "-c", "-pR") if sys.platform == "darwin" else ("cp", "-a", "--reflink=auto")

Execute = Callable[[Sequence[str]], bool]
"""Runs a command; whether it ended well."""


def digest_of(tree: Path, setup_digest: str, key: Sequence[str]) -> str:
    """The name of the entry: the setup as defined, the kind of machine, and the key's files as they are in `tree`.

    A file of the key that is missing counts as missing. Raises RunSetupError for one that is no regular file.
    """
    digest = sha256(f"1 {setup_digest} {sys.platform} {os.uname().machine}".encode())
    for name in key:
        path = tree / name
        digest.update(f"{len(name)}:{name}:".encode())
        if not os.path.lexists(path):
            digest.update(b"absent")
            continue
        if not inside(tree, name) or not path.is_file():
            raise RunSetupError(f"setup.key: {name!r} is not a regular file of the worktree.")
        with path.open("rb") as file:
            digest.update(file_digest(file))
    return digest.hexdigest()


def restore(entry: Path, tree: Path, paths: Sequence[str], execute: Execute) -> bool:
    """Put what the entry holds into the worktree. Whether all of it is there; if not, none of it is.

    A path that the worktree has already means that the entry does not fit: the commit brings it.
    """
    if not entry.is_dir() or any(os.path.lexists(tree / path) or not inside(tree, path) for path in paths):
        return False
    with contextlib.suppress(FileNotFoundError):  # Pruned a moment ago: the copy will say so.
        os.utime(entry)
    for number, path in enumerate(paths):
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        if not execute([*_COPY, "--", str(entry / str(number)), str(tree / path)]):
            for begun in paths[: number + 1]:
                remove_tree(tree / begun)
            return False
    return True


def store(entry: Path, tree: Path, paths: Sequence[str], run_id: str, execute: Execute) -> bool:
    """Keep the paths of the worktree as `entry`, all or nothing. Whether they are kept now, by us or by another run."""
    if any(not inside(tree, path) or not os.path.lexists(tree / path) for path in paths):
        return False
    draft = entry.with_name(f"{_NEW}{run_id}")
    remove_tree(draft)
    draft.mkdir(mode=0o700)
    try:
        for number, path in enumerate(paths):
            if not execute([*_COPY, "--", str(tree / path), str(draft / str(number))]):
                return False
        draft.rename(entry)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return True  # Another run was first, with the same.
    finally:
        remove_tree(draft)
    return True


def prune(root: Path, alive: Callable[[str], bool], now_s: float | None = None) -> list[Path]:
    """Remove the entries that nobody used for long, and what dead runs had begun; the paths removed. Raises OSError."""
    now = time.time() if now_s is None else now_s
    removed = []
    for path in sorted(root.iterdir()) if root.is_dir() else []:
        if path.name.startswith(_NEW):
            stale = not alive(path.name.removeprefix(_NEW))
        else:
            stale = path.name.startswith(_GONE) or now - path.lstat().st_mtime > CACHE_AGE_S
        if stale:
            gone = path if path.name.startswith(_GONE) else path.with_name(f"{_GONE}{path.name}")
            if gone != path:
                path.rename(gone)  # At once: no run begins to copy half an entry.
            remove_tree(gone)
            removed.append(path)
    return removed


def inside(tree: Path, path: str) -> bool:
    """Whether the path, as far as it is there, leads through no link."""
    return os.path.realpath(tree / path) == os.path.join(os.path.realpath(tree), os.path.normpath(path))
