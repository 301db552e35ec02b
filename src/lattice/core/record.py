"""Frozen records: what a frozen dataclass gives, without its cost at start-up.

`dataclasses` costs 5 to 8 ms to import here and about half a millisecond a class, because it writes
and compiles source for each; an agent runs `lattice` hundreds of times a day
(`docs/decisions/0002-standard-library-only.md`). A Record reads its annotations once, as text, and
shares one `__init__`. Type checkers see it as a frozen dataclass through `dataclass_transform`.
"""

from __future__ import annotations

from operator import itemgetter

TYPE_CHECKING = False  # which type checkers take to be true: `typing` costs 3 ms (decision 0002)
if TYPE_CHECKING:
    from typing import Any, ClassVar, NamedTuple, Protocol, Self, dataclass_transform
else:
    Protocol = object

    def dataclass_transform(**_):
        return lambda cls: cls

    class NamedTuple(tuple):
        """Base of rows: what `typing.NamedTuple` gives, for fields without defaults, with nothing compiled."""

        _fields = ()

        def __init_subclass__(cls):
            cls._fields = tuple(cls.__annotations__)
            for place, name in enumerate(cls._fields):
                setattr(cls, name, property(itemgetter(place)))

        def __new__(cls, *values, **named):
            if named:
                values += tuple(named.pop(name) for name in cls._fields[len(values) :] if name in named)
            if named or len(values) != len(cls._fields):
                raise TypeError(f"{cls.__name__} has the fields {', '.join(cls._fields)}, each once")
            return _new_tuple(cls, values)

        def __getnewargs__(self):
            return tuple(self)

        @classmethod
        def _make(cls, values):
            row = _new_tuple(cls, values)
            if len(row) != len(cls._fields):
                raise TypeError(f"{cls.__name__} has {len(cls._fields)} fields, not {len(row)}")
            return row

        def _asdict(self):
            return dict(zip(self._fields, self, strict=True))

        def _replace(self, **changes):
            return type(self)(**(self._asdict() | changes))

        def __repr__(self):
            return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self._asdict().items())})"

    _new_tuple = tuple.__new__

__all__ = ("NamedTuple", "Protocol", "Record")

_new = object.__new__
_set = object.__setattr__


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

    @classmethod
    def made_of(cls, values: dict[str, Any]) -> Self:
        """The record with exactly these values, one for each field; the dict becomes the record's own.

        For what reads many: nothing is checked, where `__init__` fills in defaults and names what is off.
        """
        record = _new(cls)
        _set(record, "__dict__", values)
        return record

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed. Raises TypeError for an unknown field."""
        values = {**self.__dict__, **changes}
        if len(values) != len(self._fields):
            raise TypeError(f"{type(self).__name__}: unknown {[name for name in changes if name not in self._fields]}")
        return self.made_of(values)

    def fields(self) -> dict[str, Any]:
        """Field names to values, in order; a fresh dict."""
        values = self.__dict__
        return {name: values[name] for name in self._fields}

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
