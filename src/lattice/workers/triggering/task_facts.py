"""The facts of a task that a worker's condition may ask: each is looked up when it is asked for, and once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from lattice.commands.board import Board
from lattice.core.summary import Summary
from lattice.core.task import Task
from lattice.errors import NotFound
from lattice.workers import preflight
from lattice.workers.definitions.definition import Definition
from lattice.workers.worktrees.changes import FileChange, files_between
from lattice.workers.worktrees.git import Repository, git


class TaskFacts:
    """Facts of one task, for one worker: the diff is the one that a run of it would be given."""

    def __init__(self, board: Board, definition: Definition, row: Summary, environ: Mapping[str, str]) -> None:
        self.row = row
        self._board = board
        self._definition = definition
        self._environ = environ
        self._task: Task | None = None
        self._diff: tuple[FileChange, ...] | None = None

    def task(self) -> Task:
        """The task, fresh when it was first asked for. Raises NotFound, LogDamaged."""
        if self._task is None:
            self._task = self._board.store.task(self.row.id)
        return self._task

    def roles(self) -> Sequence[str]:
        return sorted({ref.role for ref in self.task().evidence_refs if ref.role is not None})

    def lines_changed(self) -> int:
        return sum((change.added or 0) + (change.deleted or 0) for change in self._changes())

    def paths_changed(self) -> Sequence[str]:
        return [change.path for change in self._changes()]

    def branches(self) -> Sequence[str]:
        if self.row.branches:
            return self.row.branches
        repo = Repository.discover(self._board.root)
        name = git(["branch", "--show-current"], cwd=repo.top).removesuffix("\n")
        return [name] if name else []

    def matching(self, names: Sequence[str], pattern: str) -> Sequence[str]:
        return [name for name in names if fnmatchcase(name, pattern)]

    def _changes(self) -> tuple[FileChange, ...]:
        if self._diff is None:
            request = preflight.Request(self._definition.name, self.row.id)
            spec = preflight.plan(self._board, request, self._environ).spec
            if spec.base_sha is None or spec.commit_sha is None:
                raise NotFound(f"{self._board.root} is not in a git repository: there is no diff.")
            self._diff = files_between(Repository.discover(self._board.root), spec.base_sha, spec.commit_sha)
        return self._diff
