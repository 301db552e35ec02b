"""What changed since the index was made: a journal that writers keep for it, so that nobody has to look at every log.

A writer notes `+TASK` before it appends and `-TASK` after its snapshot is in place; who creates a task notes
`=BEFORE:AFTER`, the times of the folder of logs. The index reads on from where it stopped, and looks at those
logs alone. What the journal does not know of shows in a folder's time: git and earlier tools change one, while
a writer that is in the journal gives `tasks/` the time back that it had. An intent without its end was
left by a writer that died, or is at work: its log is looked at again until the writer's lock is free.

Derived and unsynced: it is believed within one boot alone, as the index is. It begins with a line that names
its generation, by which a reader knows a journal that was begun anew. Every writer holds it shared; who holds
it alone may begin it anew. Whoever cannot write to it changes the time of `tasks/`, and the next reader looks
at everything.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from lattice.core.ids import is_id
from lattice.core.record import Record

FILE = "index.sqlite-changes"  # the boards there are keep `index.sqlite*` out of git
BYTES_MAX = 1 << 20
_PRIVATE = 0o600
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


@contextmanager
def announced(board: str, stream: str) -> Iterator[None]:
    """Tell the index of a change of this task's log, which is made inside."""
    folder = f"{board}/tasks"
    before_ns = _time(folder)
    descriptor = _opened(board)
    try:
        told = descriptor is not None and _note(descriptor, f"+{stream}\n")
        yield
        told = told and descriptor is not None and _note(descriptor, f"-{stream}\n")
    finally:
        if descriptor is not None:
            os.close(descriptor)
    with suppress(OSError):  # Somebody else's folder: its time stays changed, and every log is looked at.
        if not told:
            os.utime(folder)
        elif before_ns and _time(folder) != before_ns:
            os.utime(folder, ns=(before_ns, before_ns))


def announce_folder(board: str, before_ns: int) -> None:
    """Tell the index that the folder of logs, whose time was `before_ns`, changed by what the journal knows alone."""
    after_ns = folder_time(board)
    if after_ns == before_ns:
        return
    descriptor = _opened(board)
    if descriptor is not None:
        try:
            _note(descriptor, f"={before_ns}:{after_ns}\n")
        finally:
            os.close(descriptor)


class News(Record):
    """What the journal says from one place on."""

    generation: str
    end: int  # where to read on
    tasks: frozenset[str]  # whose logs changed
    unfinished: frozenset[str]  # of these, those whose writer has not come to its end
    moves: tuple[tuple[int, int], ...]  # the times of the folder of logs, before and after, in order
    gap: bool  # whether anything may be missing before what was read


def read(board: str, generation: str, start: int) -> News:
    """The journal from `start`, where the caller knows it up to there; else from its beginning, with a gap."""
    try:
        descriptor = os.open(f"{board}/{FILE}", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return News("", 0, frozenset(), frozenset(), (), gap=generation != "" or start != 0)
    try:
        size = os.fstat(descriptor).st_size
        head = os.pread(descriptor, 40, 0).partition(b"\n")[0].decode("ascii", "replace")
        gap = head != generation or start > size
        data = os.pread(descriptor, size, 0 if gap else start)
    finally:
        os.close(descriptor)
    whole = data.rfind(b"\n") + 1
    seen: set[str] = set()
    open_: set[str] = set()
    moves: list[tuple[int, int]] = []
    for line in data[:whole].decode("ascii", "replace").split("\n"):
        kind, rest = line[:1], line[1:]
        if kind in ("+", "-") and is_id("task", rest):
            seen.add(rest)
            (open_.add if kind == "+" else open_.discard)(rest)
        elif kind == "=":
            before, _, after = rest.partition(":")
            if before.isdecimal() and after.isdecimal():
                moves.append((int(before), int(after)))
    return News(head, whole if gap else start + whole, frozenset(seen), frozenset(open_), tuple(moves), gap)


def _opened(board: str) -> int | None:
    """The journal, held shared; None where it cannot be had at once."""
    try:
        descriptor = os.open(f"{board}/{FILE}", _FLAGS, _PRIVATE)
    except OSError:
        return None
    try:
        size = os.fstat(descriptor).st_size
        if (size == 0 or size > BYTES_MAX) and not _begun_anew(descriptor) and size == 0:
            raise BlockingIOError
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _begun_anew(descriptor: int) -> bool:
    """Whether the journal could be held alone, and holds its first line and no more."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    if not 0 < os.fstat(descriptor).st_size <= BYTES_MAX:  # Somebody else may have been first.
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{time.time_ns():x}.{os.getpid():x}\n".encode())
    return True


def _note(descriptor: int, line: str) -> bool:
    try:
        return os.write(descriptor, line.encode()) == len(line)
    except OSError:
        return False


def folder_time(board: str) -> int:
    """When the folder of logs changed, in nanoseconds since 1970; 0 where there is none."""
    return _time(f"{board}/events")


def _time(folder: str) -> int:
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return 0
