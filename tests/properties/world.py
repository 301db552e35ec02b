"""A board of its own for a property: commands in this process, a clock and ids that repeat, and what lies on disk."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import NamedTuple

import pytest

from lattice.cli.main import main
from lattice.commands.board import SystemSource
from lattice.core.codec import decode
from lattice.core.events import Event, evolve
from lattice.core.task import Task
from tests.cli.conftest import Outcome

BEGAN_MS = 1_767_225_600_000  # 2026-01-01
SECOND_MS = 1_000
HOUR_MS = 3_600 * SECOND_MS
CACHES = ("locks/", "index.sqlite")
Files = Mapping[str, bytes]


class History(NamedTuple):
    """A task's log, read by nothing but the codec, and what it adds up to."""

    task: Task
    events: list[Event]
    archived: bool  # by the folder it lies in


class World:
    """A folder with a board, and a command line in it."""

    now_ms = BEGAN_MS
    drawn = 0

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="lattice-property-"))
        self.board = self.folder / ".lattice"

    def __call__(self, *words: str) -> Outcome:
        """One command, in this process; a second passes before it."""
        World.now_ms += SECOND_MS
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
        here = Path.cwd()
        os.chdir(self.folder)
        try:
            with redirect_stdout(out), redirect_stderr(err):
                status = main(words)
        finally:
            os.chdir(here)
        return Outcome(status, *(stream.buffer.getvalue().decode("utf-8") for stream in (out, err)))

    def files(self) -> dict[str, bytes]:
        """Every file of the board but locks, which hold nothing, and the index, which is asked through `list`."""
        found = {}
        for folder, _, names in os.walk(self.board):
            below = folder[len(str(self.board)) + 1 :]
            for name in names:
                path = f"{below}/{name}" if below else name
                if not path.startswith(CACHES):
                    found[path] = Path(folder, name).read_bytes()
        return found

    def remove(self) -> None:
        shutil.rmtree(self.folder)


@contextmanager
def steady_time() -> Iterator[None]:
    """The product's own source of time and chance gives the same on every run, so that a failure repeats."""

    def now_ms(source: SystemSource) -> int:
        return World.now_ms

    def chance(source: SystemSource) -> int:
        World.drawn += 1
        return World.drawn

    World.now_ms, World.drawn = BEGAN_MS, 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SystemSource, "now_ms", now_ms)
        patch.setattr(SystemSource, "chance", chance)
        yield


def logs(files: Files) -> dict[str, list[bytes]]:
    """The lines of every log, by its stream; a stream has one log alone."""
    found: dict[str, list[bytes]] = {}
    for path, data in files.items():
        folder, _, name = path.rpartition("/")
        if folder in ("events", "archive/events") and name != "_lifecycle.jsonl":
            stream = name.removesuffix(".jsonl")
            assert stream not in found, f"{stream} has two logs"
            assert data.endswith(b"\n"), f"{path} has a torn tail"
            found[stream] = data.splitlines()
    return found


def histories(files: Files) -> dict[str, History]:
    """Every task's history."""
    found = {}
    for stream, lines in logs(files).items():
        if not stream.startswith("task_"):
            continue
        task: Task | None = None
        events = [decode(line) for line in lines]
        for event in events:
            assert stream == event.task_id
            task = evolve(task, event)
        assert task is not None
        found[stream] = History(task, events, f"archive/events/{stream}.jsonl" in files)
    return found
