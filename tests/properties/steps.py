"""What the steps of the board's state machine are made of: words to say, one step, and what is asked after it."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from lattice.core.codec import decode
from lattice.core.config import STATUSES
from lattice.core.events import Event, evolve
from lattice.core.task import Task
from tests.cli.conftest import Outcome
from tests.properties import laws
from tests.properties.world import Files, World, histories, logs


class Long(str):
    """A text of one letter, which does not fill the page when it is shown."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"'{self[0]}' * {len(self)}"


HOSTILE = (
    "", " ", "-", "--force", "two\nlines", "Größe ☃", "../x", "$(id)", "\x1b[31m", "\u202eabc", "a\0b", "\udcff",
    '"', "a,b", "x=y", "none", "@q", Long("x" * 11_000), Long("x" * ((1 << 20) + 1)),
)  # fmt: skip


def mostly(usual: st.SearchStrategy[Any], *rare: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Three times in four the usual; `one_of` would count a strategy that is given twice once."""
    return st.integers(0, 7).flatmap(lambda number: usual if number < 6 else st.one_of(*rare))


TEXT = mostly(st.sampled_from(("plain", "Größe ☃")), st.sampled_from(HOSTILE), st.text(max_size=12))
ACTOR = mostly(st.sampled_from(("agent:bot", "human:bo")), st.sampled_from(("nobody", "none")))
STATUS = st.sampled_from((*STATUSES, "odd"))
NAME = mostly(st.just("gpu"), st.sampled_from(("db", "../x", "")))
YES = st.booleans()
NO_SESSION = "Vega-99"
OWN_TASK = "task_01JD0000000000000000000001"


class Steps(RuleBasedStateMachine):
    """A board with one task, and a command line that is watched."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.seen: Files = {}
        assert 0 == self.world("init", "--project-code", "LAT", "--actor", "human:ann").status
        path = self.world.board / "config.json"
        path.write_text(json.dumps(json.loads(path.read_bytes()) | {"from_the_future": {"kept": [1]}}), "utf-8")
        self.seen = self.world.files()
        self.do("create", "First", writes="task_created")

    def teardown(self) -> None:
        try:
            if self.seen:
                self.comes_back_by_import()
        finally:
            self.world.remove()

    # The board

    def comes_back_by_import(self) -> None:
        """What an export holds makes the same tasks on a new board."""
        path = self.world.folder / "board.json"
        assert 0 == self.world("export", "--to", "json", str(path)).status
        other = World()
        try:
            assert 0 == other("init", "--project-code", "LAT", "--actor", "human:ann").status
            taken = other("import", "--from", "json", str(path), "--json")
            assert 0 == taken.status, taken
            ours, theirs = histories(self.seen), histories(other.files())
            assert {name: laws.plain(it.task) for name, it in ours.items()} == {
                name: laws.plain(it.task) for name, it in theirs.items()
            }
            laws.the_doctor_names_nothing(other)
        finally:
            other.remove()

    # One step

    def do(
        self,
        command: str,
        *args: str,
        writes: str,
        options: tuple[str, ...] = (),
        who: tuple[str, ...] = (),
        partly: bool = False,
    ) -> Outcome:
        """Run it. A refusal leaves no trace; what is accepted appends events as `writes` says, each once."""
        words = (*command.split(), *options, *who, "--json", "--", *args)
        done = self.world(*words)
        assert done.status in (0, 1, 2), done
        assert (done.status == 0) == done.json["ok"]
        now = self.world.files()
        if done.status and not partly:
            assert traces(self.seen) == traces(now), f"a refusal left a trace: {words}"
        else:
            types = " ".join(event.type for event in appended(self.seen, now))
            assert re.fullmatch(writes, types), f"{words} wrote {types}"
        if self.seen.get("config.json") != now["config.json"]:
            assert {"kept": [1]} == json.loads(now["config.json"])["from_the_future"]
        changed = self.seen != now
        self.seen = now
        if changed:
            laws.hold(self.world, now)
            assert now == self.world.files(), "a question changed the board"
        return done

    def shown(self, task: str) -> Any:
        return self.world("show", task, "--json").data

    def history(self, task: str) -> list[Event]:
        """The events of the task of this name; none where there is none."""
        for found in histories(self.seen).values():
            if task == found.task.id or task in laws.short_ids_of(found.events):
                return found.events
        return []


def name_in(made: Outcome) -> str:
    return str(made.data["short_id"] or made.data["id"])


def folded(events: list[Event]) -> Task:
    task: Task | None = None
    for event in events:
        task = evolve(task, event)
    assert task is not None
    return task


def appended(before: Files, now: Files) -> list[Event]:
    """The events that came to the logs. Nothing that stood there has changed."""
    old, new = logs(before), logs(now)
    assert old.keys() <= new.keys(), "a log is gone"
    came = []
    for stream, lines in new.items():
        length = len(old.get(stream, []))
        assert old.get(stream, []) == lines[:length], f"{stream} was rewritten"
        came += [decode(line) for line in lines[length:]]
    return sorted(came, key=lambda event: event.id)


def traces(files: Files) -> dict[str, Any]:
    """The files but for what a look may change.

    That is when a session was last heard of (a refused agent is alive), and the mark by which `ids.json` is fresh.
    """
    kept: dict[str, Any] = dict(files)
    if "ids.json" in files:
        kept["ids.json"] = {key: value for key, value in json.loads(files["ids.json"]).items() if key != "mark"}
    for path in files:
        if path.startswith("sessions/") and path != "sessions/index.json":
            kept[path] = {key: value for key, value in json.loads(files[path]).items() if key != "last_active"}
    return kept


def unmarked(files: Files) -> dict[str, Any]:
    """The files but for the mark in ids.json, which says at which folder times it was right.

    The list of lifecycles is in order of ids where it was rebuilt; an import writes many in one instant, in its own.
    """
    kept: dict[str, Any] = dict(files)
    if "ids.json" in files:
        kept["ids.json"] = {key: value for key, value in json.loads(files["ids.json"]).items() if key != "mark"}
    kept["events/_lifecycle.jsonl"] = sorted(files.get("events/_lifecycle.jsonl", b"").splitlines())
    return kept
