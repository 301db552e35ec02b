"""Whole processes against the clock, in turn: each round runs each case once, so a slow minute slows all alike."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import chdir
from pathlib import Path
from typing import TypedDict

# A child begins with the peak of the process that spawned it (execve keeps the old image's mark). So the
# one whose memory is asked for is spawned by an interpreter that has nothing in it.
_SPAWNER = """
import os, sys
null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=null)
_, status, used = os.wait4(pid, 0)
print(status, used.ru_maxrss)
"""


SAMPLES_MIN, SLOW_SAMPLES_MIN, SLOW_S = 3, 2, 5.0
"""What is sampled at least, and what of a case that takes longer than SLOW_S."""


class Failed(Exception):
    """What should have been measured did not work."""


class Stat(TypedDict):
    """The samples of one case, in milliseconds."""

    median_ms: float
    q1_ms: float
    q3_ms: float
    least_ms: float
    samples: int


class Case:
    """A command line to measure, and the seconds seen so far, by round."""

    def __init__(
        self,
        key: str,
        argv: Callable[[int], Sequence[str]] | Sequence[str],
        *,
        cwd: Path,
        env: Mapping[str, str],
        prepare: Callable[[], object] | None = None,
        budget_s: float = 4.0,
        may_refuse: bool = False,
    ) -> None:
        """`argv` may hang on how often it was run; `prepare` runs before each, outside the clock.

        Only with `may_refuse` is an exit status other than 0 an answer too.
        """
        self.key = key
        self.cwd = cwd
        self.env = dict(env)
        self.prepare = prepare
        self.budget_s = budget_s
        self.seconds: dict[int, float] = {}
        self._may_refuse = may_refuse
        self._argv = argv if callable(argv) else (lambda _: argv)
        self._runs = 0
        self._wanted = 0

    def check(self) -> float:
        """Run once, unmeasured, and look at it: a command that fails quickly must not win. Raises Failed."""
        argv = self.words()
        begun = time.perf_counter()
        ran = subprocess.run(
            argv, cwd=self.cwd, env=self.env, stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        took = time.perf_counter() - begun
        if ran.returncode and not self._may_refuse:
            said = (ran.stderr or ran.stdout).decode(errors="replace").strip()
            raise Failed(f"{shown(argv)} exited with {ran.returncode}\n{said[-2000:]}")
        return took

    def plan(self, took: float, rounds: int) -> None:
        """Say how many of the rounds it is in: all of them, or what its budget pays for, but a few at least."""
        least = SAMPLES_MIN if took < SLOW_S else SLOW_SAMPLES_MIN
        self._wanted = min(rounds, max(least, int(self.budget_s / took)))

    def sample(self, number: int, rounds: int) -> None:
        """Run once against the clock, as a bare spawn: no pipes and no threads of ours in the figure."""
        if (number + 1) * self._wanted // rounds == number * self._wanted // rounds:
            return  # Not in this round; its turns are spread evenly over all of them.
        argv = self.words()
        null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
        with chdir(self.cwd):
            begun = time.perf_counter()
            pid = os.posix_spawn(argv[0], argv, self.env, file_actions=null)
            _, status = os.waitpid(pid, 0)
            self.seconds[number] = time.perf_counter() - begun
        if status and not self._may_refuse:
            raise Failed(f"{shown(argv)} failed after it had worked once")

    def words(self) -> list[str]:
        """The next run's command line, with everything prepared for it."""
        if self.prepare is not None:
            self.prepare()
        argv = list(self._argv(self._runs))
        self._runs += 1
        return argv


def shown(argv: Sequence[str]) -> str:
    """A command line as messages and results name it: without the folder that the program is in."""
    return " ".join([Path(argv[0]).name, *argv[1:]])


def measure(cases: Sequence[Case], rounds: int) -> dict[str, Case]:
    """Run every case once to look at it, then `rounds` times in turn. Raises Failed."""
    for case in cases:
        case.plan(case.check(), rounds)
    for number in range(rounds):
        for case in cases:
            case.sample(number, rounds)
    return {case.key: case for case in cases}


def stat(seconds: Iterable[float]) -> Stat:
    """Median and quartiles of what was seen."""
    ms = sorted(1000 * second for second in seconds)
    q1, median, q3 = quartiles(ms)
    return Stat(
        median_ms=round(median, 2),
        q1_ms=round(q1, 2),
        q3_ms=round(q3, 2),
        least_ms=round(ms[0], 2),
        samples=len(ms),
    )


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """The quartiles of one or more values."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    q1, median, q3 = statistics.quantiles(values, n=4, method="inclusive")
    return q1, median, q3


def ratio(one: Case, other: Case) -> tuple[float, float, float]:
    """The first's median over the other's, with the quartiles of the ratios within one round as its spread."""
    middle = statistics.median(one.seconds.values()) / statistics.median(other.seconds.values())
    paired = [took / other.seconds[number] for number, took in one.seconds.items() if number in other.seconds]
    q1, _, q3 = quartiles(sorted(paired)) if paired else (middle, middle, middle)
    return middle, q1, q3


def peak_memory_mib(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> float:
    """The largest resident set of one run, in MiB. Raises Failed."""
    spawner = [sys.executable, "-I", "-S", "-c", _SPAWNER]
    ran = subprocess.run([*spawner, *argv], cwd=cwd, env=env, capture_output=True, text=True, check=True)
    status, peak = map(int, ran.stdout.split())
    if status:
        raise Failed(f"{shown(argv)} failed while its memory was measured")
    return peak / (1024 * 1024 if sys.platform == "darwin" else 1024)  # macOS counts bytes, Linux KiB
