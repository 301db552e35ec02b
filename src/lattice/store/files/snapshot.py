"""A task's snapshot file: a cache beside its log, believed only if its mark fits.

The mark, `log_mark`, is `SIZE:LINE:LOG:CRC`: the length of the log that it was made from, where the last
line of that began, the CRC-32 of that log, and the CRC-32 of the snapshot itself without the mark. Its text
is a function of the log alone, so that a rebuild gives the same bytes. A writer continues the sum of the
log from the mark before: the sum is that of the bytes as they were written, whatever became of them since.
"""

from __future__ import annotations

import re
import zlib

from lattice.core.codec import loads
from lattice.core.pretty import document
from lattice.core.record import Record
from lattice.core.task import Task, from_snapshot, to_snapshot
from lattice.store.files import disk
from lattice.store.files.disk import StrPath

_MEMBER = b'\n  "log_mark": "'
# Of the members that every snapshot has, the one that the mark's line stands before.
_NEXT_MEMBER = b'\n  "%b": ' % min(name for name in Task._fields if name > "log_mark").encode()
_MARK = re.compile(rb'\n  "log_mark": "([0-9]{1,15}):([0-9]{1,15}):([0-9a-f]{8}):([0-9a-f]{8})",')


class Snapshot(Record):
    """A state, and the log that it stands for."""

    task: Task
    log_size: int
    last_line: int
    log_crc: int


class Text(Record):
    """A snapshot as it stands in its file, the mark taken out of it."""

    data: bytes
    log_size: int
    last_line: int
    log_crc: int

    def is_of(self, log: bytes) -> bool:
        """Whether it is what this log, whole, says."""
        return len(log) == self.log_size and zlib.crc32(log) == self.log_crc


def read_text(path: StrPath) -> Text | None:
    """The snapshot's text, or None where there is none that can be believed."""
    try:
        data = disk.read(path)
    except OSError:
        return None  # unreadable: its log says the same
    if not data:
        return None
    start = data.find(_MEMBER)
    found = _MARK.match(data, start) if start >= 0 else None
    if found is None:
        return None  # made by an earlier tool
    bare = data[:start] + data[found.end() :]
    if zlib.crc32(bare) != int(found[4], 16):
        return None  # damaged, or empty after a power cut
    size, last_line, log_crc = int(found[1]), int(found[2]), int(found[3], 16)
    return Text.made_of({"data": bare, "log_size": size, "last_line": last_line, "log_crc": log_crc})


def read(path: StrPath) -> Snapshot | None:
    """The snapshot, or None where there is none that can be believed."""
    text = read_text(path)
    if text is None:
        return None
    try:
        task = from_snapshot(loads(text.data))
    except (ValueError, KeyError, TypeError):
        return None  # of another version: its log says the same
    return Snapshot(task, text.log_size, text.last_line, text.log_crc)


def encode(snapshot: Snapshot) -> bytes:
    """The file's bytes: sorted keys, two spaces, a newline at the end."""
    bare = document(to_snapshot(snapshot.task))
    at = bare.index(_NEXT_MEMBER)  # It begins a line, and in a text JSON has no newline.
    mark = b"%d:%d:%08x:%08x" % (snapshot.log_size, snapshot.last_line, snapshot.log_crc, zlib.crc32(bare))
    return b'%b%b%b",%b' % (bare[:at], _MEMBER, mark, bare[at:])


def write(path: StrPath, snapshot: Snapshot) -> None:
    """Put the snapshot in place, unsynced. A disk that refuses leaves the old one, which is then stale."""
    try:
        disk.renew(path, encode(snapshot))
    except OSError:
        return  # The event is durable and the snapshot a cache: the next reader replays the tail.
