"""The doctor's look at the files beside the logs of tasks: artifacts, free text, strays."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from lattice.core.codec import BadLine, parse
from lattice.core.ids import is_id
from lattice.core.integrity import Finding
from lattice.core.text import how_many
from lattice.store.files.doctor import DRAFT, LogsByFolder, Seen, files_in, is_at_work, names_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

DRAFT_AGE_S = 3600.0
"""A draft of `disk.replace` that is older was left by a writer that died."""

_FROM_GIT = "Restore the file from a backup or from git: git log -- .lattice/"


def strays(board: Path, logs: LogsByFolder, now_s: float) -> Iterator[Finding]:
    """What stands where the board's files do: names that do not belong, what dead writers left, snapshots alone."""
    for place, ours in _NAMES.items():
        ending, home = _ENDINGS.get(place, ("", ""))
        for name in names_in(board / place, but=logs.get(home, frozenset()), ending=ending):
            if name.startswith("."):
                yield from _draft(board, os.path.join(place, name), now_s)
            if ours is not None and not ours(name) and not DRAFT.match(name):
                where = f"{place}/{name}"
                said = f"{where!r} is not named as the board's files are, and nobody reads it"
                yield Finding("malformed_id", "warning", said, None, where, hint="Move it where it belongs")
            if ending == ".json" and _is_snapshot(name):
                yield from _alone(board, home, f"{place}/{name}")
    yield from _torn_ends(board)


def _alone(board: Path, home: str, where: str) -> Iterator[Finding]:
    task_id = os.path.basename(where).removesuffix(".json")
    if (board / home / f"{task_id}.jsonl").exists():
        return  # It came since the logs were listed.
    said = f"{task_id}.json is a snapshot without a log: its log went with a branch, or was lost"
    hint = f"git log --all -- .lattice/events/{task_id}.jsonl"
    yield Finding("orphan_snapshot", "warning", said, task_id, where, "move the snapshot away", "aside", hint)


def look(board: Path, seen: Seen) -> Iterator[Finding]:
    """What belongs to tasks: their artifacts, plans and notes."""
    yield from _artifacts(board, seen)
    texts = seen.tasks.keys() | seen.damaged
    for place in ("plans", "notes", "archive/plans", "archive/notes"):
        for path in files_in(board / place, but=texts, ending=".md"):
            where = f"{place}/{path.name}"
            if path.suffix == ".md" and is_id("task", path.stem) and not is_at_work(board, path.stem, seen):
                said = f"{where} belongs to no task of this board"
                hint = "Its task may be on another branch; nothing that somebody wrote is removed"
                yield Finding("orphan_text", "warning", said, path.stem, where, hint=hint)


def _artifacts(board: Path, seen: Seen) -> Iterator[Finding]:
    described: set[str] = set()
    for path in files_in(board / "artifacts/meta"):
        if path.suffix != ".json" or DRAFT.match(path.name):
            continue
        described.add(path.stem)
        where = f"artifacts/meta/{path.name}"
        findings = list(_json(board, path))
        yield from findings
        # A log that cannot be read may name it, and one whose writer came while we looked.
        if path.stem not in seen.artifacts and not seen.damaged and path.lstat().st_mtime_ns < seen.began_ns:
            said = f"Artifact {path.stem} is attached to no task"
            hint = "It was left by an attach that was cut off, or its task is on another branch"
            yield Finding("orphan_artifact", "warning", said, None, where, hint=hint)
        elif path.stem in seen.artifacts and not findings:
            yield from _payload(board, parse(path.read_bytes()), seen.artifacts[path.stem])
    for artifact_id, task_id in sorted(seen.artifacts.items()):
        if artifact_id not in described:
            said = f"Task {task_id} references non-existent artifact {artifact_id}"
            hint = f"git log --all -- .lattice/artifacts/meta/{artifact_id}.json"
            yield Finding("missing_artifact", "warning", said, task_id, hint=hint)
    for path in files_in(board / "artifacts/payload"):
        if path.stem not in described and not DRAFT.match(path.name):
            where = f"artifacts/payload/{path.name}"
            yield Finding("orphan_artifact", "warning", f"{path.name} is a payload without a description", None, where)


def _payload(board: Path, meta: dict[str, Any], task_id: str) -> Iterator[Finding]:
    payload = meta.get("payload")
    name = payload.get("file") if isinstance(payload, dict) else None
    if not isinstance(payload, dict) or not isinstance(name, str):
        return
    path = board / "artifacts/payload" / os.path.basename(name)
    where = f"artifacts/payload/{path.name}"
    try:
        size = path.lstat().st_size
    except FileNotFoundError:
        if not meta.get("sensitive"):  # Git does not carry those.
            said = f"The file of artifact {meta.get('id')} is missing: {where}"
            yield Finding("missing_artifact", "warning", said, task_id, where, hint=_FROM_GIT)
        return
    expected = payload.get("size_bytes")
    if isinstance(expected, int) and size != expected:
        said = f"The file of artifact {meta.get('id')} has {how_many(size, 'byte')}; {expected} were attached"
        yield Finding("artifact_changed", "warning", said, task_id, where, hint=_FROM_GIT)


def _json(board: Path, path: Path) -> Iterator[Finding]:
    where = str(path.relative_to(board))
    try:
        shape = parse(path.read_bytes())
    except BadLine as off:
        yield Finding("json_parse", "error", f"Invalid JSON in {path.name}: {off}", None, where, hint=_FROM_GIT)
        return
    except OSError as refused:
        yield Finding("unreadable", "error", f"{path.name} cannot be read: {refused.strerror}", None, where)
        return
    if where.startswith("artifacts/") and shape.get("id") != path.stem:
        said = f"{path.name} describes {str(shape.get('id'))[:60]!r}, not the artifact that it is named for"
        yield Finding("malformed_id", "error", said, None, where, hint=_FROM_GIT)


def _torn_ends(board: Path) -> Iterator[Finding]:
    for path in files_in(board / "events" / "torn"):
        where = f"events/torn/{path.name}"
        said = f"{where} is a torn end of a log: {how_many(path.lstat().st_size, 'byte')} that nobody was told of"
        yield Finding("torn_tail", "warning", said, path.name.partition(".")[0], where, "move it away", "aside")


def _draft(board: Path, where: str, now_s: float) -> Iterator[Finding]:
    if DRAFT.match(os.path.basename(where)) and now_s - (board / where).lstat().st_mtime > DRAFT_AGE_S:
        said = f"{where} is the draft of a writer that died"
        yield Finding("leftover", "warning", said, None, where, "move it away", "aside")


def _is_log(name: str) -> bool:
    stem, _, ending = name.partition(".")
    return ending == "jsonl" and (is_id("task", stem) or is_id("res", stem) or stem == "_lifecycle")


def _is_snapshot(name: str) -> bool:
    stem, _, ending = name.partition(".")
    return ending == "json" and is_id("task", stem)


_NAMES: dict[str, Callable[[str], bool] | None] = {
    "": None,
    "events": _is_log,
    "archive/events": _is_log,
    "tasks": _is_snapshot,
    "archive/tasks": None,
    "artifacts/meta": None,
    "artifacts/payload": None,
}
"""The folders of a board where drafts may be left, and which names belong in those that hold nothing else."""

_ENDINGS = {
    "events": (".jsonl", "events"),
    "archive/events": (".jsonl", "archive/events"),
    "tasks": (".json", "events"),
    "archive/tasks": (".json", "archive/events"),
}
"""Where files are called after the tasks that have a log: their ending, and where the logs are."""
