"""Everything that is derived, made again from the logs. The same logs give the same bytes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

from lattice.core.codec import BadLine, decode
from lattice.core.record import Record
from lattice.errors import LatticeError
from lattice.store.files import disk, scan, snapshot
from lattice.store.files.locks import locked
from lattice.store.files.numbers import ShortIds, lock_path, short_ids_of
from lattice.store.files.parallel import in_parts
from lattice.store.files.resources import FileResources
from lattice.store.files.scan import Stream


class Rebuilt(Record):
    """The tasks and resources whose snapshot is right now, and the streams whose log is damaged, with why."""

    tasks: tuple[str, ...]
    damaged: tuple[tuple[str, LatticeError], ...]
    resources: tuple[str, ...] = ()  # by name


def everything(board: Path) -> Rebuilt:
    """Snapshots, those of resources too, `ids.json` and `_lifecycle.jsonl`.

    Raises LockTimeout, StorageError, OSError.
    Damaged logs are passed over; what is known of their short ids is kept.
    """
    done: list[str] = []
    damaged: list[tuple[str, LatticeError]] = []
    lines: dict[str, bytes] = {}
    names: list[tuple[str, str]] = []
    read: set[str] = set()
    with locked(lock_path(board)):  # Nobody begins a task meanwhile.
        numbers = ShortIds(board)
        for part in in_parts(partial(_snapshots, board), scan.places(board)):
            for stream, damage, noted, given in part:
                lines.update(noted)
                if damage is not None:
                    damaged.append((stream, damage))
                elif noted:
                    done.append(stream)
                short_ids = given if damage is None else numbers.of(stream)
                names += [(short_id, stream) for short_id in short_ids]
                if damage is None or short_ids:  # Else it may have one: who looks up a short id reads the log again.
                    read.add(stream)
        put_lifecycle(board, lines)
        numbers.rebuild(names, read)
        numbers.save()
    resources, off = FileResources(board).rebuild()
    return Rebuilt(tuple(done), (*damaged, *off), tuple(resources))


_Put = tuple[str, LatticeError | None, list[tuple[str, bytes]], list[str]]
"""Of a log whose snapshot was put right: its id, damage, lifecycle lines, and short ids."""


def _snapshots(board: Path, places: Iterable[scan.Place]) -> list[_Put]:
    found: list[_Put] = []
    for place in places:
        kept = scan.read_kept(place)
        if kept is not None:
            found.append((place[0], None, kept.lifecycle, kept.short_ids(kept.named()[0])))
            continue
        stream = scan.read(scan.Stream(*place))
        if stream is None:
            continue  # It was archived meanwhile.
        if stream.task is None or stream.log is None:
            found.append((stream.id, stream.damage, [], []))
            continue
        put_snapshot(board, stream)
        found.append((stream.id, None, list(stream.lifecycle()), list(short_ids_of(stream.log.events))))
    return found


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
    fresh = stream.fresh()
    if fresh is None:
        return
    data = snapshot.encode(fresh)
    # Where there is none, nobody's newer one can be lost: no lock is needed.
    if disk.read(stream.snapshot_file) == data or disk.create(stream.snapshot_file, data):
        return
    with locked(os.path.join(board, "locks", f"events_{stream.id}.lock")):
        again = scan.read(stream)  # Who wrote since it was read has written a newer one.
        fresh = again.fresh() if again is not None else None
        if fresh is not None and disk.read(stream.snapshot_file) != snapshot.encode(fresh):
            disk.replace(stream.snapshot_file, snapshot.encode(fresh))
