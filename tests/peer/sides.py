"""The two tools as black boxes: the same script given to each on a board of its own."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import lattice

SCRIPT = Path(__file__).with_name("script.txt")
READERS = frozenset({"show", "list", "comments", "stats", "next", "session"})
OURS_ON_DISK = frozenset({"active_processes", "log_mark"})
"""What our snapshots have besides: the earlier tool hands it on in its answers."""
_SOURCES = Path(lattice.__file__).parents[1]
_PREFIXES = {"t": "task", "a": "art", "e": "ev"}


class Step(NamedTuple):
    """One command of the script, and the name under which the event that it writes is known later."""

    line: str
    words: tuple[str, ...]
    kept: str | None


class Answer(NamedTuple):
    """What came of one command on one side."""

    status: int
    code: str | None
    data: Any
    said: str


class Difference(NamedTuple):
    where: str
    theirs: Any
    mine: Any


class Side(NamedTuple):
    """A tool and the folder of its board."""

    command: tuple[str, ...]
    folder: Path
    environ: Mapping[str, str]

    def ask(self, *words: str) -> Answer:
        done = subprocess.run(
            [*self.command, *words],
            cwd=self.folder,
            env=dict(self.environ),
            capture_output=True,
            timeout=60,
            check=False,
        )
        out = done.stdout.decode("utf-8", "replace")
        try:
            said = json.loads(out)
        except ValueError:
            said = {}
        error = said.get("error") or {}
        return Answer(
            done.returncode, error.get("code"), said.get("data"), out + done.stderr.decode("utf-8", "replace")
        )

    def snapshots(self) -> dict[str, dict[str, Any]]:
        """Every task's snapshot as it lies on the disk, archived or not, by id."""
        board = self.folder / ".lattice"
        found = [*board.glob("tasks/*.json"), *board.glob("archive/tasks/*.json")]
        return {path.stem: json.loads(path.read_bytes()) for path in found}


def earlier(command: Path, folder: Path) -> Side:
    # Its package has our name: a PYTHONPATH for ours would give it ours.
    return Side((str(command),), folder, {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")})


def ours(folder: Path) -> Side:
    return Side((sys.executable, "-m", "lattice.cli.main"), folder, os.environ | {"PYTHONPATH": str(_SOURCES)})


def differences(theirs: Any, mine: Any, where: str = "") -> Iterator[Difference]:
    """Where the two differ in what both should say; what we say beside it is free."""
    if isinstance(theirs, dict) and isinstance(mine, dict):
        for key in theirs.keys() - OURS_ON_DISK:
            yield from differences(theirs[key], mine.get(key, "MISSING"), f"{where}.{key}")
    elif isinstance(theirs, list) and isinstance(mine, list) and len(theirs) == len(mine):
        for place, pair in enumerate(zip(theirs, mine, strict=True)):
            yield from differences(*pair, f"{where}[{place}]")
    elif theirs != mine:
        yield Difference(where, theirs, mine)


def steps(text: str) -> Iterator[Step]:
    """The commands of a script; one may go on over lines, inside quotes."""
    waiting = ""
    for line in text.splitlines():
        if not waiting and (not line.strip() or line.startswith("#")):
            continue
        waiting = f"{waiting}\n{line}" if waiting else line
        if waiting.count("'") % 2:
            continue
        command, _, kept = waiting.partition(" => ")
        yield Step(waiting, tuple(shlex.split(command)), kept or None)
        waiting = ""


def begin(side: Side) -> None:
    """Its board, and the file that the script attaches."""
    (side.folder / "note.md").write_text("A note\n", encoding="utf-8")
    begun = side.ask("init", "--path", ".", "--project-code", "LAT", "--actor", "human:ann", "--no-setup-claude")
    assert 0 == begun.status, begun


def play(side: Side, script: Sequence[Step]) -> list[Answer]:
    """Give every command to the side, in order."""
    names: dict[str, str] = {}
    return [_step(side, step, names) for step in script]


def both(left: Side, right: Side, script: Sequence[Step]) -> tuple[list[Answer], list[Answer]]:
    """Play the script on both sides at the same time."""
    with ThreadPoolExecutor(2) as pool:
        playing = [pool.submit(play, side, script) for side in (left, right)]
        return playing[0].result(), playing[1].result()


def _step(side: Side, step: Step, names: dict[str, str]) -> Answer:
    words = [_named(word, names) for word in step.words]
    if words[0] not in READERS and words[:2] != ["resource", "status"] and "--actor" not in words:
        words += ["--actor", "human:ann"]
    answer = side.ask(*words, "--json")
    if step.kept is not None:
        assert 0 == answer.status, (step, answer)
        names[step.kept] = answer.data["last_event_id"]
    return answer


def _named(word: str, names: Mapping[str, str]) -> str:
    found = re.fullmatch(r"\$([a-z])(\d+)", word)
    if found is None:
        return word
    kind, number = found.groups()
    if kind in _PREFIXES:
        return f"{_PREFIXES[kind]}_01KA8Z0000000000000000{int(number):04d}"
    return names[word.removeprefix("$")]
