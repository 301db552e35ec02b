"""A folder as it was at one moment, in memory: to be laid out again, and to be compared with another."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from lattice.core.record import Record


class Image(Record):
    """Laying it out again takes a fraction of what copying the folder does."""

    folders: tuple[tuple[str, int], ...]  # each behind the one that it is in
    files: tuple[tuple[str, bytes, int, int], ...]

    @classmethod
    def of(cls, folder: Path) -> Image:
        entries = sorted(_below(str(folder), ""))
        return cls(
            tuple((name, stat.st_mtime_ns) for name, data, stat in entries if data is None),
            tuple((name, data, stat.st_mode, stat.st_mtime_ns) for name, data, stat in entries if data is not None),
        )

    def lay(self, folder: Path) -> None:
        folder.mkdir()
        at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name, _ in self.folders:
                os.mkdir(name, dir_fd=at)
            for name, data, mode, mtime_ns in self.files:
                descriptor = os.open(name, os.O_WRONLY | os.O_CREAT, mode & 0o777, dir_fd=at)
                os.write(descriptor, data)
                os.utime(descriptor, ns=(mtime_ns, mtime_ns))
                os.close(descriptor)
            for name, mtime_ns in self.folders:  # The marks of what is derived say it.
                os.utime(name, ns=(mtime_ns, mtime_ns), dir_fd=at)
        finally:
            os.close(at)

    def like(self, is_known: Callable[[int], bool]) -> Image:
        """The same, but of its times only those that are known: any other is the moment of some write."""
        return Image(
            tuple((name, at if is_known(at) else 0) for name, at in self.folders),
            tuple((name, data, mode, at if is_known(at) else 0) for name, data, mode, at in self.files),
        )


def _below(folder: str, prefix: str) -> Iterator[tuple[str, bytes | None, os.stat_result]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            if entry.is_dir(follow_symlinks=False):
                yield name, None, entry.stat()
                yield from _below(entry.path, f"{name}/")
            elif entry.is_file():
                with open(entry.path, "rb", buffering=0) as file:
                    yield name, file.read(), entry.stat()
