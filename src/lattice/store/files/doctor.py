"""The doctor's look at the logs of a board and at what is derived from them.

It changes nothing; what may be mended is named with its action.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import closing, suppress
from functools import partial
from itertools import chain, pairwise
from pathlib import Path

from lattice.core.codec import BadLine, dump, loads, parse
from lattice.core.events import ArtifactAttached, CommentAdded, CommentDeleted, CommentEdited, Event
from lattice.core.integrity import Card, Finding, card
from lattice.core.record import Record
from lattice.core.task import Task, to_snapshot
from lattice.core.text import how_many
from lattice.errors import LockTimeout, LogDamaged, StorageError
from lattice.store.files import disk, scan, snapshot, twice
from lattice.store.files.locks import locked
from lattice.store.files.numbers import short_ids_of
from lattice.store.files.parallel import each_part
from lattice.store.files.scan import Place, Stream

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DRAFT = re.compile(r"\..*\.[0-9]+\.tmp\Z")
"""What `disk.replace` calls its drafts."""

WRITER_WAIT_S = 1.0
"""A writer is between its event and its snapshot for some tenths of a millisecond."""


class Seen(Record):
    """What one pass over all logs found, beside what is wrong with them."""

    began_ns: int  # since 1970: nothing of the board was read before
    tasks: dict[str, Card]  # archived ones too
    archived: frozenset[str]
    damaged: frozenset[str]
    lifecycle: dict[str, tuple[str, int]]  # of what _lifecycle.jsonl has to say: each event's task, and its line's sum
    short_ids: tuple[tuple[str, str], ...]  # each with its task, in the order they were given out
    artifacts: dict[str, str]  # artifact id to the task that it is attached to
    events: int
    findings: tuple[Finding, ...]


LogsByFolder = Mapping[str, Set[str]]
"""By folder: the tasks whose logs are there."""


def look(board: Path, began_ns: int, meanwhile: Callable[[LogsByFolder], None]) -> Seen:
    """Read every log once. Nothing that is compared with them was read before `began_ns`.

    `meanwhile` is called, with the logs that there are, while other processes are still at it.
    """
    places = scan.places(board)
    archived = frozenset([place[0] for place in places if place[3]])
    with closing(each_part(partial(_look, board), places)) as answers:
        first = next(answers)
        active = frozenset([place[0] for place in places if not place[3]])
        meanwhile({"events": active, "archive/events": archived})
        parts = [first, *answers]
    return Seen(
        began_ns=began_ns,
        tasks=dict(chain.from_iterable(part.tasks.items() for part in parts)),
        archived=archived,
        damaged=frozenset().union(*(part.damaged for part in parts)),
        lifecycle=dict(chain.from_iterable(part.lifecycle for part in parts)),
        short_ids=tuple(chain.from_iterable(part.short_ids for part in parts)),
        artifacts=dict(chain.from_iterable(part.artifacts.items() for part in parts)),
        events=sum(part.events for part in parts),
        findings=(*_twice(board, places), *(finding for part in parts for finding in part.findings)),
    )


def is_at_work(board: Path, task_id: str, seen: Seen) -> bool:
    """Whether the task's log changed since the look began: what is beside it may then be later than what was read."""
    for home, _ in scan.PLACES:
        with suppress(OSError):  # It is in the other place, or nowhere.
            if os.stat(f"{board}/{home}events/{task_id}.jsonl").st_mtime_ns > seen.began_ns:
                return True
    return False


class _Part(Record):
    """What was found in some of the logs: the mutable beginnings of what `Seen` has."""

    tasks: dict[str, Card]
    damaged: set[str]
    lifecycle: list[tuple[str, tuple[str, int]]]
    short_ids: list[tuple[str, str]]
    artifacts: dict[str, str]
    events: int
    findings: list[Finding]


def _look(board: Path, places: Iterable[Place]) -> _Part:
    part, events = _Part({}, set(), [], [], {}, 0, []), 0
    for place in places:
        kept = scan.read_kept(place)
        if kept is not None and _is_plain(kept.data):
            found, attached = _card(place[0], kept)
            events += kept.data.count(b"\n")
            told: Iterable[tuple[str, bytes]] = kept.lifecycle
            part.short_ids.extend([(short_id, place[0]) for short_id in kept.short_ids(found.short_id)])
        else:
            stream = scan.read(Stream(*place))
            if stream is None:
                continue  # It was archived meanwhile.
            part.findings.extend(_stream(board, stream))
            if stream.damage is not None:
                part.damaged.add(stream.id)
            if stream.task is None or stream.log is None:
                continue
            found = card(to_snapshot(stream.task))
            attached = [
                event.body.artifact_id for event in stream.log.events if isinstance(event.body, ArtifactAttached)
            ]
            events += len(stream.log.events)
            told = stream.lifecycle()
            part.short_ids.extend((short_id, stream.id) for short_id in short_ids_of(stream.log.events))
        part.tasks[place[0]] = found
        part.lifecycle.extend([(event_id, (place[0], zlib.crc32(line))) for event_id, line in told])
        part.artifacts.update(dict.fromkeys(attached, place[0]))
    return part.replace(events=events)


_NO_RUNS, _NO_EVIDENCE, _NO_LINKS = (
    b'\n  "%b": [],\n' % name for name in (b"active_processes", b"evidence_refs", b"relationships_out")
)
"""Members of a snapshot: nothing below them begins a line so."""


def _is_plain(log: bytes) -> bool:
    # A comment that is changed or taken back has to be there: that, the snapshot does not know.
    return b'"comment_edited"' not in log and b'"comment_deleted"' not in log


def _card(task_id: str, kept: scan.Kept) -> tuple[Card, list[str]]:
    """What the doctor keeps of a task, and the artifacts that are attached to it."""
    text = kept.snapshot.data
    if _NO_RUNS in text and _NO_EVIDENCE in text and _NO_LINKS in text:
        return Card(task_id, *kept.named(), (), ()), []
    shape = loads(text)
    return card(shape), [ref["id"] for ref in shape["evidence_refs"] if ref["source_type"] == "artifact"]


def _twice(board: Path, places: Sequence[Place]) -> Iterator[Finding]:
    for (task_id, *_), (other, *_) in pairwise(places):
        if task_id == other:
            yield twice.find(board, task_id)


def _stream(board: Path, stream: Stream) -> Iterator[Finding]:
    where = str(stream.path.relative_to(board))
    if stream.damage is not None:
        said = stream.damage.message.removesuffix(" Nothing was changed.")
        check = "jsonl_parse" if isinstance(stream.damage, LogDamaged) else "unreadable"
        yield Finding(check, "error", said, stream.id, where, hint=stream.damage.hint)
        return
    log = stream.log
    if log is not None and log.torn:
        mend = "move the torn end to events/torn/, as the next writer would"
        torn = how_many(log.size - log.end, "byte")
        said = f"Truncated final line in {stream.path.name}: {torn} that nobody was told of"
        yield Finding("jsonl_parse", "warning", said, stream.id, where, mend, "torn")
    if stream.task is None or log is None:
        said = f"{stream.path.name} has no whole event"
        hint = f"If nothing of it is missed: rm .lattice/{where}"
        yield Finding("empty_log", "warning", said, stream.id, where, hint=hint)
        return
    yield from _settled_snapshot(board, stream)
    yield from _comments(stream, log.events, where)


def _settled_snapshot(board: Path, stream: Stream) -> list[Finding]:
    """What is wrong with the snapshot, beyond that its writer was at work while we looked."""
    found = list(_snapshot(board, stream))
    lock = board / "locks" / f"events_{stream.id}.lock"
    if not found or not lock.exists():
        return found
    try:
        with locked(lock, wait_s=WRITER_WAIT_S):
            again = scan.read(stream)
            return list(_snapshot(board, again)) if again is not None and again.task is not None else []
    except (LockTimeout, StorageError):
        return found  # A writer that hangs, or a board that we may only read.


def _snapshot(board: Path, stream: Stream) -> Iterator[Finding]:
    path, fresh = stream.snapshot_path, stream.fresh()
    where = str(path.relative_to(board))
    try:
        data = disk.read(path)
    except OSError as refused:
        yield Finding("unreadable", "error", f"{path.name} cannot be read: {refused.strerror}", stream.id, where)
        return
    if data is None or fresh is None or data == snapshot.encode(fresh):
        return  # A snapshot that is not there is made by the next writer.
    mend = "write it again from the log"
    try:
        shape = parse(data)
    except BadLine as off:
        said = f"Invalid JSON in {path.name}: {off}"
        yield Finding("json_parse", "error", said, stream.id, where, mend, "snapshot")
        return
    last = shape.get("last_event_id")
    if last != fresh.task.last_event_id:
        actual = fresh.task.last_event_id
        said = f"Snapshot drift: {stream.id} (snapshot last_event_id={last}, actual last event={actual})"
        yield Finding("snapshot_drift", "warning", said, stream.id, where, mend, "snapshot")
    elif "log_mark" in shape or _differ(shape, fresh.task):
        said = f"Snapshot drift: {stream.id} (it does not say what its log says)"
        yield Finding("snapshot_drift", "warning", said, stream.id, where, mend, "snapshot")


def _differ(shape: dict[str, Any], task: Task) -> list[str]:
    """The fields of an earlier tool's snapshot that are not what the log says."""
    ours = parse(dump(to_snapshot(task)))
    return [key for key in ours.keys() & shape.keys() if ours[key] != shape[key] and (ours[key] or shape[key])]


def _comments(stream: Stream, events: list[Event], where: str) -> Iterator[Finding]:
    known = {event.id for event in events if isinstance(event.body, CommentAdded)}
    for event in events:
        body = event.body
        if isinstance(body, (CommentEdited, CommentDeleted)) and body.comment_id not in known:
            said = f"{event.id} is about the comment {body.comment_id}, which is not on the task"
            yield Finding("missing_comment", "warning", said, stream.id, where)


def names_in(folder: Path, but: Set[str] = frozenset(), ending: str = "") -> list[str]:
    """The names of the files of a folder, in order, but for these with this ending; none where there is no folder."""
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = sorted([name for name in names if name.removesuffix(ending) not in but or not name.endswith(ending)])
    return [name for name in found if os.path.islink(path := os.path.join(folder, name)) or not os.path.isdir(path)]


def files_in(folder: Path, but: Set[str] = frozenset(), ending: str = "") -> list[Path]:
    """The files of a folder, as `names_in` has their names."""
    return [folder / name for name in names_in(folder, but, ending)]
