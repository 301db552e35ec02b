"""A new board."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lattice.commands.board import FOLDER, SystemSource, read_config
from lattice.core.actors import parse_actor
from lattice.core.config import Config, new_config
from lattice.core.ids import next_id, parse_project_code
from lattice.core.record import Record
from lattice.core.text import check_line
from lattice.errors import StorageError, ValidationError
from lattice.store.files import disk

FOLDERS = (
    "tasks", "events", "artifacts/meta", "artifacts/payload", "plans", "notes", "locks", "runs", "resources",
    "sessions", "archive/tasks", "archive/events", "archive/plans", "archive/notes",
)  # fmt: skip

GITIGNORE = """\
# Derived from events/, or of this machine alone: git carries what is true everywhere.
/tasks/
/archive/tasks/
/ids.json
/index.sqlite*
/events/_lifecycle.jsonl
/events/torn/
/locks/
/runs/
/doctor/
/resources/*/resource.json
.*.tmp
"""

GITATTRIBUTES = """\
# Two branches' events merge without conflict; the order is that of their ids.
events/*.jsonl merge=union
archive/events/*.jsonl merge=union
"""

CONTEXT = """\
# About this board

<!-- For whoever, person or agent, comes to this board for the first time. -->

## Purpose

## Conventions
"""


class Init(Record):
    """What a new board is told about itself."""

    path: Path
    actor: str | None = None
    project_code: str | None = None
    subproject_code: str | None = None
    project_name: str | None = None
    instance_name: str | None = None
    model: str | None = None
    heartbeat: bool | None = None
    description: str | None = None

    def run(self) -> tuple[Config, bool]:
        """Make the board, unless there is one. Returns its settings, and whether it was made.

        `config.json` is written last: a folder without it is no board yet, and `init` finishes it.
        Raises ValidationError, InvalidActor, InvalidId, StorageError; then nothing was made.
        """
        if not self.path.is_dir():
            raise ValidationError(f"{str(self.path)!r} is not a folder.", hint="Make it first, or leave --path out.")
        folder = self.path / FOLDER
        if (folder / "config.json").exists():
            return read_config(self.path), False
        settings = self._settings()
        try:
            for name in FOLDERS:
                (folder / name).mkdir(parents=True, exist_ok=True)
            _write_new(folder / ".gitignore", GITIGNORE)
            _write_new(folder / ".gitattributes", GITATTRIBUTES)
            _write_new(folder / "context.md", CONTEXT)
            _write_new(folder / "events" / "_lifecycle.jsonl", "")
            text = json.dumps(settings, sort_keys=True, indent=2) + "\n"
            disk.replace(folder / "config.json", text.encode(), durable=True)
        except OSError as refused:
            said = f"The board could not be made in {folder}: {refused.strerror}."
            raise StorageError(said, hint=f"See what is there: ls -ld {folder}") from refused
        return read_config(self.path), True

    def _settings(self) -> dict[str, Any]:
        source = SystemSource()
        texts = {
            "project_name": self.project_name,
            "instance_name": self.instance_name,
            "model": self.model,
            "description": self.description,
        }
        checked = {key: check_line(text, key.replace("_", " ")) for key, text in texts.items() if text is not None}
        return new_config(
            instance_id=next_id("inst", source.now_ms(), source.chance(), None),
            project_code=parse_project_code(self.project_code) if self.project_code else None,
            subproject_code=parse_project_code(self.subproject_code) if self.subproject_code else None,
            default_actor=parse_actor(self.actor) if self.actor else None,
            heartbeat={"enabled": self.heartbeat} if self.heartbeat is not None else None,
            **checked,
        )


def _write_new(path: Path, text: str) -> None:
    if not path.exists():
        path.write_text(text, encoding="utf-8")
