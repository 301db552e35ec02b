"""Remove a folder whatever is in it: no link is followed, no depth or mode is in the way."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path


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
