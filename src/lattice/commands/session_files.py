"""The files of sessions: where they are, what is wrong with them, and how they come to another board.

A session is a file, `sessions/<name>.json`; one that ended stands in `sessions/archive/<name>_<id>.json`.
`index.json` holds the highest serial of each base name, so that a name is never given twice; it is derived.
All of it is written under one lock. `sessions.py` has what one may ask of them.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from lattice.commands.board import Board, read_object
from lattice.core.codec import BadLine, parse
from lattice.core.ids import is_id
from lattice.core.integrity import Finding
from lattice.core.text import check_line
from lattice.errors import StorageError, ValidationError
from lattice.store.files import disk
from lattice.store.files.locks import locked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

NAME_CHARS_MAX = 80
INDEX = "index.json"
_SERIAL = re.compile(r"(?P<base>.+)-(?P<serial>[1-9][0-9]{0,8})\Z", re.DOTALL)
_FROM_GIT = "Restore the file from a backup or from git: git log -- .lattice/sessions/"

Session = dict[str, "Any"]
"""A session's file; what is newer in it is kept."""


def folder_of(board: Board) -> Path:
    """Where the sessions of a board are; those that ended are in `archive/` below."""
    return board.folder / "sessions"


def lock_of(board: Board) -> Path:
    """The lock that whoever writes to any of them holds."""
    return board.folder / "locks" / "sessions_index.lock"


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


def is_name(name: str) -> bool:
    """Whether a session can be called so, serial included; such a name is also a file's."""
    found = _SERIAL.match(name)
    if found is None:
        return False
    try:
        check_base_name(found["base"])
    except ValidationError:
        return False
    return True


def active_files(board: Board) -> list[Path]:
    """The files of the sessions that have no end, by name. The index is none: its name has no serial."""
    return [path for path in _json_files(folder_of(board)) if _SERIAL.match(path.stem)]


def ended_files(board: Board) -> list[Path]:
    """The files of the sessions that ended, by name."""
    return _json_files(folder_of(board) / "archive")


def read(path: Path) -> Session | None:
    """The session in a file; None where it is missing or holds none. Raises OSError."""
    shape = read_object(path)
    return shape if shape is not None and _is_session(shape) else None


def write(path: Path, shape: Mapping[str, Any], *, durable: bool = True) -> None:
    """Put a session, or the index, in place of the file. Raises StorageError."""
    try:
        disk.replace(path, json.dumps(shape, sort_keys=True, indent=2).encode() + b"\n", durable=durable)
    except OSError as refused:
        raise StorageError(f"The session could not be kept: {refused.strerror}. Nothing was recorded.") from refused


def end_file(board: Board, session: Session) -> Path:
    """Where a session that ended is kept."""
    return folder_of(board) / "archive" / f"{session['name']}_{session['session']}.json"


def counters(board: Board) -> dict[str, int]:
    """The highest serial given of each base name: by the index, and by the files' names, which outlive it."""
    noted = (read_object(folder_of(board) / INDEX) or {}).get("serial_counters")
    highest = {
        name: serial
        for name, serial in (noted.items() if isinstance(noted, dict) else ())
        if isinstance(serial, int) and not isinstance(serial, bool)
    }
    ended = (path.stem.partition("_sess_")[0] for path in ended_files(board))
    for name in (*(path.stem for path in active_files(board)), *ended):
        found = _SERIAL.match(name)
        if found is not None:
            highest[found["base"]] = max(int(found["serial"]), highest.get(found["base"], 0))
    return highest


def write_index(board: Board, highest: Mapping[str, int]) -> None:
    """Write the index. Its lock is held. Raises StorageError."""
    write(folder_of(board) / INDEX, _index(board, highest))


def rebuild_index(board: Board) -> None:
    """Make the index again from the files; serials that it alone knows stay. Raises LockTimeout, StorageError."""
    with locked(lock_of(board)):
        write_index(board, counters(board))


def _index(board: Board, highest: Mapping[str, int]) -> dict[str, Any]:
    found = [session for path in active_files(board) if (session := _readable(path)) is not None]
    sessions = {session["name"]: session["session"] for session in found}
    return {"active_sessions": sessions, "serial_counters": dict(highest)}


def _readable(path: Path) -> Session | None:
    try:
        return read(path)
    except OSError:
        return None  # The doctor names it; the index does without it.


def _is_session(shape: Mapping[str, Any]) -> bool:
    serial = shape.get("serial")
    whole = all(isinstance(shape.get(key), str) for key in ("name", "base_name", "session", "model"))
    return whole and isinstance(serial, int) and not isinstance(serial, bool)


def _json_files(folder: Path) -> list[Path]:
    try:
        names = os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [folder / name for name in sorted(names) if name.endswith(".json") and not name.startswith(".")]


# What is wrong with them


def look(board: Board) -> Iterator[Finding]:
    """What the doctor finds: what cannot be read, names unlike their files', an end that was cut off, the index."""
    ended: set[str] = set()
    for path in ended_files(board):
        session, findings = _session(board, path)
        yield from findings
        if session is not None:
            ended.add(session["session"])
            if path != end_file(board, session):
                yield _misnamed(board, path, f"{session['name']}_{session['session']}")
    for path in _json_files(folder_of(board)):
        if path.name == INDEX:
            continue
        session, findings = _session(board, path)
        yield from findings
        if session is None:
            continue
        if path.stem != session["name"] or session["name"] != f"{session['base_name']}-{session['serial']}":
            yield _misnamed(board, path, session["name"])
        elif session["session"] in ended:
            said = f"Session {session['name']} ended, and its file is still among those of active sessions"
            mend = "move it away; the archive has it with its end"
            yield Finding("session", "warning", said, None, _where(board, path), mend, "aside")
    yield from _strays(board)
    yield from _index_findings(board)


def _session(board: Board, path: Path) -> tuple[Session | None, list[Finding]]:
    where = _where(board, path)
    try:
        shape = parse(disk.read(path) or b"")
    except OSError as refused:
        said = f"{where} cannot be read: {refused.strerror}"
        return None, [Finding("unreadable", "error", said, None, where, hint=f"ls -l .lattice/{where}")]
    except BadLine as off:
        return None, [Finding("json_parse", "error", f"Invalid JSON in {where}: {off}", None, where, hint=_FROM_GIT)]
    if not _is_session(shape) or not is_id("sess", shape["session"]):
        said = f"{where} is not the description of a session: its name, serial, model or id is missing or off"
        return None, [Finding("session", "error", said, None, where, hint=_FROM_GIT)]
    return shape, []


def _misnamed(board: Board, path: Path, name: str) -> Finding:
    said = f"{_where(board, path)} describes session {name[:100]!r}, not the one that it is named for"
    return Finding("malformed_id", "error", said, None, _where(board, path), hint=_FROM_GIT)


def _strays(board: Board) -> Iterator[Finding]:
    folder = folder_of(board)
    for place in (folder, folder / "archive"):
        known = {path.name for path in _json_files(place)}
        try:
            names = sorted(entry.name for entry in os.scandir(place) if not entry.is_dir(follow_symlinks=False))
        except (FileNotFoundError, NotADirectoryError):
            continue
        for name in names:
            if name not in known and not name.startswith("."):
                said = f"{_where(board, place / name)!r} is not named as the files of sessions are, and nobody reads it"
                hint = "Move it where it belongs"
                yield Finding("malformed_id", "warning", said, None, _where(board, place / name), hint=hint)


def _index_findings(board: Board) -> Iterator[Finding]:
    path, mend = folder_of(board) / INDEX, "write it again from the sessions' files"
    where = _where(board, path)
    try:
        data = disk.read(path)
        if data is None:
            return  # Whoever begins a session makes it.
        stored = parse(data)
    except OSError as refused:
        yield Finding("unreadable", "error", f"{where} cannot be read: {refused.strerror}", None, where)
        return
    except BadLine as off:
        yield Finding("json_parse", "error", f"Invalid JSON in {where}: {off}", None, where, mend, "sessions")
        return
    right = _index(board, counters(board))
    for key, what in (("active_sessions", "the active sessions"), ("serial_counters", "the serials in use")):
        if stored.get(key) != right[key]:
            said = f"{where} does not name {what} as their files do"
            yield Finding("session", "warning", said, None, where, mend, "sessions")


def _where(board: Board, path: Path) -> str:
    return str(path.relative_to(board.folder))


# To another board, and back


def exported(board: Board) -> dict[str, Any]:
    """Every session, ended ones too, and the serials that were given. Raises OSError."""
    found = [read(path) for path in [*active_files(board), *ended_files(board)]]
    return {
        "sessions": [session for session in found if session is not None],
        "serial_counters": counters(board),
    }


def check(shape: object) -> Session:
    """A session from elsewhere. Raises ValidationError."""
    if not isinstance(shape, dict) or not _is_session(shape) or not is_id("sess", shape["session"]):
        raise ValidationError("it is not the description of a session")
    if not is_name(shape["name"]) or shape["name"] != f"{shape['base_name']}-{shape['serial']}":
        raise ValidationError(f"a session cannot be called {shape['name'][:80]!r}")
    return shape


def judge(board: Board, session: Session) -> str:
    """What would become of a session that is taken over: as `adopt` has it. Raises OSError."""
    name = session["name"]
    if end_file(board, session).exists():
        return "unchanged"
    active = folder_of(board) / f"{name}.json"
    here = read(active)
    if here is None:
        names = {path.stem.partition("_sess_")[0] for path in ended_files(board)}
        return "diverged" if active.exists() or name in names else "created"
    if here["session"] != session["session"]:
        return "diverged"
    return "extended" if "ended_at" in session else "unchanged"


def adopt(board: Board, session: Session) -> str:
    """Take over a session: created, extended (it ended since), unchanged, or diverged (its name is another's here).

    Raises LockTimeout, StorageError, OSError.
    """
    with locked(lock_of(board)):
        outcome = judge(board, session)
        if outcome in {"created", "extended"}:
            active = folder_of(board) / f"{session['name']}.json"
            write(end_file(board, session) if "ended_at" in session else active, session)
            if "ended_at" in session:
                active.unlink(missing_ok=True)
            write_index(board, counters(board))
    return outcome


def adopt_counters(board: Board, given: Mapping[str, int]) -> None:
    """See that no serial that was given elsewhere is given here. Raises LockTimeout, StorageError."""
    with locked(lock_of(board)):
        here = counters(board)
        highest = here | {base: max(serial, here.get(base, 0)) for base, serial in given.items()}
        if highest != here:
            write_index(board, highest)
