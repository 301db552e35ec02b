"""A guard whose interpreter starts before there is anything to guard: it imports while its run is planned.

    starter ── begin ──> guard, importing          plan, request              its order ──> ready byte
                              └ then asleep on a socket, which is all that it holds ┘

Its order is one byte with two descriptors (SCM_RIGHTS, unix(7)): the locked lease, and the environments. From then on
the socket is what its starter waits on. Without an order it has nothing to do, and goes when the other end of
the socket is closed: so it needs nobody's care, and a starter that is killed leaves nothing.
"""

from __future__ import annotations

import _socket  # The module `socket` costs 3 ms more, in two processes: tables of constants, of which this uses none.
import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

import lattice
from lattice.store.files.disk import StrPath

_INHERITED = ("PATH", "HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "TMPDIR", "USER", "LOGNAME")
_BOOT = (
    "import gc, sys; gc.disable(); sys.path.insert(0, sys.argv.pop(1)); "  # What is imported stays: nothing to collect.
    "from lattice.workers.guard import main; main(sys.argv[1:])"
)
_INT_BYTES = 4  # of a descriptor, in a message


class Standby:
    """The guard of the run `run_id`, without an order as yet."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id
        self._socket: _socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._problem: OSError | None = None
        self._ordered = False

    def begin(self, root: StrPath) -> None:
        """Start its interpreter. What is in the way of that is raised by `order`, where it is an end of the run."""
        package = os.path.dirname(os.path.dirname(lattice.__file__))  # of our version, however we were found
        try:
            self._socket, its = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
            try:
                self._process = subprocess.Popen(
                    # Without `site`: it reads other packages' files, for which a guard has no use.
                    [sys.executable, "-I", "-S", "-c", _BOOT, package, os.fspath(root), self.run_id, str(its.fileno())],
                    cwd="/",
                    env={name: os.environ[name] for name in _INHERITED if name in os.environ},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                    pass_fds=(its.fileno(),),
                )
            finally:
                its.close()
        except OSError as why:
            self._problem = why

    def order(self, lease_fd: int, env_fd: int) -> int:
        """Give it its order; returns what it says on that its run is supervised. Raises OSError where it is not there.

        From here on it is not ended with the block that began it: it may have the lease.
        """
        if self._socket is None or self._problem is not None:
            raise self._problem or OSError("it was not begun")
        self._ordered = True
        both = b"".join(fd.to_bytes(_INT_BYTES, sys.byteorder) for fd in (lease_fd, env_fd))
        try:
            self._socket.sendmsg([b"o"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, both)])
        except OSError:
            self._ordered = False  # It was not sent, not in part either.
            raise
        return self._socket.fileno()

    @property
    def pid(self) -> int | None:
        """Its process, where there is one."""
        return self._process.pid if self._process is not None else None

    def end(self) -> None:
        """Kill it, and see that it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def leave(self) -> None:
        """Let go of it: one with an order outlives this process on purpose, and any other ends now."""
        if self._socket is not None:
            self._socket.close()
        if not self._ordered:
            self.end()
        elif self._process is not None and self._process.returncode is None:
            self._process.returncode = 0  # Nobody here waits for it.


@contextlib.contextmanager
def begun(root: StrPath, run_id: str) -> Iterator[Standby]:
    """The guard of the run, its interpreter on its way. It is ended with the block, unless it has its order by then."""
    guard = Standby(run_id)
    try:
        guard.begin(root)  # inside: who is interrupted here has begun it, or has not
        yield guard
    finally:
        guard.leave()


def receive(socket_fd: int) -> tuple[int, int] | None:
    """In the guard: wait for its order. The lease and the environments; None where it will get none.

    The descriptors are its own, as is the socket still.
    """
    socket = _socket.socket(fileno=socket_fd)
    try:
        word, control, _, _ = socket.recvmsg(1, _socket.CMSG_LEN(2 * _INT_BYTES))
    except ConnectionResetError:
        return None
    finally:
        socket.detach()
    sent = [data for level, kind, data in control if (level, kind) == (_socket.SOL_SOCKET, _socket.SCM_RIGHTS)]
    if not word or len(sent) != 1 or len(sent[0]) != 2 * _INT_BYTES:
        return None  # Where there is room for one descriptor and not for two, the process ends with what it got.
    lease_fd, env_fd = (int.from_bytes(sent[0][at : at + _INT_BYTES], sys.byteorder) for at in (0, _INT_BYTES))
    return lease_fd, env_fd
