"""The form of `ids.json`: one JSON document that grows at its end, so that a new short id costs the same on any board.

    {
      "map": {
        "LAT-1": "task_…",                          the body: one entry a line
        "LAT-2": "task_…"
      },
      "mark": "TIMES:SIZE:SUMS:CRC",                the tail, from the line that closes the map
      "next_seqs": {"LAT": 3},
      "schema_version": 2
    }

TIMES are the change times and sizes of the two folders of logs, SIZE is the length of the body, SUMS is a CRC-32
of each BLOCK bytes of the body, and CRC is that of the tail without it. A new entry takes the tail's
place and a new tail follows, in one write; the running sum of the last block is carried on from the
tail before, so that nobody reads the body to add to it.

What holds, whoever dies, and whatever the disk keeps of the write:

- The body before SIZE is never written again in place. A reader without a lock who got one whole tail
  therefore reads the body which that tail speaks of, however many entries follow meanwhile.
- A tail that is torn, mixed from two, at another place than its SIZE says, or changed by anybody who
  does not make the sums, fails its CRC: the file then has no ending, and nothing in it is believed.
- An entry is told only from blocks whose sums fit, and that there is none only when all do. So a page of
  the body that was lost with the power, or changed by hand, is found by whoever looks into it. Who adds an
  entry takes from the tail alone: the next number, which is therefore right even then.
- Another tool that writes the document again changes the order of the entries, the tail or both.
- A write that the disk refused is taken back: the old tail is put over its beginning, and the rest cut off.

`whole` writes the entries by prefix and number, as they are given out: on a board of one prefix the file
that grew is, byte for byte, the one that is made again from the logs. Only where the prefix changed may
they stand otherwise; then a lookup that misses by bisection searches the whole text.
"""

from __future__ import annotations

import contextlib
import json
import os
import zlib
from collections.abc import Iterable, Mapping

from lattice.core.record import Record
from lattice.store.files import disk
from lattice.store.files.disk import StrPath

BLOCK = 1 << 14
"""Bytes of the body to one sum: what a lookup reads twice of, and 1,000 tasks add 26 bytes to the tail."""

_HEAD = b'{\n  "map": {'
_TAIL = b'\n  },\n  "mark": "'
_TAIL_READ = 4096  # holds the tail of a board of 150,000 tasks
_LINE_BYTES_MAX = 64
_UNKNOWN = "-"  # for times at which nothing is known to have been right


class Off(Exception):
    """The file's sums do not fit what it says."""


class Ending(Record):
    """What a whole tail says, and of which file."""

    times: str | None
    next_seqs: dict[str, int]
    size: int  # of the body
    sums: tuple[int, ...]  # the last one of a block that may still grow
    tail: bytes
    inode: tuple[int, int]


def opened(path: StrPath) -> int | None:
    """A descriptor to read the file with; None where there is none, or it cannot be read."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None


def ending(descriptor: int) -> Ending | None:
    """The file's tail, if there is one and it is whole. Reads no more than the tail."""
    try:
        stat = os.fstat(descriptor)
        length = _TAIL_READ
        while True:
            start = max(0, stat.st_size - length)
            data = disk.read_from(descriptor, start, stat.st_size)
            place = data.rfind(_TAIL)
            if place >= 0 or start == 0:
                break
            length *= 16
    except OSError:  # a folder, or a disk that fails
        return None
    if place < 0:
        return None
    return _parsed(data[place:], start + place, (stat.st_dev, stat.st_ino))


def _parsed(tail: bytes, size: int, inode: tuple[int, int]) -> Ending | None:
    mark, _, rest = tail[len(_TAIL) :].partition(b'",')
    said, _, crc = mark.rpartition(b":")
    if f"{_crc(said, rest):08x}".encode() != crc:
        return None
    times, stated, sums = said.decode().rsplit(":", 2)
    if int(stated) != size:
        return None
    return Ending(
        times=times if times != _UNKNOWN else None,
        next_seqs=json.loads(b"{" + rest)["next_seqs"],
        size=size,
        sums=tuple(int(sums[at : at + 8], 16) for at in range(0, len(sums), 8)),
        tail=tail,
        inode=inode,
    )


def find(descriptor: int, known: Ending, short_id: str) -> str | None:
    """The task of a short id, or None. Raises Off where what had to be read is damaged, OSError."""
    block = _block_of(descriptor, known, _rank(short_id))
    near = b"".join(_checked(descriptor, known, at) for at in range(block, min(block + 2, len(known.sums))))
    return _value(near, short_id) or _value(body(descriptor, known), short_id)


def _block_of(descriptor: int, known: Ending, rank: tuple[str, int]) -> int:
    """The last block whose first whole line is not after `rank`, as long as the lines are in order."""
    low, high = 0, len(known.sums) - 1
    while low < high:
        middle = (low + high + 1) // 2
        start = middle * BLOCK
        data = disk.read_from(descriptor, start, min(start + 2 * _LINE_BYTES_MAX, known.size))
        key = data.partition(b'\n    "')[2].partition(b'"')[0]
        if key and _rank(key.decode("ascii", "replace")) <= rank:
            low = middle
        else:
            high = middle - 1
    return low


def _rank(short_id: str) -> tuple[str, int]:
    prefix, _, number = short_id.rpartition("-")
    return prefix, int(number) if number.isdecimal() else 0


def _value(text: bytes, short_id: str) -> str | None:
    before = f'\n    "{short_id}": "'.encode()
    place = text.find(before)
    value, quote, _ = text[place + len(before) : place + len(before) + _LINE_BYTES_MAX].partition(b'"')
    return value.decode() if place >= 0 and quote else None


def body(descriptor: int, known: Ending) -> bytes:
    """All of the body, checked. Raises Off, OSError."""
    return b"".join(_checked(descriptor, known, at) for at in range(len(known.sums)))


def entries(descriptor: int, known: Ending) -> dict[str, str]:
    """The whole map. Raises Off, OSError."""
    shape: dict[str, dict[str, str]] = json.loads(body(descriptor, known) + b"}}")
    return shape["map"]


def _checked(descriptor: int, known: Ending, at: int) -> bytes:
    data = disk.read_from(descriptor, at * BLOCK, min((at + 1) * BLOCK, known.size))
    if zlib.crc32(data) != known.sums[at]:
        raise Off
    return data


def whole(tasks: Mapping[str, str], next_seqs: Mapping[str, int], times: str | None) -> bytes:
    """The document in its canonical form: a function of what it says."""
    lines = _lines((short_id, tasks[short_id]) for short_id in sorted(tasks, key=_rank))
    data = _HEAD + lines[1:]
    return data + _tail(len(data), _sums((), 0, data), next_seqs, times)


def extend(
    path: StrPath, known: Ending, new: Mapping[str, str], next_seqs: Mapping[str, int], times: str | None
) -> bool:
    """Add entries in place, unsynced; called under the lock. False, and nothing was changed, where that cannot be."""
    lines = _lines(new.items())[known.size == len(_HEAD) :]
    size = known.size + len(lines)
    data = lines + _tail(size, _sums(known.sums, known.size, lines), next_seqs, times)
    if len(data) < len(known.tail):
        return False
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        stat = os.fstat(descriptor)
        if (stat.st_dev, stat.st_ino) != known.inode or stat.st_size != known.size + len(known.tail):
            return False
        try:
            disk.overwrite(descriptor, data, known.size)
        except OSError:
            with contextlib.suppress(OSError):  # What is left in its place fails its sums.
                disk.overwrite(descriptor, known.tail, known.size)
                os.ftruncate(descriptor, stat.st_size)
            return False
    finally:
        os.close(descriptor)
    return True


def _lines(items: Iterable[tuple[str, str]]) -> bytes:
    return "".join([f',\n    "{short_id}": "{task_id}"' for short_id, task_id in items]).encode("ascii")


def _sums(before: tuple[int, ...], size: int, data: bytes) -> tuple[int, ...]:
    """The sums of a body of `size` bytes, `before`, after `data` was added to it."""
    sums, place = list(before), 0
    while place < len(data):
        room = BLOCK - (size + place) % BLOCK
        if room == BLOCK:
            sums.append(0)
        sums[-1] = zlib.crc32(data[place : place + room], sums[-1])
        place += room
    return tuple(sums)


def _tail(size: int, sums: tuple[int, ...], next_seqs: Mapping[str, int], times: str | None) -> bytes:
    said = f"{times or _UNKNOWN}:{size}:{''.join([f'{one:08x}' for one in sums])}".encode()
    rest = json.dumps({"next_seqs": next_seqs, "schema_version": 2}, sort_keys=True, indent=2).encode()[1:] + b"\n"
    return _TAIL + said + f":{_crc(said, rest):08x}".encode() + b'",' + rest


def _crc(said: bytes, rest: bytes) -> int:
    return zlib.crc32(rest, zlib.crc32(said, zlib.crc32(_TAIL)))
