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
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from itertools import chain

from lattice.core.record import Record
from lattice.errors import LatticeError, LockTimeout, StorageError
from lattice.store.files import changes, index_reading, stamps
from lattice.store.files.index_file import IndexFile
from lattice.store.files.index_reading import Logs, Part
from lattice.store.files.index_rows import Prepared
from lattice.store.files.locks import locked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lattice.store.protocol import Unread

LOOK_EVERY_NS = 600_000_000_000
LOOK_SHARE = 1_000
_ANEW_MIN, _ANEW_SHARE = 500, 2 / 3
"""Where so many tasks changed, and so large a part of all, as in a copied board, an index is made anew in less time."""
_FOLDERS = ("events", "archive/events", "tasks", "archive/tasks")


class _Look(Record):
    """What the logs look like now, and what is to be noted once the index has them."""

    now_ns: int
    stamps: dict[str, str | None]  # None for a log that is gone, empty for one that is stamped when it is read
    whole: bool  # whether these are all there are
    unfinished: frozenset[str]  # whose writers may still be at work
    facts: dict[str, str]


_NOTHING_NEW = _Look(0, {}, whole=False, unfinished=frozenset(), facts={})


def refresh(file: IndexFile, logs: Logs, *, archived: bool, texts: bool, unread: Unread | None) -> None:
    """Bring the index up to date; from here to the close it is what one transaction sees. `texts`: the words too.

    A task whose log cannot be read has no row, and its log is read again by each view: what is wrong with it is put
    in `unread`, or raised where that is None. Of an archived task it is told where `archived` ones are asked for.
    """
    file.execute("BEGIN")
    look = _look(file, logs.root, time.time_ns())
    wordless = _wordless(file) if texts else set()
    new_words = texts and not file.has_words()
    if look is _NOTHING_NEW and not wordless and not new_words:
        return
    known = _known(file, look)
    changed = {one: stamp for one, stamp in look.stamps.items() if not stamp or known.get(one) != stamp}
    gone = known.keys() - look.stamps.keys() if look.whole else set()
    anew = look.whole and (not known or len(changed) >= max(_ANEW_MIN, _ANEW_SHARE * len(look.stamps)))
    if anew:
        changed = look.stamps
    file.execute("ROLLBACK")  # Reading may take long, and keeps nobody waiting.
    read = index_reading.texts(logs, sorted(wordless.union(changed))) if texts else []
    bad = {task_id: off for task_id, off in read if isinstance(off, LatticeError)}
    unsettled: set[str] = set()
    with closing(index_reading.tasks(logs, sorted(changed.items()), look.now_ns)) as parts:
        first = next(parts, [])
        file.execute("BEGIN IMMEDIATE")  # What was read is put in while the rest is read.
        found = _sorted_out(chain((first,), parts), bad, unsettled)
        if anew:
            file.fill([one for _, one in part if one is not None] for part in found)
        else:
            for task_id, one in chain.from_iterable(found):
                file.put(task_id, one)
    for task_id in (*gone, *bad):
        file.put(task_id, None)
    _note(file, look, unsettled)
    if new_words:
        file.add_words()
    for task_id, text in read:
        if task_id not in bad and not isinstance(text, LatticeError):
            file.put_words(task_id, text)
    if bad:
        _tell(file, logs.root, bad, archived=archived, unread=unread)


def _sorted_out(
    parts: Iterable[Part], bad: dict[str, LatticeError], unsettled: set[str]
) -> Iterator[list[tuple[str, Prepared | None]]]:
    """What was read, but for what cannot be, which goes to `bad`; `unsettled` are to be read again."""
    for part in parts:
        good: list[tuple[str, Prepared | None]] = []
        for task_id, stamp, one in part:
            if stamp == "":
                unsettled.add(task_id)
            if isinstance(one, LatticeError):
                bad[task_id] = one
            else:
                good.append((task_id, one))
        yield good


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


def _look(file: IndexFile, root: str, now_ns: int) -> _Look:
    """What has to be compared with the index."""
    facts = file.facts()
    times = [_time(f"{root}/{name}") for name in _FOLDERS]
    generation, _, end = facts.get("journal", ":0").rpartition(":")
    news = changes.read(root, generation, int(end))
    waiting, unfinished = _waiting(file, root, news)
    journal = {"journal": f"{news.generation}:{news.end}"}
    if news.gap or not _accounted(facts.get("folders"), times, news) or _is_due(facts.get("looked"), now_ns):
        # What nobody knows is stamped by whoever reads it: by as many processes as read.
        found = dict.fromkeys(stamps.tasks(root), "") if file.is_empty() else stamps.every(root, now_ns)
        rests = all(changed < now_ns - stamps.TICK_NS for changed in times)
        looked = f"{now_ns}:{time.time_ns() - now_ns}"
        facts = {"folders": _joined(times) if rests else "", "looked": looked, **journal}
        return _Look(now_ns, {**found}, True, unfinished, facts)
    if not waiting and news.end == int(end):
        return _NOTHING_NEW
    some = {task_id: stamps.of(root, task_id, now_ns) for task_id in waiting}
    return _Look(now_ns, some, False, unfinished, {"folders": _joined(times), **journal})


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


def _note(file: IndexFile, look: _Look, unsettled: set[str]) -> None:
    """Keep what was found out, and what has to be looked at again."""
    again = unsettled | look.unfinished
    file.execute("DELETE FROM pending")
    file.connection.executemany("INSERT INTO pending VALUES (?, ?)", [(one, one in look.unfinished) for one in again])
    for name, value in look.facts.items():
        file.set_fact(name, value)


def _wordless(file: IndexFile) -> set[str]:
    return {task_id for (task_id,) in file.execute("SELECT id FROM wordless")}


def _time(folder: str) -> int:
    try:
        return os.stat(folder).st_mtime_ns
    except FileNotFoundError:
        return 0


def _joined(times: Sequence[int]) -> str:
    return ":".join(map(str, times))
