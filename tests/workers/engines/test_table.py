"""The table of engines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lattice.errors import DefinitionError
from lattice.workers.engines.table import NAMES, available, engine, first_available, located


def program(folder: Path, name: str) -> None:
    (folder / name).write_text("#!/bin/sh\n")
    (folder / name).chmod(0o755)


@pytest.mark.parametrize("name", NAMES)
def test_each_row_is_an_engine_of_its_name(name: str) -> None:
    found = engine(name)
    assert name == found.name
    assert not set(found.required) & set(found.optional)


def test_a_name_that_is_nearly_one_is_answered_with_it() -> None:
    with pytest.raises(DefinitionError) as refused:
        engine("cladue")
    assert "Did you mean claude? Engines: claude, codex, gemini, opencode." == refused.value.hint


def test_the_first_that_is_there_is_taken(tmp_path: Path) -> None:
    program(tmp_path, "gemini")
    program(tmp_path, "codex")
    environ = {"PATH": str(tmp_path)}
    assert "codex" == first_available(NAMES, environ).name
    assert "gemini" == first_available(("gemini", "codex"), environ).name
    assert ["codex", "gemini"] == [found.name for found in available(NAMES, environ)]
    assert str(tmp_path / "codex") == located(engine("codex"), environ)


def test_none_that_is_there_is_an_error_that_names_them(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="None of the engines is on PATH: claude, codex"):
        first_available(("claude", "codex"), {"PATH": str(tmp_path)})


def test_the_table_imports_no_engine() -> None:
    code = (
        "import sys, lattice.workers.engines.table as t; print(*[m for m in sys.modules if m in t._MODULES.values()])"
    )
    assert "\n" == subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
