"""Everything that is derived, made again from the logs. The same logs give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lattice.core.codec import BadLine, decode
from lattice.core.record import Record
from lattice.errors import LatticeError
from lattice.store.files import disk, scan, snapshot
from lattice.store.files.locks import locked
from lattice.store.files.numbers import ShortIds, short_ids_of
from lattice.store.files.scan import Stream


class Rebuilt(Record):
    """The tasks whose snapshot is right now, and those whose log is damaged, with why."""

    tasks: tuple[str, ...]
    damaged: tuple[tuple[str, LatticeError], ...]


def everything(board: Path) -> Rebuilt:
    """Snapshots, `ids.json` and `_lifecycle.jsonl`, in one pass. Raises LockTimeout, StorageError, OSError.

    Damaged logs are passed over; what is known of their short ids is kept.
    """
    done: list[str] = []
    damaged: list[tuple[str, LatticeError]] = []
    lines: dict[str, bytes] = {}
    names: list[tuple[str, str]] = []
    read: set[str] = set()
    with locked(board / "locks" / "ids_json.lock"):  # Nobody begins a task meanwhile.
        numbers = ShortIds(board)
        for stream in scan.streams(board):
            read.add(stream.id)
            if stream.damage is not None:
                damaged.append((stream.id, stream.damage))
                names += [(short_id, stream.id) for short_id in numbers.of(stream.id)]
            if stream.log is None or stream.task is None:
                continue
            put_snapshot(board, stream)
            done.append(stream.id)
            lines.update(stream.lifecycle())
            names += [(short_id, stream.id) for short_id in short_ids_of(stream.log.events)]
        put_lifecycle(board, lines)
        numbers.rebuild(names, read)
        numbers.save()
    return Rebuilt(tuple(done), tuple(damaged))


def put_lifecycle(board: Path, lines: dict[str, bytes]) -> None:
    """Write `_lifecycle.jsonl`: lines by event id, and those that were noted since the logs were read."""
    path = board / "events" / "_lifecycle.jsonl"
    # Alone, after every log was read: a writer waits for this lock while it holds that of its log.
    with locked(board / "locks" / "events__lifecycle.lock"):
        stored = disk.read(path)
        for line in (stored or b"").splitlines(keepends=True):
            lines.update(_noted_since(board, line, lines))
        data = b"".join(line for _, line in sorted(lines.items()))
        if stored != data:  # A file that is the same keeps its folder's time, and with it the mark of ids.json.
            disk.replace(path, data)


def _noted_since(board: Path, line: bytes, known: Mapping[str, bytes]) -> dict[str, bytes]:
    """The line of the list, as its log has it now, where it is not known yet."""
    try:
        event = decode(line.rstrip(b"\n"))
    except BadLine:
        return {}
    stream = scan.find(board, event.task_id) if event.id not in known else None
    return {event_id: text for event_id, text in stream.lifecycle() if event_id == event.id} if stream else {}


def put_snapshot(board: Path, stream: Stream) -> None:
    """Write the snapshot that the log gives, where another or none is there."""
    if _is_right(stream):
        return
    with locked(board / "locks" / f"events_{stream.id}.lock"):
        again = scan.read(stream)  # Who wrote since it was read has written a newer one.
        if again is not None and not _is_right(again):
            fresh = again.fresh()
            if fresh is not None:
                disk.replace(again.snapshot_path, snapshot.encode(fresh))


def _is_right(stream: Stream) -> bool:
    fresh = stream.fresh()
    return fresh is not None and disk.read(stream.snapshot_path) == snapshot.encode(fresh)
