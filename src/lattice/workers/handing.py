"""What an agent's run is handed before its engine starts: the task as data, the schema of a review, the prompt."""

from __future__ import annotations

import json
from pathlib import Path

from lattice.commands.board import Board, read_config
from lattice.commands.plans import plan
from lattice.core.reviews.schema import SCHEMA
from lattice.errors import NotFound, ValidationError
from lattice.store.files import disk
from lattice.workers import prompts
from lattice.workers.engines.spec import AgentSpec
from lattice.workers.runs import RunFolder
from lattice.workers.spec import RunSpec


def give(folder: RunFolder, spec: RunSpec) -> None:
    """Write the files of the run's `in/`, and keep its prompt. Raises LatticeError or OSError.

    The task is read now, not when the run was requested: one that waited sees what was said meanwhile.
    """
    agent = spec.agent
    if agent is None:
        return
    root = Path(spec.root)
    board = Board(root, read_config(root))
    task, events = board.store.history(spec.task_id)
    folder.given.mkdir(mode=0o700, exist_ok=True)
    disk.replace(folder.given / prompts.TASK_FILE, _encoded(prompts.task_page(task, events, _plan(board, task.id))))
    disk.replace(folder.given / prompts.SCHEMA_FILE, (json.dumps(SCHEMA, indent=2) + "\n").encode())
    if spec.parent is not None:
        merged = disk.read(RunFolder(board.folder, spec.parent).out / prompts.MERGED_FILE)
        if merged is not None:
            disk.replace(folder.given / prompts.MERGED_FILE, merged)
    prompts.keep(board.folder, rendered(spec, folder, agent), agent.prompt_sha256)


def rendered(spec: RunSpec, folder: RunFolder, agent: AgentSpec) -> str:
    """The run's prompt, made from its file as that is now. Raises OSError, UnicodeDecodeError."""
    template = Path(agent.template).read_bytes().decode("utf-8")  # with its own line ends: its hash has them
    return prompts.render(template, prompts.values_of(values_of(spec, folder), folder))


def _plan(board: Board, task_id: str) -> str | None:
    """The task's plan; None where it has none, or one that is no text."""
    try:
        return plan(board, task_id).text
    except (NotFound, ValidationError):
        return None


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def values_of(spec: RunSpec, folder: RunFolder) -> dict[str, str]:
    """What a run is told of itself, as it was when it was planned."""
    return {
        "short_id": spec.short_id or spec.task_id,
        "task_id": spec.task_id,
        "run_id": spec.run_id,
        "worker": spec.process_type,
        "base_sha": spec.base_sha or "",
        "commit_sha": spec.commit_sha or "",
        "branch": spec.branch or "",
        "worktree": spec.worktree or spec.root,
        "repo": spec.repo_top or spec.root,
        "output_dir": str(folder.out),
    }
