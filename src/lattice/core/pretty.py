"""JSON for people and for git: sorted keys, two spaces a level, ASCII.

The same text as `json.dumps(value, sort_keys=True, indent=2)`, which leaves its C code as soon as it is
asked to indent: a tenth of the time, for what every write does and a rebuild does for each task.
"""

from __future__ import annotations

import json
from json.encoder import encode_basestring_ascii as quoted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ITEM_PAD = "    "
"""What stands before each line of an item of an answer's list."""

_WORDS = {None: "null", True: "true", False: "false"}


def document(shape: dict[str, Any]) -> bytes:
    """A file's bytes: an object whose keys are names, which need no escapes, and a newline at the end."""
    members = [
        f'  "{key}": {quoted(value) if type(value := shape[key]) is str else _text(value, "  ")}'
        for key in sorted(shape)
    ]
    text = ",\n".join(members)
    return f"{{\n{text}\n}}\n".encode("ascii")


def pretty(value: object, pad: str = "") -> str:
    """The value's text, with `pad` before each line but the first. Raises TypeError for what JSON has no form for."""
    return _text(value, pad)


def _text(value: Any, pad: str) -> str:
    kind = type(value)
    if kind is str:
        return quoted(value)
    if kind is int:
        return repr(value)
    if value is None or kind is bool:
        return _WORDS[value]
    if isinstance(value, dict) and all(type(key) is str for key in value):
        if not value:
            return "{}"
        inner = pad + "  "
        lines = [f"{inner}{quoted(key)}: {_text(value[key], inner)}" for key in sorted(value)]
        return "{\n" + ",\n".join(lines) + f"\n{pad}}}"
    if kind is list or kind is tuple:
        if not value:
            return "[]"
        inner = pad + "  "
        return "[\n" + ",\n".join([inner + _text(item, inner) for item in value]) + f"\n{pad}]"
    return json.dumps(value, sort_keys=True, indent=2).replace("\n", f"\n{pad}")
