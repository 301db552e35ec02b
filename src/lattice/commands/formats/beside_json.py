"""What our own export holds beside tasks: shared resources, each with its events as they stand, and sessions.

{"resources": [{"id", "name", "events"}], "sessions": [what a session's file says], "serial_counters": {NAME: SERIAL}}
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lattice.commands import session_files
from lattice.commands.board import Board
from lattice.commands.formats.item import Account
from lattice.commands.session_files import Session
from lattice.core.adoption import continuation
from lattice.core.codec import BadLine, decode, dump, encode, parse
from lattice.core.events import Event
from lattice.core.ids import is_id
from lattice.core.record import Record
from lattice.core.resource import Resource, evolve
from lattice.errors import Conflict, ValidationError
from lattice.resource_ledger import ResourceLedger
from lattice.store.files.resources import FileResources


class Beside(Record):
    """Resources, by their histories, and sessions."""

    resources: tuple[tuple[Event, ...], ...] = ()
    sessions: tuple[Session, ...] = ()
    serial_counters: Mapping[str, int] = {}


class Taken(Record):
    """What became of one of them: created, extended, unchanged or diverged; in a dry run, what would."""

    kind: str  # resource or session
    name: str
    outcome: str


def write(board: Board) -> dict[str, Any]:
    """The resources and the sessions of the board. Raises LogDamaged, StorageError, OSError."""
    resources = [
        {"id": resource.id, "name": resource.name, "events": [shape_of(event) for event in events]}
        for resource, events in FileResources(board.folder).histories()
    ]
    return {"resources": resources} | session_files.exported(board)


def shape_of(event: Event) -> dict[str, Any]:
    """An event as its line has it."""
    return dict(event.raw) if event.raw is not None else parse(encode(event))


def read(shape: Mapping[str, Any], name: str, account: Account) -> Beside:
    """What an export holds of them; one of an earlier version holds none."""
    counters = shape.get("serial_counters")
    return Beside(
        tuple(_resources(_listed(shape, "resources", name, account), name, account)),
        tuple(_sessions(_listed(shape, "sessions", name, account), name, account)),
        {
            base: serial
            for base, serial in (counters.items() if isinstance(counters, dict) else ())
            if isinstance(serial, int) and not isinstance(serial, bool) and session_files.is_name(f"{base}-{serial}")
        },
    )


def _listed(shape: Mapping[str, Any], key: str, name: str, account: Account) -> Sequence[Any]:
    entries = shape.get(key, [])
    if not isinstance(entries, list):
        account.malformed.append((f"{name}: {key}", "it is not a list"))
        return ()
    return entries


def _resources(entries: Sequence[Any], name: str, account: Account) -> Iterator[tuple[Event, ...]]:
    for place, entry in enumerate(entries):
        try:
            yield _history(entry)
        except (BadLine, ValidationError) as off:
            account.malformed.append((f"{name}: resources[{place}]", str(off)))


def _history(entry: Any) -> tuple[Event, ...]:
    if not isinstance(entry, dict) or not isinstance(entry.get("events"), list) or not entry["events"]:
        raise BadLine("it has no list of events")
    events = tuple(decode(dump(shape)) for shape in entry["events"])
    stream = events[0].task_id
    if not is_id("res", stream) or any(event.task_id != stream for event in events):
        raise BadLine("its events are not those of one resource")
    if not all(is_id("ev", event.id) for event in events) or len({event.id for event in events}) != len(events):
        raise BadLine("an event's id is off, or stands twice")
    resource: Resource | None = None
    for event in events:
        resource = evolve(resource, event)
    return events


def _sessions(entries: Sequence[Any], name: str, account: Account) -> Iterator[Session]:
    for place, entry in enumerate(entries):
        try:
            yield session_files.check(entry)
        except ValidationError as off:
            account.malformed.append((f"{name}: sessions[{place}]", str(off)))


def take(board: Board, beside: Beside, account: Account, *, dry_run: bool) -> list[Taken]:
    """Take them over, or foresee it. Raises LockTimeout, LogDamaged, StorageError, OSError."""
    taken = [_take_resource(board, history, account, dry_run=dry_run) for history in beside.resources]
    for session in beside.sessions:
        outcome = session_files.judge(board, session) if dry_run else session_files.adopt(board, session)
        if outcome == "diverged":
            account.skipped.append((session["name"], "the name is another session's here"))
        taken.append(Taken("session", session["name"], outcome))
    if not dry_run:
        session_files.adopt_counters(board, beside.serial_counters)
    return taken


def _take_resource(board: Board, history: Sequence[Event], account: Account, *, dry_run: bool) -> Taken:
    store = FileResources(board.folder)
    stream, name = history[0].task_id, evolve(None, history[0]).name
    try:
        if dry_run:
            outcome = _foreseen(store, name, history)
        else:
            outcome = ResourceLedger(store, board.ledger).adopt(history).outcome
    except Conflict as refused:
        account.skipped.append((stream, refused.message))
        return Taken("resource", name, "diverged")
    if outcome == "diverged":
        account.skipped.append((stream, f"resource {name!r} here is another, or was used since; it stays as it is"))
    return Taken("resource", name, outcome)


def _foreseen(store: FileResources, name: str, history: Sequence[Event]) -> str:
    here = store.find(name)
    log = store.load(here.id if here is not None else history[0].task_id)[1]
    return continuation(log.events, history)[0] if log is not None and log.events else "created"
