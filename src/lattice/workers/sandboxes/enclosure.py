"""An engine inside bwrap: started, watched, and its end told exactly.

bwrap is the supervisor's child, `init.py` is bwrap's and the first process of the namespace, the engine is
init's. Init tells on a pipe how the engine ended; bwrap's own status counts only where init was killed
and could not. Neither can be asked to end (what asks is for the engine), and both die with the supervisor.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from lattice.core.run import Exited, Signalled
from lattice.workers.processes.streams import Streams
from lattice.workers.processes.table import descendants
from lattice.workers.processes.tree import die_with
from lattice.workers.sandboxes import init, mounts
from lattice.workers.sandboxes.sandbox import Sandbox
from lattice.workers.spec import RunSpec

_LINE_BYTES_MAX = 64
_SIGNAL_BASE = 128  # bwrap's status for a first process that a signal ended is this plus its number
_DEAF_TO = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


class Enclosed:
    """An engine in a sandbox (`engine_process.EngineProcess`)."""

    tells_begin = True

    def __init__(self, spec: RunSpec, sandbox: Sandbox, environment: Mapping[str, str], streams: Streams) -> None:
        """Start it. Raises OSError."""
        mounts.prepare(spec, sandbox)
        self.status_fd, told = os.pipe()
        supervisor = os.getpid()

        def before_exec() -> None:
            for signum in _DEAF_TO:
                signal.signal(signum, signal.SIG_IGN)
            die_with(supervisor)

        inside = [sys.executable, "-I", "-S", init.__file__, str(told), *spec.argv]
        copied: dict[str, int] = {}
        try:
            for path in sandbox.copied:
                with contextlib.suppress(FileNotFoundError):  # It has logged out meanwhile, and will say so.
                    copied[path] = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self.process = subprocess.Popen(
                mounts.wrap(spec, sandbox, inside, environment, copied),
                cwd="/",
                env=dict(environment),
                stdin=streams.stdin,
                stdout=streams.stdout,
                stderr=streams.stderr,
                start_new_session=True,
                umask=0o077,
                pass_fds=(told, *copied.values()),
                preexec_fn=before_exec,  # noqa: PLW1509  # the supervisor has one thread
            )
        except OSError as why:
            os.close(self.status_fd)
            raise OSError(why.errno, f"{sandbox.program}: {why.strerror}") from why
        finally:
            for descriptor in (told, *copied.values()):
                os.close(descriptor)
        self.pid = self.process.pid
        self.around: tuple[int, ...] = (self.process.pid,)

    def begun(self) -> None:
        """Read that the engine was executed; blocks until it is told. Raises OSError where it was not.

        Afterwards `pid` is the engine's, as this process sees it, and `around` are bwrap and init.
        """
        words = self._line()
        if words[:1] == ["failed"]:
            number = int(words[1])
            raise OSError(number, os.strerror(number))
        if words[:1] != ["started"]:
            raise OSError(0, "the sandbox could not be made; bwrap's reason is in the log")
        below = descendants(self.process.pid)
        self.around = (self.process.pid, *below[:1])
        # An engine that has ended by now has no process to name: then bwrap's stands for it.
        self.pid = next((pid for pid in below[1:] if _pid_inside(pid) == words[1]), self.process.pid)

    def status(self, reaped: Mapping[int, int] | None = None) -> Exited | Signalled | None:
        """The engine's own end; blocks until it is told, or all that could tell it is dead.

        `reaped` are the statuses of children that were reaped already, where some were.
        """
        words = self._line()
        if words[:1] == ["started"]:
            words = self._line()  # Nobody came to read that it had begun.
        bwrap = None if reaped is None else reaped.get(self.process.pid)
        if words[:1] not in (["exited"], ["signalled"]):
            return _of_bwrap(self._reap_bwrap() if bwrap is None else bwrap)
        if words[2] == "alone" and reaped is None:
            self._reap_bwrap()  # It ends by itself now, and is nothing that the engine left.
        return Exited(int(words[1])) if words[0] == "exited" else Signalled(int(words[1]))

    def _reap_bwrap(self) -> int | None:
        with contextlib.suppress(ChildProcessError):  # Somebody reaped it, and did not say how it ended.
            _, status = os.waitpid(self.process.pid, 0)
            self.process.returncode = os.waitstatus_to_exitcode(status)
            return status
        return None

    def _line(self) -> list[str]:
        """The next line's words, empty at the end. Byte by byte: what follows it must stay in the pipe."""
        line = b""
        while len(line) < _LINE_BYTES_MAX and (byte := os.read(self.status_fd, 1)) not in (b"", b"\n"):
            line += byte
        return line.decode("ascii", "replace").split()


def _of_bwrap(status: int | None) -> Exited | Signalled | None:
    """What ended the namespace's first process, or bwrap: that ended the engine with it."""
    if status is None:
        return None
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        return Signalled(-code)
    return Signalled(code - _SIGNAL_BASE) if code > _SIGNAL_BASE else Exited(code)


def _pid_inside(pid: int) -> str | None:
    """The process's number in its own namespace (proc_pid_status(5), NSpid)."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("NSpid:"):
                return line.split()[-1]
    return None
