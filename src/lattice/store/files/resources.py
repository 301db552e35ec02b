"""Shared resources on files: a log each, and `resources/<name>/resource.json`, which is derived.

A resource is locked by its name and then by its log, as the earlier tool does it. Its log is short and
is read whole; the rules for a torn tail and for damage are those of every log. The earlier tool takes any
text for a name: one that leads out of the board's folder has no snapshot here, and its log says it all.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lattice.core.codec import BadLine, encode, parse
from lattice.core.events import Event
from lattice.core.ids import is_id
from lattice.core.resource import Resource, evolve, to_snapshot
from lattice.errors import Conflict, LatticeError, LogDamaged, NotFound, ValidationError, WriteUncertain, did_you_mean
from lattice.store.files import disk
from lattice.store.files.locks import locked
from lattice.store.files.log import Log, read_log
from lattice.store.files.tail import storage_error

_PART_BYTES_MAX = 200
"""The longest part of a name that makes a file's name, what Lattice adds to it included."""


class ResourceTail:
    """The end of one resource's log, held exclusively; `resource` is None where there is none of the name."""

    def __init__(self, resources: FileResources, resource: Resource | None, log: Log | None) -> None:
        self.resource = resource
        self._resources = resources
        self._log = log
        self._events = tuple(log.events) if log is not None else ()
        self._appended = False

    def events(self) -> Sequence[Event]:
        return self._events

    def append(self, events: Sequence[Event], resource: Resource) -> None:
        if self._appended:
            self._log = self._resources.load(resource.id)[1]
        self._resources.append(resource, events, self._log)
        self._appended = True
        self._events = (*self._events, *events)
        self.resource = resource


class FileResources:
    """The resources of a board's folder. Implements `lattice.store.protocol.ResourceStore`."""

    def __init__(self, board: Path) -> None:
        self._board = board

    def find(self, name: str) -> Resource | None:
        resource_id = self._id(name)
        return None if resource_id is None else self.load(resource_id)[0]

    def all(self) -> list[Resource]:
        return [resource for resource, _ in self.histories()]

    def histories(self) -> list[tuple[Resource, Sequence[Event]]]:
        found = [self.load(resource_id) for resource_id in self.ids()]
        whole = [(resource, log.events) for resource, log in found if resource is not None and log is not None]
        return sorted(whole, key=lambda one: (one[0].name, one[0].id))

    def ids(self) -> list[str]:
        """The resources that have a log, oldest first."""
        try:
            names = [name.partition(".") for name in os.listdir(self._board / "events") if name.startswith("res_")]
        except FileNotFoundError:
            return []
        return sorted(stem for stem, _, ending in names if ending == "jsonl" and is_id("res", stem))

    def rebuild(self) -> tuple[list[str], list[tuple[str, LatticeError]]]:
        """Make every `resource.json` again from its log: the names, and the logs that are damaged, with why.

        Of two resources of one name, which two branches made, the older has it. A file that is right is left
        alone. Raises LockTimeout, StorageError.
        """
        names: dict[str, str] = {}
        damaged: list[tuple[str, LatticeError]] = []
        for resource_id in self.ids():
            try:
                resource = self.load(resource_id)[0]
                if resource is not None and names.setdefault(resource.name, resource_id) == resource_id:
                    self._rebuild(resource.name, resource_id)
            except LogDamaged as off:
                damaged.append((resource_id, off))
        return sorted(names), damaged

    def _rebuild(self, name: str, resource_id: str) -> None:
        with locked(self._name_lock(name)), locked(self._log_lock(resource_id)):
            resource = self.load(resource_id)[0]
            path = self.snapshot_path(name)
            if resource is not None and path is not None and disk.read(path) != snapshot_bytes(resource):
                try:
                    disk.replace(path, snapshot_bytes(resource))
                except OSError as refused:
                    raise storage_error(str(path), refused) from refused

    def set_aside_torn(self, resource_id: str) -> None:
        """Move the torn end of a log to `events/torn/`, as the next writer would. Raises LogDamaged, StorageError."""
        with locked(self._log_lock(resource_id)):
            log = self.load(resource_id)[1]
            if log is None or not log.torn:
                return
            path = self.log_path(resource_id)
            try:
                descriptor = _opened(path)
                try:
                    self._set_aside(path, descriptor, log)
                finally:
                    os.close(descriptor)
            except OSError as refused:
                raise storage_error(str(path), refused) from refused

    @contextmanager
    def exclusive(self, name: str, resource_id: str | None = None) -> Iterator[ResourceTail]:
        if resource_id is None and self._id(name) is None:
            raise self.missing(name)  # Without a lock file left behind for a resource that never was.
        with locked(self._name_lock(name)):
            stream = self._id(name) or resource_id
            if stream is None:
                raise self.missing(name)
            with locked(self._log_lock(stream)):
                resource, log = self.load(stream)
                if resource is not None and resource.name != name:
                    raise Conflict(f"Resource id {stream} is already used by {resource.name!r}.", hint="Use a new id.")
                yield ResourceTail(self, resource, log)

    def append(self, resource: Resource, events: Sequence[Event], log: Log | None) -> None:
        """Add to a log whose locks are held. Raises StorageError, WriteUncertain."""
        path = self.log_path(resource.id)
        data = b"".join(encode(event) for event in events)
        end = 0 if log is None else log.end
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            descriptor = _opened(path)
        except OSError as refused:
            raise storage_error(str(path), refused) from refused
        try:
            if log is not None and log.torn:
                self._set_aside(path, descriptor, log)
            completes = log is not None and log.completes
            disk.append(descriptor, (b"\n" if completes else b"") + data, end)
            if end == 0:
                disk.sync_folder(path.parent)
        except OSError as refused:
            raise _after_failure(path, descriptor, refused, events, resource) from refused
        finally:
            os.close(descriptor)
        self._write_snapshot(resource)

    def _write_snapshot(self, resource: Resource) -> None:
        path = self.snapshot_path(resource.name)
        if path is None:
            return
        try:
            disk.replace(path, snapshot_bytes(resource))
        except OSError:
            return  # It is derived: the log has the event, and what follows reads the log.

    def _set_aside(self, path: Path, descriptor: int, log: Log) -> None:
        folder = self._board / "events" / "torn"
        folder.mkdir(mode=0o700, exist_ok=True)
        torn = disk.read_from(descriptor, log.end, log.size)
        copies = (folder / f"{path.stem}.{log.end}.{number}" for number in range(1, 1_000_000))
        disk.write_durably(next(copy for copy in copies if not copy.exists()), torn)
        disk.cut(descriptor, log.end)

    def load(self, resource_id: str) -> tuple[Resource | None, Log | None]:
        """The state and the log of a resource; None where there is none. Raises LogDamaged, StorageError."""
        path = self.log_path(resource_id)
        try:
            # A symbolic link in a board that came by git is not followed.
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None, None
        except OSError as refused:
            raise storage_error(str(path), refused) from refused
        try:
            data = disk.read_from(descriptor, 0, os.fstat(descriptor).st_size)
        except OSError as refused:
            raise storage_error(str(path), refused) from refused
        finally:
            os.close(descriptor)
        log = read_log(data, path, resource_id)
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
        path = self.snapshot_path(name)
        try:
            noted = disk.read(path) if path is not None else None
            stream = parse(noted).get("id") if noted is not None else None
        except (OSError, BadLine):
            stream = None
        if isinstance(stream, str) and is_id("res", stream) and self._is_called(stream, name):
            return stream
        return next((found for found in self.ids() if self._is_called(found, name)), None)

    def _is_called(self, resource_id: str, name: str) -> bool:
        resource = self.load(resource_id)[0]
        return resource is not None and resource.name == name

    def snapshot_path(self, name: str) -> Path | None:
        """Where the snapshot of a resource of this name is; None for a name that is no path below the folder."""
        return self._board / "resources" / name / "resource.json" if _is_path(name) else None

    def log_path(self, resource_id: str) -> Path:
        """Where the log of a resource is."""
        return self._board / "events" / f"{resource_id}.jsonl"

    def missing(self, name: str) -> NotFound:
        """The refusal for a resource that is not there."""
        further = "See which there are with lattice resource list, or make it with lattice resource create."
        hint = did_you_mean(name, [resource.name for resource in self.all()], further)
        return NotFound(f"Resource {name[:80]!r} not found.", hint=hint)

    def _name_lock(self, name: str) -> Path:
        return self._board / "locks" / f"resources_{name if _is_path(name) else ''}.lock"

    def _log_lock(self, resource_id: str) -> Path:
        return self._board / "locks" / f"events_{resource_id}.lock"


def snapshot_bytes(resource: Resource) -> bytes:
    """The content of `resource.json`: a function of the log alone."""
    shape = to_snapshot(resource, resource.holders)
    return json.dumps(shape, sort_keys=True, indent=2).encode() + b"\n"


def _is_path(name: str) -> bool:
    parts = name.split("/")
    if "\0" in name or name.startswith("/") or ".." in parts:
        return False
    try:
        return all(len(os.fsencode(part)) <= _PART_BYTES_MAX for part in parts)
    except UnicodeEncodeError:
        return False


def _opened(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, disk.PRIVATE)


def _after_failure(
    path: Path, descriptor: int, refused: OSError, events: Sequence[Event], resource: Resource
) -> LatticeError:
    # What the log says now decides what the caller is told: a failed sync proves nothing by itself.
    try:
        data = disk.read_from(descriptor, 0, os.fstat(descriptor).st_size)
    except OSError:
        data = None
    if data is not None and not any(event.id.encode() in data for event in events):
        if not data:
            with contextlib.suppress(OSError):  # An empty log is no resource, and doctor would name it.
                os.unlink(path)
        return storage_error(str(path), refused)
    return WriteUncertain(
        f"The disk failed while {path.name} was written ({refused.strerror}); the event may be kept or lost.",
        hint=f"Look before you repeat it: lattice resource status {resource.name!r}",
        event_ids=[event.id for event in events],
    )
