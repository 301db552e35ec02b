"""The query language: `status:review priority:>=high -tag:wip assigned:me updated:<2d "exact words"`.

Terms narrow each other down. A term is FIELD:VALUE, or text that the title or the description has; a minus
before it excludes. Several values with commas between them are alternatives. `none` and `any` ask whether a
field is set. Grades, numbers and times take `<`, `<=`, `>` and `>=`; a time is a date (2026-11-01) or an age
(30m, 12h, 2d, 3w), and `updated:<2d` means less than two days ago.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence

from lattice.core.query import AGE, FIELDS, Condition, Query, field_meant, field_of, fields_like
from lattice.errors import ValidationError, choices, did_you_mean, nearest

_TERM = r'(?P<not>[-!]?)(?:(?P<field>[A-Za-z_][\w.-]*):)?(?P<value>(?:"[^"]*"|[^\s"])+)'
_PART = r'"([^"]*)"|([^,"]+)|,'
_OPERATOR = r"<=|>=|<|>"
_DATE = r"(\d{4}-\d\d-\d\d)(?:T\d\d:\d\d(?::\d\d)?Z?)?\Z"
DEPTH_MAX = 5


def parse_query(text: str, saved: Mapping[str, str] | None = None, depth: int = 0) -> Query:
    """The query in `text`. `@name` stands for a query of `saved`. Raises ValidationError naming the word."""
    conditions: list[Condition] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        found = re.compile(_TERM).match(text, at)
        if found is None or text[found.end() : found.end() + 1] == '"':
            raise _off(text[at:], at, "cannot be read", 'Close the quotes: title:"two words"')
        if found["value"].startswith("@") and not (found["field"] or found["not"]):
            conditions += _saved(found["value"][1:], saved or {}, at, depth).conditions
        else:
            conditions.append(_condition(found, at))
        at = found.end()
    return Query(tuple(conditions))


def condition(field: str, value: str, *, negated: bool = False) -> Condition:
    """The condition `field:value`, as a flag gives it: the value is one, commas and quotes included.

    A tag may be called `none`; what has no free names keeps that word for what is not set.
    """
    literal = field_of(field).kind not in ("actor", "grade", "time")
    operator = re.match(_OPERATOR, value) if _compares(field) else None
    bare = value[operator.end() :] if operator else value
    return _checked(Condition(field, (bare,), negated, operator[0] if operator else "", value, literal), None)


def any_of(conditions: Sequence[Condition]) -> list[Condition]:
    """Plain alternatives of one field as one condition; comparisons stay, and narrow each other down."""
    plain = [one for one in conditions if not one.operator]
    merged = [plain[0].replace(values=tuple(value for one in plain for value in one.values))] if plain else []
    return [*merged, *(one for one in conditions if one.operator)]


def _saved(name: str, saved: Mapping[str, str], at: int, depth: int) -> Query:
    if name not in saved:
        meant = nearest(name, sorted(saved))
        hint = (
            f"Did you mean @{meant}?"
            if meant
            else f"Saved: {choices(sorted(saved)) or 'none'}; see: lattice query list"
        )
        raise _off(f"@{name}", at, "is no saved query", hint)
    if depth >= DEPTH_MAX:
        raise _off(f"@{name}", at, "leads back to itself", "Change it: lattice query save NAME QUERY --replace")
    return parse_query(saved[name], saved, depth + 1)


def _condition(found: re.Match[str], at: int) -> Condition:
    negated = bool(found["not"])
    value = found["value"]
    if found["field"] is None:
        if re.fullmatch(r"[A-Za-z_][\w.-]*:", value):
            raise _off(found[0], at, "has no value", f"Write {value}VALUE, or {value}none.")
        return Condition("text", ("".join(a or b for a, b in _unquoted(value)) or value,), negated, "", found[0])
    field = _field_asked(found["field"], found[0], at)
    operator = re.match(_OPERATOR, value) if _compares(field) else None
    rest = value[operator.end() :] if operator else value
    values = tuple(quoted or plain for quoted, plain in _unquoted(rest) if quoted or plain)
    if not values:
        raise _off(found[0], at, "has no value", f"Write {field}:VALUE, or {field}:none.")
    made = Condition(field, values, negated, operator[0] if operator else "", found[0])
    return _checked(made, at)


def _unquoted(value: str) -> list[tuple[str, str]]:
    return [(quoted, plain) for quoted, plain in re.findall(_PART, value)]


def _field_asked(name: str, term: str, at: int) -> str:
    found = field_meant(name)
    if found is None:
        hint = f'{fields_like(name)} Text with a colon: "{term[:40]}"'
        raise _off(term, at, f"asks for {name[:60]!r}, which is no field", hint)
    return found


def _compares(field: str) -> bool:
    return field in FIELDS and FIELDS[field].kind in ("grade", "number", "time")


def _checked(one: Condition, at: int | None) -> Condition:
    field = field_of(one.field)
    for value in one.values:
        if value in ("none", "any"):
            continue
        if field.kind == "grade" and value not in field.grades:
            hint = did_you_mean(value, field.grades, f"Grades: {choices(field.grades)}.")
            raise _off(one.term, at, f"has no grade of {one.field}", hint)
        if field.kind == "number" and not (value.isascii() and value.isdecimal() and len(value) < 10):
            raise _off(one.term, at, "needs a number", f"Write {one.field}:3 or {one.field}:>3.")
        if field.kind == "time" and not (re.match(AGE, value) or _date(value)):
            hint = f"Write {one.field}:<2d (less than two days ago; m, h, d, w) or {one.field}:>=2026-11-01."
            raise _off(one.term, at, "needs an age or a date", hint)
    return one


def _date(value: str) -> bool:
    found = re.match(_DATE, value)
    try:
        return found is not None and bool(datetime.date.fromisoformat(found[1]))
    except ValueError:
        return False


def _off(term: str, at: int | None, why: str, hint: str) -> ValidationError:
    where = f", at character {at + 1}," if at is not None else ""
    return ValidationError(f"{term[:60]!r}{where} {why}.", hint=hint)
