"""The part of YAML that task files open with: keys with texts, lists of texts, and folded or literal blocks."""

from __future__ import annotations

import json
import re
from typing import Any

from lattice.commands.formats.item import Malformed

_KEY = re.compile(r"([A-Za-z_][\w-]*):(?:\s+(.*))?\Z")
_BLOCK = re.compile(r"[|>][+-]?\Z")


def split(text: str) -> tuple[dict[str, Any], str]:
    """The front matter of a text, and what follows it. Raises Malformed naming the line."""
    lines = text.replace("\r\n", "\n").split("\n")
    if lines[0].rstrip() != "---":
        raise Malformed("line 1: there is no front matter; expected ---")
    end = next((place for place, line in enumerate(lines[1:], start=1) if line.rstrip() == "---"), None)
    if end is None:
        raise Malformed("the front matter has no end; expected a second ---")
    return _mapping(lines[1:end]), "\n".join(lines[end + 1 :])


def _mapping(lines: list[str]) -> dict[str, Any]:
    shape: dict[str, Any] = {}
    place = 0
    while place < len(lines):
        line = lines[place].rstrip()
        place += 1
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _KEY.match(line)
        if found is None:
            raise Malformed(f"line {place + 1}: {line[:60]!r} is not a key with a value")
        nested = []
        while place < len(lines) and (not lines[place].strip() or lines[place][:1] in " \t-"):
            nested.append(lines[place].rstrip())
            place += 1
        shape[found[1]] = _value((found[2] or "").strip(), nested, place)
    return shape


def _value(text: str, nested: list[str], place: int) -> Any:
    inner = [line.strip() for line in nested if line.strip()]
    if _BLOCK.match(text):
        return ("\n" if text[0] == "|" else " ").join(inner)
    if not text and inner:
        if all(line.startswith("-") for line in inner):
            return [_scalar(line[1:].strip(), place) for line in inner if line[1:].strip()]
        raise Malformed(f"line {place + 1}: a list of texts was expected")
    whole = " ".join([text, *inner])
    if whole.startswith("["):
        if not whole.endswith("]"):
            raise Malformed(f"line {place + 1}: the list has no end")
        return [_scalar(part.strip(), place) for part in _parts(whole[1:-1]) if part.strip()]
    return _scalar(whole, place)


def _parts(text: str) -> list[str]:
    """The parts of a flow list; a comma in quotes parts nothing."""
    return re.findall(r"""(?:[^,"']|"(?:[^"\\]|\\.)*"|'(?:[^']|'')*')+""", text)


def _scalar(text: str, place: int) -> str:
    if text[:1] == '"' and text[-1:] == '"' and len(text) > 1:
        try:
            return str(json.loads(text))
        except ValueError:
            raise Malformed(f"line {place + 1}: {text[:60]!r} is not a quoted text") from None
    if text[:1] == "'" and text[-1:] == "'" and len(text) > 1:
        return text[1:-1].replace("''", "'")
    plain = re.sub(r"\s+#.*\Z", "", text)
    return "" if plain in ("null", "~") else plain
