"""Frozen records: what a frozen dataclass gives, without its cost at start-up.

`dataclasses` costs 5 to 8 ms to import here and about half a millisecond a class, because it writes
and compiles source for each; an agent runs `lattice` hundreds of times a day
(`docs/decisions/0002-standard-library-only.md`). A Record reads its annotations once, as text, and
shares one `__init__`. Type checkers see it as a frozen dataclass through `dataclass_transform`.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self, dataclass_transform


@dataclass_transform(frozen_default=True, kw_only_default=False)
class Record:
    """Base of immutable values: fields by annotation, defaults by assignment, equality by value.

    Subclasses inherit fields in order. `ClassVar` annotations are not fields. A default must be
    immutable. Raises TypeError for a missing or unknown field, AttributeError on assignment.
    """

    _fields: ClassVar[tuple[str, ...]] = ()
    _defaults: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = [
            name
            for name, kind in cls.__dict__.get("__annotations__", {}).items()
            if not str(kind).startswith(("ClassVar", "typing.ClassVar"))
        ]
        cls._fields = tuple(dict.fromkeys((*cls._fields, *own)))
        cls._defaults = cls._defaults | {name: cls.__dict__[name] for name in own if name in cls.__dict__}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        values = self.__dict__
        values.update(self._defaults)
        values.update(zip(self._fields, args, strict=False))
        values.update(kwargs)
        if len(values) != len(self._fields) or len(args) > len(self._fields):
            missing = [name for name in self._fields if name not in values]
            unknown = [name for name in kwargs if name not in self._fields]
            raise TypeError(f"{type(self).__name__}: missing {missing}, unknown {unknown}")

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed."""
        return type(self)(**{**self.__dict__, **changes})

    def fields(self) -> dict[str, Any]:
        """Field names to values, in order; a fresh dict."""
        return {name: self.__dict__[name] for name in self._fields}

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.__dict__ == self.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *self.fields().values()))

    def __repr__(self) -> str:
        inside = ", ".join(f"{name}={value!r}" for name, value in self.fields().items())
        return f"{type(self).__name__}({inside})"
