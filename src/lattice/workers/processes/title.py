"""A word of this process's command line, changed in place: the fork that becomes another run's guard says so.

Everybody knows a guard by its command line, from ps(1) to `worker ps`. What /proc shows of it is read from the
process's own memory (proc_pid_cmdline(5)), between two addresses that proc_pid_stat(5) names; a word of the same
length takes the place of another without moving anything. It goes through /proc/self/mem, where a wrong
address is an error and not a crash, and is read back.
"""

from __future__ import annotations

import os
from pathlib import Path

_ARG_START = 45  # field 48 of proc_pid_stat(5), counted from the third, which follows the name


def replace_word(old: str, new: str) -> None:
    """Put `new` in place of the word `old`, which is as long. Raises OSError where it cannot be done."""
    was, words = old.encode(), _words()
    if len(was) != len(new.encode()) or was not in words:
        raise OSError(f"{old!r} is no word of the command line that {new!r} could take the place of")
    place = words.index(was)
    at = _start() + sum(len(word) + 1 for word in words[:place])
    memory = os.open("/proc/self/mem", os.O_RDWR | os.O_CLOEXEC)
    try:
        if os.pread(memory, len(was), at) != was:
            raise OSError("the command line is not where the kernel says it is")
        os.pwrite(memory, new.encode(), at)
    finally:
        os.close(memory)
    if _words() != [*words[:place], new.encode(), *words[place + 1 :]]:
        raise OSError("the kernel shows the command line as it was")


def _words() -> list[bytes]:
    return Path("/proc/self/cmdline").read_bytes().split(b"\0")


def _start() -> int:
    stat = Path("/proc/self/stat").read_bytes()
    return int(stat[stat.rindex(b")") + 2 :].split()[_ARG_START])
