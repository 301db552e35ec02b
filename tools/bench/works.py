"""The works that are measured, and how each tool is asked for them. What a tool cannot do, it has no line for."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tools.bench.boards import ACTOR, OURS, lattice_command, taskwarrior_uuid
from tools.bench.content import RARE
from tools.bench.peers import Peer

Words = Callable[[int], Sequence[str]]
"""What follows a tool's name, by how often it was asked before: a status has to change each time."""

TRACKER, TASK, BACKLOG = "lattice-tracker", "taskwarrior", "backlog.md"
TOOLS = (OURS, TRACKER, TASK, BACKLOG)


class Work(NamedTuple):
    """One thing that people and agents ask of a board."""

    title: str
    words: Mapping[str, Words]


def _always(*words: str) -> Words:
    return lambda _: words


def _move(count: int) -> list[str]:
    to = ("in_progress", "review")[count % 2]
    return ["status", "LAT-3", to, "--force", "--reason", "bench"]


def _signed(words: Words) -> Words:
    return lambda count: [*words(count), "--actor", str(ACTOR)]  # The earlier tool does not read LATTICE_ACTOR.


HOT: Mapping[str, Work] = {
    "show": Work("show", {
        OURS: _always("show", "LAT-1"),
        TRACKER: _always("show", "LAT-1"),
        TASK: _always(taskwarrior_uuid(1), "info"),
        BACKLOG: _always("task", "1", "--plain"),
    }),
    "create": Work("create", {
        OURS: lambda count: ["create", f"Made while measured {count}"],
        TRACKER: _signed(lambda count: ["create", f"Made while measured {count}"]),
        TASK: lambda count: ["add", f"Made while measured {count}"],
        BACKLOG: lambda count: ["task", "create", f"Made while measured {count}", "--plain"],
    }),
    "comment": Work("comment", {
        OURS: lambda count: ["comment", "LAT-2", f"Said while measured {count}"],
        TRACKER: _signed(lambda count: ["comment", "LAT-2", f"Said while measured {count}"]),
        TASK: lambda count: [taskwarrior_uuid(2), "annotate", f"Said while measured {count}"],
        BACKLOG: lambda count: ["task", "edit", "2", "--comment", f"Said while measured {count}", "--plain"],
    }),
    "status": Work("status", {
        OURS: _move,
        TRACKER: _signed(_move),
        TASK: lambda count: [taskwarrior_uuid(3), ("start", "stop")[count % 2]],
        BACKLOG: lambda count: ["task", "edit", "3", "-s", ("In Progress", "To Do")[count % 2], "--plain"],
    }),
    "next": Work("next", {
        OURS: _always("next"),
        TRACKER: _signed(_always("next")),
        TASK: _always("next", "limit:1"),
        BACKLOG: _always("task", "list", "--ready", "--limit", "1", "--plain"),
    }),
    "list20": Work("list --limit 20", {
        OURS: _always("list", "--limit", "20"),
        TRACKER: _always("list"),  # It has no limit.
        TASK: _always("list", "limit:20"),
        BACKLOG: _always("task", "list", "--limit", "20", "--plain"),
    }),
}  # fmt: skip

LIST_JSON = Work("list --json", {
    OURS: _always("list", "--json"),
    TRACKER: _always("list", "--json"),
    TASK: _always("export"),
    BACKLOG: _always("task", "list", "--json"),
})  # fmt: skip
SEARCH = Work("search", {
    OURS: _always("search", RARE),
    TASK: _always(RARE, "list"),
    BACKLOG: _always("search", RARE, "--plain"),
})  # fmt: skip
DOCTOR = Work("doctor", {OURS: _always("doctor"), TRACKER: _always("doctor"), BACKLOG: _always("doctor", "--plain")})
REBUILD = Work("rebuild --all", {OURS: _always("rebuild", "--all"), TRACKER: _always("rebuild", "--all")})


def command(tool: str, peers: Mapping[str, Peer]) -> list[str] | None:
    """The tool's own command; None where it is missing."""
    if tool == OURS:
        return [lattice_command()]
    peer = peers.get(tool)
    return list(peer.command) if peer is not None else None


def take_caches(root: Path) -> None:
    """Take every cache out of a board: leave the logs, settings, plans and notes alone.

    They are moved and not deleted, as `take_index` does it. Some file systems pay for what was deleted when the
    next file is made (ext4 without a journal passes by each inode that was freed within the last minutes), and
    that would be on the clock of whichever tool comes next.
    """
    board = root / ".lattice"
    snapshots = [path for folder in ("tasks", "archive/tasks") for path in (board / folder).glob("*.json")]
    _aside(root, [*snapshots, board / "ids.json", board / "events" / "_lifecycle.jsonl"])
    take_index(root)


def take_index(root: Path) -> None:
    """Take the index out of a board."""
    _aside(root, list((root / ".lattice").glob("index.sqlite*")))


def _aside(root: Path, paths: Iterable[Path]) -> None:
    aside = root.with_name(f"{root.name}-aside")
    aside.mkdir(exist_ok=True)
    folder = aside / str(len(list(aside.iterdir())))
    folder.mkdir()
    for path in paths:
        if path.exists():
            path.rename(folder / path.name)


def answer(said: str) -> dict[str, object]:
    """The data of a JSON answer of ours."""
    data: dict[str, object] = json.loads(said)["data"]
    return data
