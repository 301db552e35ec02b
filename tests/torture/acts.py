"""Every command that writes, on boards in every state that a crash leaves: each of its storage calls meets each fault.

As the command line runs it, in a forked process, with the board in memory: what is tried is the order of the
calls, not the disk (`power.py` has that). Afterwards the board is as before, or as after the whole act, and never
as before where the command said that it was done; nor as after where it said that nothing was recorded; the
next commands work; and the doctor breaks down nowhere.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path

from lattice.commands.tasks import Comment, CreateTask, change
from lattice.core.record import Record
from lattice.errors import LatticeError
from lattice.store.files.resources import FileResources
from tests.conftest import make_board
from tests.faults import Acknowledge, Kind, Outcome, kinds_of, run_with_fault
from tests.torture.arena import Finding, contained
from tests.torture.breaks import BREAKS
from tests.torture.corruption import ask
from tests.torture.storage import ANN, TEXT, opened

State = Callable[[Path], None]
Streams = Mapping[str, tuple[bool, tuple[str, ...]]]
MEMORY = Path("/dev/shm")
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
    found: list[str] = []
    tried = 0
    try:
        start = bench.replace(root=place / "start" / "board")
        shutil.copytree(bench.root, start.root)
        shutil.copytree(bench.earlier, place / "start" / "earlier")
        STATES[case.state](start.root)
        before, image = streams(start.root), Image.of(start.root)
        after, names = _sound(case, start, image, place / "whole", broken)
        for k, kind in _some([(k, kind) for k, name in enumerate(names, 1) for kind in kinds_of(name)], case):
            root = place / f"{k}-{kind.replace(' ', '-')}"
            outcome = _acted(case, start, image, root, k, kind, broken)
            wrong = [outcome.crash] if outcome.crash else wrongs(root, kind, outcome, before, after)
            tried += 1
            if wrong:
                shutil.move(root, folder / root.name)
                found += [f"call {k} ({names[k - 1]}), {kind}: {one}" for one in wrong]
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


class Image(Record):
    """A folder as it is now, in memory: laying it out again takes a fraction of what copying it does."""

    folders: tuple[tuple[str, int], ...]
    files: tuple[tuple[str, bytes, int, int], ...]

    @classmethod
    def of(cls, folder: Path) -> Image:
        inside = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
        files = [(name, (folder / name).stat()) for name in inside if (folder / name).is_file()]
        return cls(
            tuple((name, (folder / name).stat().st_mtime_ns) for name in inside if (folder / name).is_dir()),
            tuple((name, (folder / name).read_bytes(), stat.st_mode, stat.st_mtime_ns) for name, stat in files),
        )

    def lay(self, folder: Path) -> None:
        folder.mkdir()
        at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for name, _ in self.folders:
                os.mkdir(name, dir_fd=at)
            for name, data, mode, mtime_ns in self.files:
                descriptor = os.open(name, os.O_WRONLY | os.O_CREAT, mode & 0o777, dir_fd=at)
                os.write(descriptor, data)
                os.utime(descriptor, ns=(mtime_ns, mtime_ns))
                os.close(descriptor)
            for name, mtime_ns in self.folders:  # The marks of what is derived say it.
                os.utime(name, ns=(mtime_ns, mtime_ns), dir_fd=at)
        finally:
            os.close(at)


def _some(faults: Sequence[tuple[int, Kind]], case: Case) -> Iterator[tuple[int, Kind]]:
    """An even sample."""
    place = case.first / case.share
    while int(place) < len(faults):
        yield faults[int(place)]
        place += 1 / case.share


def _sound(
    case: Case, start: Bench, image: Image, root: Path, broken: Sequence[str]
) -> tuple[Streams, tuple[str, ...]]:
    """The streams after the command, and its calls, where no fault is met."""
    outcome = _acted(case, start, image, root, 0, "eio", broken)
    if outcome.crash or not outcome.acknowledged:
        raise AssertionError(f"{case} does not run without a fault: {outcome}")
    return streams(root), outcome.names


def _acted(case: Case, start: Bench, image: Image, root: Path, k: int, kind: Kind, broken: Sequence[str]) -> Outcome:
    image.lay(root)

    def act(acknowledge: Acknowledge) -> None:
        os.chdir(root)
        said = ask(*start.words(COMMANDS[case.command]))
        if said.broke_down:
            raise AssertionError(said.out)
        acknowledge(said.out if said.status == 0 else f"refused: {said.out}")

    for name in broken:
        BREAKS[name]()
    return run_with_fault(act, k, kind)


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


def wrongs(root: Path, kind: Kind, outcome: Outcome, before: Streams, after: Streams) -> list[str]:
    """Everything that must not be so after the fault, and after the commands that follow it."""
    said = outcome.acknowledged[0] if outcome.acknowledged else ""
    refused = said.startswith("refused")
    allowed = [before] if refused and NOTHING_RECORDED in said else [after] if said and not refused else [before, after]
    try:
        seen = streams(root)
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
    if kind != "kill after":
        return found  # It is asked once for each call: it takes as long as all the rest.
    os.chdir(root)
    doctor = ask("doctor")
    return found + ([f"the doctor broke down: {doctor.out}"] if doctor.broke_down else [])


def _same(seen: Streams, other: Streams, known: Streams) -> bool:
    """Whether they agree, whatever the ids of what the act made."""
    if any(seen.get(stream) != other.get(stream) for stream in known):
        return False
    made = [sorted(what for stream, what in one.items() if stream not in known) for one in (seen, other)]
    return made[0] == made[1]
