"""What one write cannot do without, each alone: its texts by json and zlib, and its system calls without the sync."""

from __future__ import annotations

import fcntl
import json
import os
import statistics
import time
import zlib
from collections.abc import Callable
from pathlib import Path

_ROUNDS = 2000
_PAGE = 1 << 14
_DECODER = json.JSONDecoder()
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


def event_us(line: bytes) -> float:
    """To encode an event, and sum it up: what each one of a batch takes at least."""
    shape = _DECODER.decode(line.decode())
    return _median_us(lambda: zlib.crc32(_ENCODER.encode(shape).encode()))


def texts_us(line: bytes, snapshot: bytes) -> float:
    """To decode the log's last line and the snapshot, and to encode both anew, each with its sum."""

    def both() -> None:
        for text in (line, snapshot):
            zlib.crc32(text)
            zlib.crc32(_ENCODER.encode(_DECODER.decode(text.decode())).encode())

    return _median_us(both)


def calls_us(folder: Path, task_id: str) -> float:
    """To take the lock, read the log's end and the snapshot, append to the log and to the journal of the index before
    and after, write the snapshot over itself, and close it all. The board's log is of no use afterwards.
    """
    log, cached = str(folder / "events" / f"{task_id}.jsonl"), str(folder / "tasks" / f"{task_id}.json")
    lock, journal = str(folder / "locks" / f"events_{task_id}.lock"), str(folder / "index.sqlite-changes")
    snapshot = Path(cached).read_bytes()
    line = Path(log).read_bytes().splitlines(keepends=True)[-1]
    note = f"+{task_id}\n".encode()

    def one() -> None:
        locked = os.open(lock, os.O_RDWR | os.O_CREAT)
        fcntl.flock(locked, fcntl.LOCK_EX)
        appended = os.open(log, os.O_RDWR | os.O_APPEND)
        read = os.open(cached, os.O_RDONLY)
        os.pread(read, _PAGE, 0)
        os.close(read)
        os.pread(appended, len(line), os.fstat(appended).st_size - len(line))
        told = os.open(journal, os.O_WRONLY | os.O_APPEND)
        fcntl.flock(told, fcntl.LOCK_SH)
        os.write(told, note)
        os.write(appended, line)
        renewed = os.open(cached, os.O_WRONLY)
        os.pwrite(renewed, snapshot, 0)
        os.write(told, note)
        for descriptor in (renewed, told, appended, locked):
            os.close(descriptor)

    return _median_us(one)


def _median_us(act: Callable[[], object]) -> float:
    seen = []
    for _ in range(_ROUNDS):
        begun = time.perf_counter_ns()
        act()
        seen.append((time.perf_counter_ns() - begun) / 1000)
    return statistics.median(seen)
