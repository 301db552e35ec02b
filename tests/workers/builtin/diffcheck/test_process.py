"""A tool ends at its limit, and nothing of it stays."""

from __future__ import annotations

import os
import select
import sys
from pathlib import Path

import pytest

from lattice.workers.builtin.diffcheck.process import run_limited

# The grandchild holds the write end of a FIFO open; its reader sees end-of-file once it is dead.
HOLDS = "import os, subprocess, sys; f = os.open(sys.argv[1], os.O_WRONLY); os.set_inheritable(f, True); "
GRANDCHILD = "subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'], pass_fds=[f]); "


@pytest.mark.parametrize(
    ("ending", "limit_s", "timed_out"), [("import signal; signal.pause()", 1.0, True), ("sys.exit(3)", 60.0, False)]
)
def test_the_whole_group_is_gone_afterwards(tmp_path: Path, ending: str, limit_s: float, timed_out: bool) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    argv = [sys.executable, "-I", "-c", HOLDS + GRANDCHILD + ending, str(fifo)]
    outcome = run_limited(argv, cwd=tmp_path, environ=os.environ, limit_s=limit_s)
    assert (None if timed_out else 3) == outcome.exit_status
    poller = select.poll()
    poller.register(reader, select.POLLIN)
    [(_, event)] = poller.poll(10_000)
    assert event & select.POLLHUP
    os.close(reader)


def test_output_and_exit_status_are_kept(tmp_path: Path) -> None:
    program = "import sys; print('out'); sys.stderr.buffer.write(b'bad \\xff'); sys.exit(2)"
    outcome = run_limited([sys.executable, "-I", "-c", program], cwd=tmp_path, environ=os.environ, limit_s=60)
    assert (2, "out\n", "bad \ufffd") == (outcome.exit_status, outcome.stdout, outcome.stderr)


def test_a_program_that_is_not_there_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(OSError):
        run_limited([str(tmp_path / "absent")], cwd=tmp_path, environ={}, limit_s=1)
