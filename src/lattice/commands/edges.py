"""What binds a task to others, and to branches of git."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lattice.commands.board import Board
from lattice.commands.tasks import Decision
from lattice.core.config import Config
from lattice.core.events import BranchLinked, BranchUnlinked, RelationshipAdded, RelationshipRemoved
from lattice.core.record import Record
from lattice.core.task import RELATIONSHIP_TYPES, Task
from lattice.core.text import check_line
from lattice.core.workflow import check_choice
from lattice.errors import Conflict, LatticeError, NotFound, ValidationError

ACYCLIC = ("blocks", "depends_on", "subtask_of", "spawned_by", "supersedes")
"""The relationships that make no sense in a circle."""

NOTE_CHARS_MAX = 10_000
BRANCH_CHARS_MAX = 250
_NO_BRANCH = re.compile(r"[\s~^:?*\[\\]|\.\.|@\{|//|/\.|^[-./]|[./]$|\.lock(/|$)|^@$")  # git-check-ref-format(1)


class Link(Record):
    """An edge to the task of the id `target`."""

    type: str
    target: str
    note: str | None = None

    def decide(self, task: Task, config: Config) -> Decision:
        del config
        if self.target == task.id:
            raise ValidationError("Cannot create a relationship from a task to itself.")
        if any((edge.type, edge.target_task_id) == (self.type, self.target) for edge in task.relationships_out):
            raise Conflict(f"Duplicate: {self.type} relationship to {self.target} already exists.")
        note = check_line(self.note, "note", chars_max=NOTE_CHARS_MAX) if self.note is not None else None
        return [RelationshipAdded(type=self.type, target_task_id=self.target, note=note)]


class Unlink(Record):
    type: str
    target: str

    def decide(self, task: Task, config: Config) -> Decision:
        del config
        if not any((edge.type, edge.target_task_id) == (self.type, self.target) for edge in task.relationships_out):
            raise NotFound(f"No {self.type} relationship to {self.target}.", hint=f"See them: lattice show {task.name}")
        return [RelationshipRemoved(type=self.type, target_task_id=self.target)]


class LinkBranch(Record):
    branch: str
    repo: str | None = None

    def decide(self, task: Task, config: Config) -> Decision:
        del config
        branch = parse_branch(self.branch)
        repo = check_line(self.repo, "repository") if self.repo is not None else None
        if any((link.branch, link.repo) == (branch, repo) for link in task.branch_links):
            raise Conflict(f"Duplicate: branch {branch!r} already linked to {task.name}.")
        return [BranchLinked(branch=branch, repo=repo)]


class UnlinkBranch(Record):
    branch: str
    repo: str | None = None

    def decide(self, task: Task, config: Config) -> Decision:
        del config
        if any((link.branch, link.repo) == (self.branch, self.repo) for link in task.branch_links):
            return [BranchUnlinked(branch=self.branch, repo=self.repo)]
        repos = [link.repo for link in task.branch_links if link.branch == self.branch and link.repo]
        where = f" of {self.repo!r}" if self.repo else ""
        raise NotFound(
            f"No branch link {self.branch[:80]!r}{where} on {task.name}.",
            hint=f"It is linked with --repo {repos[0]}." if repos else f"See them: lattice show {task.name}",
        )


def parse_type(text: str) -> str:
    """A type of relationship. Raises ValidationError listing them."""
    return check_choice(text, RELATIONSHIP_TYPES, "relationship type", "types")


def linkable(board: Board, ref: str) -> Task:
    """The task that an edge may lead to: one that is there, and not archived. Raises NotFound."""
    task_id = board.resolve(ref)
    try:
        task = board.store.task(task_id)
    except NotFound:
        raise NotFound(f"Target task {ref} not found.", hint="See what there is: lattice list") from None
    if task.archived:
        raise NotFound(
            f"Target task {task.name} is archived.", hint=f"Bring it back first: lattice unarchive {task.name}"
        )
    return task


def parse_branch(text: str) -> str:
    """The name of a branch that git could have. Raises ValidationError."""
    branch = check_line(text, "branch name", chars_max=BRANCH_CHARS_MAX)
    if _NO_BRANCH.search(branch):
        raise ValidationError(f"git allows no branch of the name {branch!r}.", hint="See yours: git branch --list")
    return branch


def circle(board: Board, task: Task, type_: str) -> list[Task]:
    """The tasks on a circle of this relationship through `task`, from it and back; empty where there is none."""
    if type_ not in ACYCLIC:
        return []
    came_from: dict[str, Task] = {}
    ahead = [task]
    while ahead:
        here = ahead.pop()
        for other in _targets(board, here, type_):
            if other.id == task.id:
                return _path(came_from, task, here)
            if other.id not in came_from:
                came_from[other.id] = here
                ahead.append(other)
    return []


def _path(came_from: dict[str, Task], start: Task, end: Task) -> list[Task]:
    path = [start, end] if end.id != start.id else [start]
    while path[1:] and came_from[path[1].id].id != start.id:
        path.insert(1, came_from[path[1].id])
    return [*path, start]


def _targets(board: Board, task: Task, type_: str) -> Iterator[Task]:
    for edge in task.relationships_out:
        if edge.type == type_:
            try:
                yield board.store.task(edge.target_task_id)
            except LatticeError:
                continue  # It is not there, or damaged: `doctor` names it, and no way leads through it.
