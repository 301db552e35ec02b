"""Check that a run can work, and say all of what it will be (design §4, before step 0). Nothing is written.

What is wrong is found here, while there is nothing yet to take back; `workers/launch.py` starts what was planned.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from lattice.commands.board import Board
from lattice.commands.hooks import IN_HOOK
from lattice.core.record import Record
from lattice.core.task import Task
from lattice.errors import NotFound
from lattice.store.files.digest import file_digest, sha256
from lattice.workers import handover
from lattice.workers.definitions import catalogue
from lattice.workers.definitions.agents import is_agent
from lattice.workers.definitions.definition import Definition, expand
from lattice.workers.environment import child_environment
from lattice.workers.runs import RunFolder, host_name
from lattice.workers.spec import RunSpec
from lattice.workers.worktrees import planning, worktree
from lattice.workers.worktrees.git import Repository
from lattice.workers.worktrees.preparation_spec import Preparation
from lattice.workers.worktrees.span import base_of, head_of
from lattice.workers.worktrees.worktree_root import caches_of, worktrees_of

TYPE_CHECKING = False  # which type checkers take to be true: typing is not needed at run time
if TYPE_CHECKING:
    from lattice.workers.agents import Agent
    from lattice.workers.resuming import Session


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


def plan(board: Board, request: Request, environ: Mapping[str, str], run_id: str | None = None) -> Plan:
    """Check that the run can work, and call it `run_id` where it has a guard by now. Raises what is wrong."""
    repo = Repository.around(board.root)
    definition = catalogue.find(request.worker, repo.top if repo else board.root)
    return _planned(board, repo, definition, request, environ, run_id=run_id)


def plan_of(
    board: Board, definition: Definition, request: Request, environ: Mapping[str, str], parent: str | None = None
) -> Plan:
    """As `plan`, of a definition that is at hand; `parent` is the run of the team that the new one belongs to."""
    return _planned(board, Repository.around(board.root), definition, request, environ, parent=parent)


def _planned(
    board: Board,
    repo: Repository | None,
    definition: Definition,
    request: Request,
    environ: Mapping[str, str],
    *,
    parent: str | None = None,
    run_id: str | None = None,
) -> Plan:
    task = board.store.task(board.resolve(request.task))
    top = repo.top if repo else board.root
    session = _session(board, definition, task, request.resume)
    definition = session.definition if session is not None else definition
    catalogue.check(definition, top, environ, board.config.engine_order)
    if definition.team is not None:
        from lattice.workers.budgets import check_team  # only the runs of teams and agents pay for it

        check_team(board, definition, top, environ)
    folder = RunFolder(board.folder, run_id or board.ledger.new_id("run"))
    asked = _Asked(board, definition, task, environ, folder, repo, top, session)
    site = _site(asked, request)
    spec = _spec(asked, site, _program(asked, _values(asked, site)), parent)
    given = handover.given_to(spec, folder)
    environment = child_environment(environ, definition.env.replace(set=spec.env_set), given)
    not_inherited = {*given, *(name for name, _ in spec.env_set)}
    variables = tuple(sorted(name for name in environment if name not in not_inherited))
    return Plan(definition, task, spec.replace(variables=variables), environment, environ)


class _Asked(Record):
    """What was asked for, found: the definition and the task, and where they are."""

    board: Board
    definition: Definition
    task: Task
    environ: Mapping[str, str]
    folder: RunFolder
    repo: Repository | None
    top: Path  # the main checkout; of a board outside a repository, the board's own folder
    session: Session | None


class _Site(Record):
    """Where the run works: on which commits, in which worktree, for which branch."""

    head: str | None
    base: str | None
    tree: Path | None
    branch: str | None


class _Program(Record):
    """What the run executes: the engine's words, an agent where it is one, and what is done before."""

    agent: Agent | None
    argv: tuple[str, ...]
    preparation: Preparation | None


def _site(asked: _Asked, request: Request) -> _Site:
    definition, repo, run_id = asked.definition, asked.repo, asked.folder.run_id
    if definition.worktree:
        worktree.check_possible(repo, asked.board.root, definition.name)
    head = _head(asked, request, repo) if repo else None
    base = base_of(repo, head, base=request.base, against=definition.base) if repo and head else None
    tree = worktrees_of(asked.board, asked.environ) / run_id if definition.worktree else None
    if tree is not None and asked.session is not None and asked.session.worktree is not None:
        tree = tree.with_name(asked.session.worktree.name)
    return _Site(head, base, tree, planning.branch_of(definition, repo, asked.task, run_id))


def _head(asked: _Asked, request: Request, repo: Repository) -> str | None:
    """The commit that the run is about; None before the first one, for a worker that needs none. Raises NotFound."""
    try:
        return head_of(repo, asked.task, request.commit)
    except NotFound:
        if asked.definition.worktree or request.commit or request.base or asked.task.own_branch:
            raise
        return None


def _values(asked: _Asked, site: _Site) -> dict[str, str]:
    """What a definition's placeholders stand for."""
    return {
        "python": sys.executable,
        "run_id": asked.folder.run_id,
        "task_id": asked.task.id,
        "short_id": asked.task.name,
        "base_sha": site.base or "",
        "commit_sha": site.head or "",
        "worktree": str(site.tree or asked.board.root),
        "output_dir": str(asked.folder.out),
        "repo": str(asked.top),
        "worker": asked.definition.name,
        "branch": site.branch or "",
    }


def _program(asked: _Asked, values: Mapping[str, str]) -> _Program:
    definition, environ = asked.definition, asked.environ
    agent = _agent(asked, values)
    cache = caches_of(asked.board, environ) if definition.setup is not None and definition.setup.cache else None
    argv = agent.argv if agent else _argv(definition, asked.top, environ, values)
    return _Program(agent, argv, planning.preparation_of(definition, asked.top, environ, values, cache))


def _spec(asked: _Asked, site: _Site, program: _Program, parent: str | None) -> RunSpec:
    board, definition, task, repo = asked.board, asked.definition, asked.task, asked.repo
    agent, preparation = program.agent, program.preparation
    engine = agent.engine if agent else definition.engine
    return RunSpec(
        run_id=asked.folder.run_id,
        task_id=task.id,
        short_id=task.short_id,
        process_type=definition.name,
        actor=definition.actor,
        root=str(board.root),
        host=host_name(board.folder),
        engine=engine,
        argv=program.argv,
        files=_files(definition, asked.top, [program.argv, *(preparation.commands if preparation is not None else ())]),
        repo_top=str(repo.top) if repo else None,
        common_dir=str(repo.common_dir) if repo else None,
        worktree=str(site.tree) if site.tree else None,
        commit_sha=site.head,
        base_sha=site.base,
        timeout_s=definition.timeout_minutes * 60,
        idle_timeout_s=definition.idle_timeout_minutes * 60 if definition.idle_timeout_minutes else None,
        grace_s=definition.grace_seconds,
        outputs=catalogue.output_specs(definition, asked.top),
        requested_ms=board.ledger.source.now_ms(),
        interrupt_s=definition.interrupt_seconds,
        after_result_s=definition.after_result_seconds,
        log_limit_bytes=int(definition.log_limit_mb * (1 << 20)),
        branch=site.branch,
        keep=definition.keep,
        preparation=preparation,
        sandbox=catalogue.sandbox_of(definition, asked.environ, agent.engine if agent else None),
        definition_digest=definition.digest,
        env_set=(*(agent.set if agent else ()), *definition.env.set),
        in_hook=asked.environ.get(IN_HOOK) or None,
        max_parallel=definition.max_parallel,
        retries=definition.retries,
        agent=agent.spec if agent else None,
        parent=parent,
        review_kind=definition.review_kind,
        team_usd=definition.agent.budget_usd if definition.team is not None else None,
        team_tokens=definition.agent.budget_tokens if definition.team is not None else None,
    )


def _argv(definition: Definition, top: Path, environ: Mapping[str, str], values: Mapping[str, str]) -> tuple[str, ...]:
    if definition.team is not None:
        return (sys.executable, "-I", "-m", "lattice.workers.teams.conductor")
    script = definition.script_path(top)
    if script is not None:
        return (str(script),)
    return (catalogue.program(definition, top, environ), *expand(definition.command[1:], values))


def _agent(asked: _Asked, values: Mapping[str, str]) -> Agent | None:
    if not is_agent(asked.definition.engine):
        return None
    from lattice.workers import agents  # only the runs of agents pay for it

    return agents.prepare(asked.board, asked.definition, asked.folder, values, asked.top, asked.environ, asked.session)


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
    found = {str(path): sha256(path.read_bytes()).hexdigest() for path in named}
    for argv in commands:
        inside = [(argv[0], real), *((word, os.path.join(real, "workers")) for word in argv[1:])]
        for word, folder in inside:
            if os.path.isabs(word) and os.path.realpath(word).startswith(folder + os.sep) and os.path.isfile(word):
                with open(word, "rb") as file:
                    found[word] = file_digest(file).hex()
    return tuple(found.items())
