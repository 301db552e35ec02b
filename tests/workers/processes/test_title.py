"""A word of a command line is changed in place, in the process that asks for it and in no other."""

from __future__ import annotations

import subprocess
import sys

from tests.workers.conftest import SOURCES

FORKED = """
import os, sys
from lattice.workers.processes.title import replace_word
if not (child := os.fork()):
    replace_word("run_A", "run_B")
    os._exit([b"run_B", b"b c"] != open("/proc/self/cmdline", "rb").read().split(b"\\0")[-3:-1])
print(os.waitpid(child, 0)[1], open("/proc/self/cmdline").read().split("\\0")[-3:-1])
"""
REFUSED = """
import sys
from lattice.workers.processes.title import replace_word
for old, new in (("run_A", "run_longer"), ("run_X", "run_Y")):
    try:
        replace_word(old, new)
    except OSError as why:
        print(why)
print(open("/proc/self/cmdline").read().split("\\0")[-3:-1])
"""


def told(program: str) -> str:
    """What the program says, with `run_A` and `b c` as its arguments."""
    done = subprocess.run(
        [sys.executable, "-c", program, "run_A", "b c"],
        env={"PYTHONPATH": SOURCES}, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return done.stdout


def test_a_fork_shows_the_word_that_it_was_given_and_its_parent_the_old_one() -> None:
    assert "0 ['run_A', 'b c']\n" == told(FORKED)


def test_a_word_of_another_length_or_that_is_not_there_is_refused_and_nothing_changes() -> None:
    refused = "is no word of the command line that"
    first, second, shown = told(REFUSED).splitlines()
    assert [True, True] == [refused in first, refused in second]
    assert "['run_A', 'b c']" == shown
