"""The start-up measurement measures what it says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.sources import TOP
from tools.startup import Case, measure


def test_imports_are_measured_beside_an_interpreter_that_does_nothing() -> None:
    ran = subprocess.run(
        [sys.executable, TOP / "tools" / "startup.py", "--imports", "--rounds", "1", "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = json.loads(ran.stdout)["rows"]
    assert 1.0 == rows[0]["ratio"]
    assert {"import argparse", "import dataclasses"} <= {row["name"] for row in rows}


def test_a_command_that_takes_longer_has_the_higher_ratio(tmp_path: Path) -> None:
    quick = Case("pass", [sys.executable, "-I", "-S", "-c", "pass"], cwd=tmp_path, env={})
    busy = Case("sum", [sys.executable, "-I", "-S", "-c", "sum(range(10_000_000))"], cwd=tmp_path, env={})
    first, second = measure([quick, busy], rounds=3)
    assert 1.0 == first["ratio"] < second["ratio"]
    assert 3 == len(quick.seconds) == len(busy.seconds)


def test_a_command_that_fails_is_not_measured(tmp_path: Path) -> None:
    failing = Case("refused", [sys.executable, "-c", "raise SystemExit('no board here')"], cwd=tmp_path, env={})
    with pytest.raises(SystemExit, match="no board here"):
        measure([failing], rounds=1)
    assert [] == failing.seconds
