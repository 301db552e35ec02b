"""Where worktrees live: a folder in which nobody else can write, nor put a symbolic link on the way."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from lattice.commands.board import Board
from lattice.errors import ValidationError
from lattice.store.files.digest import sha256

_SHARED_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm")
_UNSAFE_IN_NAMES = re.compile(r"[^A-Za-z0-9-]")
COMPONENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def worktrees_of(board: Board, environ: Mapping[str, str]) -> Path:
    """The folder that holds this board's worktrees on this machine. Raises ValidationError where it is not safe."""
    configured = Path(board.config.worktree_root) if board.config.worktree_root else None
    return worktrees_root(configured, environ, place_of(board))


def caches_of(board: Board, environ: Mapping[str, str]) -> Path:
    """The folder of what this board's setups made on this machine. Raises ValidationError where it is not safe."""
    return cache_root(environ, place_of(board))


def place_of(board: Board) -> str:
    """A folder's name for this board: what people call it, and what tells it from others of that name."""
    place = sha256(os.path.realpath(board.folder).encode()).hexdigest()[:8]
    name = _UNSAFE_IN_NAMES.sub("-", board.root.name).strip("-")[:40] or "board"
    return f"{name}-{place}"


def worktrees_root(configured: Path | None, environ: Mapping[str, str], board: str) -> Path:
    """The folder of a board's worktrees, made (0700) and found safe; its real path.

    `configured` or the XDG state folder, then `board`. Raises ValidationError where another user could
    write or put a symbolic link on the way, and for a shared temporary folder: its cleaners take files.
    """
    if not COMPONENT.fullmatch(board):
        raise ValidationError(f"board name {board!r} cannot be a folder's name", hint="letters, digits, '-', '_', '.'")
    if configured is not None:
        base, below = configured.expanduser(), [board]
        if not base.is_absolute():
            raise ValidationError(f"worktree root {configured} is not absolute", hint="give an absolute path")
    else:
        home = base_folder(environ, "XDG_STATE_HOME", ".local/state", "worktrees")
        base, below = home, ["lattice", "worktrees", board]
    return _safe(base, below, "worktrees", "XDG_STATE_HOME", ", or worker.worktree_root in .lattice/config.json")


def cache_root(environ: Mapping[str, str], board: str) -> Path:
    """The folder of what a board's setups have made, made (0700) and as safe; its real path. Raises ValidationError."""
    base = base_folder(environ, "XDG_CACHE_HOME", ".cache", "a cache")
    return _safe(base, ["lattice", board], "a cache", "XDG_CACHE_HOME")


def _safe(base: Path, below: list[str], what: str, variable: str, otherwise: str = "") -> Path:
    base = Path(os.path.realpath(base))
    if str(base) in {os.path.realpath(folder) for folder in _SHARED_FOLDERS}:
        raise ValidationError(
            f"{base} cannot hold worktrees: every user can write there, and cleaners empty it",
            hint="choose a folder of your own for worker.worktree_root",
        )
    try:
        for folder in (*reversed(base.parents), base):
            if not folder.exists():
                folder.mkdir(mode=0o700, exist_ok=True)  # Another run that starts may have been quicker.
            _check_ancestor(folder)
        return _make_private(base, below)
    except OSError as error:
        raise ValidationError(
            f"{base} cannot be used for {what}: {error.strerror}",
            hint=f"set {variable} to a folder that you can write" + otherwise,
        ) from error


def base_folder(environ: Mapping[str, str], variable: str, otherwise: str, what: str) -> Path:
    """A base folder of the XDG specification, whether it is there or not. Raises ValidationError."""
    named = environ.get(variable, "")
    if Path(named).is_absolute():  # The specification says to ignore a relative one.
        return Path(named)
    home = environ.get("HOME", "")
    if not Path(home).is_absolute():
        off = f"HOME is {home!r}, which is no absolute path" if home else "HOME is not set"
        raise ValidationError(f"no place for {what}: {off}", hint=f"set HOME or {variable} to an absolute path")
    return Path(home, otherwise)


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
