"""The first process of a run's PID namespace: it executes the engine, reaps, and tells how the engine ended.

    python -I -S init.py STATUS_FD PROGRAM [ARGUMENT …]

bwrap reports a signal as 128 + n, which an engine may also return by itself; this tells the two apart.
On STATUS_FD it writes `started PID` or `failed ERRNO`, later `exited N` or `signalled N`, and after that
`alone` or `others`: whether anything is left beside it. It stays for as long as something is, so that the
supervisor sees and ends what the engine left; when it goes, the kernel kills all that is in the namespace.

It is a program on its own and imports nothing of the package: it must start fast, and inside any sandbox.
"""

from __future__ import annotations

import os
import signal
import sys

_DEAF_TO = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)


def main(arguments: list[str]) -> int:
    """Execute the engine and outlive it; the exit status is for nobody."""
    status_fd, command = int(arguments[0]), arguments[1:]
    os.set_inheritable(status_fd, False)
    for signum in _DEAF_TO:  # The stop ladder is for the engine; it reaches this process, too.
        signal.signal(signum, signal.SIG_IGN)
    read_fd, write_fd = os.pipe()
    engine = os.fork()
    if engine == 0:
        _become(command, write_fd)
    os.close(write_fd)
    refused = os.read(read_fd, 16)
    os.close(read_fd)
    if refused:
        os.write(status_fd, b"failed %s\n" % refused)
        return 1
    os.write(status_fd, b"started %d\n" % engine)
    status = _wait_for(engine)
    how = b"signalled %d" % os.WTERMSIG(status) if os.WIFSIGNALED(status) else b"exited %d" % os.WEXITSTATUS(status)
    os.write(status_fd, how + (b" others\n" if _others() else b" alone\n"))
    while _reap():
        continue
    return 0


def _become(command: list[str], error_fd: int) -> None:
    """In the child: execute the engine, or say why not and end."""
    try:
        os.setsid()
        for signum in _DEAF_TO:
            signal.signal(signum, signal.SIG_DFL)
        os.execve(command[0], command, _environment())  # noqa: S606  # an argv list, resolved by the supervisor
    except OSError as why:
        os.write(error_fd, b"%d" % (why.errno or 0))
    os._exit(127)


def _environment() -> dict[bytes, bytes]:
    """As this process was given it: Python itself may have added LC_CTYPE to its own (PEP 538)."""
    with open("/proc/self/environ", "rb") as block:
        entries = [entry.partition(b"=") for entry in block.read().split(b"\0")]
    return {name: value for name, equals, value in entries if equals}


def _wait_for(engine: int) -> int:
    while True:
        pid, status = os.waitpid(-1, 0)
        if pid == engine:
            return status


def _others() -> bool:
    """Whether a child is left; all that is in the namespace is this process's child or below one."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            continue
    except ChildProcessError:
        return False
    return True


def _reap() -> bool:
    try:
        os.waitpid(-1, 0)
    except ChildProcessError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
