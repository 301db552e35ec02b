"""The engines there are: a name and a module each, which is imported when the engine is asked for.

To add one: write a module beside this one with one `ENGINE`, by the facts of the program's own documentation; add
its row here; run the conformance suite (`tests/workers/engines/test_conformance.py`), which goes over every row
and needs a fake that speaks the format (`lattice.testing.engines`). Nothing else names an engine.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from importlib import import_module

from lattice.errors import DefinitionError, choices, did_you_mean
from lattice.workers.engines.protocol import Engine

_MODULES = {
    "claude": "lattice.workers.engines.claude",
    "codex": "lattice.workers.engines.codex",
    "gemini": "lattice.workers.engines.gemini",
    "opencode": "lattice.workers.engines.opencode",
}

NAMES = tuple(_MODULES)
"""In the order in which `engine: auto` tries them, where nothing else is said."""


def engine(name: str) -> Engine:
    """The engine of that name. Raises DefinitionError."""
    module = _MODULES.get(name)
    if module is None:
        hint = did_you_mean(name, NAMES, f"Engines: {choices(NAMES)}.")
        raise DefinitionError(f"There is no engine {name[:80]!r}.", hint=hint, engine=name)
    found = import_module(module).ENGINE
    if not isinstance(found, Engine):
        raise AssertionError(f"{module}.ENGINE is no Engine")
    return found


def located(found: Engine, environ: Mapping[str, str]) -> str | None:
    """The absolute path of the engine's program on the PATH of `environ`; None where it is not there."""
    path = shutil.which(found.program, path=environ.get("PATH", os.defpath))
    return os.path.abspath(path) if path is not None else None


def available(order: Sequence[str], environ: Mapping[str, str]) -> Iterator[Engine]:
    """Those of the engines named whose program is there, in their order. Raises DefinitionError for an unknown name."""
    for found in [engine(name) for name in order]:
        if located(found, environ) is not None:
            yield found
