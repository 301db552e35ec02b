"""The few things that are asked of a disk. All of the store's writes go through here, and faults are injected here.

The rules are those of `docs/explanation/storage.md`: short writes are finished or taken back; a
failed sync is never retried and never acknowledged (PostgreSQL's fsync lesson of 2018); what is
derived is renamed into place without a sync, and believed only if its mark fits.
"""

from __future__ import annotations

import os
from contextlib import suppress

StrPath = str | os.PathLike[str]
"""A path as text, or as `pathlib` has it: importing that costs more than reading a task."""

PRIVATE = 0o600
_PAGE = 4096
_FIRST = 1 << 14
_sync = getattr(os, "fdatasync", os.fsync)  # macOS has no fdatasync


class SyncFailed(OSError):
    """The kernel could not say that the bytes are on the disk."""


def read(path: StrPath, *, follow: bool = True) -> bytes | None:
    """The file's bytes, or None where there is no such file.

    Without `follow` a symbolic link is refused: one may come with a board that git brought.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW))
    except FileNotFoundError:
        return None
    try:
        data = os.pread(descriptor, _FIRST, 0)
        if len(data) < _FIRST:
            return data  # To its end: nearly every file here, without asking for its size.
        return data + read_from(descriptor, _FIRST, os.fstat(descriptor).st_size)
    finally:
        os.close(descriptor)


def read_from(descriptor: int, start: int, end: int) -> bytes:
    """The bytes in [start, end), fewer where the file ends before."""
    parts = []
    while start < end:
        part = os.pread(descriptor, end - start, start)
        if not part:
            break
        parts.append(part)
        start += len(part)
    return b"".join(parts) if len(parts) != 1 else parts[0]


def append(descriptor: int, data: bytes, size: int) -> None:
    """Add `data` at the end of a file of `size` bytes that is open with O_APPEND, and sync it.

    On an error the file is cut back to `size` and the error raised: SyncFailed where the sync
    failed, else the OSError of the write.
    """
    try:
        written = 0
        while written < len(data):
            written += os.write(descriptor, data[written:])
    except OSError:
        os.ftruncate(descriptor, size)
        raise
    try:
        _sync(descriptor)
    except OSError as failed:
        os.ftruncate(descriptor, size)
        raise SyncFailed(*failed.args) from failed


def overwrite(descriptor: int, data: bytes, start: int) -> None:
    """Put `data` at `start` of a file, in one write where the disk takes it so, unsynced: for a cache that has sums."""
    written = 0
    while written < len(data):
        written += os.pwrite(descriptor, data[written:], start + written)


def cut(descriptor: int, size: int) -> None:
    """Shorten the file to `size` bytes, durably."""
    os.ftruncate(descriptor, size)
    _sync(descriptor)


def sync_folder(path: StrPath) -> None:
    """Make a new name in the folder durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(path: StrPath, data: bytes) -> None:
    """Write a new file that has to be there after a crash: synced, with its name. Raises FileExistsError."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_APPEND, PRIVATE)
    try:
        append(descriptor, data, 0)
    except OSError:
        os.unlink(path)
        raise
    finally:
        os.close(descriptor)
    sync_folder(os.path.dirname(path))


def move(source: StrPath, target: StrPath, *, over: bool = False, durable: bool = False) -> bool:
    """Rename a file into another folder. Whether it was there, and its new place free (or to be written `over`)."""
    if not over and os.path.exists(target):
        return False
    try:
        os.rename(source, target)
    except FileNotFoundError:
        if not os.path.exists(source):
            return False
        os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)  # A fresh clone: git carries no empty folders.
        os.rename(source, target)
    if durable:
        sync_folder(os.path.dirname(target))
        sync_folder(os.path.dirname(source))
    return True


def create(path: StrPath, data: bytes) -> bool:
    """Write a cache where there is none, unsynced and without a draft. Returns whether there was none.

    Whoever reads it before it is whole finds that its sum does not fit.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, PRIVATE)
    except FileExistsError:
        return False
    except FileNotFoundError:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)  # A fresh clone: git carries no empty folders.
        return create(path, data)
    try:
        written = 0
        while written < len(data):
            written += os.write(descriptor, data[written:])
    except OSError:
        os.unlink(path)
        raise
    finally:
        os.close(descriptor)
    return True


def renew(path: StrPath, data: bytes) -> None:
    """Put `data` in place of a cache that has a sum of itself, unsynced.

    In the file as it stands, where a kill cannot tear that: one write, within one page, over no more than it
    covers. Else, and where the name is a link's or not the file's only one, by `replace`. A reader who meets the
    write, and one after a power cut, find that the sum does not fit (decision 0013).
    """
    if len(data) > _PAGE or not _renewed(path, data):
        replace(path, data)


def _renewed(path: StrPath, data: bytes) -> bool:
    try:
        # What has no end, such as a pipe that somebody planted, is not waited for.
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        state = os.fstat(descriptor)
        return state.st_nlink == 1 and state.st_size <= len(data) and os.pwrite(descriptor, data, 0) == len(data)
    except OSError:
        return False
    finally:
        os.close(descriptor)


def replace(path: StrPath, data: bytes, *, durable: bool = False) -> None:
    """Put `data` in place of the file, whole or not at all.

    Without `durable` nothing is synced: after a power cut the file may be old, new or empty, which
    is right for a cache alone.
    """
    folder, name = os.path.split(path)
    draft = os.path.join(folder, f".{name}.{os.getpid()}.tmp")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
    try:
        descriptor = os.open(draft, flags, PRIVATE)
    except FileNotFoundError:
        os.makedirs(folder, mode=0o700, exist_ok=True)  # A fresh clone: git carries no empty folders.
        descriptor = os.open(draft, flags, PRIVATE)
    try:
        try:
            if not durable:
                _allocate(descriptor, len(data))
            written = 0
            while written < len(data):
                written += os.write(descriptor, data[written:])
            if durable:
                _sync(descriptor)
        finally:
            os.close(descriptor)
        os.rename(draft, path)
    except OSError:
        os.unlink(draft)
        raise
    if durable:
        sync_folder(folder)


def _allocate(descriptor: int, size: int) -> None:
    """Have the file's blocks chosen before they are written.

    A rename over another file makes ext4 write out what has no blocks yet (auto_da_alloc), and the next sync,
    which is that of an event, has to wait for it: 1.1 ms in place of 0.1 (decision 0013).
    """
    if hasattr(os, "posix_fallocate") and size:
        with suppress(OSError):  # A file system that cannot. Where there is no room, the write is refused too.
            os.posix_fallocate(descriptor, 0, size)
