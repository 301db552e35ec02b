"""What can be wrong with a board, as findings; and the questions that the tasks alone can answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from lattice.core.config import Config
from lattice.core.record import NamedTuple, Record
from lattice.core.task import ActiveRun

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ORDERING = {"blocks": False, "depends_on": True, "subtask_of": True}
"""The edges that put tasks in an order, and whether the target comes before the task that holds the edge."""


class Card(NamedTuple):
    """What the doctor keeps of a task while it looks at the others."""

    id: str
    short_id: str | None
    status: str
    edges: tuple[tuple[str, str], ...]  # each with its type and its target
    active_processes: tuple[ActiveRun, ...]

    @property
    def name(self) -> str:
        """What people call it: the short id, else the id."""
        return self.short_id or self.id


def card(shape: Mapping[str, Any]) -> Card:
    """The card of a task, of its snapshot's JSON value."""
    links = tuple([(edge["type"], edge["target_task_id"]) for edge in shape["relationships_out"]])
    runs = tuple([ActiveRun(**run) for run in shape["active_processes"]])
    return Card(shape["id"], shape["short_id"], shape["status"], links, runs)


class Finding(Record):
    """One thing that is off. `level` is error or warning; `mend` is what `doctor --fix` would do about it."""

    check: str
    level: str
    message: str
    task_id: str | None = None
    path: str | None = None  # below .lattice/
    mend: str | None = None
    action: str | None = None  # which of the mends that is
    hint: str | None = None  # the next step for a person, where nothing can mend it without loss


def edges(tasks: Mapping[str, Card]) -> Iterator[Finding]:
    """Links that lead nowhere, to the task itself, or stand twice; and circles in what orders tasks."""
    for task in [task for task in tasks.values() if task.edges]:
        seen: set[tuple[str, str]] = set()
        for kind, target in task.edges:
            said = f"{task.name} {kind} {tasks[target].name if target in tasks else target}"
            unlink = f"lattice unlink {task.name} {kind} {target}"
            if target == task.id:
                yield Finding("self_link", "warning", f"{said}: a task is linked to itself", task.id, hint=unlink)
            elif target not in tasks:
                said = f"{said}: there is no such task"
                hint = f"It may come with another branch; if not: {unlink}"
                yield Finding("missing_target", "warning", said, task.id, hint=hint)
            if (kind, target) in seen:
                yield Finding("duplicate_edge", "warning", f"{said} stands there twice", task.id, hint=unlink)
            seen.add((kind, target))
    for circle in circles(tasks):
        names = " -> ".join(tasks[task_id].name for task_id in (*circle, circle[0]))
        said = f"These tasks wait for each other: {names}"
        yield Finding("cycle", "warning", said, circle[0], hint="Remove one of the links: lattice unlink")


def circles(tasks: Mapping[str, Card]) -> list[tuple[str, ...]]:
    """The circles that a walk along "comes before" finds: at least one of every tangle, each once."""
    before: dict[str, list[str]] = {}  # of those that come after another
    for task in tasks.values():
        for kind, target in task.edges:
            if kind not in ORDERING or target not in tasks or target == task.id:
                continue
            first, then = (target, task.id) if ORDERING[kind] else (task.id, target)
            before.setdefault(then, []).append(first)
    found: list[tuple[str, ...]] = []
    done: set[str] = set()
    for start in sorted(before):
        found += _circles_from(start, before, done)
    return found


def _circles_from(start: str, before: Mapping[str, Sequence[str]], done: set[str]) -> Iterator[tuple[str, ...]]:
    """Depth first, without recursion: a chain of dependencies may be longer than Python's stack."""
    path: list[str] = []
    places: dict[str, int] = {}
    ahead = [(start, iter(before[start]))] if start not in done else []
    if ahead:
        path, places = [start], {start: 0}
    while ahead:
        here, targets = ahead[-1]
        target = next(targets, None)
        if target is None:
            ahead.pop()
            done.add(here)
            del places[path.pop()]
        elif target in places:
            circle = path[places[target] :]
            turn = circle.index(min(circle))
            yield (*circle[turn:], *circle[:turn])
        elif target not in done:
            places[target] = len(path)
            path.append(target)
            ahead.append((target, iter(before.get(target, ()))))


def duplicate_names(tasks: Mapping[str, Card]) -> list[tuple[Card, Card]]:
    """The tasks that have a short id of an older one, each with the older: two branches gave it out."""
    names = [task.short_id for task in tasks.values()]
    if len(set(names)) == len(names):
        return []
    holders: dict[str, Card] = {}
    found = []
    for task_id in sorted(tasks):
        task = tasks[task_id]
        if task.short_id is None:
            continue
        holder = holders.setdefault(task.short_id, task)
        if holder is not task:
            found.append((task, holder))
    return found


def unknown_words(tasks: Mapping[str, Card], config: Config) -> Iterator[Finding]:
    """Statuses that the board's workflow does not have: such a task can only leave by force."""
    known = frozenset(config.statuses)
    for task in tasks.values():
        if task.status not in known:
            said = f"{task.name} is in status {task.status}, which the board's workflow does not have"
            hint = f'lattice status {task.name} {config.default_status} --force --reason "status was renamed"'
            yield Finding("unknown_status", "warning", said, task.id, hint=hint)
