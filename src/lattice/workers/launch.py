"""Start a run: check everything, write the request, hand the lease to a guard (design §4, steps 0 to 3).

Nothing is written before it was checked that it can work, and an error before the request leaves no
trace. After the request is on the board, whatever goes wrong is an end on the board.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lattice.commands.board import Board
from lattice.commands.hooks import IN_HOOK
from lattice.core.events import ProcessFailed, TaskEvent
from lattice.core.record import Record
from lattice.core.run import SetupFailed
from lattice.core.task import Task
from lattice.errors import (
    AlreadyRunning,
    DefinitionError,
    LatticeError,
    LimitReached,
    RunSetupError,
    StorageError,
    WriteUncertain,
)
from lattice.ledger import Signature
from lattice.workers import handover, liveness
from lattice.workers.definitions import catalogue
from lattice.workers.definitions.agents import is_agent
from lattice.workers.definitions.definition import Definition, expand
from lattice.workers.ends.outcome import Outcome
from lattice.workers.environment import child_environment
from lattice.workers.external.lapse import lost
from lattice.workers.queueing import queue
from lattice.workers.reconcile import mend, with_outputs
from lattice.workers.runs import RunFolder, host_name
from lattice.workers.spec import RunSpec
from lattice.workers.worktrees import planning
from lattice.workers.worktrees.git import Repository
from lattice.workers.worktrees.span import base_of, head_of
from lattice.workers.worktrees.worktree_root import cache_root, worktrees_root

TYPE_CHECKING = False  # which type checkers take to be true: typing is not needed at run time
if TYPE_CHECKING:
    from lattice.workers.agents import Agent
    from lattice.workers.resuming import Session

_UNSAFE_IN_NAMES = re.compile(r"[^A-Za-z0-9-]")


class Request(Record):
    """What was asked for: a worker on a task, perhaps on a certain commit."""

    worker: str
    task: str
    commit: str | None = None
    base: str | None = None
    resume: str | None = None  # the run whose session its agent goes on with


class Plan(Record):
    """A run that can work: everything was checked, nothing was written."""

    definition: Definition
    task: Task
    spec: RunSpec
    environment: Mapping[str, str]
    origin: Mapping[str, str]  # where it is from: the runs that this one's guard starts take their variables there

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
            "branch": self.spec.branch,
            "prompt": self.spec.agent.template if self.spec.agent else None,
            "model": self.spec.agent.model if self.spec.agent else None,
            "resumes": self.spec.agent.session_id if self.spec.agent and self.spec.agent.resumed else None,
            "sandbox": self.spec.sandbox.said() if self.spec.sandbox else None,
            "timeout_s": self.spec.timeout_s,
            "environment": sorted(self.environment),
        }


def plan(board: Board, request: Request, environ: Mapping[str, str]) -> Plan:
    """Check that the run can work. Raises what is wrong, and writes nothing."""
    repo = _repository(board)
    definition = catalogue.find(request.worker, repo.top if repo else board.root)
    return plan_of(board, definition, request, environ)


def plan_of(
    board: Board, definition: Definition, request: Request, environ: Mapping[str, str], parent: str | None = None
) -> Plan:
    """As `plan`, of a definition that is at hand; `parent` is the run of the team that the new one belongs to."""
    task = board.store.task(board.resolve(request.task))
    repo = _repository(board)
    top = repo.top if repo else board.root
    session = _session(board, definition, task, request.resume)
    definition = session.definition if session is not None else definition
    catalogue.check(definition, top, environ, board.config.engine_order)
    if definition.worktree and repo is None:
        raise DefinitionError(
            f"{definition.name} works in a git worktree, and {board.root} is not in a git repository.",
            hint='git init, or "worktree": false in the definition',
        )
    head = head_of(repo, task, request.commit) if repo else None
    base = base_of(repo, head, base=request.base, against=definition.base) if repo and head else None
    run_id = board.ledger.new_id("run")
    folder = RunFolder(board.folder, run_id)
    tree = worktrees_of(board, environ) / run_id if definition.worktree else None
    if tree is not None and session is not None and session.worktree is not None:
        tree = tree.with_name(session.worktree.name)
    branch = planning.branch_of(definition, repo, task, run_id)
    values = _values(board, task, folder, tree, head, base, top) | {"worker": definition.name, "branch": branch or ""}
    agent = _agent(board, definition, folder, values, top, environ, session)
    cache = caches_of(board, environ) if definition.setup is not None and definition.setup.cache else None
    argv = agent.argv if agent else _argv(definition, top, environ, values)
    preparation = planning.preparation_of(definition, top, environ, values, cache)
    spec = RunSpec(
        run_id=run_id,
        task_id=task.id,
        short_id=task.short_id,
        process_type=definition.name,
        actor=definition.actor,
        root=str(board.root),
        host=host_name(board.folder),
        engine=agent.engine if agent else definition.engine,
        argv=argv,
        files=_files(definition, top, [argv, *(preparation.commands if preparation is not None else ())]),
        repo_top=str(repo.top) if repo else None,
        common_dir=str(repo.common_dir) if repo else None,
        worktree=str(tree) if tree else None,
        commit_sha=head,
        base_sha=base,
        timeout_s=definition.timeout_minutes * 60,
        idle_timeout_s=definition.idle_timeout_minutes * 60 if definition.idle_timeout_minutes else None,
        grace_s=definition.grace_seconds,
        outputs=catalogue.output_specs(definition, top),
        requested_ms=board.ledger.source.now_ms(),
        interrupt_s=definition.interrupt_seconds,
        after_result_s=definition.after_result_seconds,
        log_limit_bytes=int(definition.log_limit_mb * (1 << 20)),
        branch=branch,
        keep=definition.keep,
        preparation=preparation,
        sandbox=catalogue.sandbox_of(definition, environ, agent.engine if agent else None),
        definition_digest=definition.digest,
        env_set=(*(agent.set if agent else ()), *definition.env.set),
        in_hook=environ.get(IN_HOOK) or None,
        max_parallel=definition.max_parallel,
        retries=definition.retries,
        agent=agent.spec if agent else None,
        parent=parent,
        review_kind=definition.review_kind,
        team_usd=definition.agent.budget_usd if definition.team is not None else None,
        team_tokens=definition.agent.budget_tokens if definition.team is not None else None,
    )
    given = handover.given_to(spec, folder)
    environment = child_environment(environ, definition.env.replace(set=spec.env_set), given)
    not_inherited = {*given, *(name for name, _ in spec.env_set)}
    variables = tuple(sorted(name for name in environment if name not in not_inherited))
    return Plan(definition, task, spec.replace(variables=variables), environment, environ)


def start(board: Board, prepared: Plan, by: Signature, *, wait: bool = True) -> Task:
    """Request the run, and hand it to its guard where its turn is now. Returns the task with the run in it.

    Where as many run as may, it joins the queue, or raises LimitReached without `wait`. Raises AlreadyRunning,
    BudgetExceeded (nothing was written), StorageError, LockTimeout; RunSetupError where the guard could not be started:
    then the run's end is on the board.
    """
    spec = prepared.spec
    folder = RunFolder(board.folder, spec.run_id)
    liveness.refresh(board)
    with queue.admission(board, spec, prepared.task) as turn:
        queued = bool(turn.waits_for)
        if queued and not wait:
            raise LimitReached(
                f"{spec.process_type} cannot start now; it would have to wait for {' and '.join(turn.waits_for)}.",
                hint="Leave out --no-queue to let it wait, or see who runs: lattice worker ps",
                waits_for=list(turn.waits_for),
            )
        lease_fd, task = _requested(board, prepared.replace(spec=turn.spec), by, folder, queued=queued)
    try:
        if queued:
            return task
        problem = handover.start_guard(board, folder, lease_fd, prepared.environment, prepared.origin)
    finally:
        os.close(lease_fd)
    if problem is not None:
        _compensate(board, folder, spec, problem)
    return task


def _requested(board: Board, prepared: Plan, by: Signature, folder: RunFolder, *, queued: bool) -> tuple[int, Task]:
    """The run's folder with its lease held, and the request on the board: both, or neither."""
    try:
        lease_fd = folder.create(prepared.spec, queue.note() if queued else None)
    except OSError as refused:
        raise StorageError(f"The run's folder could not be made: {refused.strerror}. Nothing was started.") from refused
    try:
        return lease_fd, _request(board, prepared, by, queued=queued)
    except WriteUncertain:
        os.close(lease_fd)
        raise  # Whether it was requested, only the log can say later: reconcile asks it.
    except BaseException as why:
        if isinstance(why, LatticeError):
            folder.discard()
        os.close(lease_fd)
        raise


def _request(board: Board, prepared: Plan, by: Signature, *, queued: bool = False) -> Task:
    spec = prepared.spec
    requested = queue.request_of(spec, queued=queued)

    def decide(task: Task) -> list[TaskEvent]:
        return [*make_way(board, task, spec.process_type), requested]

    return board.ledger.transact(spec.task_id, decide, by).task


def _compensate(board: Board, folder: RunFolder, spec: RunSpec, problem: str) -> None:
    """The request is on the board and nobody supervises the run: say so there, and raise RunSetupError."""
    error = f"The run could not be started: {problem}."
    handover.note_end(board, folder, spec, SetupFailed(error), "starter")
    mend(board, folder)
    queue.heal(board, os.environ)  # It held a slot for that long.
    raise RunSetupError(error, hint=f"See {folder.guard_log}, then try again.", run_id=folder.run_id)


def make_way(board: Board, task: Task, worker: str) -> list[TaskEvent]:
    """The ends of the worker's dead runs on the task. Raises AlreadyRunning where one blocks another."""
    ended: list[TaskEvent] = []
    for run in task.active_processes:
        if run.process_type.casefold() != worker.casefold():
            continue
        if liveness.blocks(board, run):
            waits = run.state == "queued"
            look = f"show {run.run_id}" if run.external or waits else f"logs {run.run_id} --follow"
            raise AlreadyRunning(
                f"{run.process_type} is already {'queued' if waits else 'running'} on {task.name}: {run.run_id}, "
                f"since {run.requested_at}.",
                hint=f"lattice worker {look}",
                run_id=run.run_id,
                worker=run.process_type,
                task=task.name,
            )
        ended += [lost(run)] if run.external else _end_of_dead(board, task, run.run_id)
    return ended


def _end_of_dead(board: Board, task: Task, run_id: str) -> list[TaskEvent]:
    """The end of a run that died a moment ago, or whose machine never said: what its outcome says, else lost.

    The files of its outputs are written under the task's lock: `refresh` has just looked, so it is rare.
    """
    folder = RunFolder(board.folder, run_id)
    spec, stored = folder.spec(), folder.read_outcome()
    if spec is not None and stored is not None and spec.host == host_name(board.folder):
        outcome, attached = with_outputs(board, folder, spec, Outcome(**stored))
        return [*attached, outcome.body(task, spec)]
    run = task.run(run_id)
    return [
        ProcessFailed(
            run_id=run_id,
            started_event_id=run.started_event_id if run else None,
            commit_sha=run.commit_sha if run else None,
            duration_s=0.0,
            error="Nobody supervises it any more; it was found when the next run was requested.",
            cause={"kind": "lost"},
        )
    ]


def _repository(board: Board) -> Repository | None:
    try:
        return Repository.discover(board.root)
    except LatticeError:
        return None


def worktrees_of(board: Board, environ: Mapping[str, str]) -> Path:
    """The folder that holds this board's worktrees on this machine. Raises ValidationError where it is not safe."""
    configured = Path(board.config.worktree_root) if board.config.worktree_root else None
    return worktrees_root(configured, environ, place_of(board))


def caches_of(board: Board, environ: Mapping[str, str]) -> Path:
    """The folder of what this board's setups made on this machine. Raises ValidationError where it is not safe."""
    return cache_root(environ, place_of(board))


def place_of(board: Board) -> str:
    """A folder's name for this board: what people call it, and what tells it from others of that name."""
    place = hashlib.sha256(os.path.realpath(board.folder).encode()).hexdigest()[:8]
    name = _UNSAFE_IN_NAMES.sub("-", board.root.name).strip("-")[:40] or "board"
    return f"{name}-{place}"


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
    if definition.team is not None:
        return (sys.executable, "-I", "-m", "lattice.workers.teams.conductor")
    script = definition.script_path(top)
    if script is not None:
        return (str(script),)
    return (catalogue.program(definition, top, environ), *expand(definition.command[1:], values))


def _agent(
    board: Board,
    definition: Definition,
    folder: RunFolder,
    values: Mapping[str, str],
    top: Path,
    environ: Mapping[str, str],
    session: Session | None,
) -> Agent | None:
    if not is_agent(definition.engine):
        return None
    from lattice.workers import agents  # only the runs of agents pay for it

    return agents.prepare(board, definition, folder, values, top, environ, session)


def _session(board: Board, definition: Definition, task: Task, run: str | None) -> Session | None:
    if run is None:
        return None
    from lattice.workers import resuming  # few runs go on with another's session

    return resuming.session(board, definition, task, run)


def _files(definition: Definition, top: Path, commands: Iterable[Sequence[str]]) -> tuple[tuple[str, str], ...]:
    """What is executed from the main checkout, with its digest: a change before the start is then seen.

    Script and prompt; a program that is named first, of the worker or of its setup; and of their arguments what lies in
    `workers/`. Any other argument may be data, and is free to change while the run waits.
    """
    real = os.path.realpath(top)
    named = [path for path in (definition.script_path(top), definition.prompt_path(top)) if path is not None]
    found = {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in named}
    for argv in commands:
        inside = [(argv[0], real), *((word, os.path.join(real, "workers")) for word in argv[1:])]
        for word, folder in inside:
            if os.path.isabs(word) and os.path.realpath(word).startswith(folder + os.sep) and os.path.isfile(word):
                with open(word, "rb") as file:
                    found[word] = hashlib.file_digest(file, "sha256").hexdigest()
    return tuple(found.items())
