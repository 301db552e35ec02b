"""The guard of the next run as a fork of the guard that ends: no interpreter to start, no module to read.

    guard of A ── fork, setsid ──> guard of B ── fork ──> supervisor of B
        └ waits for B's ready byte, and goes

Only the process is handed on. The fork unwinds to the guard's own `main`, so that a chain of runs grows no stack and
closes on its way whatever its forebear had open; its command line, its environment and its session are those that
an executed guard would have. Where that cannot be had (no /proc/self/mem), or the code on the disk is no
longer what this process has in memory, a guard is executed as for a first run.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from lattice.commands.board import Board
from lattice.core.record import Record
from lattice.workers import handover
from lattice.workers.processes.marks import RUN_MARK
from lattice.workers.processes.title import replace_word
from lattice.workers.processes.tree import signal_tree
from lattice.workers.runs import RunFolder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


class Order(Record):
    """What a guard is given. The descriptors are its own."""

    root: Path
    run_id: str
    lease_fd: int
    ready_fd: int
    environment: Mapping[str, str]
    origin: Mapping[str, str]


class Succeeds(BaseException):
    """Raised in the fork, up to the guard's `main`: it is the guard of another run now, with that run's order."""

    def __init__(self, order: Order) -> None:
        super().__init__(order.run_id)
        self.order = order


class Predecessor:
    """This guard, and the code that it has in memory, as one that others may be forks of."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._code = _stamps()

    def start_guard(
        self, board: Board, folder: RunFolder, lease_fd: int, environment: Mapping[str, str], origin: Mapping[str, str]
    ) -> str | None:
        """As `handover.start_guard`. It returns where it was called; the fork raises Succeeds instead."""
        if not self._is_fit():
            return handover.start_guard(board, folder, lease_fd, environment, origin)
        read_fd, write_fd = os.pipe()
        try:
            guard = os.fork()
            if guard == 0:
                os.close(read_fd)
                self._become(Order(board.root, folder.run_id, os.dup(lease_fd), write_fd, environment, origin))
        except OSError as why:
            os.close(write_fd)
            os.close(read_fd)
            return f"its guard could not be started: {why}"
        os.close(write_fd)
        try:
            if handover.ready(read_fd):
                return None
        finally:
            os.close(read_fd)
        signal_tree(guard, signal.SIGKILL)
        os.kill(guard, signal.SIGKILL)
        os.waitpid(guard, 0)
        return "its guard ended, or hung, before the run was supervised"

    def _become(self, order: Order) -> NoReturn:
        """The fork: from here on it is no part of this run, whatever becomes of it."""
        try:
            os.setsid()
            replace_word(self._run_id, order.run_id)
            os.environ.pop(RUN_MARK, None)
        except BaseException:  # noqa: BLE001  # whoever forked it sees that it is gone, and says so
            os._exit(1)
        raise Succeeds(order)

    def _is_fit(self) -> bool:
        """Whether the fork would pass for an executed guard, and would be of the version that is installed."""
        if self._code is None or self._code != _stamps(self._code):
            return False
        try:
            replace_word(self._run_id, self._run_id)
        except OSError:
            return False
        return True


def _stamps(names: Iterable[str] | None = None) -> dict[str, tuple[int, int, int]] | None:
    """The files of this package's modules as they are now; None where one cannot be told. Those in use, or `names`."""
    if names is None:
        loaded = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] == "lattice"]
        names = [path for module in loaded if (path := getattr(module, "__file__", None)) is not None]
    try:
        return {path: (stat.st_ino, stat.st_ctime_ns, stat.st_size) for path in names for stat in [os.stat(path)]}
    except OSError:
        return None
