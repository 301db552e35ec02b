"""Bytes to events and back: compact JSON, keys sorted, a checksum a line, tolerant of what is newer.

Each line that this version writes carries `prev` (the id of the event before it, null for the first)
and `crc` (CRC-32 of the line without the `crc` member, eight hex digits). A line without them was
written by an earlier tool and is believed as it stands.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping

from lattice.core.events import Event, Foreign, TaskEvent, kind_of
from lattice.errors import ValidationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    _Field = tuple[str, str, Callable[[Any], bool], bool]

EVENT_BYTES_MAX = 4 << 20


class BadLine(ValueError):
    """A line that is not an event; the text says why."""


def encode(event: Event) -> bytes:
    """The event's line, newline included. Raises ValidationError for what JSON or the log cannot hold."""
    # In two parts, so that the sum goes where its key belongs and nothing is spelled out twice.
    before: dict[str, Any] = {"actor": event.actor}
    after: dict[str, Any] = {  # in the order of keys, for which they are sorted all the same
        "data": _data(event.body),
        "id": event.id,
        "prev": event.prev,
        "schema_version": 1,
        subject_key(event.task_id): event.task_id,
        "ts": event.ts,
        "type": event.type,
    }
    if event.agent_meta:
        before["agent_meta"] = event.agent_meta
    if event.provenance:
        after["provenance"] = event.provenance
    if event.batch is not None:
        before["batch"] = event.batch
    if event.raw is not None:
        _keep_newer(before, after, event.raw)
    head, rest = dump(before)[:-1] + b",", dump(after)[1:]
    line = b'%b"crc":"%08x",%b\n' % (head, zlib.crc32(rest, zlib.crc32(head)), rest)
    if len(line) > EVENT_BYTES_MAX:
        raise ValidationError(
            f"The event is too large: {len(line)} bytes; the limit is {EVENT_BYTES_MAX}.",
            hint="Attach long text as a file: lattice attach TASK FILE",
        )
    return line


def _keep_newer(before: dict[str, Any], after: dict[str, Any], raw: Mapping[str, Any]) -> None:
    """Add what the event was read with and this version does not know: keys of the line, and keys of its data."""
    for key, value in raw.items():
        part = before if key < "crc" else after
        if key == "data":
            part[key] = {**value, **part[key]}
        elif key == "schema_version" or (key not in part and key != "crc"):
            part[key] = value


def subject_key(stream: str) -> str:
    """The member of an event that names its stream: a task, or a shared resource."""
    return "resource_id" if stream.startswith("res_") else "task_id"


def dump(shape: object) -> bytes:
    """Compact, sorted, ASCII JSON. Raises ValidationError for NaN, lone surrogates and too deep nesting."""
    try:
        text = _text(shape)
    except (ValueError, TypeError, RecursionError) as refused:
        raise ValidationError(f"This cannot be written as JSON: {refused}") from refused
    if "\\ud" in text:
        refuse_surrogates(text)
    return text.encode("ascii")


def refuse_surrogates(escaped: str) -> None:
    """Raise ValidationError where escaped JSON text holds half a surrogate pair."""
    try:
        json.dumps(json.loads(escaped), ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as lone:
        raise ValidationError("The text is not valid Unicode: it holds half of a surrogate pair.") from lone


def decode(line: bytes) -> Event:
    """The event in one line (without its newline). Raises BadLine saying what is wrong."""
    shape = _summed(line)
    if shape is None:
        shape = parse(line)
        crc = shape.get("crc")
        if crc is not None and not (isinstance(crc, str) and _sums_up(line, crc)):
            raise BadLine("its checksum does not fit")
        if crc is None and "prev" in shape:
            raise BadLine("its checksum is missing")
    get = shape.get
    event_id, ts, kind, actor, data = get("id"), get("ts"), get("type"), get("actor"), get("data", {})
    stream = get("task_id") if "task_id" in shape else get("resource_id")
    if not (type(event_id) is type(ts) is type(kind) is type(stream) is str):
        subject = "task_id" if "task_id" in shape else "resource_id"
        missing = next(key for key in ("id", "ts", "type", subject) if not isinstance(get(key), str))
        raise BadLine(f"{missing!r} is missing or not a text")
    if type(actor) not in (str, dict) or type(data) is not dict:
        raise BadLine("'actor' or 'data' is not of its form")
    for key, form in _OPTIONAL:
        if key in shape and not form(shape[key]):
            raise BadLine(f"{key!r} is not of its form")
    return Event.made_of({
        "id": event_id,
        "ts": ts,
        "task_id": stream,
        "actor": actor,
        "body": _body(kind, data),
        "agent_meta": get("agent_meta"),
        "provenance": get("provenance"),
        "batch": _batch(get("batch")),
        "prev": get("prev"),
        "raw": shape,
    })  # fmt: skip


def _summed(line: bytes) -> dict[str, Any] | None:
    """What a line says that carries its checksum where this version writes it; None for any other line.

    Such a line is taken at its word: whoever wrote it made it with `dump`, so that the checks of a
    stranger's JSON, which cost as much again as reading it, are left to `parse`.
    """
    at = line.find(b'"crc":"')
    member = line[at : at + 17]
    if at < 0 or member[15:] != b'",':
        return None
    try:
        if b"%08x" % zlib.crc32(line[at + 17 :], zlib.crc32(line[:at])) != member[7:15]:
            return None
        text = line.decode("ascii")
        shape, end = _SCANNER.raw_decode(text)
    except (ValueError, RecursionError):
        return None
    return shape if end == len(text) and isinstance(shape, dict) else None


def chained(event: Event) -> bool:
    """Whether the event, as read, says which one came before it."""
    return event.raw is not None and "prev" in event.raw


def parse(data: bytes) -> dict[str, Any]:
    """A JSON object, read as `parse_value` does. Raises BadLine."""
    shape = parse_value(data)
    if not isinstance(shape, dict):
        raise BadLine("it is not a JSON object")
    return shape


def parse_value(data: bytes) -> Any:
    """A JSON value, strictly: UTF-8, no NaN, no duplicate keys, nesting within reason. Raises BadLine."""
    try:
        return _DECODER.decode(data.decode("utf-8"))
    except UnicodeDecodeError as off:
        raise BadLine("it is not UTF-8") from off
    except RecursionError as deep:
        raise BadLine("it is nested too deep") from deep
    except ValueError as off:
        raise BadLine(f"it is not JSON ({off})") from off


def loads(data: bytes) -> Any:
    """The JSON value in bytes that a checksum vouches for: nothing is checked. Raises ValueError."""
    return _SCANNER.raw_decode(data.decode("ascii"))[0]


def same_payload(event: Event, kind: str, data: Mapping[str, Any]) -> bool:
    """Whether a stored event says what a retry would say."""
    return event.type == kind and dump(_data(event.body)) == dump(data)


def body_data(body: TaskEvent | Foreign) -> dict[str, Any]:
    """The `data` member of an event with this body."""
    return _data(body)


def _data(body: TaskEvent | Foreign) -> dict[str, Any]:
    if isinstance(body, Foreign):
        return dict(body.data)
    values, defaults = vars(body), body._defaults
    return {
        name.rstrip("_"): values[name]
        for name in body._fields
        if name not in defaults or values[name] != defaults[name]
    }


def _body(kind: str, data: dict[str, Any]) -> TaskEvent | Foreign:
    form = _KNOWN.get(kind) or _known(kind)
    if form is None:
        return Foreign.made_of({"type_name": kind, "data": data})
    made, fields = form
    values = made._defaults.copy()
    for name, key, is_form, keeps_lists in fields:
        if key not in data:
            if name in values:
                continue
            raise BadLine(f"a {kind} without {key!r}")
        value = data[key]
        if not is_form(value):
            raise BadLine(f"{key!r} of a {kind} is not of its form")
        values[name] = tuple(value) if type(value) is list and not keeps_lists else value
    return made.made_of(values)


_KNOWN: dict[str, tuple[type[TaskEvent], list[_Field]]] = {}
"""Of each kind of event that was read, its fields: name, JSON key, form, and whether a list stays one."""


def _known(kind: str) -> tuple[type[TaskEvent], list[_Field]] | None:
    made = kind_of(kind)
    if made is None:
        return None
    annotations: dict[str, str] = made.__annotations__
    forms = [(name, _FORMS[annotations[name]]) for name in made._fields]
    fields = [(name, name.rstrip("_"), form, form is _anything) for name, form in forms]
    _KNOWN[kind] = made, fields
    return _KNOWN[kind]


def _anything(value: Any) -> bool:
    del value
    return True


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_FORMS: Mapping[str, Callable[[Any], bool]] = {
    "str": lambda value: type(value) is str,
    "str | None": lambda value: value is None or type(value) is str,
    "bool": lambda value: type(value) is bool,
    "int": _is_whole,
    "int | None": lambda value: value is None or _is_whole(value),
    "float": _is_number,
    "float | None": lambda value: value is None or _is_number(value),
    "tuple[str, ...]": _is_texts,
    "tuple[str, ...] | None": lambda value: value is None or _is_texts(value),
    "tuple[int, ...]": lambda value: isinstance(value, list) and all(_is_whole(item) for item in value),
    "Mapping[str, Any]": lambda value: isinstance(value, dict),
    "Mapping[str, Any] | None": lambda value: value is None or isinstance(value, dict),
    "tuple[Mapping[str, Any], ...]": lambda value: isinstance(value, list) and all(type(one) is dict for one in value),
    "Actor | None": lambda value: value is None or isinstance(value, (str, dict)),
    "Any": _anything,
}
"""The forms of fields, by their annotation's text; a test holds that every field of every event has one."""


_OPTIONAL = (
    ("prev", _FORMS["str | None"]),
    ("agent_meta", _FORMS["Mapping[str, Any] | None"]),
    ("provenance", _FORMS["Mapping[str, Any] | None"]),
)


def _batch(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    if isinstance(value, list) and len(value) == 2 and all(map(_is_whole, value)) and 1 <= value[0] <= value[1]:
        return (value[0], value[1])
    raise BadLine("'batch' is not of its form")


def _sums_up(line: bytes, crc: str) -> bool:
    # The member is cut out of the bytes as they are, so that the sum does not hang on how JSON is spelled.
    # An actor's own members come before it, so the first place that looks like it need not be it.
    member = f'"crc":"{crc}",'.encode()
    at = line.find(member)
    while at >= 0:
        if f"{zlib.crc32(line[:at] + line[at + len(member) :]):08x}" == crc:
            return True
        at = line.find(member, at + 1)
    return False


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if abs(number) == float("inf"):
        raise ValueError(f"{digits[:20]} is too large a number")
    return number


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    shape = dict(pairs)
    if len(shape) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice[:60]!r} stands twice")
    return shape


_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False, check_circular=False)


def _made_encoder() -> Callable[[object], str]:
    """`_ENCODER.encode`, but that the C code's encoder is made once: it makes one a call, for a fifth of the time."""
    make = json.encoder.c_make_encoder  # type: ignore[attr-defined]  # typeshed leaves it out
    if make is None:  # a Python without that C code
        return _ENCODER.encode
    spell = make(None, _ENCODER.default, json.encoder.encode_basestring_ascii, None, ":", ",", True, False, False)
    return lambda shape: "".join(spell(shape, 0))


_text = _made_encoder()

_DECODER = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite, object_pairs_hook=_unique)
"""Kept, as the encoder is: `json.loads` makes one a call, which is a tenth of the time that a log takes."""

_SCANNER = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite)
"""For lines that carry their checksum."""
