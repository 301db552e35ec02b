"""A tool as a child process: its own group, output in files, and an end at its time limit."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from lattice.core.record import Record

OUTPUT_BYTES_MAX = 16 << 20


class Outcome(Record):
    """How a tool ended. `exit_status` is None when the limit ended it; negative for a signal."""

    exit_status: int | None
    stdout: str
    stderr: str
    duration_s: float

    @property
    def timed_out(self) -> bool:
        return self.exit_status is None

    def last_words(self, lines: int = 4) -> str:
        """The end of what it said, for a reader who wants the reason."""
        said = (self.stderr.strip() or self.stdout.strip()).split("\n")
        return " / ".join(line.strip() for line in said[-lines:] if line.strip())


def run_limited(argv: Sequence[str], *, cwd: Path, environ: Mapping[str, str], limit_s: float) -> Outcome:
    """Run to the end or to the limit; either way nothing of its process group is left.

    Output goes to files: a grandchild that keeps a pipe open could hold a reader past the limit.
    Raises OSError when the program cannot be started.
    """
    with TemporaryFile() as out, TemporaryFile() as err:
        started = time.monotonic()
        child = subprocess.Popen(
            argv, cwd=cwd, env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=err, process_group=0
        )
        ended = False
        try:
            ended = _wait(child.pid, limit_s)
        finally:
            # Before the child is reaped, its pid and with it the group's id cannot belong to a stranger.
            os.killpg(child.pid, signal.SIGKILL)
            status = child.wait()
        return Outcome(
            exit_status=status if ended else None,
            stdout=_text(out),
            stderr=_text(err),
            duration_s=round(time.monotonic() - started, 3),
        )


def _wait(pid: int, limit_s: float) -> bool:
    """Whether the process ended within the limit; it is left unreaped."""
    descriptor = os.pidfd_open(pid)
    try:
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        return bool(poller.poll(max(0, int(limit_s * 1000))))
    finally:
        os.close(descriptor)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(OUTPUT_BYTES_MAX).decode("utf-8", "replace")
