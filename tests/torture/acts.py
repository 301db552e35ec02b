"""Every command that writes, on boards in every state that a crash leaves: each of its storage calls meets each fault.

As the command line runs it, in a forked process, with the board in memory: what is tried is the order of the
calls, not the disk (`power.py` has that). Afterwards the board is as before, or as after the whole act, and never
as before where the command said that it was done; nor as after where it said that nothing was recorded; the
next commands work; and the doctor breaks down nowhere. The clock and chance of a case are the same for each fault,
so that faults often leave the same board to the byte: that is judged once.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count, product
from pathlib import Path

from lattice.commands.tasks import Comment, CreateTask, change
from lattice.core.record import Record
from lattice.errors import LatticeError
from lattice.store.files.resources import FileResources
from tests.conftest import make_board
from tests.faults import KILLS, Acknowledge, Kind, Outcome, Try, kinds_of, run_with_faults
from tests.torture.arena import Finding, contained
from tests.torture.breaks import BREAKS, put
from tests.torture.corruption import Told, ask
from tests.torture.image import Image
from tests.torture.storage import ANN, TEXT, opened

State = Callable[[Path], None]
Streams = Mapping[str, tuple[bool, tuple[str, ...]]]
MEMORY = Path("/dev/shm")
SETTLED_NS = 100_000_000  # The times of a folder are believed when they are older than a tick or two of the kernel.
CLOCK_NS = 1_000_000  # more than the looks at the clock that a command takes, each of which is a microsecond later
GOLDEN = 0.618034  # its multiples, modulo one, lie far from each other
NOTHING_RECORDED = "STORAGE_ERROR"
MAKING = (
    ("create", "First", "--description", "a board of its own"),
    ("create", "Second"),
    ("create", "Third"),
    ("create", "Fourth"),
    ("comment", "LAT-1", "said"),
    ("react", "LAT-1", "{comment}", "eyes"),
    ("link", "LAT-1", "blocks", "LAT-2"),
    ("branch-link", "LAT-1", "topic"),
    ("archive", "LAT-3"),
    ("resource", "create", "gpu"),
    ("resource", "create", "cpu"),
    ("resource", "acquire", "gpu"),
    ("session", "start", "--name", "Vega", "--model", "m", "--framework", "f"),
)
COMMANDS: Mapping[str, tuple[str, ...]] = {
    "create": ("create", "Another", "--priority", "high"),
    "update": ("update", "LAT-1", "title=Changed", "priority=high", "urgency=high", "description=new"),
    "comment": ("comment", "LAT-1", "said again"),
    "comment-edit": ("comment-edit", "LAT-1", "{comment}", "said otherwise"),
    "comment-delete": ("comment-delete", "LAT-1", "{comment}"),
    "react": ("react", "LAT-1", "{comment}", "rocket"),
    "unreact": ("unreact", "LAT-1", "{comment}", "eyes"),
    "status": ("status", "LAT-1", "in_planning"),
    "assign": ("assign", "LAT-1", "agent:bot"),
    "attach": ("attach", "LAT-1", "report.md", "--role", "review"),
    "link": ("link", "LAT-1", "related_to", "LAT-4"),
    "unlink": ("unlink", "LAT-1", "blocks", "LAT-2"),
    "branch-link": ("branch-link", "LAT-1", "other"),
    "branch-unlink": ("branch-unlink", "LAT-1", "topic"),
    "event": ("event", "LAT-1", "x_built", "--data", '{"ok": true}'),
    "undo": ("undo", "LAT-1", "--yes"),
    "archive": ("archive", "LAT-1"),
    "unarchive": ("unarchive", "LAT-3"),
    "resource create": ("resource", "create", "tpu"),
    "resource acquire": ("resource", "acquire", "cpu"),
    "resource heartbeat": ("resource", "heartbeat", "gpu"),
    "resource release": ("resource", "release", "gpu"),
    "session start": ("session", "start", "--name", "Mira", "--model", "m", "--framework", "f"),
    "session end": ("session", "end", "Vega-1"),
    "rebuild": ("rebuild", "--all"),
    "doctor --fix": ("doctor", "--fix"),
}


class Bench(Record):
    """A board, and the older snapshots of its tasks."""

    root: Path
    comment: str
    earlier: Path

    def words(self, command: Sequence[str]) -> list[str]:
        return [word.format(comment=self.comment) if word == "{comment}" else word for word in command]


def made(folder: Path) -> Bench:
    """The board that every trial has a copy of."""
    (found,) = contained([partial(_make, folder)])
    if found.seen is None:
        raise AssertionError(f"the board cannot be made: {found}")
    return Bench(folder / "board", str(found.seen["comment"]), folder / "earlier")


def _make(folder: Path) -> Finding:
    bench = Bench(folder / "board", "", folder / "earlier")
    make_board(bench.root)
    (bench.root / "report.md").write_bytes(TEXT)
    os.chdir(bench.root)
    for command in MAKING:
        if command[0] == "react":
            shutil.copytree(bench.root / ".lattice" / "tasks", bench.earlier)
            board = opened(bench.root)
            _, events = board.store.history(board.resolve("LAT-1"))
            bench = bench.replace(comment=events[-1].id)
        said = ask(*bench.words(command))
        if said.status:
            raise AssertionError(f"{command}: {said.out}")
    return Finding("acts", "the board is made", True, (), None, {"comment": bench.comment})


def _log(root: Path) -> Path:
    board = opened(root)
    return board.folder / "events" / f"{board.resolve('LAT-1')}.jsonl"


def _torn(root: Path) -> None:
    with _log(root).open("ab") as log:
        log.write(b'{"actor":"human:ann","crc":"12')


def _zeros(root: Path) -> None:
    with _log(root).open("ab") as log:
        log.write(bytes(200))


def _half_an_act(root: Path) -> None:
    """All but the last line of an act, as it would be written; written in a copy, so that nothing here knows of it."""
    copy = root.parent / "copy"
    shutil.copytree(root, copy)
    os.chdir(copy)
    ask("update", "LAT-1", "complexity=high", "type=bug")
    lines = _log(copy).read_bytes().splitlines(keepends=True)
    _log(root).write_bytes(b"".join(lines[:-1]))
    os.chdir(root)
    shutil.rmtree(copy)


def _earlier_snapshots(root: Path) -> None:
    shutil.copytree(root.parent / "earlier", root / ".lattice" / "tasks", dirs_exist_ok=True)


def _nothing_derived(root: Path) -> None:
    for name in ("tasks", "archive/tasks"):
        for path in (root / ".lattice" / name).glob("*.json"):
            path.unlink()
    for name in ("ids.json", "events/_lifecycle.jsonl", "index.sqlite", "index.sqlite-changes"):
        (root / ".lattice" / name).unlink(missing_ok=True)


def _nothing(root: Path) -> None:
    del root


STATES: Mapping[str, State] = {
    "sound": _nothing,
    "a torn tail": _torn,
    "zeros at the tail": _zeros,
    "half an act at the tail": _half_an_act,
    "earlier snapshots": _earlier_snapshots,
    "nothing derived": _nothing_derived,
}


class Case(Record):
    """One command on a board in one state, and which of the faults it is to meet."""

    command: str
    state: str
    share: float = 1.0
    first: float = 0.0  # where in the first of the steps that the share makes

    def __str__(self) -> str:
        return f"{self.command}, {self.state}"


def cases(share: float, first: float, commands: Iterable[str] = COMMANDS) -> Iterator[Case]:
    """Every command on a board in every state."""
    for number, (command, state) in enumerate(product(commands, STATES)):
        yield Case(command, state, share, (first + number * GOLDEN) % 1)


def run_case(case: Case, bench: Bench, folder: Path, broken: Sequence[str] = ()) -> Finding:
    """Each fault, in a copy of the board in memory. Runs in an arena."""
    folder.mkdir()
    os.environ.update(HOME=str(folder), XDG_STATE_HOME=str(folder))
    place = Path(tempfile.mkdtemp(prefix="lattice-torture-", dir=MEMORY if os.access(MEMORY, os.W_OK) else folder))
    for name in broken:
        BREAKS[name]()
    found: list[str] = []
    tried = 0
    try:
        start = bench.replace(root=place / "start" / "board")
        shutil.copytree(bench.root, start.root)
        shutil.copytree(bench.earlier, place / "start" / "earlier")
        STATES[case.state](start.root)
        trial = _Trial(case, start, place)
        for fault, root, wrong in trial.run():
            tried += 1
            if wrong:
                shutil.move(root, folder / root.name)
                found += [f"{fault}: {one}" for one in wrong]
            else:
                shutil.rmtree(root)
    finally:
        os.chdir("/")
        shutil.rmtree(place, ignore_errors=True)
    if not found:
        shutil.rmtree(folder, ignore_errors=True)
    return Finding(
        "acts", f"{case}" + (f" [{folder}]" if found else ""), tried > 0, tuple(found), None, {"faults": tried}
    )


class _Trial:
    """A case, its board as it is before the command, and what was judged of the boards that faults left."""

    def __init__(self, case: Case, start: Bench, place: Path) -> None:
        self._case = case
        self._start = start
        self._place = place
        self._image = Image.of(start.root)  # before anything is derived
        self._before = streams(start.root)
        self._times = {at for *_, at in (*self._image.folders, *self._image.files)}
        self._now_ns = time.time_ns() + SETTLED_NS
        self._pid = os.getpid()
        self._judged: dict[tuple[Image, tuple[int, ...]], list[str]] = {}
        self._examined: set[Image] = set()

    def run(self) -> Iterator[tuple[str, Path, list[str]]]:
        """Each fault, the board that it left, and what is wrong there."""
        warm, root = self._place / "warm", self._place / "whole"
        self._image.lay(warm)
        self._command(warm)  # What it imports is then in this process, before the forks.
        (whole,) = run_with_faults([(self._act(root), 0, "eio")])
        if whole.crash or not whole.acknowledged:
            raise AssertionError(f"{self._case} does not run without a fault: {whole}")
        after = streams(root)
        faults = [(k, kind) for k, name in enumerate(whole.names, 1) for kind in kinds_of(name)]
        some = list(_some(faults, self._case))
        outlived = [(k, kind) for k, kind in some if kind not in KILLS]
        for together in (outlived, *([fault] for fault in some if fault[1] in KILLS)):
            roots = [self._place / f"{k}-{kind.replace(' ', '-')}" for k, kind in together]
            tries: list[Try] = [(self._act(root), k, kind) for root, (k, kind) in zip(roots, together, strict=True)]
            for root, (k, kind), outcome in zip(roots, together, run_with_faults(tries) if tries else [], strict=True):
                dead = outcome.status and kind not in KILLS
                wrong = (
                    [outcome.crash or "it died"] if outcome.crash or dead else self._judge(root, kind, outcome, after)
                )
                yield f"call {k} ({whole.names[k - 1]}), {kind}", root, wrong

    def _act(self, root: Path) -> Callable[[Acknowledge], None]:
        """The command, on a board at `root`, where nothing but the fault is different each time."""
        self._image.lay(root)

        def act(acknowledge: Acknowledge) -> None:
            ns, chances = count(self._now_ns, 1_000), count(1)
            put(time, "time_ns", lambda: next(ns))
            put(os, "urandom", lambda size: next(chances).to_bytes(size))
            put(os, "getpid", lambda: self._pid)
            said = self._command(root)
            if said.broke_down:
                raise AssertionError(said.out)
            acknowledge(said.out if said.status == 0 else f"refused: {said.out}")

        return act

    def _command(self, root: Path) -> Told:
        os.chdir(root)
        return ask(*self._start.words(COMMANDS[self._case.command]))

    def _judge(self, root: Path, kind: Kind, outcome: Outcome, after: Streams) -> list[str]:
        left = Image.of(root).like(lambda at: at in self._times or 0 <= at - self._now_ns < CLOCK_NS)
        allowed = _allowed(outcome)
        if (left, allowed) not in self._judged:
            self._judged[left, allowed] = wrongs(root, outcome, self._before, after)
        wrong = self._judged[left, allowed]
        if kind != "kill after" or left in self._examined:
            return wrong  # The doctor takes as long as all the rest.
        self._examined.add(left)
        os.chdir(root)
        doctor = ask("doctor")
        return [*wrong, f"the doctor broke down: {doctor.out}"] if doctor.broke_down else wrong


def _some(faults: Sequence[tuple[int, Kind]], case: Case) -> Iterator[tuple[int, Kind]]:
    """An even sample."""
    place = case.first / case.share
    while int(place) < len(faults):
        yield faults[int(place)]
        place += 1 / case.share


def streams(root: Path) -> Streams:
    """Each task and resource: whether it is archived, and the types of its events. Raises LatticeError."""
    board = opened(root)
    seen: dict[str, tuple[bool, tuple[str, ...]]] = {}
    for archived in (False, True):
        for task in board.store.tasks(archived=archived):
            folded, events = board.store.history(task.id)
            if folded != task:
                raise AssertionError(f"the snapshot of {task.name} is not what its log adds up to")
            if board.resolve(task.name) != task.id:
                raise AssertionError(f"{task.name} names another task")
            if len({event.id for event in events}) != len(events):
                raise AssertionError(f"an event of {task.name} is there twice")
            if task.id in seen:
                raise AssertionError(f"{task.name} is archived, and is not")
            seen[task.id] = (archived, tuple(event.type for event in events))
    for resource, events in FileResources(board.folder).histories():
        seen[resource.id] = (False, tuple(event.type for event in events))
    return seen


def _allowed(outcome: Outcome) -> tuple[int, ...]:
    """Which of before (0) and after (1) the board may be, by what the command said."""
    said = outcome.acknowledged[0] if outcome.acknowledged else ""
    if said.startswith("refused"):
        return (0,) if NOTHING_RECORDED in said else (0, 1)
    return (1,) if said else (0, 1)


def wrongs(root: Path, outcome: Outcome, before: Streams, after: Streams) -> list[str]:
    """Everything that must not be so after the fault, and after the commands that follow it."""
    try:
        seen = streams(root)
        allowed = [(before, after)[which] for which in _allowed(outcome)]
        said = outcome.acknowledged[:1]
        found = [] if any(_same(seen, one, before) for one in allowed) else [f"neither before nor after: {said} {seen}"]
        board = opened(root)
        kept = next(name for name in ("LAT-1", "LAT-2") if not board.store.task(board.resolve(name)).archived)
        change(board, board.resolve(kept), Comment("next"), ANN)
        CreateTask("Next").run(board, ANN)
        then = streams(root)
        grown = {stream: events for stream, (_, events) in then.items()}
        for stream, (_, events) in seen.items():
            if grown.get(stream, ())[: len(events)] != events:
                found.append(f"{stream} lost events when the next commands were run")
        if sum(map(len, grown.values())) != sum(len(events) for _, events in seen.values()) + 2:
            found.append("the next commands did not add their events")
    except (LatticeError, AssertionError) as wrong:
        return [f"the board cannot be used: {wrong}"]
    return found


def _same(seen: Streams, other: Streams, known: Streams) -> bool:
    """Whether they agree, whatever the ids of what the act made."""
    if any(seen.get(stream) != other.get(stream) for stream in known):
        return False
    made = [sorted(what for stream, what in one.items() if stream not in known) for one in (seen, other)]
    return made[0] == made[1]
