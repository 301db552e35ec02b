"""Shared resources on files: a log each, and `resources/<name>/resource.json`, which is derived.

A resource is locked by its name and then by its log, as the earlier tool does it. Its log is short and
is read whole; the rules for a torn tail and for damage are those of every log.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lattice.core.codec import BadLine, encode, parse
from lattice.core.events import Event
from lattice.core.ids import is_id
from lattice.core.resource import Resource, check_name, evolve, to_snapshot
from lattice.errors import Conflict, LatticeError, LogDamaged, NotFound, StorageError, ValidationError, WriteUncertain
from lattice.store.files import disk
from lattice.store.files.locks import locked
from lattice.store.files.log import Log, read_log


class ResourceTail:
    """The end of one resource's log, held exclusively; `resource` is None where there is none of the name."""

    def __init__(self, resources: FileResources, resource: Resource | None, log: Log | None) -> None:
        self.resource = resource
        self._resources = resources
        self._log = log

    def append(self, events: Sequence[Event], resource: Resource) -> None:
        """Write all events or none, durably. `resource` is the state after them."""
        self._resources.append(resource, events, self._log)
        self.resource = resource


class FileResources:
    """The resources of a board's folder."""

    def __init__(self, board: Path) -> None:
        self._board = board

    def find(self, name: str) -> Resource | None:
        """The fresh state of the resource of this name, or None. Raises LogDamaged."""
        resource_id = self._id(name)
        return None if resource_id is None else self._load(resource_id)[0]

    def all(self) -> list[Resource]:
        """Every resource, by name. Raises LogDamaged."""
        found = [self._load(resource_id)[0] for resource_id in self._ids()]
        return sorted((resource for resource in found if resource is not None), key=lambda resource: resource.name)

    def named_by(self, resource_id: str) -> str | None:
        """The name of the resource that has this id, or None."""
        resource = self._load(resource_id)[0]
        return None if resource is None else resource.name

    @contextmanager
    def exclusive(self, name: str, resource_id: str | None = None) -> Iterator[ResourceTail]:
        """Hold the resource of this name for writing; `resource_id` is the id of one to be made.

        Raises NotFound, Conflict, LockTimeout, LogDamaged.
        """
        try:
            check_name(name)
        except ValidationError:
            if resource_id is None:
                raise missing(name) from None
            raise
        if resource_id is None and self._id(name) is None:
            raise missing(name)  # Without a lock file left behind for a resource that never was.
        with locked(self._board / "locks" / f"resources_{name}.lock"):
            stream = self._id(name) or resource_id
            if stream is None:
                raise missing(name)
            with locked(self._board / "locks" / f"events_{stream}.lock"):
                resource, log = self._load(stream)
                if resource is not None and resource.name != name:
                    raise Conflict(f"Resource id {stream} is already used by {resource.name!r}.", hint="Use a new id.")
                yield ResourceTail(self, resource, log)

    def append(self, resource: Resource, events: Sequence[Event], log: Log | None) -> None:
        """Add to a log whose locks are held. Raises StorageError, WriteUncertain; then no more is believed of it."""
        path = self._log_path(resource.id)
        data = b"".join(encode(event) for event in events)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(path, flags, disk.PRIVATE)
        except OSError as refused:
            raise _refused(path, refused) from refused
        try:
            end = 0 if log is None else log.end
            if log is not None and log.torn:
                self._set_aside(path, descriptor, log)
            completes = log is not None and log.completes
            disk.append(descriptor, (b"\n" if completes else b"") + data, end)
            if log is None:
                disk.sync_folder(path.parent)
        except disk.SyncFailed as failed:
            raise WriteUncertain(
                f"The disk failed while {path.name} was written ({failed.strerror}); the event may be kept or lost.",
                hint=f"Look before you repeat it: lattice resource status {resource.name!r}",
            ) from failed
        except OSError as refused:
            raise _refused(path, refused) from refused
        finally:
            os.close(descriptor)
        self._write_snapshot(resource)

    def _write_snapshot(self, resource: Resource) -> None:
        shape = to_snapshot(resource, resource.holders)
        text = json.dumps(shape, sort_keys=True, indent=2) + "\n"
        try:
            disk.replace(self._board / "resources" / resource.name / "resource.json", text.encode())
        except OSError:
            return  # It is derived: the log has the event, and what follows reads the log.

    def _set_aside(self, path: Path, descriptor: int, log: Log) -> None:
        folder = self._board / "events" / "torn"
        folder.mkdir(mode=0o700, exist_ok=True)
        torn = disk.read_from(descriptor, log.end, log.size)
        copies = (folder / f"{path.stem}.{log.end}.{number}" for number in range(1, 1_000_000))
        disk.write_durably(next(copy for copy in copies if not copy.exists()), torn)
        disk.cut(descriptor, log.end)

    def _load(self, stream: str) -> tuple[Resource | None, Log | None]:
        path = self._log_path(stream)
        try:
            data = disk.read(path)
        except OSError as refused:
            raise _refused(path, refused) from refused
        if data is None:
            return None, None
        log = read_log(data, path, stream)
        resource: Resource | None = None
        for event in log.events:
            try:
                resource = evolve(resource, event)
            except ValidationError as impossible:
                raise LogDamaged(
                    f"{path.name} cannot be replayed: {impossible.message}",
                    hint="Restore the file from a backup or from git: git log -- .lattice/events/",
                    path=str(path),
                ) from impossible
        return resource, log

    def _id(self, name: str) -> str | None:
        """The id of the resource of this name: by its snapshot, where the log agrees, else by the logs."""
        try:
            check_name(name)
            noted = disk.read(self._board / "resources" / name / "resource.json")
            stream = parse(noted).get("id") if noted is not None else None
        except (ValidationError, OSError, BadLine):
            stream = None
        if isinstance(stream, str) and is_id("res", stream):
            resource = self._load(stream)[0]
            if resource is not None and resource.name == name:
                return stream
        return next((found for found in self._ids() if self.named_by(found) == name), None)

    def _ids(self) -> list[str]:
        try:
            names = [name.partition(".") for name in os.listdir(self._board / "events")]
        except FileNotFoundError:
            return []
        return sorted(stem for stem, _, ending in names if ending == "jsonl" and is_id("res", stem))

    def _log_path(self, stream: str) -> Path:
        return self._board / "events" / f"{stream}.jsonl"


def missing(name: str) -> NotFound:
    """The refusal for a resource that is not there."""
    return NotFound(
        f"Resource {name[:80]!r} not found.",
        hint="See which there are with lattice resource list, or make it with lattice resource create.",
    )


def _refused(path: Path, refused: OSError) -> LatticeError:
    return StorageError(
        f"{path.name} could not be written or read: {refused.strerror}. Nothing was recorded.",
        hint="Look at the permissions, and at the space left.",
    )
