"""What starting a run imports: `worker run` answers once its guard has read these modules, so they are few."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

NEEDLESS = {
    "calendar", "dataclasses", "datetime", "inspect", "lattice.core.query", "platform", "random", "socket", "sqlite3",
    "tempfile", "typing", "uuid",
}  # fmt: skip


@pytest.mark.parametrize("module", ["lattice.workers.launch", "lattice.workers.guard"])
def test_the_start_of_a_run_imports_nothing_it_has_no_use_for(module: str) -> None:
    program = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    said = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True).stdout
    assert set() == NEEDLESS & set(json.loads(said))


def test_what_it_has_no_use_for_is_there() -> None:
    """A module that was renamed would pass for ever."""
    program = f"import {', '.join(sorted(NEEDLESS))}"
    assert 0 == subprocess.run([sys.executable, "-I", "-c", program], check=False).returncode
