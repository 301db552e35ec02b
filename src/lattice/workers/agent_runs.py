"""What this machine has of an agent's run beside the log: its session, its prompt, and that prompt's file by now."""

from __future__ import annotations

import hashlib
from pathlib import Path

from lattice.commands.board import Board
from lattice.core.record import Record
from lattice.errors import NotFound
from lattice.store.files import disk
from lattice.workers import prompts
from lattice.workers.run_view import RunView, progress_of
from lattice.workers.runs import RunFolder

SAME = "same"
CHANGED = "changed"
GONE = "gone"


class AgentRun(Record):
    """One agent's run, as its folder has it."""

    engine: str
    session_id: str | None  # what the agent called its session; None: it did not say
    resumed: bool  # it went on with the session of another run
    template: str  # the file that its prompt was made from
    template_state: str  # of that file now: same, changed, gone
    prompt: str | None  # where its prompt is kept; None: it is not


def of(board: Board, run_id: str) -> AgentRun | None:
    """What is known here of the run; None where it is no agent's, or its folder is not here."""
    folder = RunFolder(board.folder, run_id)
    spec = folder.spec()
    if spec is None or spec.agent is None:
        return None
    kept = prompts.kept_at(board.folder, spec.agent.prompt_sha256)
    return AgentRun(
        engine=spec.engine,
        session_id=session_of(folder),
        resumed=spec.agent.resumed,
        template=spec.agent.template,
        template_state=_state_of(Path(spec.agent.template), spec.agent.template_sha256),
        prompt=str(kept) if kept.is_file() else None,
    )


def session_of(folder: RunFolder) -> str | None:
    """What the run's agent called its session, as far as it said so."""
    said = (progress_of(folder) or {}).get("session_id")
    return said if isinstance(said, str) else None


def prompt_of(board: Board, run: RunView) -> tuple[Path, str]:
    """The prompt that the run's agent was given, and where it is kept. Raises NotFound."""
    hint = f"lattice worker show {run.run_id}"
    if run.prompt_sha256 is None:
        raise NotFound(f"{run.run_id} has no prompt: it is no agent's run.", hint=hint)
    path = prompts.kept_at(board.folder, run.prompt_sha256)
    data = disk.read(path)
    if data is None:
        raise NotFound(f"The prompt of {run.run_id} is not kept on this machine, or not yet: {path}", hint=hint)
    return path, data.decode("utf-8", "replace")


def _state_of(template: Path, sha256: str) -> str:
    try:
        now = hashlib.sha256(template.read_bytes()).hexdigest()
    except OSError:
        return GONE
    return SAME if now == sha256 else CHANGED
