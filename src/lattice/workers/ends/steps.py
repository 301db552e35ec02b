"""When a run did what: two small files beside its log, each line a time in milliseconds and a word.

    steps          1795239545123 worktree     what was done by then, each step once
    output.times   1795239546131 20480 512    how long the log was by then, noted at most once a look; of an agent
                                              its stream and its errors

They are for people who look, and nothing is decided by them: what cannot be written is left out.
The engine writes straight to the log, so nobody sees its lines pass: the time of one is known to a look.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from lattice.core.record import Record
from lattice.store.files import disk
from lattice.workers.runs import RunFolder
from lattice.workers.spec import RunSpec

ORDER = (
    "requested", "guard", "worktree", "setup", "spawned", "output", "result", "ended", "swept", "recorded", "removed",
)  # fmt: skip
MEANING = {
    "requested": "it was asked for",
    "guard": "it was supervised",
    "worktree": "its worktree was there",
    "setup": "it was prepared",
    "spawned": "its program was executed",
    "output": "it had written something",
    "result": "it had reported its result",
    "ended": "its program had ended",
    "swept": "no process of it was left",
    "recorded": "its end was on the board",
    "removed": "its worktree was gone",
}


class Step(Record):
    """A step, when it was done, and how long after the one before it."""

    name: str
    at_ms: int
    took_s: float | None


def note(folder: RunFolder, name: str) -> None:
    """Note that a step is done."""
    _append(folder.path / "steps", name)


def grew(folder: RunFolder, *sizes: int) -> None:
    """Note how long the log is; of an agent its stream and its errors."""
    _append(_times_path(folder), " ".join(map(str, sizes)))


def of(folder: RunFolder, spec: RunSpec | None) -> list[Step]:
    """The steps that were done, in the order of their times; a step that was done twice counts as first done."""
    seen: dict[str, int] = {"requested": spec.requested_ms} if spec is not None else {}
    for at_ms, name in _lines(folder.path / "steps"):
        if name in MEANING:
            seen.setdefault(name, at_ms)
    for at_ms, *written in sizes(folder):
        if any(written):
            seen.setdefault("output", at_ms)
            break
    ordered = sorted(seen.items(), key=lambda item: (item[1], ORDER.index(item[0])))
    steps: list[Step] = []
    for name, at_ms in ordered:
        steps.append(Step(name, at_ms, (at_ms - steps[-1].at_ms) / 1000 if steps else None))
    return steps


def offset_at(folder: RunFolder, at_ms: int) -> int:
    """Where in the log what was written from then on begins, as far as it was noted: earlier rather than later."""
    return sizes_at(folder, at_ms)[0]


def sizes_at(folder: RunFolder, at_ms: int) -> tuple[int, int]:
    """As `offset_at`, of an agent's stream and of its errors."""
    found = 0, 0
    for noted_ms, stream, errors in sizes(folder):
        if noted_ms > at_ms:
            break
        found = stream, errors
    return found


def sizes(folder: RunFolder) -> list[tuple[int, int, int]]:
    """When it was noted how long the log was, and how long: an agent's stream, and its errors, else 0."""
    found = []
    for noted_ms, words in _lines(_times_path(folder)):
        first, _, second = words.partition(" ")
        if first.isdecimal():
            found.append((noted_ms, int(first), int(second) if second.isdecimal() else 0))
    return found


def _times_path(folder: RunFolder) -> Path:
    return folder.path / "output.times"


def _append(path: Path, word: str) -> None:
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(descriptor, f"{time.time_ns() // 1_000_000} {word}\n".encode())
        finally:
            os.close(descriptor)


def _lines(path: Path) -> list[tuple[int, str]]:
    """The whole lines; a torn one is none."""
    found = []
    for line in (disk.read(path) or b"").decode("ascii", "replace").splitlines():
        at, _, word = line.partition(" ")
        if at.isdecimal() and word:
            found.append((int(at), word))
    return found
