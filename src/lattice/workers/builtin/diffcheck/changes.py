"""What a diff changed: one `Change` a file, with the lines it added and the content it left behind.

Names come from `git diff --raw -z`, so any byte but NUL is a valid part of one; contents come from
the object store; added lines from a patch without context, whose hunks are read by their counts so
that no line of content can pass for a header.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from lattice.core.record import Record
from lattice.errors import GitError
from lattice.workers.builtin.diffcheck.git import Git

BLOB_BYTES_MAX = 16 << 20
TOTAL_BYTES_MAX = 256 << 20
LINE_CHARS_MAX = 4_000  # Rules see this much of a line: patterns over a 10 MB line take minutes.
_ARGV_BYTES_MAX = 64 << 10
_BINARY_PROBE_BYTES = 8_000  # git's own measure: a NUL this near the start is a binary file.
_DIFF = ("diff", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color", "--submodule=short")
_HUNK = re.compile(rb"@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_QUOTED = re.compile(rb'\\([0-7]{3}|[abfnrtv"\\])')
_ESCAPES = {b"a": 7, b"b": 8, b"t": 9, b"n": 10, b"v": 11, b"f": 12, b"r": 13, b'"': 34, b"\\": 92}


class AddedLine(NamedTuple):
    """A line the diff added: its number in the new file and its text, cut at LINE_CHARS_MAX."""

    number: int
    text: str


class Change(Record):
    """One file of the diff. `content` is None for links, submodules, deleted and oversized files."""

    path: str
    status: str
    mode: str
    oid: str
    old_oid: str
    size: int = 0
    content: bytes | None = None
    added: tuple[AddedLine, ...] = ()
    deleted_count: int = 0

    @property
    def is_regular(self) -> bool:
        """A plain file that exists after the diff."""
        return self.status != "D" and self.mode.startswith("100")

    @property
    def is_text(self) -> bool:
        return self.content is not None and b"\0" not in self.content[:_BINARY_PROBE_BYTES]

    @property
    def line_count(self) -> int:
        if not self.content:
            return 0
        return self.content.count(b"\n") + (not self.content.endswith(b"\n"))

    @property
    def first_added(self) -> int | None:
        return self.added[0].number if self.added else None


class Hunks(NamedTuple):
    """What a patch says about one file."""

    added: tuple[AddedLine, ...]
    deleted_count: int


def read_changes(git: Git, base: str, commit: str) -> list[Change]:
    """All files that differ between two trees, in git's order. Raises GitError."""
    changes = parse_raw(git.output(*_DIFF, "--raw", "-z", "--no-abbrev", base, commit, "--"))
    sizes = git.sizes(change.oid for change in changes if change.is_regular)
    contents = git.blobs(_within_limits(changes, sizes))
    changes = [
        change.replace(size=sizes.get(change.oid, 0), content=contents.get(change.oid)) if change.is_regular else change
        for change in changes
    ]
    hunks: dict[str, Hunks] = {}
    for names in _argv_portions(change.path for change in changes if change.is_text):
        # --text: a repository must not hide its lines by calling a source file binary in .gitattributes.
        patch = git.output(
            *_DIFF, "--patch", "--text", "--unified=0", "--src-prefix=a/", "--dst-prefix=b/", base, commit, "--", *names
        )
        hunks.update(parse_patch(patch))
    empty = Hunks((), 0)
    return [
        change.replace(added=found.added, deleted_count=found.deleted_count)
        for change in changes
        for found in [hunks.get(change.path, empty)]
    ]


def _within_limits(changes: list[Change], sizes: dict[str, int]) -> list[str]:
    chosen: list[str] = []
    total = 0
    for change in changes:
        size = sizes.get(change.oid, BLOB_BYTES_MAX + 1)
        if change.is_regular and size <= BLOB_BYTES_MAX and total + size <= TOTAL_BYTES_MAX:
            chosen.append(change.oid)
            total += size
    return chosen


def _argv_portions(names: Iterable[str]) -> Iterator[list[str]]:
    portion: list[str] = []
    length = 0
    for name in names:
        if portion and length + len(name) > _ARGV_BYTES_MAX:
            yield portion
            portion, length = [], 0
        portion.append(name)
        length += len(os.fsencode(name)) + 1
    if portion:
        yield portion


def parse_raw(raw: bytes) -> list[Change]:
    """`git diff --raw -z`: a header `:oldmode newmode oldoid newoid status`, NUL, a name, NUL."""
    fields = raw.split(b"\0")
    if fields.pop() != b"" or len(fields) % 2:
        raise GitError("git diff --raw ended in the middle of an entry")
    changes = []
    for header, name in zip(fields[::2], fields[1::2], strict=True):
        words = header.decode("ascii", "replace").removeprefix(":").split(" ")
        if len(words) != 5:
            raise GitError(f"git diff --raw gave an unknown entry: {header[:80]!r}")
        _, mode, old_oid, oid, status = words
        changes.append(Change(path=os.fsdecode(name), status=status[:1], mode=mode, oid=oid, old_oid=old_oid))
    return changes


def parse_patch(patch: bytes) -> dict[str, Hunks]:
    """Added lines by file name, from a patch without context."""
    found: dict[str, Hunks] = {}
    lines = iter(patch.split(b"\n"))
    path: str | None = None
    for line in lines:
        if line.startswith(b"diff --git "):
            path = None
        elif line.startswith(b"+++ "):
            path = _name_after(line[4:])
        elif path is not None and (hunk := _HUNK.match(line)):
            removed = int(hunk[1] or 1)
            start, count = int(hunk[2]), int(hunk[3] or 1)
            for _ in range(removed):
                next(lines, b"")
            added = tuple(_added_lines(lines, start, count))
            before = found.get(path, Hunks((), 0))
            found[path] = Hunks(before.added + added, before.deleted_count + removed)
    return found


def _added_lines(lines: Iterator[bytes], start: int, count: int) -> Iterator[AddedLine]:
    number = start
    while number < start + count:
        line = next(lines, None)
        if line is None:
            raise GitError("git diff --patch ended in the middle of a hunk")
        if line.startswith(b"+"):
            yield AddedLine(number, line[1 : 4 * LINE_CHARS_MAX].decode("utf-8", "replace")[:LINE_CHARS_MAX])
            number += 1
        elif not line.startswith(b"\\"):  # "\ No newline at end of file" belongs to the line before it.
            raise GitError(f"git diff --patch has an unknown line: {line[:80]!r}")


def _name_after(field: bytes) -> str | None:
    """The file name of a `+++` line: None for /dev/null, C-quoted where it has control characters."""
    field = field.removesuffix(b"\t")  # git ends a name that has spaces with a tab, for patch(1).
    if field.startswith(b'"') and field.endswith(b'"'):
        field = _QUOTED.sub(_unquote, field[1:-1])
    return os.fsdecode(field[2:]) if field.startswith(b"b/") else None


def _unquote(match: re.Match[bytes]) -> bytes:
    code = match[1]
    return bytes([_ESCAPES[code] if code in _ESCAPES else int(code, 8) & 0xFF])
