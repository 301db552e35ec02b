"""The doctor's look at shared resources: their logs, and the snapshots that are made from them.

It changes nothing. What is derived is mended by `FileResources.rebuild`, a torn end as the next writer would.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lattice.core.codec import BadLine, parse
from lattice.core.integrity import Finding
from lattice.core.resource import Resource
from lattice.core.text import how_many
from lattice.errors import LogDamaged, StorageError
from lattice.store.files import disk
from lattice.store.files.log import Log
from lattice.store.files.resources import FileResources, snapshot_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

AGAIN = "write it again from the log"


def look(board: Path, store: FileResources, ids: Sequence[str]) -> Iterator[Finding]:
    """Each log of these resources, which are all there are, then each snapshot."""
    whole: dict[str, Resource] = {}  # by name, the older of two
    damaged: set[str] = set()
    for resource_id in ids:
        where = f"events/{resource_id}.jsonl"
        try:
            resource, log = store.load(resource_id)
        except (LogDamaged, StorageError) as damage:
            damaged.add(resource_id)
            said = damage.message.removesuffix(" Nothing was changed.").removesuffix(" Nothing was recorded.")
            check = "jsonl_parse" if isinstance(damage, LogDamaged) else "unreadable"
            yield Finding(check, "error", said, None, where, hint=damage.hint)
            continue
        yield from _torn(log, resource_id, where)
        if resource is None:
            said = f"{resource_id}.jsonl has no whole event"
            hint = f"If nothing of it is missed: rm .lattice/{where}"
            yield Finding("empty_log", "warning", said, None, where, hint=hint)
        elif (older := whole.setdefault(resource.name, resource)) is not resource:
            said = f"{resource_id} and {older.id} are both called {resource.name!r}: two branches made it"
            hint = f"{older.id}, the older, is the one that is held; the log of the other stays"
            yield Finding("duplicate_resource", "warning", said, None, where, hint=hint)
    yield from _snapshots(board, store, whole, damaged)


def _torn(log: Log | None, resource_id: str, where: str) -> Iterator[Finding]:
    if log is not None and log.torn:
        torn = how_many(log.size - log.end, "byte")
        said = f"Truncated final line in {resource_id}.jsonl: {torn} that nobody was told of"
        mend = "move the torn end to events/torn/, as the next writer would"
        yield Finding("jsonl_parse", "warning", said, None, where, mend, "torn_resource")


def _snapshots(
    board: Path, store: FileResources, whole: Mapping[str, Resource], damaged: set[str]
) -> Iterator[Finding]:
    expected = {store.snapshot_path(resource.name): resource for resource in whole.values()}
    for path in sorted((board / "resources").rglob("resource.json")):
        where = str(path.relative_to(board))
        resource = expected.get(path)
        try:
            shape = parse(disk.read(path) or b"")
        except OSError as refused:
            yield Finding("unreadable", "error", f"{where} cannot be read: {refused.strerror}", None, where)
            continue
        except BadLine as off:
            said = f"Invalid JSON in {where}: {off}"
            if resource is not None:
                yield Finding("json_parse", "error", said, None, where, AGAIN, "resource")
            elif damaged:
                yield Finding("json_parse", "error", said, None, where, hint="Mend the damaged log first")
            else:
                yield Finding("json_parse", "error", said, None, where, "move it away: no log stands for it", "aside")
            continue
        yield from _snapshot(shape, resource, where, damaged)


def _snapshot(shape: dict[str, Any], resource: Resource | None, where: str, damaged: set[str]) -> Iterator[Finding]:
    if resource is not None:
        if shape != parse(snapshot_bytes(resource)):
            said = f"Snapshot drift: {where} does not say what the log of {resource.id} says"
            yield Finding("snapshot_drift", "warning", said, None, where, AGAIN, "resource")
    elif shape.get("id") not in damaged:
        said = f"{where} is the snapshot of a resource without a log: its log went with a branch, or was lost"
        hint = f"git log --all -- .lattice/events/{str(shape.get('id'))[:40]}.jsonl"
        yield Finding("orphan_snapshot", "warning", said, None, where, "move the snapshot away", "aside", hint)
