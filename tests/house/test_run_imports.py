"""What starting a run imports: `worker run` answers once its guard has read these modules, so they are few."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

NEEDLESS = {
    "calendar", "ctypes", "dataclasses", "datetime", "hashlib", "inspect", "lattice.core.query", "platform", "random",
    "socket", "sqlite3", "tempfile", "typing", "uuid",
}  # fmt: skip


LATER = {"lattice.workers.handover", "lattice.workers.launch", "lattice.workers.preflight", "pathlib"}
"""What a plan needs, and the start of its guard does not."""


@pytest.mark.parametrize("module", ["lattice.workers.launch", "lattice.workers.preflight", "lattice.workers.guard"])
def test_the_start_of_a_run_imports_nothing_it_has_no_use_for(module: str) -> None:
    assert set() == NEEDLESS & imported_with(module)


def test_worker_run_begins_its_guard_before_it_imports_what_its_plan_needs() -> None:
    assert set() == LATER & imported_with("lattice.cli.worker_run")
    assert LATER <= imported_with("lattice.workers.launch")


def imported_with(module: str) -> set[str]:
    program = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    said = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True).stdout
    return set(json.loads(said))


def test_what_it_has_no_use_for_is_there() -> None:
    """A module that was renamed would pass for ever."""
    program = f"import {', '.join(sorted(NEEDLESS))}"
    assert 0 == subprocess.run([sys.executable, "-I", "-c", program], check=False).returncode
