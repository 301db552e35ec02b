"""The store under fire: each storage call of a script of commands is killed, torn, cut short or refused.

After each fault: what was acknowledged is in the log once, what was not is whole or absent, the chain is
whole, the snapshot is what the log adds up to, short ids are unique, and the next commands work.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from lattice.commands.artifacts import Attach, described
from lattice.commands.board import Board, read_config
from lattice.commands.tasks import Assign, ChangeStatus, Comment, CreateTask, Update, change
from lattice.core.events import ArtifactAttached, FieldUpdated, TaskCreated
from lattice.core.record import Record
from lattice.errors import LatticeError
from lattice.ledger import Signature, Written
from tests.conftest import make_board
from tests.faults import KINDS, Acknowledge, Kind, Outcome, kinds_of, run_with_fault
from tests.torture.arena import Finding, forked
from tests.torture.breaks import BREAKS

ANN = Signature("human:ann")
FIELDS = ("title=Changed", "priority=high", "urgency=high", "description=new")
TEXT = b"a report\n"


class Shelf(Record):
    """A board with one task, of which each trial has a copy; `torn`: its log ends in a torn write."""

    folder: Path
    torn: bool

    def make(self) -> None:
        board = make_board(self.folder)
        task = CreateTask("First").run(board, ANN).task
        change(board, task.id, Comment("kept"), ANN)
        (self.folder / "report.md").write_bytes(TEXT)
        if self.torn:
            with (board.folder / "events" / f"{task.id}.jsonl").open("ab") as log:
                log.write(b'{"actor":"human:ann","crc":"12')


class Trial(Record):
    """One fault in the script."""

    k: int
    kind: Kind
    torn: bool

    def __str__(self) -> str:
        return f"call {self.k}: {self.kind}{', behind a torn tail' if self.torn else ''}"


def opened(root: Path) -> Board:
    return Board(root, read_config(root))


def script(root: Path) -> Callable[[Acknowledge], None]:
    """Six commands; each says the ids of its events once it was told that they are kept."""

    def acts(acknowledge: Acknowledge) -> None:
        board = opened(root)
        stream = _first(board)
        steps: tuple[Callable[[], Written], ...] = (
            lambda: change(board, stream, Update(FIELDS), ANN),
            lambda: change(board, stream, Comment("said"), ANN),
            lambda: CreateTask("Second").run(board, ANN),
            lambda: change(board, stream, ChangeStatus("in_planning"), ANN),
            lambda: change(board, stream, Assign("agent:bot"), ANN),
        )
        for step in steps:
            acknowledge(" ".join(event.id for event in step().events))
        attached = Attach(str(root / "report.md")).run(board, stream, ANN)
        acknowledge(str(attached.task.last_event_id))

    return acts


def calls_of(shelf: Shelf, folder: Path) -> tuple[str, ...]:
    """The storage calls that the script makes."""
    shutil.copytree(shelf.folder, folder)
    outcome = run_with_fault(script(folder), 0, "eio")
    shutil.rmtree(folder)
    if outcome.crash or outcome.refused:
        raise AssertionError(f"the script does not run without a fault: {outcome}")
    return outcome.names


def trials(calls: Sequence[str], *, torn: bool) -> Iterator[Trial]:
    """Every call, every kind."""
    for kind in KINDS:
        yield from (Trial(k, kind, torn) for k, name in enumerate(calls, 1) if kind in kinds_of(name))


def run_trial(trial: Trial, shelf: Shelf, folder: Path, broken: Sequence[str] = ()) -> Finding:
    """The trial, in a copy of the shelf that is removed unless something was found. Runs in an arena."""
    for name in broken:
        BREAKS[name]()
    shutil.copytree(shelf.folder, folder)
    outcome = run_with_fault(script(folder), trial.k, trial.kind)
    found = [outcome.crash] if outcome.crash else wrongs(folder, outcome)
    if not found:
        shutil.rmtree(folder)
    return Finding("storage", f"{trial}" + (f" [{folder}]" if found else ""), True, tuple(found))


def wrongs(root: Path, outcome: Outcome) -> list[str]:
    """Everything that must not be so after the fault, and after the commands that follow it."""
    told = [event_id for said in outcome.acknowledged for event_id in said.split(" ")]
    try:
        found = read(root, told)
        board = opened(root)
        stream = _first(board)
        before = len(board.store.history(stream)[1])
        change(board, stream, Comment("next"), ANN)
        CreateTask("Next").run(board, ANN)
        Attach(str(root / "report.md")).run(board, stream, ANN)
        if len(board.store.history(stream)[1]) != before + 2:
            found.append("the next commands did not add their events")
        return found + read(root, told)
    except LatticeError as refused:
        return [f"the board cannot be used: {refused.code}: {refused.message}"]


def read(root: Path, told: Sequence[str], drafts_max: int = 1) -> list[str]:
    """What is off in the files, as a fresh process reads them; a kill may leave a draft. Raises LatticeError."""
    board = opened(root)
    found: list[str] = []
    ids: Counter[str] = Counter()
    names: Counter[str | None] = Counter()
    for task in board.store.tasks():
        folded, events = board.store.history(task.id)
        if folded != task:
            found.append(f"the snapshot of {task.name} is not what its log adds up to")
        ids.update(event.id for event in events)
        names[task.short_id] += 1
        if board.resolve(task.name) != task.id:
            found.append(f"{task.name} names another task")
        if not isinstance(events[0].body, TaskCreated):
            found.append(f"{task.name} does not begin with its creation")
        for event in events:
            if isinstance(event.body, ArtifactAttached) and described(board, event.body.artifact_id) is None:
                found.append(f"{event.body.artifact_id} is attached and not there")
        changed = sum(isinstance(e.body, FieldUpdated) and not e.body.field.startswith("custom_") for e in events)
        if changed not in (0, len(FIELDS)):
            found.append(f"half an act: {changed} of {len(FIELDS)} changes")
    found += [f"{event_id} was acknowledged and is lost" for event_id in told if ids[event_id] == 0]
    found += [f"{event_id} is there {count} times" for event_id, count in ids.items() if count > 1]
    found += [f"{name} names {count} tasks" for name, count in names.items() if name and count > 1]
    drafts = [path.name for path in (root / ".lattice").rglob(".*.tmp")]
    return found + ([f"drafts are left: {drafts}"] if len(drafts) > drafts_max else [])


def _first(board: Board) -> str:
    return next(task.id for task in board.store.tasks())


# --- many at once ---------------------------------------------------------------------------------


def writers(shelf: Shelf, folder: Path, seed: int, operations: int, processes: int = 8) -> Finding:
    """Concurrent writers that are killed at random, until so many events were acknowledged. Runs in an arena.

    The kills are drawn by the seed and paced by acknowledgements; how the kernel interleaves the rest is its own.
    """
    shutil.copytree(shelf.folder, folder)
    chance = random.Random(seed)
    hear, say = os.pipe()

    def write(number: int) -> None:
        mine = random.Random(seed * 1000 + number)
        board = opened(folder)
        streams = [task.id for task in board.store.tasks()]
        while True:
            act = mine.randrange(8)
            if act == 0:
                written = CreateTask(f"Task {number}").run(board, ANN)
            elif act == 1:
                written = change(board, mine.choice(streams), Update((f"custom_fields.n={mine.random()}",)), ANN)
            else:
                written = change(board, mine.choice(streams), Comment(f"from {number}"), ANN)
            os.write(say, "".join(f"{event.id}\n" for event in written.events).encode())

    living = [forked(partial(write, number)) for number in range(processes)]
    told: list[str] = []
    started, kills, kill_at = processes, 0, chance.randrange(5, 40)
    rest = b""
    while len(told) < operations:
        rest += os.read(hear, 1 << 16)
        *lines, rest = rest.split(b"\n")
        told += [line.decode() for line in lines]
        if len(told) >= kill_at:
            kill_at = len(told) + chance.randrange(5, 40)
            victim = chance.randrange(processes)
            os.kill(living[victim], 9)
            os.waitpid(living[victim], 0)
            living[victim] = forked(partial(write, started))
            started, kills = started + 1, kills + 1
    for pid in living:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    os.close(say)
    while more := os.read(hear, 1 << 16):
        rest += more
    told += [line.decode() for line in rest.split(b"\n")[:-1]]
    try:
        found = read(folder, told, drafts_max=kills + processes)
    except LatticeError as refused:
        found = [f"the board cannot be read: {refused.message}"]
    if not found:
        shutil.rmtree(folder)
    seen = {"operations": len(told), "kills": kills}
    return Finding("writers", f"seed {seed}: {json.dumps(seen)}", kills > 0, tuple(found), None, seen)
