"""Small file systems of a trial's own, and namespaces: where they are not permitted, the trial says so."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

CLONE_NEWTIME = 0x80
CLONE_NEWNS = 0x20000
_SHUTDOWN = 0x8004587D  # FS_IOC_SHUTDOWN of linux/fs.h, which ext4 and xfs share
_WITHOUT_FLUSHING = (2).to_bytes(4, "little")

KINDS = ("tmpfs", "ext4", "xfs", "btrfs")
_MAKE = {
    "ext4": (32, ["mkfs.ext4", "-q", "-F", "-m", "0"]),
    "xfs": (320, ["mkfs.xfs", "-q", "-f"]),
    "btrfs": (120, ["mkfs.btrfs", "-q", "-f"]),
}


class NotPermitted(Exception):
    """The machine does not let this be tried; it says why."""


def image(kind: str, path: Path) -> None:
    """Make a file with an empty file system of this kind in it. Raises NotPermitted."""
    megabytes, command = _MAKE[kind]
    if shutil.which(command[0]) is None:
        raise NotPermitted(f"{command[0]} is not installed")
    with path.open("wb") as file:
        file.truncate(megabytes << 20)
    _run([*command, str(path)])


@contextlib.contextmanager
def mounted(what: str, at: Path, *options: str) -> Iterator[None]:
    """An image, or a tmpfs, mounted at a folder. Raises NotPermitted."""
    at.mkdir(exist_ok=True)
    mount(what, at, *options)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", at], check=True)


def mount(what: str, at: Path, *options: str) -> None:
    """Mount it. Raises NotPermitted."""
    kind = ["-t", "tmpfs"] if what == "tmpfs" else []
    loop = () if what == "tmpfs" or "bind" in options else ("loop",)
    _run(["mount", *kind, "-o", ",".join((*loop, *options)), what, str(at)])


def cut_power(at: Path) -> None:
    """From now on nothing reaches the file system's disk: what was not synced is lost. It can only be unmounted."""
    folder = os.open(at, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(folder, _SHUTDOWN, _WITHOUT_FLUSHING)
    except OSError as refused:
        raise NotPermitted(f"the file system cannot be shut down: {refused}") from refused
    finally:
        os.close(folder)


def unshare(flags: int) -> None:
    """Namespaces of this process's own (unshare(2)), time_namespaces(7) of its children. Raises NotPermitted.

    A disk is mounted in one of mounts: else whoever makes a namespace meanwhile keeps it mounted there.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(flags) != 0:
        raise NotPermitted(f"unshare({flags:#x}): {os.strerror(ctypes.get_errno())}")
    if flags & CLONE_NEWNS:
        _run(["mount", "--make-rprivate", "/"])


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, check=False, text=True)
    except OSError as why:
        raise NotPermitted(f"{command[0]}: {why}") from why
    if done.returncode != 0:
        raise NotPermitted(f"{command[0]}: {done.stderr.strip()}")
