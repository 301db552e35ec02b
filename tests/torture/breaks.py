"""The design, broken on purpose: each break is a change that a tired programmer might make. The harness must catch it.

A break is applied in the process that runs the broken code, and in no other.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from typing import Any

from lattice.commands.board import Board
from lattice.core.run import Evidence, Succeeded, Verdict, judge
from lattice.ledger import Decide, Ledger, Signature, Written
from lattice.store.files import board as files
from lattice.store.files import disk, freshness
from lattice.store.files.log import Log
from lattice.store.files.snapshot import Snapshot, Text
from lattice.store.files.tail import FileTail
from lattice.workers import guard, lease, reconcile, supervisor
from lattice.workers.ends import outcome, steps
from lattice.workers.processes import pidfds
from lattice.workers.queueing.sight import Memory, Seen
from lattice.workers.runs import RunFolder, all_runs
from lattice.workers.spec import RunSpec


def put(place: object, name: str, value: object) -> None:
    """Replace a name of a module or a class in this process."""
    setattr(place, name, value)


def inherited_lease() -> None:
    """The engine inherits the lease's descriptor, and keeps a dead run alive."""

    def keep(descriptor: int) -> None:
        os.set_inheritable(descriptor, True)

    put(lease, "keep", keep)
    begin = subprocess.Popen.__init__

    def leaky(process: subprocess.Popen[bytes], *args: Any, **kwargs: Any) -> None:
        begin(process, *args, **(kwargs if "pass_fds" in kwargs else kwargs | {"close_fds": False}))

    put(subprocess.Popen, "__init__", leaky)


def decided_before_the_lock() -> None:
    """The duplicate check reads the task before the lock is held."""
    transact = Ledger.transact

    def careless(ledger: Ledger, stream: str, decide: Decide, by: Signature, **more: Any) -> Written:
        bodies = decide(ledger.store.task(stream))
        return transact(ledger, stream, lambda _: bodies, by, **more)

    put(Ledger, "transact", careless)


def no_tail_repair() -> None:
    """The next writer appends behind a torn tail."""

    def leave(store: files.FileStore, stream: str, descriptor: int, log: Log) -> None:
        del store, stream, descriptor, log

    put(files.FileStore, "set_aside", leave)


def no_tree_kill() -> None:
    """Neither supervisor, guard nor mender ends what the engine started."""

    def spare(*_args: object, **_kwargs: object) -> list[int]:
        return []

    for module, name in ((guard, "sweep"), (supervisor, "sweep"), (reconcile, "kill_marked")):
        put(module, name, spare)


def snapshot_without_its_mark() -> None:
    """A snapshot is believed whatever the length of its log."""
    fresh = files.FileStore._state

    def believing(store: files.FileStore, stream: str, descriptor: int, cached: Snapshot | None) -> Snapshot:
        return cached if cached is not None else fresh(store, stream, descriptor, cached)

    put(files.FileStore, "_state", believing)


def batch_in_two_writes() -> None:
    """The events of one act are appended one by one."""
    append = FileTail.append

    def halved(tail: FileTail, events: Any, task: Any) -> None:
        for event in events:
            append(tail, [event.replace(batch=None)], task)

    put(FileTail, "append", halved)


def worktree_left() -> None:
    """The guard and the mender forget the worktree."""

    def forget(spec: object) -> None:
        del spec

    put(reconcile, "remove_worktree", forget)
    put(supervisor, "remove_worktree", forget)


def listing_without_the_folders() -> None:
    """A listing believes its index as long as the journal of changes says nothing else."""
    put(freshness, "_accounted", lambda *_: True)


def mark_without_the_sum() -> None:
    """A snapshot's mark counts where the length of the log fits, whatever the log says."""

    def is_of(text: Text, log: bytes) -> bool:
        return len(log) == text.log_size

    put(Text, "is_of", is_of)


def agent_believed() -> None:
    """The verdict believes an agent that says it succeeded."""

    def believing(evidence: Evidence) -> Verdict:
        said = evidence.claim or evidence.result
        return Succeeded() if said is not None and said.succeeded else judge(evidence)

    put(outcome, "judge", believing)


def slot_leaked() -> None:
    """A slot is given back by the supervisor at its end, and not by the kernel at its death."""
    look = Memory.look

    def leaky(memory: Memory, board: Board) -> Seen:
        seen = look(memory, board)
        specs = [spec for run in all_runs(board.folder) if not run.waits() and (spec := run.spec()) is not None]
        held = [spec for spec in specs if "removed" not in _done(RunFolder(board.folder, spec.run_id), spec)]
        return seen.replace(running=(*seen.running, *(spec for spec in held if spec not in seen.running)))

    def _done(folder: RunFolder, spec: RunSpec) -> set[str]:
        return {step.name for step in steps.of(folder, spec)}

    put(Memory, "look", leaky)


def acknowledged_unsynced() -> None:
    """An event is acknowledged when it was written, and synced by chance."""

    def forget(descriptor: int) -> None:
        del descriptor

    put(disk, "_sync", forget)


def any_number_is_the_process() -> None:
    """A process is signalled by its number alone."""

    def pin(pid: int, started: int) -> int | None:
        del started
        try:
            return os.pidfd_open(pid)
        except ProcessLookupError:
            return None

    put(pidfds, "pin", pin)


BREAKS: dict[str, Callable[[], None]] = {
    "inherited lease": inherited_lease,
    "decided before the lock": decided_before_the_lock,
    "no tail repair": no_tail_repair,
    "no tree kill": no_tree_kill,
    "snapshot without its mark": snapshot_without_its_mark,
    "batch in two writes": batch_in_two_writes,
    "worktree left": worktree_left,
    "listing without the folders": listing_without_the_folders,
    "mark without the sum": mark_without_the_sum,
    "agent believed": agent_believed,
    "slot leaked": slot_leaked,
    "acknowledged unsynced": acknowledged_unsynced,
    "any number is the process": any_number_is_the_process,
}
