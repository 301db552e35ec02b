"""The works that are measured, and how each tool is asked for them. What a tool cannot do, it has no line for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
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


def delete_caches(root: Path) -> None:
    """Leave what is true alone: the logs, settings, plans and notes."""
    board = root / ".lattice"
    for folder in (board / "tasks", board / "archive" / "tasks"):
        for path in folder.glob("*.json"):
            path.unlink()
    (board / "ids.json").unlink(missing_ok=True)
    (board / "events" / "_lifecycle.jsonl").unlink(missing_ok=True)
    delete_index(root)


def delete_index(root: Path) -> None:
    for path in (root / ".lattice").glob("index.sqlite*"):
        path.unlink()


def answer(said: str) -> dict[str, object]:
    """The data of a JSON answer of ours."""
    data: dict[str, object] = json.loads(said)["data"]
    return data
