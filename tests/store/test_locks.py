"""Lock files: waiting has an end, one holder at a time, and the file stays."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lattice.errors import LockTimeout
from lattice.store.files.locks import locked
from lattice.workers import lease
from tests.workers.test_lease import SOURCE, holder


def test_a_lock_that_stays_held_is_a_named_error(tmp_path: Path) -> None:
    process = holder(tmp_path / "lock")
    started = time.monotonic()
    with pytest.raises(LockTimeout) as caught, locked(tmp_path / "lock", 0.2):
        raise AssertionError("two holders")
    assert 0.2 <= time.monotonic() - started < 20
    assert "lock" in caught.value.message
    assert str(tmp_path / "lock") in str(caught.value.hint)
    assert caught.value.hint
    process.kill()
    process.communicate()
    with locked(tmp_path / "lock", 0):
        assert lease.held(tmp_path / "lock")
    assert (tmp_path / "lock").exists(), "never unlinked"


def test_locked_lets_one_in_at_a_time(tmp_path: Path) -> None:
    count = tmp_path / "count"
    count.write_text("0")
    code = """
import sys
from pathlib import Path
from lattice.store.files.locks import locked
count = Path(sys.argv[1])
for _ in range(100):
    with locked(count.with_name("lock"), 30):
        count.write_text(str(int(count.read_text()) + 1))
"""
    command = [sys.executable, "-c", code, str(count)]
    everyone = [subprocess.Popen(command, env={**os.environ, "PYTHONPATH": SOURCE}) for _ in range(3)]
    assert [0, 0, 0] == [process.wait(60) for process in everyone]
    assert "300" == count.read_text()
