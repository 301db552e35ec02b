"""Reading what the index is made from, with every processor."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping, Sequence

from lattice.core.events import Event
from lattice.core.pretty import document
from lattice.core.record import Protocol
from lattice.core.summary import Words, words
from lattice.core.task import Task, to_snapshot
from lattice.errors import LatticeError, LogDamaged, NotFound, StorageError
from lattice.store.files import stamps
from lattice.store.files.index_rows import Prepared, of_cut, of_shape, of_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lattice.store.files.row_cut import Cut

    Cutter = Callable[[bytes], Cut | None]

Part = list[tuple[str, str | None, Prepared | LatticeError | None]]
"""Tasks with the stamps of their logs, and what the index is to keep of each: None of one that is gone."""


class Logs(Protocol):
    """What the index is made from."""

    root: str

    def kept(self, stream: str, *, archived: bool) -> bytes | None:
        """The snapshot's text, where it is what the whole log says; None where that has to be asked."""

    def task(self, stream: str) -> Task:
        """The fresh state of a task, archived or not. Raises NotFound, LogDamaged."""

    def history(self, stream: str) -> tuple[Task, Sequence[Event]]:
        """The fresh state and every event."""

    def artifact_titles(self, events: Sequence[Event]) -> Mapping[str, str]:
        """The titles of the artifacts that `events` attach."""


_MANY = 500
"""So many snapshots pay for the expression that cuts the row out of each."""


def tasks(logs: Logs, stamped: Sequence[tuple[str, str | None]], now_ns: int) -> Generator[Part, None, None]:
    """What the index is to keep of these tasks, in parts.

    Where a stamp is empty it is asked for when the log is read, as of `now_ns`; None is that of a log that is gone.
    """
    if not stamped:
        return
    from lattice.store.files.parallel import each_part  # an index that is up to date does without

    cut = _cutter() if len(stamped) >= _MANY else None

    def read(part: Iterable[tuple[str, str | None]]) -> Part:
        found: Part = []
        for task_id, known in part:
            stamp = stamps.of(logs.root, task_id, now_ns) if known == "" else known
            found.append((task_id, stamp, _task(logs, task_id, stamp or "", cut)))
        return found

    yield from each_part(read, stamped)


def _cutter() -> Cutter:
    from lattice.store.files.row_cut import cut  # most commands read a few tasks, or none

    return cut


def _task(logs: Logs, task_id: str, stamp: str, cut: Cutter | None) -> Prepared | LatticeError | None:
    away = stamp.startswith(stamps.AWAY)
    text = logs.kept(task_id, archived=away)
    kept = None if text is None else _kept(text, stamp, cut, away=away)
    if kept is not None and kept[0][0] == task_id:
        return kept
    try:
        task = logs.task(task_id)
    except NotFound:
        return None  # It went, or has no whole event yet.
    except (LogDamaged, StorageError) as off:
        return off
    shape = to_snapshot(task)
    return of_shape(shape, document(shape), stamp, away=away or task.archived)


def _kept(text: bytes, stamp: str, cut: Cutter | None, *, away: bool) -> Prepared | None:
    row = cut(text) if cut is not None else None
    if row is not None:
        return of_cut(row, text, stamp) if row.archived == away else None
    try:
        return of_text(text, stamp, away=away)
    except ValueError:
        return None  # Who reads the log names what is off.


def texts(logs: Logs, ids: Sequence[str]) -> list[tuple[str, Words | LatticeError | None]]:
    """The words of these tasks; None of one that is gone."""

    def read(part: Iterable[str]) -> list[tuple[str, Words | LatticeError | None]]:
        return [(task_id, _words(logs, task_id)) for task_id in part]

    if not ids:
        return []
    from lattice.store.files.parallel import in_parts  # as above

    return [one for part in in_parts(read, ids) for one in part]


def _words(logs: Logs, task_id: str) -> Words | LatticeError | None:
    try:
        task, events = logs.history(task_id)
    except NotFound:
        return None
    except (LogDamaged, StorageError) as off:
        return off
    return words(task, events, logs.artifact_titles(events))
