"""The file of the index: what is put in, and the answers it gives.

Every row has a checksum. How many rows an answer has to have is kept beside them, on other pages of the file, so
that a damaged file is found out by whoever is answered from it, also where rows are not found any more.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

from lattice.core.summary import Document, Edge, Hit, Summary, Words, from_flat, rank
from lattice.store.files.index_rows import Prepared, document_sum, edge_sum, row_sum, text_sum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lattice.core.fulltext import Phrase

FILE = "index.sqlite"
VERSION = 3
BUSY_WAIT_S = 2.0
_PRIVATE = 0o600
_PAGE = 16_384  # A board is put in a fifth faster than with SQLite's 4,096, and no question is slower.
_ROW = "id, away, stamp, status, rank, assigned, line, crc"


class Damaged(Exception):
    """The index is not what was written."""


class Unusable(Exception):
    """The index cannot be used now; nothing is wrong with it."""


class IndexFile:
    """One connection to the index. Implements `lattice.store.view.View`. Raises Damaged, Unusable, sqlite3.Error."""

    def __init__(self, board: str, *, archived: bool) -> None:
        self._archived = archived
        path = f"{board}/{FILE}"
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        os.close(os.open(path, flags, _PRIVATE))  # SQLite would let everybody read it.
        self.connection = sqlite3.connect(path, timeout=BUSY_WAIT_S, isolation_level=None)
        self.execute = self.connection.execute
        boot = _boot()
        try:
            if boot:
                self.execute("PRAGMA synchronous = OFF")  # It is believed within this boot alone.
            self.execute(f"PRAGMA page_size = {_PAGE}")  # of a file that is begun now
            self.execute("PRAGMA journal_mode = TRUNCATE")
            self._prepare(boot)
        except BaseException:
            self.connection.close()
            raise

    def close(self) -> None:
        """Keep what was brought up to date."""
        try:
            if self.connection.in_transaction:
                self.execute("COMMIT")
        finally:
            self.connection.close()

    def abandon(self) -> None:
        """Keep nothing."""
        self.connection.close()

    def _prepare(self, boot: str) -> None:
        if self._version() == VERSION and self.facts().get("boot") == boot:
            return
        self.execute("BEGIN IMMEDIATE")
        if self._version() == VERSION and self.facts().get("boot") == boot:
            self.execute("COMMIT")  # Somebody else was first.
            return
        names = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT GLOB 'sqlite_*' AND sql NOT NULL"
        for (name,) in self.execute(f"{names} ORDER BY sql LIKE '%VIRTUAL%' DESC").fetchall():
            self.execute('DROP TABLE IF EXISTS "{}"'.format(name.replace('"', '""')))
        self.execute("PRAGMA user_version = 0")
        self.execute("COMMIT")
        if self.execute("PRAGMA page_count").fetchone()[0]:
            # What is left are free pages, all over the file, and of the size that its first version had.
            self.execute("PRAGMA temp_store = MEMORY")
            self.execute("VACUUM")
        self.execute("BEGIN IMMEDIATE")
        if self._version() == VERSION:
            self.execute("COMMIT")  # as above
            return
        from lattice.store.files.index_schema import SCHEMA  # an index that is there does without

        for statement in SCHEMA.split(";"):
            self.execute(statement)
        self.fill([])
        self.set_fact("boot", boot)
        self.execute(f"PRAGMA user_version = {VERSION}")
        self.execute("COMMIT")

    def _version(self) -> int:
        return int(self.execute("PRAGMA user_version").fetchone()[0])

    def facts(self) -> dict[str, str]:
        """What the index knows of itself."""
        return dict(self.execute("SELECT name, value FROM facts").fetchall())

    def set_fact(self, name: str, value: str) -> None:
        """Note something of the index itself."""
        self.execute("INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, value))

    # Putting tasks in

    def put(self, task_id: str, prepared: Prepared | None) -> None:
        """Keep a task as `index_rows` has it, or nothing of it."""
        for table, column in (("tasks", "id"), ("documents", "id"), ("edges", "source")):
            self.execute(f"DELETE FROM {table} WHERE {column} = ?", (task_id,))  # noqa: S608  # the names are ours
        self._check_tally("source", task_id, 0)  # What an index did not find, nothing was deleted of.
        if prepared is None:
            self.put_words(task_id, None)
        else:
            self._add([prepared])

    def is_empty(self) -> bool:
        """Whether it has no task."""
        return self.execute("SELECT 1 FROM tasks LIMIT 1").fetchone() is None

    def fill(self, parts: Iterable[Sequence[Prepared]]) -> None:
        """Keep these tasks, and no others, all of them without words. It is fastest where they are sorted by id."""
        from lattice.store.files.index_schema import INDEXES, TALLIES, triggers  # an index that is there does without

        for trigger in triggers():
            self.execute(f"DROP TRIGGER IF EXISTS {trigger}")  # A count for each row takes as long as the row.
        for name in INDEXES:
            self.execute(f"DROP INDEX IF EXISTS {name}")  # Made of what is there, it takes half the time.
        for table in ("tasks", "documents", "edges", "counts", "tallies", "wordless"):
            self.execute(f"DELETE FROM {table}")  # noqa: S608  # the names are ours
        for tasks in parts:
            self._add(tasks)
        for name, what in INDEXES.items():
            self.execute(f"CREATE INDEX {name} ON {what}")
        self.execute("INSERT INTO counts SELECT away, status, count(*) FROM tasks GROUP BY away, status")
        for what, (table, key, fits) in TALLIES.items():
            counted = f"SELECT '{what}', {key.format('', '')} AS key, count(*) FROM {table} WHERE {fits.format('')}"  # noqa: S608  # as above
            self.execute(f"INSERT INTO tallies {counted} GROUP BY key")
        self.execute("INSERT INTO wordless SELECT id FROM tasks")
        for name, what in triggers().items():
            self.execute(f"CREATE TRIGGER {name} {what}")

    def _add(self, tasks: Sequence[Prepared]) -> None:
        many = self.connection.executemany
        many("INSERT INTO tasks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", [row for row, _, _ in tasks])
        many("INSERT INTO documents VALUES (?, ?, ?)", [document for _, document, _ in tasks])
        many("INSERT INTO edges VALUES (?, ?, ?, ?, ?)", [edge for _, _, out in tasks for edge in out])

    def has_words(self) -> bool:
        """Whether there is a table of words."""
        return self.execute("SELECT 1 FROM sqlite_master WHERE name = 'words'").fetchone() is not None

    def add_words(self) -> None:
        """Make the table of words. Raises Unusable where this SQLite has no full text."""
        from lattice.store.files.index_schema import WORDS  # once

        try:
            self.execute(WORDS)
        except sqlite3.OperationalError as off:
            raise Unusable("this SQLite has no full text") from off

    def put_words(self, task_id: str, text: Words | None) -> None:
        """Keep the text of a task, or nothing of it."""
        found = self.execute("SELECT number FROM texts WHERE id = ?", (task_id,)).fetchone()
        if found is not None:
            self.execute("DELETE FROM words WHERE rowid = ?", found)
            self.execute("DELETE FROM texts WHERE number = ?", found)
        self.execute("DELETE FROM wordless WHERE id = ?", (task_id,))
        if text is not None:
            number = self.execute("INSERT INTO texts (id) VALUES (?)", (task_id,)).lastrowid
            self.execute(
                "INSERT INTO words (rowid, title, description, comments, artifacts, crc) VALUES (?, ?, ?, ?, ?, ?)",
                (number, *text, text_sum(task_id, *text)),
            )

    # Answering

    def rows(self, status_fits: Callable[[str], bool] | None = None) -> Iterator[Summary]:
        where, values = self._where(status_fits)
        number = 0
        for row in self._rows(f"{where} ORDER BY id", values):
            number += 1
            yield row
        self._check_number(number, where, values)

    def pressing(self, statuses: Collection[str]) -> Iterator[Summary]:
        for status in statuses:
            found = self.execute("SELECT count(*) FROM tasks WHERE away = 0 AND status = ?", (status,)).fetchone()
            if int(found[0]) != self.count(status):
                raise Damaged
        ordered = [self._ranked(status) for status in statuses]
        from heapq import merge  # only `next` asks for those that press

        yield from (row for _, _, row in merge(*ordered, key=lambda one: one[:2]))

    def _ranked(self, status: str) -> Iterator[tuple[int, str, Summary]]:
        where, before = "WHERE away = 0 AND status = ? ORDER BY rank, id", (-1, "")
        for row in self._rows(where, (status,)):
            place = (rank(row.priority, row.urgency), row.id)
            if place <= before:
                raise Damaged
            before = place
            yield *place, row

    def assigned(self, name: str, statuses: Collection[str]) -> list[Summary]:
        found: list[Summary] = []
        for status in dict.fromkeys(statuses):
            rows = list(self._rows("WHERE assigned = ? AND status = ?", (name, status)))
            self._check_tally("assigned", f"{status}\x1f{name}", len(rows))
            found += rows
        return [row for row in found if not row.archived]

    def count(self, status: str) -> int:
        found = self.execute("SELECT n FROM counts WHERE away = 0 AND status = ?", (status,)).fetchone()
        return int(found[0]) if found is not None else 0

    def row(self, task_id: str) -> Summary | None:
        found = next(self._rows("WHERE id = ?", (task_id,)), None)
        if found is None:  # Each task is in one of these two as well.
            for table in ("wordless", "texts"):
                if self.execute(f"SELECT 1 FROM {table} WHERE id = ?", (task_id,)).fetchone():  # noqa: S608  # ours
                    raise Damaged
        return found

    def _where(self, status_fits: Callable[[str], bool] | None) -> tuple[str, tuple[str, ...]]:
        if status_fits is None:  # The plus keeps SQLite from an index that it would have to sort all of.
            return ("" if self._archived else "WHERE +away = 0"), ()
        place = "away <= 1" if self._archived else "away = 0"
        found = [status for (status,) in self.execute("SELECT DISTINCT status FROM counts") if status_fits(status)]
        return f"WHERE {place} AND status IN ({', '.join('?' * len(found))})", tuple(found)

    def _rows(self, where: str, values: tuple[str, ...]) -> Iterator[Summary]:
        query = f"SELECT {_ROW} FROM tasks {where}"  # noqa: S608  # `where` is ours, and its values are bound
        for *fields, line, crc in self.execute(query, values):
            if row_sum(fields, line) != crc:
                raise Damaged
            yield from_flat(json.loads(line))

    def _check_number(self, number: int, where: str, values: tuple[str, ...]) -> None:
        query = f"SELECT total(n) FROM counts {where}"  # noqa: S608  # as above
        if number != int(self.execute(query, values).fetchone()[0]):
            raise Damaged

    def _check_tally(self, what: str, key: str, number: int) -> None:
        found = self.execute("SELECT n FROM tallies WHERE what = ? AND key = ?", (what, key)).fetchone()
        if number != (int(found[0]) if found is not None else 0):
            raise Damaged

    def documents(self, ids: Sequence[str] | None = None) -> Iterator[Document]:
        if ids is not None:
            for task_id in ids:
                found = self.execute(
                    "SELECT id, text, documents.crc, runs FROM documents JOIN tasks USING (id) WHERE id = ?", (task_id,)
                )
                yield self._document(task_id, found.fetchone())
            return
        where, values = self._where(None)
        number = 0
        query = f"""
            SELECT id, text, documents.crc, runs FROM tasks CROSS JOIN documents USING (id) {where} ORDER BY id
        """  # noqa: S608  # as above
        for found in self.execute(query, values):
            number += 1
            yield self._document(found[0], found)
        self._check_number(number, where, values)

    def _document(self, task_id: str, found: tuple[str, bytes, int, int] | None) -> Document:
        if found is None or document_sum(task_id, found[1]) != found[2]:
            raise Damaged
        return Document(task_id, found[1], found[3] > 0)

    def edges(self) -> list[Edge]:
        found = self._edges("ORDER BY source, rowid", ())
        if len(found) != int(self.execute("SELECT total(n) FROM tallies WHERE what = 'source'").fetchone()[0]):
            raise Damaged
        away = set() if self._archived else {one for (one,) in self.execute("SELECT id FROM tasks WHERE away <> 0")}
        return [edge for edge in found if edge.source not in away]

    def incoming(self, task_id: str) -> list[Edge]:
        found = self._edges("WHERE target = ? ORDER BY source, rowid", (task_id,))
        self._check_tally("target", task_id, len(found))
        return found

    def outgoing(self, task_id: str) -> list[Edge]:
        found = self._edges("WHERE source = ? ORDER BY rowid", (task_id,))
        self._check_tally("source", task_id, len(found))
        return found

    def _edges(self, where: str, values: tuple[str, ...]) -> list[Edge]:
        found = []
        query = f"SELECT source, type, target, note, crc FROM edges {where}"  # noqa: S608  # `where` is ours
        for *fields, crc in self.execute(query, values):
            edge = Edge(*fields)
            if edge_sum(edge) != crc:
                raise Damaged
            found.append(edge)
        return found

    def running(self) -> list[str]:
        found = [str(task_id) for (task_id,) in self.execute("SELECT id FROM tasks WHERE runs > 0 ORDER BY id")]
        self._check_tally("running", "", len(found))
        return found

    def search(self, phrases: Sequence[Phrase], limit: int | None = None) -> list[Hit]:
        asked = " AND ".join(f'"{" ".join(phrase)}"*' for phrase in phrases)
        hidden = "" if self._archived else "AND texts.id IN (SELECT id FROM tasks WHERE away = 0)"
        # The text is fetched of those alone that are shown.
        query = f"""
            SELECT found.id, title, description, comments, artifacts, crc
            FROM (
                SELECT texts.id, words.rowid AS number, bm25(words, 8, 3, 1, 2) AS place
                FROM words JOIN texts ON texts.number = words.rowid
                WHERE words MATCH ? {hidden} ORDER BY place, texts.id LIMIT ?
            ) AS found JOIN words ON words.rowid = found.number ORDER BY found.place, found.id
        """  # noqa: S608  # `hidden` is ours, and what is asked is bound
        hits = []
        for task_id, *columns, crc in self.execute(query, (asked, -1 if limit is None else limit)):
            if text_sum(task_id, *columns) != crc:
                raise Damaged
            hits.append(Hit(task_id, Words(*columns)))
        return hits


def _boot() -> str:
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""  # no Linux: SQLite syncs
