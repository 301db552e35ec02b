"""What a worker that changes code is to have, resolved and checked when its run is requested."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lattice.commands.edges import parse_branch
from lattice.core.task import Task
from lattice.errors import Conflict, GitError, ValidationError
from lattice.workers.definitions import catalogue
from lattice.workers.definitions.definition import BRANCH_PLACEHOLDERS, Definition, expand
from lattice.workers.worktrees import branches
from lattice.workers.worktrees.git import Repository, git
from lattice.workers.worktrees.preparation_spec import Preparation, digest_of_setup

_RUN_CHARS = 8  # 40 random bits of the run's id, and enough of its end to find it by


def branch_of(definition: Definition, repo: Repository | None, task: Task, run_id: str) -> str | None:
    """The name of the run's branch, free in this repository. Raises ValidationError, Conflict, GitError."""
    if definition.branch is None or repo is None:
        return None
    values = (task.name, task.id, definition.name, run_id[-_RUN_CHARS:].lower(), run_id)
    name = parse_branch(expand([definition.branch], dict(zip(BRANCH_PLACEHOLDERS, values, strict=True)))[0])
    try:
        git(["check-ref-format", branches.ref_of(name)], cwd=repo.common_dir)
    except GitError as error:
        raise ValidationError(f"git allows no branch of the name {name!r}.", hint='Change "branch".') from error
    parts = name.split("/")
    for count in range(1, len(parts) + 1):
        other = "/".join(parts[:count])
        if branches.tip(repo, other) is not None:
            what = "exists already" if other == name else f"cannot be made: there is a branch {other!r}"
            hint = f'Choose another "branch" in the definition of {definition.name}, or rename that one: git branch -m'
            raise Conflict(f"The branch {name!r} {what}.", hint=hint)
    return name


def preparation_of(
    definition: Definition, top: Path, environ: Mapping[str, str], values: Mapping[str, str], cache_root: Path | None
) -> Preparation | None:
    """The files to copy and the commands to run before the engine; None where there is nothing to do.

    Raises DefinitionError for a program that is not there.
    """
    setup = definition.setup
    if setup is None:
        return Preparation(copy=definition.copy) if definition.copy else None
    return Preparation(
        copy=definition.copy,
        commands=tuple(
            (catalogue.program_at(definition, "setup.run", argv[0], top, environ), *expand(argv[1:], values))
            for argv in setup.run
        ),
        timeout_s=(setup.timeout_minutes or definition.timeout_minutes) * 60,
        cache=setup.cache,
        key=setup.key,
        setup_digest=digest_of_setup(setup.run, setup.cache),
        cache_root=str(cache_root) if cache_root is not None else None,
    )
