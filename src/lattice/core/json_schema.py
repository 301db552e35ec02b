"""A subset of JSON Schema (draft 2020-12) that says whether an output has the shape it was promised to have.

What it knows, it means as the specification does; a keyword that it does not know is refused when the
schema is read, so that no rule is passed over in silence. Annotations are allowed and mean nothing.
References are to `#/$defs/<name>` of the same file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from lattice.core.record import Record
from lattice.errors import ValidationError, choices, nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DEPTH_MAX = 200
_ANNOTATIONS = frozenset(("$schema", "$id", "$comment", "title", "description", "default", "examples", "deprecated"))
_DEFS = "#/$defs/"
_SIZES = frozenset(("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"))
_NUMBERS = frozenset(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"))
_LISTS = frozenset(("allOf", "anyOf", "oneOf"))
_MAPS = frozenset(("properties", "$defs"))
_ONE = frozenset(("items", "additionalProperties", "not"))
_PLAIN = frozenset(("type", "enum", "const", "pattern", "required", "uniqueItems", "$ref"))
_KEYWORDS = _SIZES | _NUMBERS | _LISTS | _MAPS | _ONE | _PLAIN
_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "integer": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool) and value % 1 == 0,
}


class _Off(Record):
    """One thing that is not as the schema says."""

    at: str
    what: str


def check_schema(schema: object) -> None:
    """Whether the schema is one that `problem_with` can apply in full. Raises ValidationError naming the place."""
    _check(schema, "$", schema)


def problem_with(value: Any, schema: Any) -> str | None:
    """The first thing in which the value is not as the schema says, with its place; None where it is valid."""
    off = _apply(value, schema, "$", schema, 0)
    return None if off is None else f"{off.at}: {off.what}"


def _check(schema: object, at: str, whole: object) -> None:
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict):
        raise ValidationError(f"{at} must be an object, true or false")
    for key, rule in schema.items():
        if key in _ANNOTATIONS:
            continue
        if key not in _KEYWORDS:
            meant = nearest(key, sorted(_KEYWORDS))
            raise ValidationError(
                f"{at}: the keyword {key!r} is not known" + (f"; did you mean {meant!r}?" if meant else ""),
                hint=f"known keywords: {choices(sorted(_KEYWORDS))}",
            )
        _check_rule(key, rule, f"{at}.{key}", whole)


def _check_rule(key: str, rule: Any, at: str, whole: object) -> None:
    if key in _SIZES and not (type(rule) is int and rule >= 0):
        raise ValidationError(f"{at} must be a whole number, 0 or more")
    if key in _NUMBERS and not _TYPES["number"](rule):
        raise ValidationError(f"{at} must be a number")
    _check_inner(key, rule, at, whole)
    if key == "type" and not all(isinstance(name, str) and name in _TYPES for name in _listed(rule)):
        raise ValidationError(f"{at} must be one or more of {choices(sorted(_TYPES))}")
    if key == "enum" and not isinstance(rule, list):
        raise ValidationError(f"{at} must be a list")
    if key == "required" and not (isinstance(rule, list) and all(isinstance(name, str) for name in rule)):
        raise ValidationError(f"{at} must be a list of texts")
    if key == "uniqueItems" and not isinstance(rule, bool):
        raise ValidationError(f"{at} must be true or false")
    if key == "pattern":
        _check_pattern(rule, at)
    if key == "$ref" and _referred(rule, whole) is None:
        raise ValidationError(f"{at}: {rule!r} is not in this file", hint=f"references are to {_DEFS}<name>")


def _check_inner(key: str, rule: Any, at: str, whole: object) -> None:
    """The schemas in a schema."""
    if key in _LISTS:
        if not (isinstance(rule, list) and rule):
            raise ValidationError(f"{at} must be a list of schemas")
        for place, inner in enumerate(rule):
            _check(inner, f"{at}[{place}]", whole)
    if key in _MAPS:
        if not isinstance(rule, dict):
            raise ValidationError(f"{at} must be an object of schemas")
        for name, inner in rule.items():
            _check(inner, f"{at}.{name}", whole)
    if key in _ONE:
        _check(rule, at, whole)


def _check_pattern(rule: Any, at: str) -> None:
    try:
        re.compile(rule)
    except (re.error, TypeError) as off:
        raise ValidationError(f"{at}: {rule!r} is not a regular expression: {off}") from off


def _referred(ref: Any, whole: Any) -> Any:
    if not (isinstance(ref, str) and ref.startswith(_DEFS) and isinstance(whole, dict)):
        return None
    defs = whole.get("$defs")
    return defs.get(ref.removeprefix(_DEFS)) if isinstance(defs, dict) else None


def _listed(rule: Any) -> Sequence[Any]:
    return rule if isinstance(rule, list) and rule else [rule]


def _apply(value: Any, schema: Any, at: str, whole: Any, depth: int) -> _Off | None:
    if schema is True:
        return None
    if schema is False:
        return _Off(at, "must not be there")
    if depth > DEPTH_MAX:
        return _Off(at, f"nested more than {DEPTH_MAX} deep")
    if (ref := schema.get("$ref")) is not None:
        off = _apply(value, _referred(ref, whole), at, whole, depth + 1)
        if off is not None:
            return off
    return (
        _plain(value, schema, at)
        or _bounds(value, schema, at)
        or _inside(value, schema, at, whole, depth)
        or _combined(value, schema, at, whole, depth)
    )


def _plain(value: Any, schema: Mapping[str, Any], at: str) -> _Off | None:
    if "type" in schema and not any(_TYPES[name](value) for name in _listed(schema["type"])):
        return _Off(at, f"must be {' or '.join(_listed(schema['type']))}")
    if "enum" in schema and not any(_same(value, one) for one in schema["enum"]):
        return _Off(at, f"must be one of {choices([repr(one) for one in schema['enum']])}")
    if "const" in schema and not _same(value, schema["const"]):
        return _Off(at, f"must be {schema['const']!r}")
    if "pattern" in schema and isinstance(value, str) and not re.search(schema["pattern"], value):
        return _Off(at, f"must match {schema['pattern']!r}")
    return None


def _bounds(value: Any, schema: Mapping[str, Any], at: str) -> _Off | None:
    for kind, suffix in ((str, "Length"), (list, "Items"), (dict, "Properties")):
        if isinstance(value, kind):
            if len(value) < schema.get(f"min{suffix}", 0):
                return _Off(at, f"has {len(value)}, at least {schema[f'min{suffix}']} are needed ({suffix.lower()})")
            if len(value) > schema.get(f"max{suffix}", len(value)):
                return _Off(at, f"has {len(value)}, at most {schema[f'max{suffix}']} are allowed ({suffix.lower()})")
    if not _TYPES["number"](value):
        return None
    if value < schema.get("minimum", value) or value > schema.get("maximum", value):
        return _Off(at, f"{value!r} is out of range")
    below, above = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if (below is not None and value <= below) or (above is not None and value >= above):
        return _Off(at, f"{value!r} is out of range")
    return None


def _inside(value: Any, schema: Mapping[str, Any], at: str, whole: Any, depth: int) -> _Off | None:
    if isinstance(value, dict):
        for name in schema.get("required", ()):
            if name not in value:
                return _Off(at, f"{name!r} is missing")
        known = schema.get("properties", {})
        for name, inner in value.items():
            rule = known.get(name, schema.get("additionalProperties", True))
            if rule is False:
                return _Off(at, f"{name!r} is not known")
            if (off := _apply(inner, rule, f"{at}.{name}", whole, depth + 1)) is not None:
                return off
    if isinstance(value, list):
        if schema.get("uniqueItems") and any(
            _same(one, other) for place, one in enumerate(value) for other in value[:place]
        ):
            return _Off(at, "holds the same item twice")
        for place, inner in enumerate(value):
            if (off := _apply(inner, schema.get("items", True), f"{at}[{place}]", whole, depth + 1)) is not None:
                return off
    return None


def _combined(value: Any, schema: Mapping[str, Any], at: str, whole: Any, depth: int) -> _Off | None:
    for inner in schema.get("allOf", ()):
        if (off := _apply(value, inner, at, whole, depth + 1)) is not None:
            return off
    for key in ("anyOf", "oneOf"):
        if key not in schema:
            continue
        offs = [_apply(value, inner, at, whole, depth + 1) for inner in schema[key]]
        fitting = offs.count(None)
        if fitting == 0 or (key == "oneOf" and fitting > 1):
            first = next((f" (first: {off.at}: {off.what})" for off in offs if off is not None), "")
            return _Off(at, f"fits {fitting} of the {len(offs)} schemas of {key}{first if fitting == 0 else ''}")
    if "not" in schema and _apply(value, schema["not"], at, whole, depth + 1) is None:
        return _Off(at, "fits a schema that it must not fit")
    return None


def _same(one: Any, other: Any) -> bool:
    """JSON equality: true is not 1."""
    if isinstance(one, bool) != isinstance(other, bool):
        return False
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    return bool(one == other)
