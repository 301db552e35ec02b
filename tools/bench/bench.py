"""One run of the bench: where it works, what it has, and the rows of its result."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from tools.bench.boards import OURS, Boards
from tools.bench.content import RARE
from tools.bench.measure import Case, Failed, Stat, stat
from tools.bench.peers import Peer
from tools.bench.works import Work, command

HEAVY_TASKS = 10_000
"""The size that the targets for work on a whole board speak of; peers are not asked for more."""
SMALL_TASKS = 100
BUDGET_S = 4.0
PEER_BUDGET_S = 2.0
PASS = "python -c pass"  # noqa: S105  # an interpreter that does nothing, not a password


class Row(TypedDict):
    """One line of the result: what was asked, and what came of it."""

    name: str
    work: str
    target: str
    measured: str
    value: float | None
    met: bool | None  # None: it could not be judged; `measured` says why


class Bench:
    """What the sections share. `home` is a folder of this run's own, on the disk of the cache."""

    def __init__(
        self,
        home: Path,
        boards: Boards,
        peers: Mapping[str, Peer],
        env: Mapping[str, str],
        *,
        sizes: Sequence[int],
        rounds: int,
    ) -> None:
        self.home = home
        self.boards = boards
        self.peers = peers
        self.env = env
        self.sizes = sorted(sizes)
        self.rounds = rounds
        self.stats: dict[str, Stat] = {}
        self.rows: list[Row] = []
        self._copies = 0

    @property
    def heavy(self) -> int:
        """The size at which work on a whole board is measured: the largest that the peers have too."""
        return max([size for size in self.sizes if size <= HEAVY_TASKS], default=self.sizes[0])

    @property
    def judges(self) -> bool:
        """Whether the heavy size is the one that the targets are for."""
        return self.heavy == HEAVY_TASKS

    def has(self, tool: str) -> bool:
        return command(tool, self.peers) is not None

    def board(self, tool: str, size: int) -> Path:
        """A fresh copy of a board. What is copied are other files, at each of which Lattice looks once: here."""
        self._copies += 1
        root = self.boards.copy(tool, size, self.home / f"{self._copies}-{tool}-{size}")
        if tool == OURS:
            self.lattice(root, "list", "--limit", "20")
            self.lattice(root, "search", RARE)
        return root

    def idle(self, key: str = PASS) -> Case:
        """An interpreter of the product's environment that does nothing."""
        return Case(key, [sys.executable, "-c", "pass"], cwd=self.home, env=self.env)

    def case(self, name: str, work: Work, tool: str, size: int, root: Path, **more: object) -> Case | None:
        """The work as this tool does it on its board; None where the tool is missing or cannot do it."""
        words, program = work.words.get(tool), command(tool, self.peers)
        if words is None or program is None:
            return None
        prepare = more.get("prepare")
        return Case(
            f"{name}/{tool}/{size}",
            lambda count: [*program, *words(count)],
            cwd=root,
            env=self.env,
            prepare=prepare if callable(prepare) else None,
            budget_s=BUDGET_S if tool == OURS else PEER_BUDGET_S,
        )

    def keep(self, cases: Mapping[str, Case]) -> None:
        """Keep the samples for the tables, the plot and the JSON."""
        self.stats |= {key: stat(case.seconds.values()) for key, case in cases.items()}

    def row(self, name: str, work: str, target: str, measured: str, value: float | None, *, met: bool | None) -> None:
        self.rows.append(Row(name=name, work=work, target=target, measured=measured, value=value, met=met))

    def missing(self, name: str, work: str, target: str, why: str) -> None:
        """A target that cannot be judged here."""
        self.row(name, work, target, f"not measured: {why}", None, met=None)

    def lattice(self, root: Path, *words: str) -> str:
        """What our command prints. Raises Failed."""
        program = command(OURS, self.peers) or []
        ran = subprocess.run(
            [*program, *words], cwd=root, env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        if ran.returncode:
            raise Failed(f"lattice {' '.join(words)} exited with {ran.returncode}\n{ran.stderr.strip()}")
        return ran.stdout


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def times(ratio: tuple[float, float, float]) -> str:
    """A ratio with its spread, as the tables have it."""
    return f"{ratio[0]:.2f}× ({ratio[1]:.2f}–{ratio[2]:.2f})"
