"""The boards: made once for each size and tool, kept in the cache, and copied for each run."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from lattice.core.actors import Actor
from lattice.core.codec import encode
from lattice.core.events import CommentAdded, Event, RelationshipAdded, StatusChanged, TaskCreated, TaskEvent
from lattice.core.ids import ulid
from lattice.ledger import timestamp
from tools.bench import content as contents
from tools.bench.content import Content, content
from tools.bench.measure import Failed, shown
from tools.bench.peers import Peer

ACTOR: Actor = "human:bench"
OURS = "lattice"
DOCTOR_TASKS_MAX = 10_000
"""Up to here a new board is looked through by the doctor; beyond, the same generator made it."""

_SOURCE = Path(__file__).parent
_DERIVED = ("tasks", "archive", "locks", "runs", "sessions", "resources")


class Boards:
    """The boards below one folder. `env` is what their tools run in."""

    def __init__(self, cache: Path, peers: Mapping[str, Peer], env: Mapping[str, str]) -> None:
        made_by = b"".join((_SOURCE / name).read_bytes() for name in ("boards.py", "content.py"))
        self._folder = cache / "boards" / hashlib.sha256(made_by).hexdigest()[:12]
        self._peers = peers
        self._env = env

    def copy(self, tool: str, size: int, to: Path) -> Path:
        """A board of this tool, to do anything with. Raises Failed."""
        kept = self._kept(tool, size)
        to.parent.mkdir(parents=True, exist_ok=True)
        _run(["cp", "-Rp", str(kept), str(to)], cwd=to.parent, env=self._env)  # -p: an index believes its files' times
        return to

    def _kept(self, tool: str, size: int) -> Path:
        folder = self._folder / str(size) / tool
        if not folder.exists():
            for older in self._folder.parent.glob("*"):
                if older != self._folder:
                    shutil.rmtree(older)  # What an earlier generator made is of no use to this one.
            draft = folder.with_name(f"{tool}.draft")
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir(parents=True)
            _MAKERS[tool](self, draft, size)
            draft.rename(folder)
        if tool == OURS:
            self._derive(folder)
        return folder

    def _derive(self, folder: Path) -> None:
        """Have this version of the product derive the board's caches, unless it did so before."""
        sources = sorted((Path(sys.modules["lattice"].__path__[0])).rglob("*.py"))
        digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
        mark = folder / "derived-by"
        if not mark.exists() or mark.read_text() != digest:
            _run([lattice_command(), "rebuild", "--all"], cwd=folder, env=self._env)
            _run([lattice_command(), "search", contents.RARE], cwd=folder, env=self._env)  # fills the index
            mark.write_text(digest)

    # One maker for each tool: given an empty folder, it leaves a board of `size` tasks there.

    def _make_ours(self, folder: Path, size: int) -> None:
        make_ours(folder, size, self._env)

    def _make_tracker(self, folder: Path, size: int) -> None:
        """The very same logs and settings; everything derived is its own."""
        ours = self._kept(OURS, size) / ".lattice"
        theirs = folder / ".lattice"
        shutil.copytree(ours, theirs, ignore=lambda at, names: [
            name for name in names
            if Path(at) == ours and (name in _DERIVED or name.startswith("index.sqlite"))
        ])  # fmt: skip
        for name in ("tasks", "archive/tasks", "archive/events", "archive/plans", "archive/notes", "locks"):
            (theirs / name).mkdir(parents=True, exist_ok=True)
        _run([*self._peers["lattice-tracker"].command, "rebuild", "--all"], cwd=folder, env=self._env)

    def _make_taskwarrior(self, folder: Path, size: int) -> None:
        rows = [_for_taskwarrior(content(number)) for number in range(1, size + 1)]
        (folder / "import.json").write_text(json.dumps(rows))
        (folder / "taskrc").write_text("confirmation=no\n")
        command = self._peers["taskwarrior"].command
        env = {**self._env, "TASKRC": "taskrc", "TASKDATA": "data"}
        (folder / "data").mkdir()
        _run([*command, "import", "import.json"], cwd=folder, env=env)

    def _make_backlog(self, folder: Path, size: int) -> None:
        command = self._peers["backlog.md"].command
        _run([*command, "init", "bench", "--defaults", "--no-git", "--agent-instructions", "none"], cwd=folder,
             env=self._env)  # fmt: skip
        tasks = folder / "backlog" / "tasks"
        tasks.mkdir(parents=True, exist_ok=True)
        for number in range(1, size + 1):
            one = content(number)
            (tasks / f"task-{number} - {one.title.replace(' ', '-')}.md").write_text(_for_backlog(one))


_MAKERS: dict[str, Callable[[Boards, Path, int], None]] = {
    OURS: Boards._make_ours,
    "lattice-tracker": Boards._make_tracker,
    "taskwarrior": Boards._make_taskwarrior,
    "backlog.md": Boards._make_backlog,
}


def make_ours(folder: Path, size: int, env: Mapping[str, str]) -> None:
    """Make a board of ours in a folder: the logs as files, everything derived by the product itself. Raises Failed."""
    _run([lattice_command(), "init", "--project-code", "LAT", "--actor", str(ACTOR)], cwd=folder, env=env)
    events = folder / ".lattice" / "events"
    for number in range(1, size + 1):
        lines = b"".join(encode(event) for event in history(content(number)))
        (events / f"{task_id(number)}.jsonl").write_bytes(lines)
    _run([lattice_command(), "rebuild", "--all"], cwd=folder, env=env)
    if size <= DOCTOR_TASKS_MAX:
        _run([lattice_command(), "doctor"], cwd=folder, env=env)


def lattice_command() -> str:
    """The installed command beside this interpreter: what a person types, script wrapper included."""
    script = Path(sys.executable).parent / "lattice"
    if not script.exists():
        raise Failed(f"lattice is not installed beside {sys.executable}; `make setup` installs it")
    return str(script)


def task_id(number: int) -> str:
    """The id of the task of this number."""
    return f"task_{ulid(contents.created_ms(number), random.Random(-number).getrandbits(80))}"


def history(one: Content) -> list[Event]:
    """The task as the events that led to it, chained as the product chains them."""
    stream, dice = task_id(one.number), random.Random(one.title)
    events: list[Event] = []
    for second, body in enumerate(_bodies(one)):
        ms = one.created_ms + 1000 * second
        prev = events[-1].id if events else None
        event_id = f"ev_{ulid(ms, dice.getrandbits(80))}"
        events.append(Event(event_id, timestamp(ms), stream, ACTOR, body, None, None, None, prev))
    return events


def append_comment(root: Path, number: int) -> None:
    """Add an event to a log that is as it was made: what another clone's commit brings."""
    last = history(content(number))[-1]
    dice = random.Random(last.id)
    event_id = f"ev_{ulid(content(number).created_ms + 1_000_000_000, dice.getrandbits(80))}"
    said = CommentAdded(body="Said in another clone")
    event = Event(event_id, last.ts, last.task_id, ACTOR, said, None, None, None, last.id)
    with (root / ".lattice" / "events" / f"{last.task_id}.jsonl").open("ab") as log:
        log.write(encode(event))


def _bodies(one: Content) -> Iterator[TaskEvent]:
    yield TaskCreated(
        title=one.title,
        status="backlog",
        type="task",
        priority=one.priority,
        short_id=f"LAT-{one.number}",
        description=one.description,
        tags=one.tags or None,
    )
    if one.waits_for is not None:
        yield RelationshipAdded(type="depends_on", target_task_id=task_id(one.waits_for))
    for body in one.comments:
        yield CommentAdded(body=body)
    at = "backlog"
    for to in one.moves:
        yield StatusChanged(from_=at, to=to)
        at = to


def taskwarrior_uuid(number: int) -> str:
    """The same task's id on Taskwarrior's board."""
    return f"00000000-0000-4000-8000-{number:012d}"


def _for_taskwarrior(one: Content) -> dict[str, object]:
    row: dict[str, object] = {
        "uuid": taskwarrior_uuid(one.number),
        "description": one.title,
        "status": "completed" if one.status == "done" else "pending",
        "entry": _stamp(one.created_ms),
        "priority": one.priority[0].upper(),
        "tags": list(one.tags),
        "annotations": [
            {"entry": _stamp(one.created_ms + 1000 * (second + 1)), "description": text}
            for second, text in enumerate((one.description, *one.comments))
        ],
    }
    if one.status == "done":
        row["end"] = _stamp(one.created_ms + 60_000)
    if one.waits_for is not None:
        row["depends"] = [taskwarrior_uuid(one.waits_for)]
    return row


def _stamp(ms: int) -> str:
    return timestamp(ms).replace("-", "").replace(":", "")


def _for_backlog(one: Content) -> str:
    day = timestamp(one.created_ms)[:16].replace("T", " ")
    status = {"done": "Done", "in_progress": "In Progress", "review": "In Progress"}.get(one.status, "To Do")
    lists = [("labels", one.tags), ("dependencies", (f"TASK-{one.waits_for}",) if one.waits_for else ())]
    head = ["---", f"id: TASK-{one.number}", f"title: {one.title}", f"status: {status}", "assignee: []",
            f"created_date: '{day}'"]  # fmt: skip
    for name, values in lists:
        head += [f"{name}:", *(f"  - {value}" for value in values)] if values else [f"{name}: []"]
    head += [f"priority: {one.priority}", f"ordinal: {one.number * 1000}", "---", "", "## Description", ""]
    body = ["<!-- SECTION:DESCRIPTION:BEGIN -->", one.description, "<!-- SECTION:DESCRIPTION:END -->", ""]
    talk = ["## Implementation Notes", "", "<!-- SECTION:NOTES:BEGIN -->", *one.comments, "<!-- SECTION:NOTES:END -->"]
    return "\n".join([*head, *body, *talk, ""])


def _run(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> None:
    ran = subprocess.run(
        argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
    )
    if ran.returncode:
        raise Failed(f"{shown(argv)} exited with {ran.returncode}\n{(ran.stderr or ran.stdout).strip()[-2000:]}")


def environment(home: Path) -> dict[str, str]:
    """What every tool runs in: a home of its own, and nothing of Python's that changes what a start costs."""
    home.mkdir(parents=True, exist_ok=True)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "LATTICE_ACTOR": str(ACTOR),
        "TASKRC": "taskrc",
        "TASKDATA": "data",
        "GIT_CONFIG_NOSYSTEM": "1",
    }
