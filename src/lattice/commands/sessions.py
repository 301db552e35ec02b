"""Sessions: a person or an agent registers under a name, and signs with it from then on.

A session is a file, `sessions/<name>.json`; one that ended stands in `sessions/archive/`. `index.json`
holds the highest serial of each base name, so that a name is never given twice; it is derived.
All of it is written under one lock.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lattice.commands.board import Board, read_object
from lattice.core.record import Record
from lattice.core.text import check_line
from lattice.errors import NotFound, SessionNotFound, StorageError, ValidationError
from lattice.ledger import timestamp
from lattice.store.files import disk
from lattice.store.files.locks import locked

NAME_CHARS_MAX = 80
HUMAN = "human"
_SERIAL = re.compile(r"(?P<base>.+)-(?P<serial>[1-9][0-9]{0,8})\Z", re.DOTALL)
_IDENTITY = ("agent_type", "base_name", "framework", "model", "name", "serial", "session")

# For those who choose no name of their own: the brighter stars.
NAMES = (
    "Achernar", "Altair", "Antares", "Arcturus", "Bellatrix", "Canopus", "Capella", "Castor", "Deneb", "Electra",
    "Fomalhaut", "Hadar", "Izar", "Kochab", "Maia", "Mimosa", "Mira", "Mizar", "Pollux", "Procyon", "Regulus",
    "Rigel", "Sirius", "Spica", "Thuban", "Vega", "Wezen",
)  # fmt: skip

Session = dict[str, Any]
"""A session's file; what is newer in it is kept."""


class StartSession(Record):
    """Who begins. Without `name` one is chosen; `framework` may be left out by people alone."""

    model: str
    name: str | None = None
    framework: str | None = None
    agent_type: str | None = None
    prompt: str | None = None
    parent: str | None = None

    def run(self, board: Board) -> Session:
        """Register, under a name that nobody had before. Raises ValidationError, LockTimeout, StorageError."""
        given = self._checked()
        now = timestamp(board.ledger.source.now_ms())
        with locked(_lock(board)):
            counters = _counters(board)
            base = self.name if self.name is not None else _free_name(counters)
            serial = counters.get(base, 0) + 1
            name = f"{base}-{serial}"
            session: Session = {
                **given,
                "base_name": base,
                "serial": serial,
                "name": name,
                "session": board.ledger.new_id("sess"),
                "started_at": now,
                "last_active": now,
                "status": "active",
            }
            _write(_folder(board) / f"{name}.json", session)
            _write_index(board, counters | {base: serial})
        return session

    def _checked(self) -> dict[str, str]:
        if self.name is not None:
            check_base_name(self.name)
        given = {key: value for key, value in self.fields().items() if key != "name" and value is not None}
        for key, value in given.items():
            check_line(value, key.replace("_", " "))
        if self.framework is None and self.model != HUMAN:
            raise ValidationError(
                "An agent's session needs its framework.",
                hint="Add --framework claude-code, for example; a person says --model human instead.",
            )
        return given


def check_base_name(name: str) -> str:
    """`name` if a session may be called so. Raises ValidationError."""
    check_line(name, "session's name", chars_max=NAME_CHARS_MAX)
    if not name.isprintable() or any(c.isspace() or c in "/\\" for c in name) or name.startswith((".", "-")):
        raise ValidationError(
            f"Invalid session name: {name!r}. It has no white space or slashes, nor begins with a dot or a dash.",
            hint="Choose one word, such as Vega.",
        )
    if _SERIAL.match(name):
        raise ValidationError(
            f"The name {name!r} ends in a serial number already; Lattice adds one.",
            hint=f"Give the name alone: --name {name.rpartition('-')[0]}",
        )
    return name


def active(board: Board) -> list[Session]:
    """The sessions that have no end, by name."""
    return [session for path in sorted(_files(_folder(board))) if (session := _read(path)) is not None]


def find(board: Board, name: str) -> Session:
    """The active session of this name. Raises NotFound."""
    session = _read(_folder(board) / f"{name}.json") if _is_name(name) else None
    if session is None:
        raise NotFound(f"No active session named {name[:80]!r}.", hint="See which there are: lattice session list")
    return session


def end(board: Board, name: str, reason: str | None) -> Session:
    """End the session, and keep its file in the archive. Raises NotFound, ValidationError."""
    if reason is not None:
        check_line(reason, "reason", chars_max=10_000)
    with locked(_lock(board)):
        session = find(board, name)
        ended = session | {"ended_at": timestamp(board.ledger.source.now_ms()), "status": "ended"}
        if reason is not None:
            ended["end_reason"] = reason
        _write(_folder(board) / "archive" / f"{name}_{session['session']}.json", ended)
        (_folder(board) / f"{name}.json").unlink()
        _write_index(board, _counters(board))
    return ended


def identity(board: Board, name: str) -> dict[str, object]:
    """What the session of this name signs with; that it is active is noted. Raises SessionNotFound, StorageError."""
    now = timestamp(board.ledger.source.now_ms())
    with locked(_lock(board)):  # Else a session that is being ended could come back.
        try:
            session = find(board, name)
        except NotFound:
            raise SessionNotFound(
                f"No active session named {name[:80]!r}.",
                hint="Start one with lattice session start, or see which there are: lattice session list",
            ) from None
        if session.get("last_active") != now:
            _write(_folder(board) / f"{name}.json", session | {"last_active": now}, durable=False)
    return {key: session[key] for key in _IDENTITY if session.get(key) is not None}


def _folder(board: Board) -> Path:
    return board.folder / "sessions"


def _lock(board: Board) -> Path:
    return board.folder / "locks" / "sessions_index.lock"


def _is_name(name: str) -> bool:
    found = _SERIAL.match(name)
    if found is None:
        return False
    try:
        check_base_name(found["base"])
    except ValidationError:
        return False
    return True


def _free_name(counters: dict[str, int]) -> str:
    return min(NAMES, key=lambda name: (counters.get(name, 0), NAMES.index(name)))


def _files(folder: Path) -> Iterator[Path]:
    """The session files in a folder. The index is none: its name has no serial."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return
    for name in names:
        stem = name.removesuffix(".json")
        if stem != name and _SERIAL.match(stem):
            yield folder / name


def _counters(board: Board) -> dict[str, int]:
    """The highest serial given of each base name: by the index, and by the files, which outlive it."""
    index = read_object(_folder(board) / "index.json") or {}
    noted = index.get("serial_counters")
    counters = {
        name: serial
        for name, serial in (noted.items() if isinstance(noted, dict) else ())
        if isinstance(serial, int) and not isinstance(serial, bool)
    }
    archived = [] if noted else [_read(path) for path in _archived(board)]
    for session in [*active(board), *archived]:
        if session is not None:
            base, serial = session["base_name"], session["serial"]
            counters[base] = max(serial, counters.get(base, 0))
    return counters


def _archived(board: Board) -> list[Path]:
    folder = _folder(board) / "archive"
    try:
        return [folder / name for name in os.listdir(folder) if name.endswith(".json")]
    except FileNotFoundError:
        return []


def _write_index(board: Board, counters: dict[str, int]) -> None:
    sessions = {session["name"]: session["session"] for session in active(board)}
    _write(_folder(board) / "index.json", {"active_sessions": sessions, "serial_counters": counters})


def _read(path: Path) -> Session | None:
    shape = read_object(path)
    if shape is None or not isinstance(shape.get("serial"), int):
        return None
    whole = all(isinstance(shape.get(key), str) for key in ("name", "base_name", "session", "model"))
    return shape if whole else None


def _write(path: Path, shape: dict[str, Any], *, durable: bool = True) -> None:
    try:
        disk.replace(path, json.dumps(shape, sort_keys=True, indent=2).encode() + b"\n", durable=durable)
    except OSError as refused:
        raise StorageError(f"The session could not be kept: {refused.strerror}. Nothing was recorded.") from refused
