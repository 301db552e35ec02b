"""Bringing the index up to date: what changed is read again, and nothing else is looked at.

Three things tell what changed: the journal (`changes`), the times of the folders, and, from time to time, a look
at every log. A row names the size, change time and inode of the log that it was made from; a log that changed
within the clock's last ticks is not believed a second time.

A log that somebody edits in place, past the journal and the folders, shows at the next look at every log:
after ten minutes, or after a thousand times as long as that look takes, whichever is more.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence

from lattice.core.events import Event
from lattice.core.ids import is_id
from lattice.core.pretty import ITEM_PAD
from lattice.core.record import Protocol, Record
from lattice.core.summary import Words, item_text, words
from lattice.core.task import Task, to_snapshot
from lattice.errors import LatticeError, LockTimeout, LogDamaged, NotFound, StorageError
from lattice.store.files import changes
from lattice.store.files.index_file import IndexFile, Prepared, prepare
from lattice.store.files.locks import locked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeVar

    from lattice.store.protocol import Unread

    _T = TypeVar("_T")
    _R = TypeVar("_R")

LOOK_EVERY_NS = 600_000_000_000
LOOK_SHARE = 1_000
_TICK_NS = 50_000_000  # more than the kernel's coarse clock, from which files get their times
_AWAY = "archive/"
_FOLDERS = ("events", "archive/events", "tasks", "archive/tasks")


class Logs(Protocol):
    """What the index is made from."""

    root: str

    def kept(self, stream: str, *, archived: bool) -> tuple[dict[str, Any], bytes] | None:
        """The snapshot's JSON value and text, where it is what the whole log says; None where it has to be asked."""

    def task(self, stream: str) -> Task:
        """The fresh state of a task, archived or not. Raises NotFound, LogDamaged."""

    def history(self, stream: str) -> tuple[Task, Sequence[Event]]:
        """The fresh state and every event."""

    def artifact_titles(self, events: Sequence[Event]) -> Mapping[str, str]:
        """The titles of the artifacts that `events` attach."""


class _Look(Record):
    """What the logs look like now, and what is to be noted once the index has them."""

    stamps: dict[str, str | None]  # None for a log that is gone, empty for one that may still change without a trace
    whole: bool  # whether these are all there are
    unfinished: frozenset[str]  # whose writers may still be at work
    facts: dict[str, str]


def refresh(file: IndexFile, logs: Logs, *, archived: bool, texts: bool, unread: Unread | None) -> None:
    """Bring the index up to date; from here to the close it is what one transaction sees. `texts`: the words too.

    A task whose log cannot be read has no row, and its log is read again by each view: what is wrong with it is put
    in `unread`, or raised where that is None. Of an archived task it is told where `archived` ones are asked for.
    """
    file.execute("BEGIN")
    look = _look(file, logs.root, time.time_ns())
    wordless = _wordless(file) if texts else set()
    new_words = texts and not file.has_words()
    if look is None and not wordless and not new_words:
        return
    known = {} if look is None else _known(file, look)
    stale = [] if look is None else [one for one, mark in look.stamps.items() if not mark or known.get(one) != mark]
    gone = known.keys() - look.stamps.keys() if look is not None and look.whole else set()
    file.execute("ROLLBACK")  # Reading may take long, and keeps nobody waiting.
    found = _tasks(logs, [(one, look.stamps[one] or "") for one in stale]) if look is not None else []
    read = _texts(logs, sorted(wordless.union(stale))) if texts else []
    bad = {task_id: off for task_id, off in (*found, *read) if isinstance(off, LatticeError)}
    file.execute("BEGIN IMMEDIATE")
    prepared = [(task_id, one) for task_id, one in found if not isinstance(one, LatticeError)]
    if look is not None and look.whole and not known:
        file.fill([one for _, one in prepared if one is not None])
    else:
        for task_id, one in prepared:
            file.put(task_id, one)
    for task_id in (*gone, *bad):
        file.put(task_id, None)
    if look is not None:
        _note(file, look)
    if new_words:
        file.add_words()
    for task_id, text in read:
        if task_id not in bad and not isinstance(text, LatticeError):
            file.put_words(task_id, text)
    if bad:
        _tell(file, logs.root, bad, archived=archived, unread=unread)


def _tell(file: IndexFile, root: str, bad: Unread, *, archived: bool, unread: Unread | None) -> None:
    """Have these logs read again by the next view, and say what is wrong with those that are asked for."""
    file.connection.executemany("INSERT OR IGNORE INTO pending VALUES (?, 0)", [(task_id,) for task_id in bad])
    for task_id, off in bad.items():
        if not archived and not os.path.lexists(f"{root}/events/{task_id}.jsonl"):
            continue  # It is in the archive.
        if unread is None:
            raise off
        unread[task_id] = off


# What changed


def _look(file: IndexFile, root: str, now_ns: int) -> _Look | None:
    """What has to be compared with the index; None where nothing has changed."""
    facts = file.facts()
    times = [_time(f"{root}/{name}") for name in _FOLDERS]
    generation, _, end = facts.get("journal", ":0").rpartition(":")
    news = changes.read(root, generation, int(end))
    waiting, unfinished = _waiting(file, root, news)
    journal = {"journal": f"{news.generation}:{news.end}"}
    if news.gap or not _accounted(facts.get("folders"), times, news) or _is_due(facts.get("looked"), now_ns):
        stamps: dict[str, str | None] = {**_stamps(root, now_ns)}
        rests = all(changed < now_ns - _TICK_NS for changed in times)
        looked = f"{now_ns}:{time.time_ns() - now_ns}"
        return _Look(
            stamps, True, unfinished, {"folders": _joined(times) if rests else "", "looked": looked, **journal}
        )
    if not waiting and news.end == int(end):
        return None
    found = {task_id: _stamp(root, task_id, now_ns) for task_id in waiting}
    return _Look(found, False, unfinished, {"folders": _joined(times), **journal})


def _waiting(file: IndexFile, root: str, news: changes.News) -> tuple[set[str], frozenset[str]]:
    """The tasks whose logs have to be looked at, and those of them whose writer may still be at work."""
    pending = dict(file.execute("SELECT id, unfinished FROM pending").fetchall())
    ended = news.tasks - news.unfinished
    # The lock is tried before the log is looked at: what its writer did before it died is there by then.
    left = {one for one, open_ in pending.items() if open_ and one not in ended and not _is_over(root, one)}
    return {*pending, *news.tasks}, frozenset(left | news.unfinished)


def _is_over(root: str, task_id: str) -> bool:
    """Whether nobody writes to the log."""
    try:
        with locked(f"{root}/locks/events_{task_id}.lock", wait_s=0.0):
            return True
    except (LockTimeout, StorageError):
        return False


def _accounted(known: str | None, times: Sequence[int], news: changes.News) -> bool:
    """Whether the folders are as they were, but for tasks that the journal tells of."""
    if not known:
        return False
    events_ns, *others = map(int, known.split(":"))
    for before_ns, after_ns in news.moves:
        if before_ns == events_ns:
            events_ns = after_ns
    return [events_ns, *others] == list(times)


def _is_due(looked: str | None, now_ns: int) -> bool:
    at_ns, _, took_ns = (looked or "0:0").partition(":")
    every_ns = max(LOOK_EVERY_NS, LOOK_SHARE * int(took_ns))
    return not int(at_ns) <= now_ns < int(at_ns) + every_ns


def _known(file: IndexFile, look: _Look) -> dict[str, str]:
    query = "SELECT id, stamp FROM tasks"
    if look.whole:
        return dict(file.execute(query).fetchall())
    return dict(row for one in look.stamps for row in file.execute(f"{query} WHERE id = ?", (one,)))


def _note(file: IndexFile, look: _Look) -> None:
    """Keep what was found out, and what has to be looked at again."""
    again = {one for one, mark in look.stamps.items() if mark == ""} | look.unfinished
    file.execute("DELETE FROM pending")
    file.connection.executemany("INSERT INTO pending VALUES (?, ?)", [(one, one in look.unfinished) for one in again])
    for name, value in look.facts.items():
        file.set_fact(name, value)


def _wordless(file: IndexFile) -> set[str]:
    return {task_id for (task_id,) in file.execute("SELECT id FROM wordless")}


# Reading


def _in_parts(read: Callable[[Sequence[_T]], list[_R]], items: Sequence[_T]) -> list[_R]:
    if not items:
        return []
    from lattice.store.files.parallel import in_parts  # an index that is up to date does without

    return [one for part in in_parts(read, items) for one in part]


def _tasks(logs: Logs, stamps: Sequence[tuple[str, str]]) -> list[tuple[str, Prepared | LatticeError | None]]:
    def read(part: Sequence[tuple[str, str]]) -> list[tuple[str, Prepared | LatticeError | None]]:
        return [(task_id, _task(logs, task_id, mark)) for task_id, mark in part]

    return _in_parts(read, stamps)


def _task(logs: Logs, task_id: str, mark: str) -> Prepared | LatticeError | None:
    away = mark.startswith(_AWAY)
    kept = logs.kept(task_id, archived=away)
    if kept is not None:
        shape, text = kept
        return prepare(shape, text.replace(b"\n", b"\n" + ITEM_PAD.encode()), mark, away=away)
    try:
        task = logs.task(task_id)
    except NotFound:
        return None  # It went, or has no whole event yet.
    except (LogDamaged, StorageError) as off:
        return off
    shape = to_snapshot(task)
    return prepare(shape, item_text(shape), mark, away=away or task.archived)


def _texts(logs: Logs, ids: Sequence[str]) -> list[tuple[str, Words | LatticeError | None]]:
    def read(part: Sequence[str]) -> list[tuple[str, Words | LatticeError | None]]:
        return [(task_id, _words(logs, task_id)) for task_id in part]

    return _in_parts(read, ids)


def _words(logs: Logs, task_id: str) -> Words | LatticeError | None:
    try:
        task, events = logs.history(task_id)
    except NotFound:
        return None
    except (LogDamaged, StorageError) as off:
        return off
    return words(task, events, logs.artifact_titles(events))


# Looking


def _stamps(root: str, now_ns: int) -> dict[str, str]:
    """The mark of every log."""
    found: dict[str, str] = {}
    settled_ns = now_ns - _TICK_NS
    for place in (_AWAY, ""):
        try:
            entries = os.scandir(f"{root}/{place}events")
        except FileNotFoundError:
            continue  # A fresh clone: git carries no empty folders.
        with entries:
            for entry in entries:
                name = entry.name
                if name.endswith(".jsonl") and is_id("task", name[:-6]):
                    try:
                        found[name[:-6]] = _mark(place, entry.stat(follow_symlinks=False), settled_ns)
                    except FileNotFoundError:
                        continue  # It was archived while we looked.
    return found


def _stamp(root: str, task_id: str, now_ns: int) -> str | None:
    for place in ("", _AWAY, ""):
        try:
            state = os.stat(f"{root}/{place}events/{task_id}.jsonl", follow_symlinks=False)
        except FileNotFoundError:
            continue
        return _mark(place, state, now_ns - _TICK_NS)
    return None


def _mark(place: str, state: os.stat_result, settled_ns: int) -> str:
    changed_ns = state.st_mtime_ns
    return f"{place}{state.st_size}:{changed_ns}:{state.st_ino}" if changed_ns < settled_ns else ""


def _time(folder: str) -> int:
    try:
        return os.stat(folder).st_mtime_ns
    except FileNotFoundError:
        return 0


def _joined(times: Sequence[int]) -> str:
    return ":".join(map(str, times))
