"""Start a run: check everything, write the request, hand the lease to a guard (design §4, steps 0 to 3).

Nothing is written before it was checked that it can work, and an error before the request leaves no
trace. After the request is on the board, whatever goes wrong is an end on the board.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import lattice
from lattice.commands.board import Board
from lattice.commands.hooks import IN_HOOK
from lattice.core.events import ProcessFailed, ProcessRequested, TaskEvent
from lattice.core.record import Record
from lattice.core.run import SetupFailed, judge
from lattice.core.task import Task
from lattice.errors import (
    AlreadyRunning,
    DefinitionError,
    LatticeError,
    NotFound,
    RunSetupError,
    StorageError,
    WriteUncertain,
)
from lattice.ledger import Signature, timestamp
from lattice.workers import catalogue, liveness
from lattice.workers.definition import Definition, expand
from lattice.workers.environment import child_environment
from lattice.workers.git import Repository
from lattice.workers.lease import hand_on
from lattice.workers.processes import signal_tree
from lattice.workers.reconcile import Outcome, mend, outcome_of
from lattice.workers.runs import OutputSpec, RunFolder, RunSpec, host_name
from lattice.workers.worktree_root import worktrees_root

READY_WITHIN_S = 30.0
_INHERITED_BY_GUARD = ("PATH", "HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "TMPDIR", "USER", "LOGNAME", IN_HOOK)
_BOOT = "import sys; sys.path.insert(0, sys.argv.pop(1)); from lattice.workers.guard import main; main(sys.argv[1:])"
_UNSAFE_IN_NAMES = re.compile(r"[^A-Za-z0-9-]")


class Request(Record):
    """What was asked for: a worker on a task, perhaps on a certain commit."""

    worker: str
    task: str
    commit: str | None = None
    base: str | None = None


class Plan(Record):
    """A run that can work: everything was checked, nothing was written."""

    definition: Definition
    task: Task
    spec: RunSpec
    environment: Mapping[str, str]

    def described(self) -> dict[str, object]:
        """What `--dry-run` shows."""
        return {
            "worker": self.definition.name,
            "task": self.task.name,
            "engine": self.spec.engine,
            "argv": list(self.spec.argv),
            "commit_sha": self.spec.commit_sha,
            "base_sha": self.spec.base_sha,
            "worktree": self.spec.worktree,
            "timeout_s": self.spec.timeout_s,
            "environment": sorted(self.environment),
        }


def plan(board: Board, request: Request, environ: Mapping[str, str]) -> Plan:
    """Check that the run can work. Raises what is wrong, and writes nothing."""
    task = board.store.task(board.resolve(request.task))
    repo = _repository(board)
    top = repo.top if repo else board.root
    definition = catalogue.find(request.worker, top)
    catalogue.check(definition, top, environ)
    if definition.worktree and repo is None:
        raise DefinitionError(
            f"{definition.name} works in a git worktree, and {board.root} is not in a git repository.",
            hint='git init, or "worktree": false in the definition',
        )
    head = _head(repo, request, task) if repo else None
    base = _base(repo, request, definition, head) if repo and head else None
    run_id = board.ledger.new_id("run")
    folder = RunFolder(board.folder, run_id)
    tree = worktrees_of(board, environ) / run_id if definition.worktree else None
    values = _values(board, task, folder, tree, head, base, top)
    spec = RunSpec(
        run_id=run_id,
        task_id=task.id,
        short_id=task.short_id,
        process_type=definition.name,
        actor=definition.actor,
        root=str(board.root),
        host=host_name(board.folder),
        engine=definition.engine,
        argv=_argv(definition, top, environ, values),
        files=_files(definition, top),
        repo_top=str(repo.top) if repo else None,
        common_dir=str(repo.common_dir) if repo else None,
        worktree=str(tree) if tree else None,
        commit_sha=head,
        base_sha=base,
        timeout_s=definition.timeout_minutes * 60,
        idle_timeout_s=definition.idle_timeout_minutes * 60 if definition.idle_timeout_minutes else None,
        grace_s=definition.grace_seconds,
        outputs=tuple(OutputSpec(o.name, o.path, o.role, o.required) for o in definition.outputs),
        requested_ms=board.ledger.source.now_ms(),
    )
    given = {
        "LATTICE_RUN_ID": run_id,
        "LATTICE_ROOT": str(board.root),
        "LATTICE_ACTOR": definition.actor,
        "LATTICE_TASK_ID": task.id,
        "LATTICE_TASK_SHORT_ID": task.name,
        "LATTICE_BASE_SHA": base or "",
        "LATTICE_COMMIT_SHA": head or "",
        "LATTICE_WORKTREE": str(tree) if tree else "",
        "LATTICE_OUTPUT_DIR": str(folder.out),
        "LATTICE_MAIN_CHECKOUT": str(top),
    }
    if environ.get(IN_HOOK):
        given[IN_HOOK] = environ[IN_HOOK]  # A run that a hook started fires no hooks: no loops.
    return Plan(definition, task, spec, child_environment(environ, definition.env, given))


def start(board: Board, prepared: Plan, by: Signature) -> Task:
    """Request the run and hand it to its guard. Returns the task with the run in it.

    Raises AlreadyRunning (nothing was written), StorageError, LockTimeout; RunSetupError where the
    guard could not be started: then the run's end is on the board.
    """
    spec = prepared.spec
    folder = RunFolder(board.folder, spec.run_id)
    liveness.refresh(board)
    try:
        lease_fd = folder.create(spec)
    except OSError as refused:
        raise StorageError(f"The run's folder could not be made: {refused.strerror}. Nothing was started.") from refused
    try:
        try:
            task = _request(board, prepared, by)
        except WriteUncertain:
            raise  # Whether it was requested, only the log can say later: reconcile asks it.
        except LatticeError:
            folder.discard()
            raise
        problem = _start_guard(board, folder, lease_fd, prepared.environment)
    finally:
        os.close(lease_fd)
    if problem is not None:
        _compensate(board, folder, spec, problem)
    return task


def _request(board: Board, prepared: Plan, by: Signature) -> Task:
    spec = prepared.spec
    deadline = timestamp(spec.requested_ms + int((spec.timeout_s + spec.grace_s) * 1000))
    requested = ProcessRequested(
        run_id=spec.run_id,
        process_type=spec.process_type,
        definition_digest=prepared.definition.digest,
        commit_sha=spec.commit_sha,
        base_sha=spec.base_sha,
        timeout_s=spec.timeout_s,
        host=spec.host,
        deadline=deadline,
    )

    def decide(task: Task) -> list[TaskEvent]:
        ended: list[TaskEvent] = []
        for run in task.active_processes:
            if run.process_type != spec.process_type:
                continue
            if liveness.blocks(board, run):
                raise AlreadyRunning(
                    f"{run.process_type} is already running on {task.name}: {run.run_id}, since {run.requested_at}.",
                    hint=f"lattice worker logs {run.run_id} --follow",
                    run_id=run.run_id,
                    worker=run.process_type,
                    task=task.name,
                )
            ended.append(_end_of_dead(board, task, run.run_id))
        return [*ended, requested]

    return board.ledger.transact(spec.task_id, decide, by).task


def _end_of_dead(board: Board, task: Task, run_id: str) -> TaskEvent:
    """The end of a run that died a moment ago, or whose machine never said: what its outcome says, else lost."""
    folder = RunFolder(board.folder, run_id)
    spec, stored = folder.spec(), folder.read_outcome()
    if spec is not None and stored is not None:
        return Outcome(**{**stored, "artifacts": ()}).body(task, spec)
    run = task.run(run_id)
    return ProcessFailed(
        run_id=run_id,
        started_event_id=run.started_event_id if run else None,
        commit_sha=run.commit_sha if run else None,
        duration_s=0.0,
        error="Nobody supervises it any more; it was found when the next run was requested.",
        cause={"kind": "lost"},
    )


def _start_guard(board: Board, folder: RunFolder, lease_fd: int, environment: Mapping[str, str]) -> str | None:
    """Hand the lease to a guard, and wait until the run is supervised. What went wrong, or None."""
    package = str(Path(lattice.__file__).parent.parent)  # the guard is of the same version, however this one was found
    read_fd, write_fd = os.pipe()
    try:
        with _on_paper(environment) as env_file:
            hand_on(lease_fd)
            handed = (lease_fd, env_file.fileno(), write_fd)
            guard = subprocess.Popen(
                [sys.executable, "-I", "-c", _BOOT, package, str(board.root), folder.run_id, *map(str, handed)],
                cwd="/",
                env={name: os.environ[name] for name in _INHERITED_BY_GUARD if name in os.environ},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                pass_fds=handed,
            )
        os.close(write_fd)
        write_fd = -1
        if _ready(read_fd):
            guard.returncode = 0  # It outlives this process on purpose, and nobody here waits for it.
            return None
        signal_tree(guard.pid, signal.SIGKILL)
        guard.kill()
        guard.wait()
        return "its guard ended, or hung, before the run was supervised"
    except OSError as why:
        return f"its guard could not be started: {why}"
    finally:
        os.close(read_fd)
        if write_fd >= 0:
            os.close(write_fd)


def _compensate(board: Board, folder: RunFolder, spec: RunSpec, problem: str) -> None:
    """The request is on the board and nobody supervises the run: say so there, and raise RunSetupError."""
    error = f"The run could not be started: {problem}."
    if folder.read_outcome() is None:
        outcome = outcome_of(
            judge(SetupFailed(error), ()),
            exit_status=None,
            duration_s=time.time() - spec.requested_ms / 1000,
            killed=[],
            salvage_ref=None,
        )
        folder.write_outcome(outcome.fields())
    mend(board, folder)
    raise RunSetupError(error, hint=f"See {folder.guard_log}, then try again.", run_id=folder.run_id)


def _ready(read_fd: int) -> bool:
    poller = select.poll()
    poller.register(read_fd, select.POLLIN)
    return bool(poller.poll(READY_WITHIN_S * 1000)) and os.read(read_fd, 1) == b"r"


def _on_paper(environment: Mapping[str, str]) -> BinaryIO:
    """The engine's environment as a file without a name: it may hold secrets, and a pipe holds 64 KiB."""
    if hasattr(os, "memfd_create"):
        file: BinaryIO = os.fdopen(os.memfd_create("lattice-environment"), "w+b")
    else:
        file = tempfile.TemporaryFile()  # noqa: SIM115  # the caller closes it
    file.write(json.dumps(dict(environment)).encode())
    file.flush()
    return file


def _repository(board: Board) -> Repository | None:
    try:
        return Repository.discover(board.root)
    except LatticeError:
        return None


def _head(repo: Repository, request: Request, task: Task) -> str | None:
    """`--commit`, else the task's linked branch, else HEAD."""
    if request.commit is not None:
        return repo.resolve(request.commit)
    for link in reversed(task.branch_links):
        if link.repo is None:
            return repo.resolve(link.branch)
    try:
        return repo.resolve("HEAD")
    except NotFound:
        raise NotFound("The repository has no commit yet.", hint="git commit, then run the worker again") from None


def _base(repo: Repository, request: Request, definition: Definition, head: str) -> str:
    """`--base`, else where head left the definition's base, else head's parent, else the empty tree.

    A head that lies on its base has nothing between the two: then its parent shows what it changed.
    """
    if request.base is not None:
        return repo.resolve(request.base)
    against = definition.base or repo.default_branch()
    if against is not None:
        meeting = repo.merge_base(head, repo.resolve(against))
        if meeting is not None and meeting != head:
            return meeting
    return repo.parent(head) or repo.empty_tree()


def worktrees_of(board: Board, environ: Mapping[str, str]) -> Path:
    """The folder that holds this board's worktrees on this machine. Raises ValidationError where it is not safe."""
    configured = Path(board.config.worktree_root) if board.config.worktree_root else None
    place = hashlib.sha256(os.path.realpath(board.folder).encode()).hexdigest()[:8]
    name = _UNSAFE_IN_NAMES.sub("-", board.root.name).strip("-")[:40] or "board"
    return worktrees_root(configured, environ, f"{name}-{place}")


def _values(
    board: Board, task: Task, folder: RunFolder, tree: Path | None, head: str | None, base: str | None, top: Path
) -> dict[str, str]:
    return {
        "python": sys.executable,
        "run_id": folder.run_id,
        "task_id": task.id,
        "short_id": task.name,
        "base_sha": base or "",
        "commit_sha": head or "",
        "worktree": str(tree or board.root),
        "output_dir": str(folder.out),
        "repo": str(top),
    }


def _argv(definition: Definition, top: Path, environ: Mapping[str, str], values: Mapping[str, str]) -> tuple[str, ...]:
    script = definition.script_path(top)
    if script is not None:
        return (str(script),)
    return (catalogue.program(definition, top, environ), *expand(definition.command[1:], values))


def _files(definition: Definition, top: Path) -> tuple[tuple[str, str], ...]:
    """What is executed from the main checkout, with its digest: a change before the start is then seen."""
    script = definition.script_path(top)
    if script is None:
        return ()
    return ((str(script), hashlib.sha256(script.read_bytes()).hexdigest()),)
