"""The graph of tasks: what waits for what, what may begin, and what waits for itself."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from lattice.core.config import PRIORITIES, URGENCIES, Config
from lattice.core.record import Record
from lattice.core.summary import Edge, Summary

STARTABLE = ("backlog", "planned")
"""Statuses from which work can begin, as `next` has them."""

GIVEN_UP = ("done", "cancelled")


class Waiting(Record):
    """A task that cannot go on, and the unfinished tasks that it waits for."""

    row: Summary
    blockers: tuple[Summary, ...]


class Graph:
    """Tasks and their edges. An edge to a task that is not there says nothing, and holds nobody up.

    Of the `unknown` nobody can say whether they are finished: they hold up what is known to wait for them.
    """

    def __init__(
        self, rows: Iterable[Summary], edges: Iterable[Edge], config: Config, unknown: Collection[str] = ()
    ) -> None:
        self.rows = {row.id: row for row in rows}
        edges = list(edges)
        self._in_doubt = {edge.source for edge in edges if edge.type == "depends_on" and edge.target in unknown}
        self.edges = [edge for edge in edges if edge.source in self.rows and edge.target in self.rows]
        self._ends = {status for status in config.statuses if not config.transitions.get(status)} | set(GIVEN_UP)
        self._before: dict[str, list[str]] = {}
        for edge in self.edges:
            ordered = before(edge)
            if ordered is not None:
                first, then = ordered
                self._before.setdefault(then, []).append(first)

    def finished(self, row: Summary) -> bool:
        """Whether nobody needs to wait for this task any more."""
        return row.archived or row.status in self._ends

    def blockers(self, task_id: str) -> tuple[Summary, ...]:
        """The unfinished tasks that have to come before this one."""
        firsts = dict.fromkeys(self._before.get(task_id, ()))
        return tuple(self.rows[first] for first in firsts if first != task_id and not self.finished(self.rows[first]))

    def ready(self, statuses: Sequence[str] = STARTABLE) -> list[Summary]:
        """The tasks that can be begun now: the most important first, then the oldest."""
        found = [
            row for row in self.rows.values() if row.status in statuses and not row.archived and not self._waits(row)
        ]
        return sorted(found, key=_importance)

    def blocked(self) -> list[Waiting]:
        """The unfinished tasks that wait: for others, or by their own status."""
        found = []
        for row in self.rows.values():
            if self.finished(row):
                continue
            if row.status == "blocked" or self._waits(row):
                found.append(Waiting(row, self.blockers(row.id)))
        return sorted(found, key=lambda waiting: _importance(waiting.row))

    def _waits(self, row: Summary) -> bool:
        return row.id in self._in_doubt or bool(self.blockers(row.id))

    def cycles(self) -> list[tuple[Summary, ...]]:
        """The unfinished tasks that wait for each other in a circle, each circle's tasks in order of age."""
        unfinished = {
            task_id: [blocker.id for blocker in self.blockers(task_id)]
            for task_id, row in self.rows.items()
            if not self.finished(row)
        }
        tangles = [tangle for tangle in components(unfinished) if len(tangle) > 1]
        return [tuple(self.rows[task_id] for task_id in sorted(tangle)) for tangle in sorted(map(sorted, tangles))]

    def around(self, root: str) -> set[str]:
        """The tasks that are connected with `root`, itself included."""
        near: dict[str, list[str]] = {}
        for edge in self.edges:
            near.setdefault(edge.source, []).append(edge.target)
            near.setdefault(edge.target, []).append(edge.source)
        seen = {root}
        ahead = [root]
        while ahead:
            for other in near.get(ahead.pop(), ()):
                if other not in seen:
                    seen.add(other)
                    ahead.append(other)
        return seen


def before(edge: Edge) -> tuple[str, str] | None:
    """Which task has to be finished first, and which waits for it; None where the edge sets no order."""
    match edge.type:
        case "depends_on":
            return edge.target, edge.source
        case "blocks":
            return edge.source, edge.target
        case _:
            return None


def components(ahead: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """The strongly connected components (Tarjan 1972), without recursion: a chain may be longer than the stack."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    open_: list[str] = []
    is_open: set[str] = set()
    found: list[list[str]] = []
    for start in ahead:
        if start in index:
            continue
        work = [(start, iter(ahead[start]))]
        index[start] = low[start] = len(index)
        open_.append(start)
        is_open.add(start)
        while work:
            node, targets = work[-1]
            fresh = None
            for target in targets:
                if target not in ahead:
                    continue
                if target not in index:
                    fresh = target
                    break
                if target in is_open:
                    low[node] = min(low[node], index[target])
            if fresh is not None:
                index[fresh] = low[fresh] = len(index)
                open_.append(fresh)
                is_open.add(fresh)
                work.append((fresh, iter(ahead[fresh])))
                continue
            work.pop()
            if work:
                low[work[-1][0]] = min(low[work[-1][0]], low[node])
            if low[node] == index[node]:
                at = open_.index(node)
                component = open_[at:]
                del open_[at:]
                is_open.difference_update(component)
                found.append(component)
    return found


def _importance(row: Summary) -> tuple[int, int, str]:
    return _place(row.priority, PRIORITIES), _place(row.urgency, URGENCIES), row.id


def _place(grade: str | None, grades: Sequence[str]) -> int:
    return grades.index(grade) if grade in grades else len(grades)
