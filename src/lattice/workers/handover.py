"""Handing a run to its guard: the lease, the environment, and the word that it is supervised (design §4, step 2).

Whoever starts a run does this: `worker run`, and whoever moves the queue, most often the guard of the run before.
"""

from __future__ import annotations

import json
import os
import select
import signal
from collections.abc import Mapping

from lattice.commands.board import Board
from lattice.commands.hooks import IN_HOOK
from lattice.workers import standby
from lattice.workers.processes.tree import signal_tree
from lattice.workers.runs import RunFolder
from lattice.workers.spec import RunSpec
from lattice.workers.standby import Standby

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

READY_WITHIN_S = 30.0


def given_to(spec: RunSpec, folder: RunFolder) -> dict[str, str]:
    """What every engine finds in its environment of its run."""
    given = {
        "LATTICE_RUN_ID": spec.run_id,
        "LATTICE_ROOT": spec.root,
        "LATTICE_ACTOR": spec.actor,
        "LATTICE_TASK_ID": spec.task_id,
        "LATTICE_TASK_SHORT_ID": spec.short_id or spec.task_id,
        "LATTICE_BASE_SHA": spec.base_sha or "",
        "LATTICE_COMMIT_SHA": spec.commit_sha or "",
        "LATTICE_WORKTREE": spec.worktree or "",
        "LATTICE_OUTPUT_DIR": str(folder.out),
        "LATTICE_BRANCH": spec.branch or "",
        "LATTICE_MAIN_CHECKOUT": spec.repo_top or spec.root,
    }
    if spec.in_hook:
        given[IN_HOOK] = spec.in_hook  # A run that a hook started fires no hooks: no loops.
    return given


def environment_of(spec: RunSpec, folder: RunFolder, origin: Mapping[str, str]) -> dict[str, str]:
    """The environment of a run that waited: the variables it was requested with, as `origin` has them now.

    Only their names were kept, so that no secret lies on the disk; one that `origin` lacks is noted.
    """
    missing = [name for name in spec.variables if name not in origin]
    if missing:
        folder.note(f"not in the environment of whoever started it from the queue: {', '.join(missing)}")
    inherited = {name: origin[name] for name in spec.variables if name in origin}
    return {**inherited, **dict(spec.env_set), **given_to(spec, folder)}


def start_guard(
    board: Board, folder: RunFolder, lease_fd: int, environment: Mapping[str, str], origin: Mapping[str, str]
) -> str | None:
    """Start a guard, and hand the run to it. What went wrong, or None."""
    with standby.begun(board.root, folder.run_id) as guard:
        return hand_over(guard, lease_fd, environment, origin)


def hand_over(guard: Standby, lease_fd: int, environment: Mapping[str, str], origin: Mapping[str, str]) -> str | None:
    """Hand the lease to the guard, and wait until the run is supervised. What went wrong, or None.

    `origin` is the environment from which the guard may start runs that wait.
    """
    try:
        with _on_paper({"environment": dict(environment), "origin": dict(origin)}) as env_file:
            ready_fd = guard.order(lease_fd, env_file.fileno())
        if ready(ready_fd):
            return None
    except (BrokenPipeError, ConnectionResetError):
        pass  # It ended before it had its order.
    except OSError as why:
        return f"its guard could not be started: {why}"
    if guard.pid is not None:
        signal_tree(guard.pid, signal.SIGKILL)
    guard.end()
    return "its guard ended, or hung, before the run was supervised"


def ready(read_fd: int) -> bool:
    """Whether a guard says that its run is supervised; False where it ends, or hangs, before."""
    poller = select.poll()
    poller.register(read_fd, select.POLLIN)
    try:
        return bool(poller.poll(READY_WITHIN_S * 1000)) and os.read(read_fd, 1) == b"r"
    except ConnectionResetError:  # It ended with its order unread.
        return False


def _on_paper(shape: Mapping[str, Mapping[str, str]]) -> BinaryIO:
    """The environments as a file without a name: they may hold secrets, and a pipe holds 64 KiB."""
    if hasattr(os, "memfd_create"):
        file: BinaryIO = os.fdopen(os.memfd_create("lattice-environment"), "w+b")
    else:
        import tempfile  # macOS only, and it costs a guard more than most of its other imports

        file = tempfile.TemporaryFile()  # noqa: SIM115  # the caller closes it
    file.write(json.dumps(shape).encode())
    file.flush()
    return file
