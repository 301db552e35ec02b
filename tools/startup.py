"""What a command costs from nothing: whole processes, medians, beside `python -c pass`.

Every round runs each case once, in the same order, so that a machine that slows down slows all cases
alike. `--imports` measures single imports instead: the figures of decision 0002.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import TypedDict

BASELINE = "python -c pass"
IMPORTS = (
    "re", "json", "argparse", "argparse, json", "typing", "dataclasses", "pathlib", "subprocess", "ctypes", "sqlite3",
)  # fmt: skip


class Row(TypedDict):
    """One line of the result; times in milliseconds."""

    name: str
    median_ms: float
    least_ms: float
    ratio: float


class Case:
    """A command line to measure, and the times seen so far."""

    def __init__(self, name: str, argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> None:
        self.name = name
        self.argv = list(argv)
        self.cwd = cwd
        self.env = dict(env)
        self.seconds: list[float] = []

    def check(self) -> None:
        """Run once and look at it: a command that fails quickly must not win. Raises SystemExit."""
        ran = subprocess.run(
            self.argv, cwd=self.cwd, env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if ran.returncode:
            raise SystemExit(f"startup: {' '.join(self.argv)} exited with {ran.returncode}\n{ran.stderr.strip()}")

    def sample(self) -> None:
        """Run once against the clock, as a bare spawn: no pipes and no threads of ours in the figure."""
        null = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in (0, 1, 2)]
        with chdir(self.cwd):
            begun = time.perf_counter()
            pid = os.posix_spawn(self.argv[0], self.argv, self.env, file_actions=null)
            _, status = os.waitpid(pid, 0)
        self.seconds.append(time.perf_counter() - begun)
        if status:
            raise SystemExit(f"startup: {' '.join(self.argv)} failed after it had worked once")


def measure(cases: Sequence[Case], rounds: int) -> list[Row]:
    """Medians of `rounds` interleaved runs; the first case is what the others are compared with."""
    for case in cases:
        case.check()
    for _ in range(rounds):
        for case in cases:
            case.sample()
    base = statistics.median(cases[0].seconds)
    return [
        Row(
            name=case.name,
            median_ms=round(statistics.median(case.seconds) * 1000, 1),
            least_ms=round(min(case.seconds) * 1000, 1),
            ratio=round(statistics.median(case.seconds) / base, 2),
        )
        for case in cases
    ]


def lattice_script() -> str:
    """The installed command beside this interpreter: what a person types, script wrapper included."""
    script = Path(sys.executable).parent / "lattice"
    if not script.exists():
        raise SystemExit(f"startup: {script.name} is not installed beside {sys.executable}; `make setup` installs it")
    return str(script)


@contextmanager
def board(tasks: int) -> Iterator[tuple[Path, dict[str, str]]]:
    """A throw-away board with LAT-1 to LAT-`tasks`, and the environment to use it in."""
    with tempfile.TemporaryDirectory(prefix="lattice-startup-") as folder:
        home = Path(folder)
        env = {"PATH": os.environ["PATH"], "HOME": folder, "LANG": "C.UTF-8", "LATTICE_ACTOR": "human:bench"}
        lattice = lattice_script()
        Case("init", [lattice, "init", "--project-code", "LAT"], cwd=home, env=env).check()
        for number in range(1, tasks + 1):
            Case("create", [lattice, "create", f"Task number {number}"], cwd=home, env=env).check()
        yield home, env


def commands(tasks: int, rounds: int) -> list[Row]:
    """The commands an agent runs all day, on a board of `tasks` tasks."""
    with board(tasks) as (home, env):
        lattice = lattice_script()
        asked = {
            BASELINE: [sys.executable, "-c", "pass"],
            "lattice --help": [lattice, "--help"],
            "lattice show": [lattice, "show", "LAT-1"],
            "lattice show --json": [lattice, "show", "LAT-1", "--json"],
            "lattice list": [lattice, "list"],
            "lattice comment": [lattice, "comment", "LAT-2", "measured"],
            "lattice create": [lattice, "create", "One more"],
        }
        return measure([Case(name, argv, cwd=home, env=env) for name, argv in asked.items()], rounds)


def imports(rounds: int) -> list[Row]:
    """What single imports add to an interpreter that does nothing."""
    env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    asked = {BASELINE: "pass"} | {f"import {names}": f"import {names}" for names in IMPORTS}
    cwd = Path.cwd()
    return measure([Case(name, [sys.executable, "-c", code], cwd=cwd, env=env) for name, code in asked.items()], rounds)


def table(rows: Sequence[Row]) -> str:
    width = max(len(row["name"]) for row in rows)
    lines = [f"{'':{width}}  median ms   least ms   ratio"]
    lines += [
        f"{row['name']:{width}}  {row['median_ms']:9.1f}  {row['least_ms']:9.1f}  {row['ratio']:6.2f}" for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=40, help="runs of each case (default: 40)")
    parser.add_argument("--tasks", type=int, default=20, help="tasks on the board (default: 20)")
    parser.add_argument("--imports", action="store_true", help="measure imports, not commands")
    parser.add_argument("--json", action="store_true", help="print JSON")
    asked = parser.parse_args()
    if asked.rounds < 1 or asked.tasks < 2:
        parser.error("--rounds must be at least 1 and --tasks at least 2")
    rows = imports(asked.rounds) if asked.imports else commands(asked.tasks, asked.rounds)
    if asked.json:
        print(json.dumps({"python": sys.version.split()[0], "rounds": asked.rounds, "rows": rows}, indent=2))
    else:
        print(table(rows))


if __name__ == "__main__":
    main()
