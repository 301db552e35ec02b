"""What every format is read into: items, and an account of what did not fit.

A reader is tolerant of keys it does not know and of keys that are missing; a record that it cannot
make sense of is named by its place, and the others are read on.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lattice.core.actors import parse_actor
from lattice.core.record import Record
from lattice.errors import InvalidActor, NotFound, ValidationError, reason

FILE_BYTES_MAX = 256 << 20


class Malformed(ValueError):
    """A record that cannot be made sense of; the text says why."""


class Remark(Record):
    """A comment of another tool. `author` is an actor already, None where nobody is named."""

    body: str
    author: str | None = None
    ms: int | None = None


class Link(Record):
    """An edge to another item of the same source, by its key."""

    type: str
    target: str


class Item(Record):
    """A task of another tool in our words. `key` names it at its source; times are milliseconds since 1970."""

    key: str
    where: str
    title: str
    status: str
    created_ms: int | None = None
    ended_ms: int | None = None  # when it came to `status`, where the source says so
    priority: str | None = None
    urgency: str | None = None
    complexity: str | None = None
    type: str | None = None
    description: str | None = None
    tags: tuple[str, ...] = ()
    author: str | None = None
    assigned_to: str | None = None
    remarks: tuple[Remark, ...] = ()
    links: tuple[Link, ...] = ()
    custom: Mapping[str, Any] = {}  # what has no place of its own: custom fields
    archived: bool = False
    id: str | None = None  # a task id of ours that the source carries


class Account:
    """What a reading and an import have to say beside the tasks."""

    def __init__(self) -> None:
        self.malformed: list[tuple[str, str]] = []
        self.skipped: list[tuple[str, str]] = []
        self.adjusted: list[tuple[str, str]] = []
        self.conflicts: list[tuple[str, str]] = []
        self.mapped: Counter[tuple[str, str, str]] = Counter()
        self.dropped: Counter[str] = Counter()

    def map(self, field: str, value: object, table: Mapping[str, str], otherwise: str) -> str:
        """Our word for a source's value; one that the table does not know is `otherwise`, and reported."""
        text = str(value).strip()
        found = table.get(text.lower())
        if found is None or found != text:
            self.mapped[field, text[:80], found or otherwise] += 1
        return found or otherwise

    def drop(self, shape: Mapping[str, Any], known: Sequence[str]) -> None:
        """Count the keys that nothing of ours stands for; empty ones lose nothing."""
        for key, value in shape.items():
            if key not in known and value not in (None, "", [], {}, False, 0):
                self.dropped[str(key)[:80]] += 1


def read_file(path: Path) -> bytes:
    """A source file. Raises NotFound, ValidationError."""
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise ValidationError(f"{str(path)!r} is too large; the limit is {FILE_BYTES_MAX} bytes.")
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"There is no {str(path)[:200]!r} to import.", hint="Check the path: ls -l") from None
    except (OSError, ValueError) as off:
        raise ValidationError(
            f"{str(path)[:200]!r} cannot be read: {reason(off)}.", hint="Give a file; lattice import --help"
        ) from None


def decoded(data: bytes, path: Path) -> str:
    """The text of a source file. Raises ValidationError."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as off:
        line = data[: off.start].count(b"\n") + 1
        raise ValidationError(f"{path.name}:{line}: it is not UTF-8.", hint="Convert it: iconv -t utf-8") from None


def json_records(path: Path, account: Account) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects in a JSON list or in lines of JSON, each with its place. Raises NotFound, ValidationError."""
    text = decoded(read_file(path), path)
    if text.lstrip()[:1] == "[":
        yield from _listed(_json(text, path.name), path, account)
        return
    lines = text.split("\n")
    if _is_one_object(lines):
        shape = _json(text, path.name)
        yield from _listed(shape if isinstance(shape, list) else [shape], path, account)
        return
    for number, raw in enumerate(lines, start=1):
        stripped = raw.strip().removesuffix(",")  # earlier versions of taskwarrior end lines so
        if stripped:
            try:
                yield from _listed([json.loads(stripped)], path, account, f"{path.name}:{number}")
            except (ValueError, RecursionError) as off:
                account.malformed.append((f"{path.name}:{number}", f"it is not JSON ({off})"[:200]))


def json_items(
    path: Path,
    account: Account,
    passed_over: Callable[[Mapping[str, Any]], str | None],
    item: Callable[[str, Mapping[str, Any], Account], Item],
) -> list[Item]:
    """An item of each object, but of those for which `passed_over` has a reason. Raises NotFound, ValidationError."""
    items = []
    for where, shape in json_records(path, account):
        why = passed_over(shape)
        if why is not None:
            account.skipped.append((where, why[:200]))
            continue
        try:
            items.append(item(where, shape, account))
        except Malformed as off:
            account.malformed.append((where, str(off)))
    return items


def _is_one_object(lines: Sequence[str]) -> bool:
    first = next((line.strip() for line in lines if line.strip()), "")
    try:
        json.loads(first.removesuffix(","))
    except (ValueError, RecursionError):
        return first[:1] == "{" and '"' not in first
    return False


def _listed(
    values: Any, path: Path, account: Account, where: str | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    for place, shape in enumerate(values):
        at = where or f"{path.name}[{place}]"
        if isinstance(shape, dict):
            yield at, shape
        else:
            account.malformed.append((at, "it is not a JSON object"))


def _json(text: str, name: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as off:
        raise ValidationError(f"{name}:{off.lineno}: it is not JSON: {off.msg}.", hint="Export it again.") from None
    except RecursionError:
        raise ValidationError(f"{name}: it is nested too deep.") from None


def text_of(shape: Mapping[str, Any], *keys: str) -> str | None:
    """The text of the first of these keys that has one. Raises Malformed."""
    for key in keys:
        value = shape.get(key)
        if isinstance(value, str):
            if value.strip():
                return value
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            return str(value)
        elif value is not None and value is not False:
            raise Malformed(f"{key!r} is not a text")
    return None


def needed(shape: Mapping[str, Any], *keys: str) -> str:
    """As `text_of`, for what a record cannot do without. Raises Malformed."""
    found = text_of(shape, *keys)
    if found is None:
        raise Malformed(f"{' or '.join(map(repr, keys))} is missing or empty")
    return found


def list_of(shape: Mapping[str, Any], key: str) -> list[Any]:
    """The list at this key; none where it is missing. Raises Malformed."""
    value = shape.get(key)
    if value is None or value == "":
        return []
    if not isinstance(value, list):
        raise Malformed(f"{key!r} is not a list")
    return value


_COMPACT_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z\Z", re.ASCII)
_LONG_FRACTION = re.compile(r"(\.\d{6})\d+")


def when(text: str | None) -> int | None:
    """Milliseconds since 1970 of a time in any usual form; without a zone it is UTC. Raises Malformed."""
    if text is None:
        return None
    plain = _COMPACT_TIME.sub(r"\1-\2-\3T\4:\5:\6Z", text.strip())
    try:
        moment = datetime.fromisoformat(_LONG_FRACTION.sub(r"\1", plain))
        utc = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        ms = int(utc.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise Malformed(f"{text[:40]!r} is not a time") from None
    if ms < 0:
        raise Malformed(f"{text[:40]!r} lies before 1970")
    return ms


def actor(name: str | None) -> str | None:
    """The actor that another tool's name of somebody stands for; a bot is an agent, anybody else human."""
    if name is None or not name.strip():
        return None
    plain = "".join(c for c in "-".join(name.split()).removeprefix("@") if c.isprintable())[:200]
    prefix = "agent" if plain.endswith("[bot]") else "human"
    try:
        return parse_actor(plain)
    except InvalidActor:
        return f"{prefix}:{plain.removesuffix('[bot]')}" if plain.removesuffix("[bot]") else None


def joined(parts: Sequence[tuple[str | None, str | None]]) -> str | None:
    """Texts under their headings, as one; those that are empty are left out."""
    texts = [f"## {head}\n\n{text.strip()}" if head else text.strip() for head, text in parts if text and text.strip()]
    return "\n\n".join(texts) or None
