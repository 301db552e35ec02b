"""Files that do not parse: Python, JSON, TOML. Nothing is executed; only new breakage is reported."""

from __future__ import annotations

import json
import re
import sys
import tomllib
import warnings
from collections.abc import Callable, Iterator
from typing import NamedTuple

from lattice.core.markup import visible
from lattice.core.reviews.model import Finding
from lattice.workers.builtin.diffcheck import paths
from lattice.workers.builtin.diffcheck.changes import Change
from lattice.workers.builtin.diffcheck.findings import finding

_AT_LINE = re.compile(r"\(at line (\d+)")
_TOO_DEEP = "it is nested too deeply to be read"


class Fault(NamedTuple):
    """Why a file does not parse, and where, as far as its parser says."""

    language: str
    words: str
    line: int | None


def python_fault(content: bytes) -> Fault | None:
    """What the compiler says; compiling runs nothing."""
    language = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(content, "<changed file>", "exec", dont_inherit=True)
    except SyntaxError as error:
        return Fault(language, error.msg or "invalid syntax", error.lineno)
    except ValueError as error:
        return Fault(language, str(error), None)
    except (RecursionError, MemoryError):
        return Fault(language, _TOO_DEEP, None)
    return None


def json_fault(content: bytes) -> Fault | None:
    try:
        json.loads(content, parse_int=str, parse_float=str)  # Long numbers are valid, and slow to convert.
    except json.JSONDecodeError as error:
        return Fault("JSON", error.msg, error.lineno)
    except ValueError as error:
        return Fault("JSON", str(error), None)
    except RecursionError:
        return Fault("JSON", _TOO_DEEP, None)
    return None


def toml_fault(content: bytes) -> Fault | None:
    try:
        tomllib.loads(content.decode("utf-8"))
    except tomllib.TOMLDecodeError as error:
        found = _AT_LINE.search(str(error))  # Otherwise "(at end of document)".
        return Fault("TOML", str(error), int(found[1]) if found else max(1, len(content.rstrip().split(b"\n"))))
    except ValueError as error:
        return Fault("TOML", str(error), None)
    except RecursionError:
        return Fault("TOML", _TOO_DEEP, None)
    return None


_PARSERS: dict[str, Callable[[bytes], Fault | None]] = {
    ".py": python_fault,
    ".pyi": python_fault,
    ".json": json_fault,
    ".toml": toml_fault,
}


def check_syntax(change: Change, old_content: Callable[[], bytes | None]) -> Iterator[Finding]:
    """`old_content` is asked for only when the new content does not parse: a file that never did is a fixture."""
    parser = _PARSERS.get(paths.suffix(change.path))
    if parser is None or change.content is None or paths.is_commented_json(change.path):
        return
    fault = parser(change.content)
    if fault is None:
        return
    before = old_content()
    if before is not None and parser(before) is not None:
        return
    yield finding(
        severity="blocker",
        category="syntax",
        title=f"not valid {fault.language}",
        detail=f"The parser says: {visible(fault.words)}",
        file=change.path,
        line=fault.line,
        fix="Correct the syntax.",
    )
