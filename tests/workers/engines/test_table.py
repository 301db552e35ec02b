"""The table of engines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lattice.errors import DefinitionError
from lattice.workers.engines.table import NAMES, available, engine, located


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


def test_those_that_are_there_are_available_in_the_order_that_was_asked_for(tmp_path: Path) -> None:
    program(tmp_path, "gemini")
    program(tmp_path, "codex")
    environ = {"PATH": str(tmp_path)}
    assert ["codex", "gemini"] == [found.name for found in available(NAMES, environ)]
    assert ["gemini", "codex"] == [found.name for found in available(("gemini", "codex"), environ)]
    assert str(tmp_path / "codex") == located(engine("codex"), environ)


def test_the_table_imports_no_engine() -> None:
    code = (
        "import sys, lattice.workers.engines.table as t; print(*[m for m in sys.modules if m in t._MODULES.values()])"
    )
    assert "\n" == subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
