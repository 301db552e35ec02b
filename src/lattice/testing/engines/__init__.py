"""Fake engines: programs that take the command lines of the known agents and speak their streams.

    from lattice.testing.engines import behave, install

    bin_folder = install(tmp_path, behaviour={"is": ["noise"]})  # claude, codex, gemini and opencode
    behave(bin_folder, "claude", {"is": ["rate_limit"], "resets_in": 60})

Put the folder first on PATH. The behaviour of each lies beside it, as `claude.json`, and is read at every start;
`behaviour.py` says what there is. A sandbox shows a program's folder if it is called `bin`, as this one is.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import lattice
from lattice.testing.engines import claude, codex, gemini, opencode, plain
from lattice.testing.engines.behaviour import understand
from lattice.testing.engines.program import FILE_VARIABLE
from lattice.testing.engines.speech import Speech

SPEECHES: Mapping[str, Speech] = {one.SPEECH.name: one.SPEECH for one in (claude, codex, gemini, opencode, plain)}
NAMES = ("claude", "codex", "gemini", "opencode")

_BOOT = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from lattice.testing.engines.__main__ import main; "
    "sys.exit(main(sys.argv[1:]))"
)


def install(folder: Path, names: Iterable[str] = NAMES, behaviour: Mapping[str, Any] | None = None) -> Path:
    """Make the executables in `folder/bin`, all with this behaviour; the folder to put on PATH.

    A name that is none of a known agent makes a program that takes any words. Raises ValidationError, OSError.
    """
    place = folder.absolute() / "bin"
    place.mkdir(parents=True, exist_ok=True)
    for name in names:
        behave(place, name, behaviour or {})
        path = place / name
        words = [sys.executable, "-I", "-c", _BOOT, str(Path(lattice.__file__).parent.parent)]
        script = f"#!/bin/sh\n{FILE_VARIABLE}={shlex.quote(str(file_of(place, name)))}\nexport {FILE_VARIABLE}\n"
        script += f'exec {shlex.join([*words, name if name in SPEECHES else plain.SPEECH.name])} "$@"\n'
        _replace(path, script, 0o755)
    return place


def behave(place: Path, name: str, behaviour: Mapping[str, Any]) -> None:
    """Give the fake `name` in `place` this behaviour, from its next start on. Raises ValidationError, OSError."""
    understand(behaviour)
    _replace(file_of(place, name), json.dumps(behaviour, indent=2) + "\n", 0o644)


def file_of(place: Path, name: str) -> Path:
    """Where the behaviour of the fake `name` lies."""
    return place / f"{name}.json"


def _replace(path: Path, text: str, mode: int) -> None:
    """Whole or not at all: one that is being started meanwhile reads the old or the new."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(text, encoding="utf-8")
    new.chmod(mode)
    os.replace(new, path)
