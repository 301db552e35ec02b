"""A task's plan: free text beside the log, `plans/<task_id>.md`."""

from __future__ import annotations

from pathlib import Path

from lattice.commands.board import Board, read_text_file
from lattice.core.record import Record
from lattice.core.task import Task
from lattice.errors import NotFound, ValidationError


class Plan(Record):
    task: Task
    path: Path
    text: str


def plan(board: Board, ref: str) -> Plan:
    """The plan of a task, archived or not. Raises NotFound, ValidationError."""
    task = board.store.task(board.resolve(ref))
    places = [board.folder / "plans" / f"{task.id}.md", board.folder / "archive" / "plans" / f"{task.id}.md"]
    home = places[1] if task.archived else places[0]
    path = next((place for place in (home, *places) if place.exists() or place.is_symlink()), None)
    if path is None:
        raise NotFound(f"No plan file found for task {task.name}.", hint=f"Write one: {home}")
    if not path.is_file() or path.is_symlink():
        raise ValidationError(
            f"The plan of {task.name} is no file of its own: {path}.", hint=f"See what it is: ls -l {path}"
        )
    return Plan(task, path, read_text_file(path, "plan"))
