"""The guard: a small subreaper that starts the supervisor, waits for it, and finishes the run should it die.

    python -I -S -c … lattice.workers.guard FOLDER RUN_ID SOCKET_FD

It is started detached, with a clean environment, holding nothing but a socket, and before there is a run
(`standby.py`). By the socket come the locked lease, which it hands on and keeps no copy of (so that the lease is
free at the very moment the supervisor is dead), and the environments, which never touch the disk; the starter
waits at its other end. The supervisor is a fork of it: one start-up less, and their memory is shared.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from lattice.commands.board import FOLDER, Board, read_config
from lattice.commands.hooks import IN_HOOK
from lattice.errors import LatticeError
from lattice.workers import lease, liveness, standby, supervisor
from lattice.workers.processes.tree import become_subreaper, sweep
from lattice.workers.queueing import attendant
from lattice.workers.queueing.sight import Memory
from lattice.workers.reconcile import mend
from lattice.workers.runs import RunFolder
from lattice.workers.succession import Order, Predecessor, Succeeds

SWEEP_S = 30.0
STARTER_S = 30.0
"""For how long a starter may go on holding a lease that it has handed on; it lets go within microseconds."""


def main(arguments: Sequence[str]) -> int:
    """Guard one run to its end, and as a fork the next. The exit status is for nobody: the board has the truth."""
    # On a full disk CPython 3.11, and 3.12 and 3.13 until late in 2024, leave a compiled module that is cut short,
    # and then nobody can import that module any more (python/cpython#126606). What is imported from here on is little.
    sys.dont_write_bytecode = True
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for signum in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        # A terminal that closes does not take the guard with it. A handler, not SIG_IGN: what is ignored
        # stays so across execve(2), and the engine could never be asked to end.
        signal.signal(signum, _pass)
    memory = Memory()
    own = _equipped(arguments[1])
    gc.freeze()  # What is there by now stays: a collection in a fork would write to each page of it, and so copy it.
    gc.enable()
    order = _ordered(Path(arguments[0]), arguments[1], int(arguments[2]))
    while order is not None:
        try:
            _guard(order, own, memory)
            order = None
        except Succeeds as become:  # in a fork: what this process was before is gone with its stack
            order = become.order
            own = _equipped(order.run_id)
    return 0


def _equipped(run_id: str) -> Predecessor:
    """All that a guard is before it has its order: it is waited for by then."""
    become_subreaper()
    return Predecessor(run_id)


def _ordered(root: Path, run_id: str, socket_fd: int) -> Order | None:
    """What its starter orders, once that is known; None where nothing is."""
    received = standby.receive(socket_fd)
    if received is None:
        return None
    lease_fd, env_fd = received
    environment, origin = _read_environments(env_fd)
    return Order(root, run_id, lease_fd, socket_fd, environment, origin)


def _guard(order: Order, own: Predecessor, memory: Memory) -> None:
    """One run to its end. Raises Succeeds in the fork that guards the next."""
    os.environ.pop(IN_HOOK, None)
    if IN_HOOK in order.environment:
        os.environ[IN_HOOK] = order.environment[IN_HOOK]
    lease.keep(order.lease_fd)
    os.set_inheritable(order.ready_fd, False)
    folder = RunFolder(order.root / FOLDER, order.run_id)
    guard, child = os.getpid(), os.fork()
    if child == 0:
        status = _supervise(order, folder)
        if os.getppid() == guard:
            os.kill(guard, signal.SIGCONT)  # Had somebody stopped it, it would stay so for good, and the queue with it.
        else:
            os.close(order.lease_fd)
            _finish(order.root, folder)
            _move_on(order, folder, own, memory)
        os._exit(status)
    os.close(order.lease_fd)
    os.close(order.ready_fd)
    os.waitpid(child, 0)
    _finish(order.root, folder)
    _move_on(order, folder, own, memory)


def _supervise(order: Order, folder: RunFolder) -> int:
    """The child's whole life. Whatever is raised ends here, in the run's own log: the guard mends the run."""
    try:
        board = Board(order.root, read_config(order.root))
        supervisor.run(board, folder, order.lease_fd, order.ready_fd, order.environment)
    except BaseException as why:  # noqa: BLE001  # past here there is only the guard, which mends any end
        folder.note(f"supervisor: {type(why).__name__}: {why}")
        return 1
    return 0


def _finish(root: Path, folder: RunFolder) -> None:
    try:
        killed = sweep(SWEEP_S, spare_guards=True)  # What the supervisor left is ours by now.
        board = Board(root, read_config(root))
        if folder.exists() and not folder.is_closed():
            # A supervisor may die before its starter has let go of the lease, which it handed on.
            lease.wait_until_free(folder.lease, STARTER_S)
            mend(board, folder, killed, "guard")
        liveness.refresh(board, heals=False)  # A run that was started inside its sandbox died with it.
    except (LatticeError, OSError) as why:
        folder.note(f"guard: {why}")  # The next reading command, or `worker gc`, goes on from here.


def _move_on(order: Order, folder: RunFolder, own: Predecessor, memory: Memory) -> None:
    """Start the runs that waited for this one's end. Raises Succeeds in the fork that guards one of them."""
    try:
        attendant.attend(order.root, order.origin, own.start_guard, memory)
    except (LatticeError, OSError) as why:
        folder.note(f"guard: the queue was not moved: {why}")  # As above: the next reading command does it.


def _pass(_signum: int, _frame: FrameType | None) -> None:
    """Nothing ends this process but SIGKILL; what it waits for goes on (PEP 475)."""


def _read_environments(descriptor: int) -> tuple[dict[str, str], dict[str, str]]:
    """The engine's environment, and the one it was taken from."""
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        shape = json.loads(file.read())
    return shape["environment"], shape["origin"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
