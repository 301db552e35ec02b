"""The index, `.lattice/index.sqlite`: what the logs say of all tasks, in one file. A cache, and never more.

*Fresh.* A row names the size, change time and inode of the log that it was made from. Each view scans the
folders of logs and reads again what does not fit; a log that changed within the clock's last ticks is not
believed a second time.

*Disposable.* A row has a checksum. An index that is missing, of another version, of an earlier boot (it is
written without a sync, so that a power cut may have torn it) or damaged is made again. One that is locked,
or that cannot be written, is passed by: the answer then comes from the logs.

*Shared.* Whoever uses the file holds `locks/index.lock` shared; who removes it holds the lock alone, so that
SQLite never has a file taken away from under it. What a view wrote, it answers from in the same transaction.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol, TypeVar

from lattice.core.events import Event
from lattice.core.fulltext import Phrase
from lattice.core.ids import is_id
from lattice.core.summary import Edge, Hit, Summary, Words, edges, snapshot_text, summary, words
from lattice.core.task import ActiveRun, Task
from lattice.errors import NotFound
from lattice.store.view import View

FILE = "index.sqlite"
VERSION = 1
BUSY_WAIT_S = 2.0
_TICK_NS = 50_000_000  # more than the kernel's coarse clock, from which files get their times
_PRIVATE = 0o600
_PASSED_BY = frozenset({
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_NOMEM,
})  # fmt: skip
_SCHEMA = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE tasks (
    id TEXT PRIMARY KEY, away INTEGER NOT NULL, stamp TEXT NOT NULL, runs INTEGER NOT NULL, line TEXT NOT NULL,
    crc INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX running ON tasks (id) WHERE runs > 0;
CREATE TABLE snapshots (id TEXT PRIMARY KEY, text TEXT NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE edges (source TEXT NOT NULL, type TEXT NOT NULL, target TEXT NOT NULL, note TEXT, crc INTEGER NOT NULL);
CREATE INDEX outgoing ON edges (source);
CREATE INDEX incoming ON edges (target);
CREATE TABLE texts (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, stamp TEXT NOT NULL);
"""
_WORDS = """
CREATE VIRTUAL TABLE words USING fts5 (
    title, description, comments, artifacts, crc UNINDEXED, tokenize = 'unicode61 remove_diacritics 2'
)
"""


class Damaged(Exception):
    """The index is not what was written."""


class Unusable(Exception):
    """The index cannot be used now; nothing is wrong with it."""


class Logs(Protocol):
    """What the index is made from."""

    board: Path

    def task(self, stream: str) -> Task:
        """The fresh state of a task, archived or not. Raises NotFound, LogDamaged."""

    def history(self, stream: str) -> tuple[Task, Sequence[Event]]:
        """The fresh state and every event."""

    def artifact_titles(self, events: Sequence[Event]) -> Mapping[str, str]:
        """The titles of the artifacts that `events` attach."""


_T = TypeVar("_T")


@contextmanager
def opened(logs: Logs, scanned: Callable[[], View], *, archived: bool, texts: bool, settled: bool) -> Iterator[View]:
    """A view on the index, brought up to date; where it cannot be used, `scanned()` answers.

    `texts` brings the full text up to date too. With `settled`, folders whose times have not changed since
    the last look are not scanned: every writer that comes to its end changes one. Raises LogDamaged.
    """
    view: _Guarded | None = None
    try:
        with _held(logs.board, fcntl.LOCK_SH) as usable:
            if not usable:
                yield scanned()
                return
            view = _Guarded(logs, scanned)
            try:
                view.begin(archived=archived, texts=texts, settled=settled)
                yield view
            finally:
                view.close()
    finally:
        if view is not None and view.damaged:
            _discard(logs.board)


class _Guarded:
    """Answers from the index while that can be believed, and from the logs when it cannot."""

    def __init__(self, logs: Logs, scanned: Callable[[], View]) -> None:
        self._logs = logs
        self._scanned = scanned
        self._index: Index | None = None
        self._fallback: View | None = None
        self.damaged = False

    def begin(self, *, archived: bool, texts: bool, settled: bool) -> None:
        def refresh() -> None:
            self._index = Index(self._logs)
            self._index.refresh(archived=archived, texts=texts, settled=settled)

        self._guard(refresh)

    def close(self) -> None:
        if self._index is not None:
            self._guard(self._index.close)

    def rows(self) -> list[Summary]:
        return self._answer(lambda view: view.rows())

    def row(self, task_id: str) -> Summary | None:
        return self._answer(lambda view: view.row(task_id))

    def snapshots(self, ids: Sequence[str]) -> Mapping[str, str]:
        return self._answer(lambda view: view.snapshots(ids))

    def edges(self) -> list[Edge]:
        return self._answer(lambda view: view.edges())

    def incoming(self, task_id: str) -> list[Edge]:
        return self._answer(lambda view: view.incoming(task_id))

    def running(self) -> list[str]:
        return self._answer(lambda view: view.running())

    def search(self, phrases: Sequence[Phrase]) -> list[Hit]:
        return self._answer(lambda view: view.search(phrases))

    def _answer(self, ask: Callable[[View], _T]) -> _T:
        index = self._index
        if index is not None:
            answers: list[_T] = []
            self._guard(lambda: answers.append(ask(index)))
            if answers:
                return answers[0]
        if self._fallback is None:
            self._fallback = self._scanned()
        return ask(self._fallback)

    def _guard(self, act: Callable[[], None]) -> None:
        try:
            act()
        except (Unusable, OSError):
            self._give_up()
        except (Damaged, ValueError, TypeError):
            self._give_up(damaged=True)
        except sqlite3.Error as off:
            code = getattr(off, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
            self._give_up(damaged=code not in _PASSED_BY)

    def _give_up(self, *, damaged: bool = False) -> None:
        if self._index is not None:
            self._index.abandon()
        self._index = None
        self.damaged = self.damaged or damaged


class Index:
    """One connection to the index. Implements `lattice.store.view.View`. Raises Damaged, Unusable, sqlite3.Error."""

    def __init__(self, logs: Logs) -> None:
        self._logs = logs
        self._archived = True
        path = logs.board / FILE
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        os.close(os.open(path, flags, _PRIVATE))  # SQLite would let everybody read it.
        self._connection = sqlite3.connect(path, timeout=BUSY_WAIT_S, isolation_level=None)
        boot = _boot()
        try:
            if boot:
                self._connection.execute("PRAGMA synchronous = OFF")  # It is believed within this boot alone.
            self._connection.execute("PRAGMA journal_mode = TRUNCATE")
            self._prepare(boot)
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Keep what was brought up to date."""
        try:
            if self._connection.in_transaction:
                self._connection.execute("COMMIT")
        finally:
            self._connection.close()

    def abandon(self) -> None:
        """Keep nothing."""
        self._connection.close()

    def _prepare(self, boot: str) -> None:
        if self._version() == VERSION and self._fact("boot") == boot:
            return
        self._connection.execute("BEGIN IMMEDIATE")
        if self._version() == VERSION and self._fact("boot") == boot:
            self._connection.execute("COMMIT")  # Somebody else was first.
            return
        names = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT GLOB 'sqlite_*' AND sql NOT NULL"
        for (name,) in self._connection.execute(f"{names} ORDER BY sql LIKE '%VIRTUAL%' DESC").fetchall():
            self._connection.execute('DROP TABLE IF EXISTS "{}"'.format(name.replace('"', '""')))
        for statement in _SCHEMA.split(";"):
            self._connection.execute(statement)
        self._set_fact("boot", boot)
        self._connection.execute(f"PRAGMA user_version = {VERSION}")
        self._connection.execute("COMMIT")

    def _version(self) -> int:
        return int(self._connection.execute("PRAGMA user_version").fetchone()[0])

    def _fact(self, name: str) -> str | None:
        found = self._connection.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
        return None if found is None else str(found[0])

    def _set_fact(self, name: str, value: str) -> None:
        self._connection.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    # Bringing up to date

    def refresh(self, *, archived: bool, texts: bool, settled: bool) -> None:
        """Read what changed. From here to the close, the view is what one transaction sees."""
        self._archived = archived
        now_ns = time.time_ns()
        times = _folder_times(self._logs.board)
        self._connection.execute("BEGIN")
        if settled and self._fact("folders") == times:
            return
        stamps = _stamps(self._logs.board, now_ns, archived=archived)
        stale, gone = self._difference(stamps)
        wordless = self._wordless(stamps) if texts else []
        new_words = texts and not self._has_words()
        rests = archived and all(int(part) < now_ns - _TICK_NS for part in times.split(":"))
        if not (stale or gone or wordless or new_words or (settled and rests)):
            return
        self._connection.execute("ROLLBACK")  # Reading may take long, and keeps nobody waiting.
        tasks = [(task_id, self._task(task_id)) for task_id in stale]
        texts_found = [(task_id, self._words(task_id)) for task_id in wordless]
        self._connection.execute("BEGIN IMMEDIATE")
        for task_id, task in tasks:
            self._put(task_id, task, stamps[task_id])
        for task_id in gone:
            self._remove(task_id)
        if new_words:
            self._add_words()
        for task_id, text in texts_found:
            self._put_words(task_id, text, stamps[task_id][1])
        if rests:
            self._set_fact("folders", times)

    def _difference(self, stamps: Mapping[str, tuple[bool, str]]) -> tuple[list[str], list[str]]:
        query = "SELECT id, away, stamp FROM tasks WHERE away <= ?"
        known = {
            task_id: (bool(away), stamp) for task_id, away, stamp in self._connection.execute(query, (self._archived,))
        }
        stale = [task_id for task_id, stamp in stamps.items() if known.get(task_id) != stamp or not stamp[1]]
        return stale, [task_id for task_id in known if task_id not in stamps]

    def _wordless(self, stamps: Mapping[str, tuple[bool, str]]) -> list[str]:
        known = dict(self._connection.execute("SELECT id, stamp FROM texts").fetchall())
        return [task_id for task_id, (_, stamp) in stamps.items() if known.get(task_id) != stamp or not stamp]

    def _has_words(self) -> bool:
        query = "SELECT 1 FROM sqlite_master WHERE name = 'words'"
        return self._connection.execute(query).fetchone() is not None

    def _add_words(self) -> None:
        try:
            self._connection.execute(_WORDS)
        except sqlite3.OperationalError as off:
            raise Unusable("this SQLite has no full text") from off

    def _task(self, task_id: str) -> Task | None:
        try:
            return self._logs.task(task_id)
        except NotFound:
            return None  # It went, or has no whole event yet.

    def _words(self, task_id: str) -> Words | None:
        try:
            task, events = self._logs.history(task_id)
        except NotFound:
            return None
        return words(task, events, self._logs.artifact_titles(events))

    def _put(self, task_id: str, task: Task | None, stamp: tuple[bool, str]) -> None:
        if task is None:
            self._remove(task_id)
            return
        away, mark = stamp
        row = summary(task)
        line = _dumped([*row[:-2], [run.fields() for run in row.active_processes], row.archived])
        text = snapshot_text(task)
        runs = len(row.active_processes)
        self._connection.execute(
            "INSERT OR REPLACE INTO tasks VALUES (?, ?, ?, ?, ?, ?)",
            (task_id, away, mark, runs, line, _sum(task_id, mark, line)),
        )
        self._connection.execute("INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?)", (task_id, text, _sum(text)))
        self._connection.execute("DELETE FROM edges WHERE source = ?", (task_id,))
        self._connection.executemany(
            "INSERT INTO edges VALUES (?, ?, ?, ?, ?)", [(*edge, _edge_sum(edge)) for edge in edges(task)]
        )

    def _remove(self, task_id: str) -> None:
        self._connection.execute("DELETE FROM tasks WHERE id = ?", (task_id,))
        self._connection.execute("DELETE FROM snapshots WHERE id = ?", (task_id,))
        self._connection.execute("DELETE FROM edges WHERE source = ?", (task_id,))
        self._remove_words(task_id)

    def _remove_words(self, task_id: str) -> None:
        found = self._connection.execute("SELECT number FROM texts WHERE id = ?", (task_id,)).fetchone()
        if found is not None:
            self._connection.execute("DELETE FROM words WHERE rowid = ?", found)
            self._connection.execute("DELETE FROM texts WHERE number = ?", found)

    def _put_words(self, task_id: str, text: Words | None, mark: str) -> None:
        self._remove_words(task_id)
        if text is None:
            return
        cursor = self._connection.execute("INSERT INTO texts (id, stamp) VALUES (?, ?)", (task_id, mark))
        self._connection.execute(
            "INSERT INTO words (rowid, title, description, comments, artifacts, crc) VALUES (?, ?, ?, ?, ?, ?)",
            (cursor.lastrowid, *text, _sum(task_id, *text)),
        )

    # Answering

    def rows(self) -> list[Summary]:
        rows = self._rows("" if self._archived else "WHERE away = 0", ())
        return rows if self._archived else [row for row in rows if not row.archived]

    def row(self, task_id: str) -> Summary | None:
        found = self._rows("WHERE id = ?", (task_id,))
        return found[0] if found else None

    def _rows(self, where: str, values: tuple[str, ...]) -> list[Summary]:
        lines = []
        query = f"SELECT id, stamp, line, crc FROM tasks {where} ORDER BY id"  # noqa: S608  # `where` is ours
        for task_id, stamp, line, crc in self._connection.execute(query, values):
            if zlib.crc32(f"{task_id}\0{stamp}\0{line}".encode()) != crc:
                raise Damaged
            lines.append(line)
        return [_row(fields) for fields in json.loads(f"[{','.join(lines)}]")]

    def snapshots(self, ids: Sequence[str]) -> Mapping[str, str]:
        wanted = set(ids)
        texts = {}
        for task_id, text, crc in self._texts(ids):
            if task_id not in wanted:
                continue
            if _sum(text) != crc:
                raise Damaged
            texts[task_id] = text
        if len(texts) != len(wanted):
            raise Damaged
        return texts

    def _texts(self, ids: Sequence[str]) -> Iterator[tuple[str, str, int]]:
        if len(ids) > 500:
            yield from self._connection.execute("SELECT id, text, crc FROM snapshots")
            return
        for task_id in ids:
            yield from self._connection.execute("SELECT id, text, crc FROM snapshots WHERE id = ?", (task_id,))

    def edges(self) -> list[Edge]:
        hidden = "" if self._archived else "WHERE source IN (SELECT id FROM tasks WHERE away = 0)"
        return self._edges(f"{hidden} ORDER BY source, rowid", ())

    def incoming(self, task_id: str) -> list[Edge]:
        return self._edges("WHERE target = ? ORDER BY source, rowid", (task_id,))

    def _edges(self, where: str, values: tuple[str, ...]) -> list[Edge]:
        found = []
        query = f"SELECT source, type, target, note, crc FROM edges {where}"  # noqa: S608  # `where` is ours
        for *fields, crc in self._connection.execute(query, values):
            edge = Edge(*fields)
            if _edge_sum(edge) != crc:
                raise Damaged
            found.append(edge)
        return found

    def running(self) -> list[str]:
        query = "SELECT id FROM tasks WHERE runs > 0 ORDER BY id"
        return [str(task_id) for (task_id,) in self._connection.execute(query)]

    def search(self, phrases: Sequence[Phrase]) -> list[Hit]:
        asked = " AND ".join(f'"{" ".join(phrase)}"*' for phrase in phrases)
        hidden = "" if self._archived else "AND texts.id IN (SELECT id FROM tasks WHERE away = 0)"
        query = f"""
            SELECT texts.id, title, description, comments, artifacts, crc
            FROM words JOIN texts ON texts.number = words.rowid
            WHERE words MATCH ? {hidden} ORDER BY bm25(words, 8, 3, 1, 2), texts.id
        """  # noqa: S608  # `hidden` is ours, and what is asked is bound
        hits = []
        for task_id, *columns, crc in self._connection.execute(query, (asked,)):
            if _sum(task_id, *columns) != crc:
                raise Damaged
            hits.append(Hit(task_id, Words(*columns)))
        return hits


def _row(fields: list[object]) -> Summary:
    *plain, tags, branches, custom, runs, archived = fields
    active = tuple(ActiveRun(**run) for run in runs) if isinstance(runs, list) else ()
    return Summary(*plain, tuple(tags), tuple(branches), custom, active, archived)  # type: ignore[call-arg, arg-type]  # as written, by its sum


def _dumped(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def _sum(*texts: str) -> int:
    return zlib.crc32("\0".join(texts).encode("utf-8", "surrogatepass"))


def _edge_sum(edge: Edge) -> int:
    return _sum(_dumped(edge))


def _stamps(board: Path, now_ns: int, *, archived: bool) -> dict[str, tuple[bool, str]]:
    """Each log's place and stamp; an empty stamp for one that may still change without a trace."""
    found: dict[str, tuple[bool, str]] = {}
    for folder, place in ((board / "archive" / "events", True), (board / "events", False)):
        if place and not archived:
            continue
        try:
            entries = os.scandir(folder)
        except FileNotFoundError:
            continue  # A fresh clone: git carries no empty folders.
        with entries:
            for entry in entries:
                task_id, ending = entry.name[:-6], entry.name[-6:]
                if ending != ".jsonl" or not is_id("task", task_id):
                    continue
                try:
                    state = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # It was archived while we looked.
                settled = state.st_mtime_ns < now_ns - _TICK_NS
                stamp = f"{state.st_size}:{state.st_mtime_ns}:{state.st_ino}" if settled else ""
                found[task_id] = (place, stamp)
    return found


def _folder_times(board: Path) -> str:
    times = []
    for name in ("events", "tasks", "archive/events", "archive/tasks"):
        try:
            times.append(os.stat(board / name).st_mtime_ns)
        except FileNotFoundError:
            times.append(0)
    return ":".join(map(str, times))


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""  # no Linux: SQLite syncs


def _discard(board: Path) -> None:
    """Remove a damaged index, unless somebody uses it: then it is found damaged again, and removed later."""
    with _held(board, fcntl.LOCK_EX) as alone:
        if alone:
            for name in (f"{FILE}-journal", FILE):
                with suppress(OSError):  # Each view finds out again that it cannot be believed.
                    (board / name).unlink()


@contextmanager
def _held(board: Path, how: int) -> Iterator[bool]:
    """Hold the index's lock, shared or alone; False where that cannot be had at once."""
    path = board / "locks" / "index.lock"
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        try:
            descriptor = os.open(path, flags, _PRIVATE)
        except FileNotFoundError:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(path, flags, _PRIVATE)
    except OSError:
        yield False
        return
    try:
        try:
            fcntl.flock(descriptor, how | fcntl.LOCK_NB)
            held = True
        except OSError:
            held = False
        yield held
    finally:
        os.close(descriptor)
