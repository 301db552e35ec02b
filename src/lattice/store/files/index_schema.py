"""The tables of the index: whoever makes one, or fills it, needs this, and no answer does.

A change here asks for another `VERSION` in `index_file`.
"""

from __future__ import annotations

from collections.abc import Mapping

SCHEMA = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE tasks (
    id TEXT PRIMARY KEY, away INTEGER NOT NULL, stamp TEXT NOT NULL, status TEXT NOT NULL, rank INTEGER NOT NULL,
    assigned TEXT, runs INTEGER NOT NULL, line TEXT NOT NULL, crc INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE documents (id TEXT PRIMARY KEY, text BLOB NOT NULL, crc INTEGER NOT NULL);
CREATE TABLE edges (source TEXT NOT NULL, type TEXT NOT NULL, target TEXT NOT NULL, note TEXT, crc INTEGER NOT NULL);
CREATE TABLE counts (away INTEGER, status TEXT, n INTEGER NOT NULL, PRIMARY KEY (away, status)) WITHOUT ROWID;
CREATE TABLE tallies (what TEXT, key TEXT, n INTEGER NOT NULL, PRIMARY KEY (what, key)) WITHOUT ROWID;
CREATE TABLE pending (id TEXT PRIMARY KEY, unfinished INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE texts (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE);
CREATE TABLE wordless (id TEXT PRIMARY KEY) WITHOUT ROWID;
"""
INDEXES = {
    "pressing": "tasks (away, status, rank, id)",
    "assigned": "tasks (assigned, status) WHERE assigned NOT NULL",
    "running": "tasks (id) WHERE runs > 0",
    "outgoing": "edges (source)",
    "incoming": "edges (target)",
}
TALLIES = {
    "assigned": ("tasks", "{}status || char(31) || {}assigned", "{}assigned NOT NULL"),
    "running": ("tasks", "''", "{}runs > 0"),
    "source": ("edges", "{}source", "1"),
    "target": ("edges", "{}target", "1"),
}
"""What is counted for an index's answers: the rows of a table by a key, where a condition holds."""


def triggers() -> Mapping[str, str]:
    """What keeps the numbers of rows beside the rows."""
    return {
        "came": f"""AFTER INSERT ON tasks BEGIN
            INSERT INTO counts VALUES (new.away, new.status, 1) ON CONFLICT DO UPDATE SET n = n + 1;
            INSERT OR IGNORE INTO wordless VALUES (new.id);
            {_tallying("tasks", "new.", "+ 1")}
        END""",  # noqa: S608  # the names are ours
        "went": f"""AFTER DELETE ON tasks BEGIN
            UPDATE counts SET n = n - 1 WHERE away = old.away AND status = old.status;
            {_tallying("tasks", "old.", "- 1")}
        END""",  # noqa: S608  # the names are ours
        "tied": f"AFTER INSERT ON edges BEGIN {_tallying('edges', 'new.', '+ 1')} END",
        "untied": f"AFTER DELETE ON edges BEGIN {_tallying('edges', 'old.', '- 1')} END",
    }


def _tallying(table: str, row: str, change: str) -> str:
    return " ".join(
        f"INSERT INTO tallies SELECT '{what}', {key.format(row, row)}, {change} WHERE {fits.format(row)} "
        f"ON CONFLICT DO UPDATE SET n = n {change};"
        for what, (of, key, fits) in TALLIES.items()
        if of == table
    )


WORDS = """
CREATE VIRTUAL TABLE words USING fts5 (
    title, description, comments, artifacts, crc UNINDEXED, tokenize = 'unicode61 remove_diacritics 2'
)
"""
