"""A query: conditions on a task's fields, whether a task fits them, and the order that tasks are asked for in.

Conditions narrow each other down; the values of one are alternatives. How people write them is
`core/query_language.py`, which a list of all tasks does without.
"""

from __future__ import annotations

import datetime
import operator
import re
from collections.abc import Callable, Mapping, Sequence

from lattice.core.config import COMPLEXITIES, PRIORITIES, URGENCIES, Config
from lattice.core.record import Record
from lattice.core.summary import Summary
from lattice.errors import ValidationError, choices, did_you_mean, nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

Fits = Callable[[Summary], bool]
CUSTOM = "field."
AGE = r"(\d{1,5})([mhdw])\Z"  # compiled when it is first used: a list without a query uses none
_UNIT_S = {"m": 60, "h": 3600, "d": 86_400, "w": 604_800}


class Condition(Record):
    """One term: a field, and the values that fit; `term` is how it was spelled."""

    field: str
    values: tuple[str, ...]
    negated: bool = False
    operator: str = ""
    term: str = ""
    literal: bool = False  # `none` and `any` are values like others


class Query(Record):
    """All of these must fit. An empty query fits every task."""

    conditions: tuple[Condition, ...] = ()

    def and_also(self, other: Query) -> Query:
        """What fits both."""
        return Query((*self.conditions, *other.conditions))


class Setting(Record):
    """What a query means by `me`, by an age, and by a status' place: the circumstances it is asked in."""

    now: str
    me: str | None
    config: Config


class Field(Record):
    """What may be asked of a task under one name."""

    read: Callable[[Summary], Sequence[str]]
    kind: str = "word"  # word, actor, text, grade, number, time
    grades: tuple[str, ...] = ()  # the best first
    help: str = ""


def _one(value: str | None) -> tuple[str, ...]:
    return () if value is None else (value,)


FIELDS: Mapping[str, Field] = {
    "status": Field(lambda row: (row.status,), help="the status"),
    "priority": Field(lambda row: (row.priority,), "grade", PRIORITIES, help="the priority"),
    "urgency": Field(lambda row: _one(row.urgency), "grade", URGENCIES, help="the urgency"),
    "complexity": Field(lambda row: _one(row.complexity), "grade", tuple(reversed(COMPLEXITIES)), "the complexity"),
    "type": Field(lambda row: (row.type,), help="the task type"),
    "tag": Field(lambda row: row.tags, help="a tag"),
    "assigned": Field(lambda row: _one(row.assigned_to), "actor", help="whose it is: an actor, me, none or any"),
    "creator": Field(lambda row: (row.created_by,), "actor", help="who created it"),
    "id": Field(lambda row: (*_one(row.short_id), row.id), help="the short id or the id"),
    "title": Field(lambda row: (row.title,), "text", help="text in the title"),
    "description": Field(lambda row: _one(row.description), "text", help="text in the description"),
    "branch": Field(lambda row: row.branches, help="a linked branch"),
    "worker": Field(lambda row: [run.process_type for run in row.active_processes], help="a worker with a run"),
    "comments": Field(lambda row: (str(row.comment_count),), "number", help="how many comments"),
    "reopened": Field(lambda row: (str(row.reopened_count),), "number", help="how often it was reopened"),
    "created": Field(lambda row: (row.created_at,), "time", help="when it was created"),
    "updated": Field(lambda row: (row.updated_at,), "time", help="when it last changed"),
    "moved": Field(lambda row: (row.last_status_changed_at,), "time", help="when its status last changed"),
    "done": Field(lambda row: _one(row.done_at), "time", help="when it was done"),
}
"""Each field that a query, a filter and `--sort` know. Fields of one's own are `field.NAME`."""

ALIASES: Mapping[str, str] = {
    "tags": "tag", "assigned_to": "assigned", "assignee": "assigned", "created_by": "creator", "short_id": "id",
    "created_at": "created", "updated_at": "updated", "done_at": "done", "last_status_changed_at": "moved",
    "comment_count": "comments", "reopened_count": "reopened",
}  # fmt: skip


def fits(query: Query, setting: Setting) -> Fits:
    """Whether a task fits the query, as a function to be asked of many. Raises ValidationError."""
    tests = [_test(one, setting) for one in query.conditions]
    return lambda row: all(test(row) for test in tests)


def status_fits(query: Query, setting: Setting) -> Callable[[str], bool] | None:
    """Whether tasks in a status can fit, as a function; None where the query does not ask for a status."""
    tests = [(one.negated, _values_test(one, setting)) for one in query.conditions if one.field == "status"]
    return (lambda status: all(test((status,)) != negated for negated, test in tests)) if tests else None


def warnings(query: Query, config: Config) -> list[str]:
    """What in the query can never fit on this board."""
    known: Mapping[str, tuple[str, tuple[str, ...]]] = {
        "status": ("status", config.statuses),
        "type": ("task type", config.task_types),
    }
    said = []
    for one in query.conditions:
        if one.field in known:
            what, valid = known[one.field]
            for value in one.values:
                if value not in (*valid, "none", "any"):
                    plural = "statuses" if what == "status" else "types"
                    hint = did_you_mean(value, valid, f"Valid {plural}: {choices(valid)}.")
                    said.append(f"{value!r} is not a configured {what}. {hint}")
    return said


Order = Callable[[Sequence[Summary]], list[Summary]]


def parse_sort(text: str, config: Config) -> Order:
    """The order that `FIELD[:desc],FIELD…` asks for; oldest first where it leaves a choice. Raises ValidationError.

    Grades go from the best, statuses along the workflow; what has no value comes last either way.
    """
    keys: list[tuple[Field, str, bool]] = []
    for part in text.split(","):
        name, _, direction = part.strip().partition(":")
        if direction not in ("", "asc", "desc"):
            raise ValidationError(f"Cannot sort {direction[:40]!r}.", hint=f"Write {name}:asc or {name}:desc.")
        name = field_name(name)
        keys.append((field_of(name), name, direction == "desc"))

    def ordered(rows: Sequence[Summary]) -> list[Summary]:
        result = list(rows)
        for field, name, down in reversed(keys):
            rank = _rank(field, name, config)
            valued = [row for row in result if field.read(row)]
            empty = [row for row in result if not field.read(row)]
            result = sorted(valued, key=lambda row, rank=rank: rank(row), reverse=down) + empty  # type: ignore[misc]  # the default binds the loop's rank
        return result

    return ordered


def field_name(name: str) -> str:
    """The field that `name` means. Raises ValidationError with the nearest."""
    found = field_meant(name)
    if found is None:
        raise ValidationError(f"There is no field {name[:60]!r}.", hint=fields_like(name))
    return found


def field_meant(name: str) -> str | None:
    """The own name of the field that `name` means; None where there is none."""
    lower = _plain(name)
    if lower in FIELDS:
        return lower
    if lower in ALIASES:
        return ALIASES[lower]
    if name.startswith((CUSTOM, "custom_fields.")) and name.partition(".")[2]:
        return CUSTOM + name.partition(".")[2]
    return None


def fields_like(name: str) -> str:
    """What to say of a name that no field has: the nearest, and all of them."""
    meant = nearest(_plain(name), [*FIELDS, *ALIASES])
    hint = f"Did you mean {meant}? " if meant else ""
    return f"{hint}Fields: {choices([*FIELDS])}, {CUSTOM}NAME."


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


def read_field(name: str, row: Summary) -> str:
    """A field of a task, by its own name, as a cell shows it."""
    return ", ".join(field_of(name).read(row))


def field_of(name: str) -> Field:
    """The field of this own name; any name below `field.` is one."""
    if name.startswith(CUSTOM):
        key = name.removeprefix(CUSTOM)
        return Field(lambda row: _one(str(row.custom_fields[key])) if row.custom_fields.get(key) is not None else ())
    return FIELDS[name]


def _test(one: Condition, setting: Setting) -> Fits:
    if one.field == "text":
        words = [value.casefold() for value in one.values]
        return _negated(one, lambda row: all(_has(row, word) for word in words))
    read, test = field_of(one.field).read, _values_test(one, setting)
    return _negated(one, lambda row: test(read(row)))


def _values_test(one: Condition, setting: Setting) -> Callable[[Sequence[str]], bool]:
    field = field_of(one.field)
    tests = [_value_test(field, value, one, setting) for value in one.values]
    return lambda found: any(test(found) for test in tests)


def _negated(one: Condition, test: Fits) -> Fits:
    return (lambda row: not test(row)) if one.negated else test


def _has(row: Summary, word: str) -> bool:
    return word in row.title.casefold() or (row.description is not None and word in row.description.casefold())


def _value_test(field: Field, value: str, one: Condition, setting: Setting) -> Callable[[Sequence[str]], bool]:
    operator = one.operator
    if value == "none" and not one.literal:
        return lambda found: not found
    if value == "any" and not one.literal:
        return bool
    match field.kind:
        case "actor":
            return _actor_test(value, setting)
        case "text":
            wanted = value.casefold()
            return lambda found: any(wanted in text.casefold() for text in found)
        case "grade":
            rank = {grade: len(field.grades) - place for place, grade in enumerate(field.grades)}
            return _comparison(operator, rank[value], lambda text: rank.get(text, 0))
        case "number":
            return _comparison(operator, int(value), int)
        case "time":
            return _time_test(value, operator, setting.now)
        case _:
            wanted = value.casefold()
            return lambda found: any(wanted == text.casefold() for text in found)


def _actor_test(value: str, setting: Setting) -> Callable[[Sequence[str]], bool]:
    if value == "me":
        if setting.me is None:
            raise ValidationError(
                "Nobody is named as `me`.", hint="Set LATTICE_ACTOR, or default_actor in .lattice/config.json."
            )
        value = setting.me
    wanted = value.casefold()
    return lambda found: any(wanted in (actor.casefold(), actor.casefold().partition(":")[2]) for actor in found)


def _comparison(operator: str, wanted: int, number: Callable[[str], int]) -> Callable[[Sequence[str]], bool]:
    compare = _COMPARE[operator]
    return lambda found: any(compare(number(text), wanted) for text in found)


_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}  # of numbers, and of times as the log writes them


def _time_test(value: str, operator: str, now: str) -> Callable[[Sequence[str]], bool]:
    age = re.match(AGE, value)
    if age is None:
        size = len(value.rstrip("Z"))
        wanted = value.rstrip("Z")
        compare = _COMPARE[operator]
        return lambda found: any(compare(text[:size], wanted) for text in found)
    moment = datetime.datetime.fromisoformat(now)
    try:
        since = moment - datetime.timedelta(seconds=int(age[1]) * _UNIT_S[age[2]])
        then = since.strftime("%Y-%m-%dT%H:%M:%SZ")
    except OverflowError:
        then = ""  # before there were dates
    # An age that is smaller is a time that is later.
    compare = _COMPARE[{"": ">=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}[operator]]
    return lambda found: any(compare(text, then) for text in found)


def _rank(field: Field, name: str, config: Config) -> Callable[[Summary], tuple[float, str]]:
    order = config.statuses if name == "status" else field.grades
    places = {grade: float(place) for place, grade in enumerate(order)}
    match field.kind:
        case "number":
            return lambda row: (float(field.read(row)[0]), "")
        case _ if places:
            return lambda row: (places.get(field.read(row)[0], float(len(places))), "")
        case _ if name == "id":
            return lambda row: (float(row.name.rpartition("-")[2]) if row.short_id else 0.0, row.name)
        case _:
            return lambda row: (0.0, field.read(row)[0].casefold())
