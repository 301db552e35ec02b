"""Going on with the session of an agent's run that ended: what has to fit, and what the session had used before.

An agent finds its session by the folder that it worked in, as Claude Code does, so that the new run's worktree is made
where the old one's was. In a sandbox with an empty home the session went with that home.
"""

from __future__ import annotations

import os
from pathlib import Path

from lattice.commands.board import Board
from lattice.core.record import Record
from lattice.core.task import Task
from lattice.errors import AlreadyRunning, Conflict, NotFound
from lattice.workers import overview
from lattice.workers.agent_runs import session_of
from lattice.workers.definitions.agents import AUTO
from lattice.workers.definitions.definition import Definition
from lattice.workers.engines.heard import Usage
from lattice.workers.run_view import RunView
from lattice.workers.runs import RunFolder, all_runs
from lattice.workers.sandboxes.sandbox import READ_ONLY
from lattice.workers.spec import RunSpec


class Session(Record):
    """A session to go on with."""

    id: str
    before: Usage  # what it has used by now, as far as that is known
    worktree: Path | None  # where its agent worked
    definition: Definition  # the worker, which for `auto` is the session's engine alone


def session(board: Board, definition: Definition, task: Task, ref: str) -> Session:
    """The session of the run that `ref` names, for a run of the worker. Raises NotFound, AlreadyRunning, Conflict."""
    run = overview.find(board, ref)
    spec = RunFolder(board.folder, run.run_id).spec()
    said = session_of(RunFolder(board.folder, run.run_id))
    if spec is None or spec.agent is None or said is None:
        why = "it is no agent's" if spec is not None and spec.agent is None else "it is not known on this machine"
        raise NotFound(f"Run {run.run_id} has no session to go on with: {why}.", hint=f"lattice worker show {ref}")
    if run.task_id != task.id:
        raise Conflict(
            f"Run {run.run_id} was on {run.task}, not on {task.name}.",
            hint=f"lattice worker run {definition.name} {run.task} --resume {ref}",
        )
    narrowed = _of_engine(definition, spec)
    _require_home(spec, definition)
    last_run, last_spec = _last_of(board, said, run, spec)
    worktree = Path(last_spec.worktree) if last_spec.worktree is not None else None
    if worktree is not None and os.path.lexists(worktree):
        raise Conflict(f"The worktree of {last_run.run_id} is still there: {worktree}", hint="lattice worker gc")
    used = usage_of(last_run)
    before = used if last_spec.agent is None else total(last_spec.agent.before, used)
    return Session(said, before, worktree, narrowed)


def total(before: Usage | None, used: Usage) -> Usage:
    """What a session has used after a run. What is not known of a part is not known of the whole."""
    if before is None:
        return used
    both = {name: (value, getattr(used, name)) for name, value in before.fields().items()}
    known = {name: one + other for name, (one, other) in both.items() if one is not None and other is not None}
    return Usage(**known)


def usage_of(run: RunView) -> Usage:
    """What a run used, as its end says."""
    used = run.usage or {}
    return Usage(**{name: used.get(name) for name in Usage._fields})


def _of_engine(definition: Definition, spec: RunSpec) -> Definition:
    if definition.engine == AUTO and spec.engine in (definition.agent.engines or (spec.engine,)):
        return definition.replace(agent=definition.agent.replace(engines=(spec.engine,)))
    if definition.engine != spec.engine:
        raise Conflict(
            f"Run {spec.run_id} is a session of {spec.engine}, and {definition.name} is run by {definition.engine}.",
            hint=f"lattice worker run {spec.process_type} {spec.short_id or spec.task_id} --resume {spec.run_id}",
        )
    return definition


def _require_home(spec: RunSpec, definition: Definition) -> None:
    """A session is kept below the home folder: both runs need the same one."""
    box = spec.sandbox
    lost = box is not None and box.absent is None and box.mode == READ_ONLY and not box.home_writable
    rules = definition.sandbox
    if lost or (rules.mode == READ_ONLY and not rules.home_writable):
        who = f"Run {spec.run_id} had" if lost else f"{definition.name} has"
        raise Conflict(
            f"{who} an empty home folder in its sandbox, where no session is kept.",
            hint='To go on with sessions, name the agent\'s folder: {"mode": "read-only", "home_writable": […]}',
        )


def _last_of(board: Board, said: str, run: RunView, spec: RunSpec) -> tuple[RunView, RunSpec]:
    """The last run that went on with the session. Raises AlreadyRunning where one does now."""
    last = run.run_id, spec
    for folder in all_runs(board.folder):
        known = spec if folder.run_id == run.run_id else folder.spec()
        if known is None or known.agent is None or known.engine != spec.engine:
            continue
        spoke = session_of(folder) == said
        if not folder.is_closed() and (spoke or (known.agent.resumed and known.agent.session_id == said)):
            raise AlreadyRunning(
                f"The session of {run.run_id} is in use: {folder.run_id} has not ended.",
                hint=f"lattice worker wait {folder.run_id}",
                run_id=folder.run_id,
            )
        if spoke:
            last = max(last, (folder.run_id, known), key=lambda one: one[0])
    return overview.find(board, last[0]), last[1]
