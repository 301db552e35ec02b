"""Files that git does not carry, copied from the main checkout into a run's worktree: `"copy": [".env"]`.

No link is followed on either side, nothing outside the two checkouts is read or written, and what the
commit has itself is left as it has it. A file that git would not ignore is refused: a commit or a salvage
would carry it, a secret perhaps, into the repository.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from lattice.core.record import Record
from lattice.errors import GitError, RunSetupError
from lattice.workers.worktrees.git import git

COPY_BYTES_MAX = 256 << 20
COPY_FILES_MAX = 10_000
NEVER = (".git", ".lattice")
"""Names that no pattern reaches, at any depth: the repository itself and the board."""

_CHUNK = 1 << 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Item(Record):
    """A file, or a link with its target; `path` is relative to the checkout."""

    path: str
    size: int
    link: str | None = None


def copy(top: Path, tree: Path, patterns: Sequence[str]) -> list[str]:
    """Copy what the patterns match in `top` to the same places in `tree`, modes kept; the paths copied.

    What `tree` has already is left alone. Raises RunSetupError, before anything is copied, for a link
    that leads out, a special file, more than the limits, or a file that git does not ignore there.
    """
    items = [item for item in matching(top, patterns) if not os.path.lexists(tree / item.path)]
    _check_size(items)
    _check_ignored(tree, [item.path for item in items])
    source, target = os.open(top, _FOLDER), os.open(tree, _FOLDER)
    try:
        for item in items:
            _copy_one(source, target, item)
    except OSError as why:
        raise RunSetupError(f"copy: {item.path!r} could not be copied: {why.strerror}.") from why
    finally:
        os.close(source)
        os.close(target)
    return [item.path for item in items]


def matching(top: Path, patterns: Sequence[str]) -> list[Item]:
    """The files and links below `top` that a pattern names, itself or by a folder above them, sorted.

    `*`, `?` and `[…]` match within one name, `**` any folders; a leading dot has to be written. Raises RunSetupError.
    """
    found: dict[str, Item] = {}
    for pattern in patterns:
        for path in _named(top, "", PurePosixPath(pattern).parts):
            for item in _below(top, path):
                found[item.path] = item
                if len(found) > COPY_FILES_MAX:
                    raise RunSetupError(f"copy: more than {COPY_FILES_MAX} files match.", hint="Narrow the patterns.")
    return [found[path] for path in sorted(found)]


def _named(top: Path, folder: str, parts: Sequence[str]) -> Iterator[str]:
    """The paths that match a pattern's parts, from `folder` on."""
    head, rest = parts[0], parts[1:]
    if head == "**":
        yield from _named(top, folder, rest or ("*",))
        for name in _names(top / folder):
            if not name.startswith(".") and _is_folder(top / folder / name):
                yield from _named(top, f"{folder}{name}/", parts)
        return
    for name in _names(top / folder):
        if not fnmatchcase(name, head) or (name.startswith(".") and not head.startswith(".")):
            continue
        if not rest:
            yield f"{folder}{name}"
        elif _is_folder(top / folder / name):
            yield from _named(top, f"{folder}{name}/", rest)


def _names(folder: Path) -> list[str]:
    try:
        return sorted(name for name in os.listdir(folder) if name not in NEVER)
    except FileNotFoundError:
        return []
    except OSError as why:
        raise RunSetupError(f"copy: {folder} cannot be read: {why.strerror}.") from why


def _is_folder(path: Path) -> bool:
    return stat.S_ISDIR(path.lstat().st_mode)


def _below(top: Path, path: str) -> Iterator[Item]:
    """The file or link at `path`; of a folder, all that is in it."""
    facts = (top / path).lstat()
    if stat.S_ISDIR(facts.st_mode):
        for name in _names(top / path):
            yield from _below(top, f"{path}/{name}")
    elif stat.S_ISLNK(facts.st_mode):
        link = os.readlink(top / path)
        leads_to = os.path.normpath(os.path.join(os.path.dirname(path), link))
        if os.path.isabs(link) or leads_to.split("/")[0] == "..":
            raise RunSetupError(
                f"copy: {path!r} is a symbolic link that leads out of the checkout, to {link!r}.",
                hint="Put the file itself there, or take it out of the patterns.",
            )
        yield Item(path, 0, link)
    elif stat.S_ISREG(facts.st_mode):
        yield Item(path, facts.st_size)
    else:
        raise RunSetupError(f"copy: {path!r} is neither a file, nor a folder, nor a link.")


def _check_size(items: Sequence[Item]) -> None:
    size = sum(item.size for item in items)
    if size > COPY_BYTES_MAX:
        raise RunSetupError(
            f"copy: {size} bytes match; the limit is {COPY_BYTES_MAX}.",
            hint="Copy less; what a command can make again belongs to setup, with a cache.",
        )


def _check_ignored(tree: Path, paths: Sequence[str]) -> None:
    if not paths:
        return
    try:
        said = git(["check-ignore", "-z", "--stdin"], cwd=tree, input_text="".join(f"{path}\0" for path in paths))
    except GitError as error:
        if error.details.get("status") != 1:
            raise
        said = ""  # 1: none of them is ignored
    ignored = set(said.split("\0"))
    for path in paths:
        if path not in ignored:
            raise RunSetupError(
                f"copy: git does not ignore {path!r} in this commit: a commit in the worktree would take it along.",
                hint="Name it in .gitignore, or in .git/info/exclude where only this clone has it.",
            )


def _copy_one(source: int, target: int, item: Item) -> None:
    *folders, name = item.path.split("/")
    here = _descend(source, folders, make=False)
    try:
        there = _descend(target, folders, make=True)
        try:
            if item.link is not None:
                os.symlink(item.link, name, dir_fd=there)
            else:
                _copy_bytes(here, there, name, item)
        finally:
            os.close(there)
    finally:
        os.close(here)


def _copy_bytes(here: int, there: int, name: str, item: Item) -> None:
    read_fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=here)
    try:
        facts = os.fstat(read_fd)
        if not stat.S_ISREG(facts.st_mode):
            raise RunSetupError(f"copy: {item.path!r} became something else while it was copied.")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        write_fd = os.open(name, flags, 0o600, dir_fd=there)
        with open(write_fd, "wb") as copied:
            left = item.size  # What a file grows by meanwhile is not copied: the limit was checked before.
            while left > 0 and (chunk := os.read(read_fd, min(left, _CHUNK))):
                copied.write(chunk)
                left -= len(chunk)
            os.fchmod(write_fd, stat.S_IMODE(facts.st_mode) & 0o777)
    finally:
        os.close(read_fd)


def _descend(folder: int, names: Sequence[str], *, make: bool) -> int:
    """A descriptor of the folder below, reached through no link; made where it is missing, if `make`."""
    current = os.dup(folder)
    for name in names:
        try:
            if make:
                _make(name, current)
            inner = os.open(name, _FOLDER, dir_fd=current)
        finally:
            os.close(current)
        current = inner
    return current


def _make(name: str, folder: int) -> None:
    try:
        os.mkdir(name, 0o755, dir_fd=folder)
    except FileExistsError:
        return  # If it is a link, the open that follows refuses it.
