"""A fake of a program that is no known agent: it takes any words, and prints its text. For workers with a command."""

from __future__ import annotations

from collections.abc import Sequence

from lattice.testing.engines.flags import Given, Grammar
from lattice.testing.engines.speech import Call, Line, Speech, Turn

GRAMMAR = Grammar("PROGRAM [any words]", ())


def understand(words: Sequence[str]) -> Call:
    return Call(Given({}, tuple(words)), prompt=" ".join(words) or "(no words)", stdin="added", streams=False)


def nothing(_turn: Turn) -> list[Line]:
    return []


def no_end(_turn: Turn, _number: int) -> list[Line]:
    return []


def long(_turn: Turn, text: str) -> Line:
    return {"text": text}


SPEECH = Speech(
    name="plain",
    version="1.0",
    helps={(): GRAMMAR},
    understand=understand,
    empty_status=0,
    error_status=1,
    begins=nothing,
    works=nothing,
    long=long,
    ends=no_end,
)
