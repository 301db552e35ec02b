"""Our own export: every event as it stands in the log, with what lies beside the logs.

{"format": "lattice", "version": 1, "exported_at": …, "project": …, "tasks": [{"id", "archived", "snapshot",
"events", "plan", "notes"}], "artifacts": [{"meta", "payload"}], "left_out": […]}, and what `beside_json` adds
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lattice.commands.board import Board
from lattice.commands.formats import beside_json
from lattice.commands.formats.beside_json import Beside
from lattice.commands.formats.item import Account, read_file
from lattice.core.codec import BadLine, decode, dump, parse
from lattice.core.events import ArtifactAttached, Event, TaskCreated
from lattice.core.ids import is_id
from lattice.core.progress import Progress, told
from lattice.core.record import Record
from lattice.core.stats import project_name
from lattice.core.task import to_snapshot
from lattice.errors import ValidationError
from lattice.ledger import timestamp
from lattice.store.files import disk

FORMAT, VERSION = "lattice", 1
FILES = {"plan": "plans", "notes": "notes"}


class Artifact(Record):
    """An artifact's description, and its content where there is one."""

    meta: Mapping[str, Any]
    payload: bytes | None


class Archive(Record):
    """A board as an export holds it."""

    histories: tuple[tuple[Event, ...], ...]
    artifacts: tuple[Artifact, ...]
    files: Mapping[str, Mapping[str, str]]  # by task id: plan and notes
    beside: Beside = Beside()


def write(board: Board, progress: Progress | None = None) -> dict[str, Any]:
    """The whole board, archived tasks too. What is sensitive stays out, and is named. Raises LogDamaged."""
    ids = [task.id for archived in (False, True) for task in board.store.tasks(archived=archived)]
    tasks, attached = [], dict[str, None]()
    for task_id in told(sorted(ids), progress):
        task, events = board.store.history(task_id)
        attached |= {event.body.artifact_id: None for event in events if isinstance(event.body, ArtifactAttached)}
        tasks.append(
            {
                "id": task.id,
                "archived": task.archived,
                "snapshot": to_snapshot(task),
                "events": [beside_json.shape_of(event) for event in events],
                **{key: _text(board, folder, task.id, archived=task.archived) for key, folder in FILES.items()},
            }
        )
    artifacts, left_out = _artifacts(board, list(attached))
    return {
        "format": FORMAT,
        "version": VERSION,
        "exported_at": timestamp(board.ledger.source.now_ms()),
        "project": project_name(board.config),
        "tasks": tasks,
        "artifacts": artifacts,
        "left_out": left_out,
    } | beside_json.write(board)


def _text(board: Board, folder: str, task_id: str, *, archived: bool) -> str | None:
    home = board.folder / "archive" if archived else board.folder
    data = disk.read(home / folder / f"{task_id}.md")
    return None if data is None else data.decode("utf-8", "replace")


def _artifacts(board: Board, ids: list[str]) -> tuple[list[dict[str, Any]], list[str]]:
    kept, left_out = [], []
    for artifact_id in ids:
        meta = _meta(board, artifact_id)
        if meta is None:
            left_out.append(f"{artifact_id}: its description is missing")
            continue
        file = meta.get("payload", {}).get("file") if isinstance(meta.get("payload"), dict) else None
        if meta.get("sensitive"):
            left_out.append(f"{artifact_id}: it is sensitive")
            continue
        known = isinstance(file, str) and _is_payload(file, artifact_id)
        data = disk.read(board.folder / "artifacts" / "payload" / str(file)) if known else None
        if file and data is None:
            left_out.append(f"{artifact_id}: its content is missing")
        kept.append({"meta": meta, "payload": base64.b64encode(data).decode("ascii") if data is not None else None})
    return kept, left_out


def _meta(board: Board, artifact_id: str) -> dict[str, Any] | None:
    data = disk.read(board.folder / "artifacts" / "meta" / f"{artifact_id}.json") if is_id("art", artifact_id) else None
    try:
        return parse(data) if data is not None else None
    except BadLine:
        return None


def _is_payload(file: object, artifact_id: str) -> bool:
    return isinstance(file, str) and "/" not in file and file.startswith(f"{artifact_id}.")


def read(path: Path, account: Account) -> Archive:
    """The board in an export. Raises NotFound, ValidationError."""
    shape = _whole(path)
    histories, files = [], {}
    for place, entry in enumerate(shape["tasks"]):
        where = f"{path.name}: tasks[{place}]"
        try:
            history = _history(entry)
        except (BadLine, ValidationError) as off:
            account.malformed.append((where, str(off)))
            continue
        histories.append(history)
        files[history[0].task_id] = {key: entry[key] for key in FILES if isinstance(entry.get(key), str)}
    artifacts = tuple(_read_artifacts(shape.get("artifacts"), path.name, account))
    for said in shape.get("left_out") or ():
        account.skipped.append((path.name, str(said)[:200]))
    return Archive(tuple(histories), artifacts, files, beside_json.read(shape, path.name, account))


def _whole(path: Path) -> dict[str, Any]:
    try:
        shape = parse(read_file(path))
    except BadLine as off:
        raise ValidationError(
            f"{path.name} is not an export of a board: {off}.", hint="lattice export --to json FILE"
        ) from None
    if shape.get("format") != FORMAT or not isinstance(shape.get("tasks"), list):
        raise ValidationError(f"{path.name} is not an export of a board.", hint="lattice export --to json FILE")
    if shape.get("version") != VERSION:
        raise ValidationError(
            f"{path.name} is of version {str(shape.get('version'))[:20]}; this lattice reads version {VERSION}.",
            hint="Export it with the same lattice, or update this one.",
        )
    return shape


def _history(entry: Any) -> tuple[Event, ...]:
    if not isinstance(entry, dict) or not isinstance(entry.get("events"), list) or not entry["events"]:
        raise BadLine("it has no list of events")
    events = tuple(decode(dump(shape)) for shape in entry["events"])
    task_id = events[0].task_id
    if not is_id("task", task_id) or any(event.task_id != task_id for event in events):
        raise BadLine("its events are not those of one task")
    if not isinstance(events[0].body, TaskCreated):
        raise BadLine("its first event does not create a task")
    if not all(is_id("ev", event.id) for event in events) or len({event.id for event in events}) != len(events):
        raise BadLine("an event's id is off, or stands twice")
    return events


def _read_artifacts(entries: Any, name: str, account: Account) -> Iterator[Artifact]:
    for place, entry in enumerate(entries if isinstance(entries, list) else []):
        where = f"{name}: artifacts[{place}]"
        meta = entry.get("meta") if isinstance(entry, dict) else None
        if not isinstance(meta, dict) or not is_id("art", str(meta.get("id"))):
            account.malformed.append((where, "its description is off"))
            continue
        described = meta.get("payload")
        file = described.get("file") if isinstance(described, dict) else None
        if file is not None and not _is_payload(file, meta["id"]):
            account.malformed.append((where, "its file's name is not of its form"))
            continue
        try:
            payload = base64.b64decode(entry["payload"], validate=True) if entry.get("payload") else None
        except (binascii.Error, TypeError, ValueError):
            account.malformed.append((where, "its content is not base64"))
            continue
        yield Artifact(meta, payload)


def description(meta: Mapping[str, Any]) -> bytes:
    """An artifact's description as its file holds it."""
    return json.dumps(meta, sort_keys=True, indent=2).encode("ascii") + b"\n"
