"""Sessions: a person or an agent registers under a name, and signs with it from then on.

Their files are the matter of `session_files.py`.
"""

from __future__ import annotations

from pathlib import Path

from lattice.commands import session_files as files
from lattice.commands.board import Board
from lattice.commands.session_files import Session
from lattice.core.record import Record
from lattice.core.text import check_line
from lattice.errors import NotFound, SessionNotFound, ValidationError, did_you_mean
from lattice.ledger import timestamp
from lattice.store.files.locks import locked

HUMAN = "human"
_IDENTITY = ("agent_type", "base_name", "framework", "model", "name", "serial", "session")

# For those who choose no name of their own: the brighter stars.
NAMES = (
    "Achernar", "Altair", "Antares", "Arcturus", "Bellatrix", "Canopus", "Capella", "Castor", "Deneb", "Electra",
    "Fomalhaut", "Hadar", "Izar", "Kochab", "Maia", "Mimosa", "Mira", "Mizar", "Pollux", "Procyon", "Regulus",
    "Rigel", "Sirius", "Spica", "Thuban", "Vega", "Wezen",
)  # fmt: skip


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
        with locked(files.lock_of(board)):
            counters = files.counters(board)
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
            files.write(_file(board, name), session)
            files.write_index(board, counters | {base: serial})
        return session

    def _checked(self) -> dict[str, str]:
        if self.name is not None:
            files.check_base_name(self.name)
        given = {key: value for key, value in self.fields().items() if key != "name" and value is not None}
        for key, value in given.items():
            check_line(value, key.replace("_", " "))
        if self.framework is None and self.model != HUMAN:
            raise ValidationError(
                "An agent's session needs its framework.",
                hint="Add --framework claude-code, for example; a person says --model human instead.",
            )
        return given


def active(board: Board) -> list[Session]:
    """The sessions that have no end, by name."""
    return [session for path in files.active_files(board) if (session := files.read(path)) is not None]


def find(board: Board, name: str) -> Session:
    """The active session of this name. Raises NotFound."""
    session = files.read(_file(board, name)) if files.is_name(name) else None
    if session is None:
        raise NotFound(f"No active session named {name[:80]!r}.", hint=_hint(board, name))
    return session


def end(board: Board, name: str, reason: str | None) -> Session:
    """End the session, and keep its file in the archive. Raises NotFound, ValidationError."""
    if reason is not None:
        check_line(reason, "reason", chars_max=10_000)
    with locked(files.lock_of(board)):
        session = find(board, name)
        ended = session | {"ended_at": timestamp(board.ledger.source.now_ms()), "status": "ended"}
        if reason is not None:
            ended["end_reason"] = reason
        files.write(files.end_file(board, session), ended)
        _file(board, name).unlink()
        files.write_index(board, files.counters(board))
    return ended


def identity(board: Board, name: str) -> dict[str, object]:
    """What the session of this name signs with; that it is active is noted. Raises SessionNotFound, StorageError."""
    now = timestamp(board.ledger.source.now_ms())
    with locked(files.lock_of(board)):  # Else a session that is being ended could come back.
        try:
            session = find(board, name)
        except NotFound as missing:
            raise SessionNotFound(missing.message, hint=missing.hint) from None
        if session.get("last_active") != now:
            files.write(_file(board, name), session | {"last_active": now}, durable=False)
    return {key: session[key] for key in _IDENTITY if session.get(key) is not None}


def _hint(board: Board, name: str) -> str:
    further = "Start one with lattice session start, or see which there are: lattice session list"
    return did_you_mean(name, [session["name"] for session in active(board)], further)


def _file(board: Board, name: str) -> Path:
    return files.folder_of(board) / f"{name}.json"


def _free_name(counters: dict[str, int]) -> str:
    return min(NAMES, key=lambda name: (counters.get(name, 0), NAMES.index(name)))
