"""The engine as the supervisor's child: started, waited for, and its end told, in a sandbox or without one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping

from lattice.core.record import Protocol
from lattice.core.run import Exited, Signalled
from lattice.workers.processes.streams import Streams
from lattice.workers.runs import RunFolder
from lattice.workers.spec import RunSpec

_READ = os.O_RDONLY | os.O_CLOEXEC


class EngineProcess(Protocol):
    """A running engine, from the outside."""

    pid: int
    """The engine's own, as the supervisor sees it; valid once it has begun."""

    status_fd: int
    """Readable when it began, where that is told (`tells_begin`), and when it ended."""

    tells_begin: bool

    around: tuple[int, ...]
    """Processes that are there for the engine's sake, and are no work of its own."""

    def begun(self) -> None:
        """Note that it was executed. Raises OSError where it was not."""

    def status(self, reaped: Mapping[int, int] | None = None) -> Exited | Signalled | None:
        """How it ended; call it when it has. `reaped` are statuses of children that were reaped already."""


def start(spec: RunSpec, folder: RunFolder, environment: Mapping[str, str]) -> EngineProcess:
    """Execute the engine, in its sandbox if it has one. Raises OSError.

    Its output goes to the run's log; an agent's has a file of its own, so that its stream stays whole.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    opened: list[int] = []
    try:
        opened.append(os.open(spec.agent.stdin if spec.agent and spec.agent.stdin else os.devnull, _READ))
        opened.append(os.open(folder.stream if spec.agent else folder.output_log, flags, 0o600))
        opened.append(os.open(folder.output_log, flags, 0o600))
        streams = Streams(*opened)
        if spec.sandbox is None or spec.sandbox.absent is not None:
            return Bare(spec, environment, streams)
        from lattice.workers.sandboxes.enclosure import Enclosed  # only runs in a sandbox pay for it

        return Enclosed(spec, spec.sandbox, environment, streams)
    finally:
        for descriptor in opened:
            os.close(descriptor)


class Bare:
    """An engine without a sandbox."""

    tells_begin = False
    around: tuple[int, ...] = ()

    def __init__(self, spec: RunSpec, environment: Mapping[str, str], streams: Streams) -> None:
        self._process = subprocess.Popen(
            spec.argv,
            cwd=spec.worktree or spec.root,
            env=environment,
            stdin=streams.stdin,
            stdout=streams.stdout,
            stderr=streams.stderr,
            start_new_session=True,
            umask=0o077,
        )
        self.pid = self._process.pid
        self.status_fd = os.pidfd_open(self.pid)

    def begun(self) -> None:
        """Popen returns when it was executed."""

    def status(self, reaped: Mapping[int, int] | None = None) -> Exited | Signalled | None:
        """Its own status, taken before a sweep reaps whatever there is, or from what the sweep reaped."""
        if reaped is not None:
            if self.pid not in reaped:
                return None
            code = os.waitstatus_to_exitcode(reaped[self.pid])
            self._process.returncode = code  # Nobody is to wait for it again.
            return Signalled(-code) if code < 0 else Exited(code)
        status = os.waitid(os.P_PID, self.pid, os.WEXITED)
        if status is None:
            raise AssertionError("an engine whose pidfd is readable has a status")
        self._process.returncode = status.si_status
        return Exited(status.si_status) if status.si_code == os.CLD_EXITED else Signalled(status.si_status)
