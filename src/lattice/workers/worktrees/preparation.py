"""What a worktree needs beside the commit, before the engine starts: copied files, and the definition's setup.

It is done in the run's preparing process (`setup.py`), so that stops and limits reach it; its commands
write to the run's log, and one that fails ends the run with the cause `setup`, named.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lattice.core.text import how_many
from lattice.errors import RunSetupError
from lattice.workers.worktrees import cache, copying
from lattice.workers.worktrees.preparation_spec import Preparation


def prepare(
    wanted: Preparation,
    *,
    top: Path,
    tree: Path,
    run_id: str,
    environment: Mapping[str, str],
    log: Path,
    enclose: Callable[[Sequence[str]], Sequence[str]] = list,
) -> None:
    """Prepare the worktree `tree` from the main checkout `top`. Raises LatticeError or OSError.

    `enclose` puts a command of the setup into the run's sandbox.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    with open(os.open(log, flags, 0o600), "wb", buffering=0) as output:
        if wanted.copy:
            copied = copying.copy(top, tree, wanted.copy)
            count = how_many(len(copied), "file")
            none = "" if copied else ": there is none, or the commit has it itself"
            output.write(f"lattice: copied {count} of {' '.join(wanted.copy)}{none}\n".encode())
        if wanted.commands:
            _Setup(wanted, tree, run_id, environment, output.fileno(), enclose).run()


class _Setup:
    """The commands of one preparation, and the time they have left."""

    def __init__(
        self,
        wanted: Preparation,
        tree: Path,
        run_id: str,
        environment: Mapping[str, str],
        output: int,
        enclose: Callable[[Sequence[str]], Sequence[str]],
    ) -> None:
        self._enclose = enclose
        self._wanted = wanted
        self._tree = tree
        self._run_id = run_id
        self._environment = environment
        self._output = output
        self._ends_at = time.monotonic() + wanted.timeout_s

    def run(self) -> None:
        wanted = self._wanted
        entry = None
        if wanted.cache and wanted.cache_root is not None:
            entry = Path(wanted.cache_root) / cache.digest_of(self._tree, wanted.setup_digest, wanted.key)
            if cache.restore(entry, self._tree, wanted.cache, self._copied):
                self._tell(f"{', '.join(wanted.cache)} from the cache, {entry.name[:12]}; no setup was run")
                return
        for argv in wanted.commands:
            self._tell(f"setup: {shlex.join(argv)}")
            self._check(argv)
        if entry is not None:
            self._keep(entry)

    def _keep(self, entry: Path) -> None:
        """A cache that cannot be written costs the next run its time, and this one nothing."""
        paths = ", ".join(self._wanted.cache)
        try:
            kept = cache.store(entry, self._tree, self._wanted.cache, self._run_id, self._copied)
        except OSError as why:
            self._tell(f"the cache of {paths} could not be written: {why.strerror}")
            return
        how = f"kept as {entry.name[:12]}" if kept else "not kept: it is not all there, or could not be copied"
        self._tell(f"cache of {paths}: {how}")

    def _check(self, argv: Sequence[str]) -> None:
        """Run a command of the setup. Raises RunSetupError where it does not end well."""
        shown = shlex.join(argv)
        try:
            status = self._status(self._enclose(argv))
        except subprocess.TimeoutExpired:
            limit = f"{self._wanted.timeout_s:g} s"
            raise RunSetupError(f"The setup took longer than {limit} and was ended, at {shown}.") from None
        except OSError as why:
            raise RunSetupError(f"The setup failed: {argv[0]!r} could not be executed: {why.strerror}.") from why
        if status < 0:
            raise RunSetupError(f"The setup failed: signal {-status} ended {shown}.")
        if status > 0:
            raise RunSetupError(f"The setup failed: {shown} exited with status {status}.")

    def _copied(self, argv: Sequence[str]) -> bool:
        """One copy from or to the cache; whether it was made. A setup can do without."""
        try:
            return self._status(argv) == 0
        except (OSError, subprocess.TimeoutExpired):
            return False

    def _status(self, argv: Sequence[str]) -> int:
        """How the command ended. What it leaves behind, or what is left at the limit, is the supervisor's to sweep."""
        done = subprocess.run(
            argv,
            cwd=self._tree,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            timeout=max(0.01, self._ends_at - time.monotonic()),
            check=False,
            umask=0o077,
        )
        return done.returncode

    def _tell(self, text: str) -> None:
        os.write(self._output, f"lattice: {text}\n".encode("utf-8", "replace"))
