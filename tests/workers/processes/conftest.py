"""Processes that a test starts and ends, each in a known state."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = str(Path(__file__).parents[3] / "src")

NESTED = """
child = subprocess.Popen([sys.executable, "-c",
    "import os, signal; pid = os.fork(); pid and print(os.getpid(), pid, flush=True); signal.pause()"],
    stdout=subprocess.PIPE, text=True, start_new_session=True)
print(child.stdout.readline(), end="", flush=True)
signal.pause()
"""


def wait_until_ended(pid: int) -> None:
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([pidfd], [], [], 60)[0], f"{pid} is still there"
    finally:
        os.close(pidfd)


class Started:
    """Processes a test starts; each says `ready` when it is as the test needs it."""

    def __init__(self) -> None:
        self.all: list[subprocess.Popen[str]] = []

    def __call__(self, code: str, **env: str) -> tuple[subprocess.Popen[str], list[int]]:
        process = subprocess.Popen(
            [sys.executable, "-c", "import os, signal, subprocess, sys\n" + textwrap.dedent(code)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": SOURCE, **env},
        )
        self.all.append(process)
        assert process.stdout is not None
        return process, [int(word) for word in process.stdout.readline().split()]


@pytest.fixture
def start() -> Iterator[Started]:
    started = Started()
    yield started
    for process in started.all:
        process.kill()
        process.communicate()
