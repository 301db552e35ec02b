"""The index, `.lattice/index.sqlite`: what the logs say of all tasks, in one file. A cache, and never more.

*Fresh.* Each view first brings it up to date (`freshness`).

*Disposable.* A row has a checksum. An index that is missing, of another version, of an earlier boot (it is
written without a sync, so that a power cut may have torn it) or damaged is made again. One that is locked,
or that cannot be written, is passed by: the answer then comes from the logs.

*Shared.* Whoever uses the file holds `locks/index.lock` shared; who removes it holds the lock alone, so that
SQLite never has a file taken away from under it. What a view wrote, it answers from in the same transaction.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice

from lattice.core.summary import Document, Edge, Hit, Summary, rank
from lattice.store.files.freshness import refresh
from lattice.store.files.index_file import FILE, Damaged, IndexFile, Unusable
from lattice.store.files.index_reading import Logs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    from lattice.core.fulltext import Phrase
    from lattice.store.protocol import Unread
    from lattice.store.view import View

    _T = TypeVar("_T")

BATCH = 64
_PASSED_BY = frozenset({
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_NOMEM,
})  # fmt: skip
_PRIVATE = 0o600


@contextmanager
def opened(
    logs: Logs, scanned: Callable[[], View], *, archived: bool, texts: bool, unread: Unread | None
) -> Iterator[View]:
    """A view on the index, brought up to date; where it cannot be used, `scanned()` answers.

    `texts` brings the full text up to date too; `unread` is as the protocol has it. Raises LogDamaged, StorageError.
    """
    view: _Guarded | None = None
    try:
        with _held(logs.root, fcntl.LOCK_SH) as usable:
            if not usable:
                yield scanned()
                return
            view = _Guarded(logs, scanned)
            try:
                view.begin(archived=archived, texts=texts, unread=unread)
                yield view
            finally:
                view.close()
    finally:
        if view is not None and view.damaged:
            _discard(logs.root)


class _Guarded:
    """Answers from the index while that can be believed, and from the logs when it cannot."""

    def __init__(self, logs: Logs, scanned: Callable[[], View]) -> None:
        self._logs = logs
        self._scanned = scanned
        self._index: IndexFile | None = None
        self._fallback: View | None = None
        self.damaged = False

    def begin(self, *, archived: bool, texts: bool, unread: Unread | None) -> None:
        def open_and_refresh() -> None:
            self._index = IndexFile(self._logs.root, archived=archived)
            refresh(self._index, self._logs, archived=archived, texts=texts, unread=unread)

        self._guard(open_and_refresh)

    def close(self) -> None:
        if self._index is not None:
            self._guard(self._index.close)

    def rows(self, status_fits: Callable[[str], bool] | None = None) -> Iterator[Summary]:
        return self._each(lambda view: view.rows(status_fits), lambda row: row.id)

    def pressing(self, statuses: Collection[str]) -> Iterator[Summary]:
        return self._each(lambda view: view.pressing(statuses), lambda row: (rank(row.priority, row.urgency), row.id))

    def documents(self, ids: Sequence[str] | None = None) -> Iterator[Document]:
        if ids is None:
            return self._each(lambda view: view.documents(), lambda document: document.id)
        return iter(self._answer(lambda view: list(view.documents(ids))))

    def row(self, task_id: str) -> Summary | None:
        return self._answer(lambda view: view.row(task_id))

    def assigned(self, name: str, statuses: Collection[str]) -> list[Summary]:
        return self._answer(lambda view: view.assigned(name, statuses))

    def count(self, status: str) -> int:
        return self._answer(lambda view: view.count(status))

    def edges(self) -> list[Edge]:
        return self._answer(lambda view: view.edges())

    def incoming(self, task_id: str) -> list[Edge]:
        return self._answer(lambda view: view.incoming(task_id))

    def outgoing(self, task_id: str) -> list[Edge]:
        return self._answer(lambda view: view.outgoing(task_id))

    def running(self) -> list[str]:
        return self._answer(lambda view: view.running())

    def search(self, phrases: Sequence[Phrase], limit: int | None = None) -> list[Hit]:
        return self._answer(lambda view: view.search(phrases, limit))

    def _each(self, ask: Callable[[View], Iterator[_T]], key: Callable[[_T], Any]) -> Iterator[_T]:
        """Items as they come; where the index fails on the way, the logs go on after the last one."""
        last: _T | None = None
        if self._index is not None:
            items = ask(self._index)
            while True:
                found: list[_T] = []
                if not self._guard(lambda: found.extend(islice(items, BATCH))):  # noqa: B023  # it is called at once
                    break
                if not found:
                    return
                last = found[-1]
                yield from found
        for item in ask(self._plain()):
            if last is None or key(item) > key(last):
                yield item

    def _plain(self) -> View:
        if self._fallback is None:
            self._fallback = self._scanned()
        return self._fallback

    def _answer(self, ask: Callable[[View], _T]) -> _T:
        index = self._index
        if index is not None:
            answers: list[_T] = []
            if self._guard(lambda: answers.append(ask(index))):
                return answers[0]
        return ask(self._plain())

    def _guard(self, act: Callable[[], None]) -> bool:
        """Whether it could be done. If not, the index is given up."""
        try:
            act()
        except (Unusable, OSError):
            self._give_up()
        except (Damaged, ValueError, TypeError):
            self._give_up(damaged=True)
        except sqlite3.Error as off:
            code = getattr(off, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
            self._give_up(damaged=code not in _PASSED_BY)
        else:
            return True
        return False

    def _give_up(self, *, damaged: bool = False) -> None:
        if self._index is not None:
            self._index.abandon()
        self._index = None
        self.damaged = self.damaged or damaged


def _discard(board: str) -> None:
    """Remove a damaged index, unless somebody uses it: then it is found damaged again, and removed later."""
    with _held(board, fcntl.LOCK_EX) as alone:
        if alone:
            for name in (f"{FILE}-journal", FILE):
                with suppress(OSError):  # Each view finds out again that it cannot be believed.
                    os.unlink(f"{board}/{name}")


@contextmanager
def _held(board: str, how: int) -> Iterator[bool]:
    """Hold the index's lock, shared or alone; False where that cannot be had at once."""
    path = f"{board}/locks/index.lock"
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        try:
            descriptor = os.open(path, flags, _PRIVATE)
        except FileNotFoundError:
            os.makedirs(f"{board}/locks", mode=0o700, exist_ok=True)
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
