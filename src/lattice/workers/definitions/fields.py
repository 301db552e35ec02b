"""The keys of a definition's JSON objects, read one by one by type; each error names the file and the key."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from lattice.errors import DefinitionError, choices, nearest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

TIMEOUT_MINUTES_MAX = 10_080
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Fields:
    """The keys of one JSON object, taken one by one by type; each error names file and key."""

    def __init__(self, path: Path, shape: dict[str, Any], prefix: str = "", name: object = None) -> None:
        self.path = path
        self.prefix = prefix
        self.name = shape.get("name") if name is None and not prefix else name
        self._shape = shape

    def off(self, key: str, reason: str, hint: str | None = None) -> DefinitionError:
        full = self.prefix + key
        return DefinitionError(
            f"{self.path}: {full}: {reason}", hint=hint, name=self.name, file=str(self.path), key=full
        )

    def known(self, keys: Sequence[str]) -> None:
        for key in self._shape:
            if key not in keys:
                meant = nearest(key, keys)
                raise self.off(key, f"unknown key; did you mean {meant!r}?" if meant else "unknown key", choices(keys))

    def has(self, key: str) -> bool:
        return self._shape.get(key) is not None

    def is_object(self, key: str) -> bool:
        return isinstance(self._shape.get(key), dict)

    def text(self, key: str) -> str | None:
        value = self._shape.get(key)
        if value is not None and not (isinstance(value, str) and value and not _CONTROL.search(value)):
            raise self.off(key, "must be a text of one line")
        return value

    def needed(self, key: str) -> str:
        value = self.text(key)
        if value is None:
            raise self.off(key, "is missing")
        return value

    def relative(self, key: str) -> str | None:
        """A path below a folder: no absolute one, no `..`."""
        value = self.text(key)
        if value is not None and (
            value.startswith("/") or ".." in PurePosixPath(value).parts or not PurePosixPath(value).parts
        ):
            raise self.off(key, f"{value!r} must be a relative path without '..'")
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        value = self._shape.get(key, default)
        if not isinstance(value, bool):
            raise self.off(key, "must be true or false")
        return value

    def number(self, key: str, accepted: Callable[[float], bool], range_text: str) -> float | None:
        value = self._shape.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.off(key, "must be a number")
        if not (accepted(value) and math.isfinite(value)):
            raise self.off(key, f"must be {range_text}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._shape.get(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) and "\0" not in item for item in value):
            raise self.off(key, "must be a list of texts, without NUL")
        return tuple(value)

    def lists(self, key: str) -> tuple[tuple[str, ...], ...]:
        """A list of lists of texts."""
        value = self._shape.get(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, list) for item in value):
            raise self.off(key, "must be a list of lists of texts")
        if not all(isinstance(word, str) and "\0" not in word for item in value for word in item):
            raise self.off(key, "must be a list of lists of texts")
        return tuple(tuple(item) for item in value)

    def inner(self, key: str) -> Fields | None:
        value = self._shape.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.off(key, "must be an object")
        return Fields(self.path, value, f"{self.prefix}{key}.", self.name)

    def objects(self, key: str, count_max: int) -> tuple[Fields, ...]:
        """A list of objects."""
        value = self._shape.get(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.off(key, "must be a list of objects")
        if len(value) > count_max:
            raise self.off(key, f"has more than {count_max} entries")
        return tuple(
            Fields(self.path, item, f"{self.prefix}{key}[{place}].", self.name) for place, item in enumerate(value)
        )

    def names(self) -> list[str]:
        return list(self._shape)

    def items(self) -> list[tuple[str, object]]:
        return list(self._shape.items())


def minutes(fields: Fields, key: str) -> float | None:
    """A limit in minutes; None where the key is left out. Raises DefinitionError."""
    in_range = f"more than 0 and at most {TIMEOUT_MINUTES_MAX}"
    return fields.number(key, lambda value: 0 < value <= TIMEOUT_MINUTES_MAX, in_range)
