"""A file of a board goes bad, by bytes and by lines; and what commands, the doctor and a rebuild then say.

After each damage: no command breaks down; what the doctor does not name changes no answer; an answer that lacks
a task whose log is there names it, and is right but for that; what is derived gives the right answers at once;
and neither `doctor --fix` nor `rebuild` loses an event.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lattice.cli.main import main
from lattice.core.record import Record
from tests.torture.arena import Finding, settle
from tests.torture.damage import Damage
from tests.torture.site import Site

DAMAGES_A_TRIAL = 64
LOGS = ("events/task_", "events/res_", "archive/events/task_")
INDEX = "index.sqlite"
DERIVED = (
    "tasks/", "archive/tasks/", "ids.json", "events/_lifecycle.jsonl", INDEX, "resources/",
    "sessions/index.json",
)  # fmt: skip
QUESTIONS: tuple[tuple[str, ...], ...] = (
    ("list",), ("list", "--include-archived"), ("show", "LAT-1"), ("show", "LAT-2"), ("show", "LAT-3"),
    ("search", "needle"), ("next",), ("resource", "list"), ("session", "list"), ("worker", "ps"),
)  # fmt: skip
NEXT = ("next",)
LISTINGS = (("list",), ("list", "--include-archived"), ("search", "needle"), NEXT)
MAKING = (
    ("create", "Second", "--description", "a needle in a haystack"),
    ("create", "Third"),
    ("comment", "LAT-2", "said so very plainly"),
    ("link", "LAT-2", "blocks", "LAT-1"),
    ("attach", "LAT-2", "report.md", "--role", "review"),
    ("archive", "LAT-3"),
    ("resource", "create", "gpu", "--ttl", "8640000"),
    ("resource", "acquire", "gpu"),
    ("session", "start", "--name", "Vega", "--model", "m", "--framework", "f"),
    ("session", "start", "--name", "Mira", "--model", "m", "--framework", "f"),
    ("session", "end", "Mira-1"),
    ("worker", "run", "Quick", "LAT-1", "--wait"),
    ("list",),
)


class Told(Record):
    """The exit status of a command, and what it said as JSON."""

    status: int
    out: str

    @property
    def broke_down(self) -> bool:
        return "INTERNAL_ERROR" in self.out or "Traceback" in self.out


class Trial(Record):
    """What befalls one file, below `.lattice/`, one after the other; each time all others are sound."""

    path: str
    damages: tuple[Damage, ...]

    def __str__(self) -> str:
        return f"{self.path}: {self.damages[0]} to {self.damages[-1]}"


def make(site: Site) -> Finding:
    """A board with something of everything, in a repository with a worker that ran. Runs in an arena."""
    site.folder.mkdir(parents=True, exist_ok=True)
    (site.folder / "state").mkdir(mode=0o700, exist_ok=True)
    site.make()
    _enter(site)
    (site.root / "report.md").write_text("a report\n", encoding="utf-8")
    said = [(words, ask(*words)) for words in MAKING]
    settle()
    wrong = tuple(f"{' '.join(words)}: {told.out}" for words, told in said if told.status or told.broke_down)
    return Finding("corruption", "the board is made", True, wrong)


def files(site: Site) -> dict[str, bytes]:
    """Every file of the board, by its path below `.lattice/`."""
    return _files(site.root / ".lattice")


def parts(trial: Trial) -> Iterator[Trial]:
    """The trial in pieces that take some seconds each."""
    for start in range(0, len(trial.damages), DAMAGES_A_TRIAL):
        yield trial.replace(damages=trial.damages[start : start + DAMAGES_A_TRIAL])


def run_trial(trial: Trial, template: Site, folder: Path) -> Finding:
    """The damages, one by one, in a copy of the template that is removed. Runs in an arena."""
    folder.mkdir()
    site = Site(folder)
    # Named pipes are no files: the gate of a worker, and what is left of a run's stop requests. And a board need not
    # be in a repository: what git would be asked takes longer than all the rest.
    shutil.copytree(template.root, site.root, ignore=shutil.ignore_patterns("gate", "control", ".git"))
    (folder / "state").mkdir(mode=0o700)
    _enter(site)
    board = site.root / ".lattice"
    pristine = _files(board)
    truth = {words: ask(*words) for words in QUESTIONS}
    sound = ask("doctor")
    found = [f"before any damage: {words}: {told.out}" for words, told in truth.items() if told.status]
    found += [f"before any damage: {finding}" for finding in findings(sound)]
    hurt = 0
    for damage in trial.damages:
        _restore(board, pristine)
        bad = damage.of(pristine[trial.path])
        if bad == pristine[trial.path]:
            continue
        hurt += 1
        if bad is None:
            (board / trial.path).unlink()
        else:
            (board / trial.path).write_bytes(bad)
        found += [f"{damage}: {wrong}" for wrong in _wrongs(board, trial.path, bad or b"", truth, pristine)]
    shutil.rmtree(folder, ignore_errors=True)
    return Finding("corruption", str(trial), hurt > 0, tuple(found), None, {"faults": hurt})


def _wrongs(
    board: Path, path: str, bad: bytes, truth: Mapping[tuple[str, ...], Told], pristine: Mapping[str, bytes]
) -> Iterator[str]:
    doctor = ask("doctor")
    answers = {words: ask(*words) for words in QUESTIONS}
    other = [words for words, told in answers.items() if told != truth[words]]
    named = doctor.status != 0 or bool(findings(doctor))
    if path.startswith(DERIVED):
        # What leads a search to a task has no sum: a hit may be missing, and the doctor knows.
        lies = [words for words in other if not (path == INDEX and words[0] == "search" and named)]
        yield from (f"{' '.join(words)} is wrong: {answers[words].out[:300]}" for words in lies)
    elif path.startswith(LOGS):
        lies = [words for words in other if answers[words].status == 0 and not named]
        yield from (f"{' '.join(words)} is wrong and nothing is named" for words in lies)
        task_id = Path(path).stem
        if task_id.startswith("task_") and (board / path).exists():
            for words in LISTINGS:
                yield from _lacks(words, truth[words], answers[words], task_id)
    fixed, rebuilt = ask("doctor", "--fix"), ask("rebuild", "--all")
    for what, told in (("doctor", doctor), ("doctor --fix", fixed), ("rebuild", rebuilt), *answers.items()):
        if told.broke_down:
            yield f"{what} broke down: {told.out[:300]}"
    yield from _lost(board, path, bad, pristine)
    if path.startswith(DERIVED):
        yield from (f"{' '.join(words)} is wrong after the mend" for words in QUESTIONS if ask(*words) != truth[words])


def _lacks(words: tuple[str, ...], truth: Told, told: Told, task_id: str) -> Iterator[str]:
    """What is off in a listing when the log of one task was hit: anything of the others, and what it does not name."""
    if told.status != 0:
        return  # a named error, or the breakdown that is told of anyway
    had, has, named = _tasks(truth.out), _tasks(told.out), warnings(told)
    if task_id in had and task_id not in has and not any(task_id in warning for warning in named):
        yield f"{' '.join(words)} lacks {task_id} and does not name it"
    if not all("lattice doctor" in warning for warning in named):
        yield f"{' '.join(words)} does not say what to do: {named}"
    if words == NEXT and task_id in had:
        return  # Which one follows it is not for this to know.
    if {**had, task_id: None} != {**has, task_id: None}:
        yield f"{' '.join(words)} is wrong of other tasks than {task_id}: {told.out[:300]}"


def _tasks(out: str) -> dict[str, object]:
    """The tasks of a listing, by id."""
    data = json.loads(out)["data"]
    return {task["id"]: task for task in (data if isinstance(data, list) else [data] if data else [])}


def warnings(told: Told) -> Sequence[str]:
    """What an answer says beside its data."""
    return list(json.loads(told.out).get("warnings", ()))


def _lost(board: Path, path: str, bad: bytes, pristine: Mapping[str, bytes]) -> Iterator[str]:
    """Lines of logs that are nowhere any more; for the log that was hit, what is left of it."""
    left = _files(board)
    lines = {line for name, data in left.items() if name.startswith(LOGS) for line in data.split(b"\n")}
    for name, data in pristine.items():
        if name.startswith(LOGS) and name != path and not lines >= set(data.split(b"\n")):
            yield f"a line of {name} is lost"
    if path.startswith(LOGS):
        rest = b"".join(data for name, data in left.items() if name.startswith(("events/torn/", "doctor/")))
        kept = left.get(path, b"")
        if kept != bad and not (bad.startswith(kept) and bad.removeprefix(kept) in rest):
            yield f"{path} is not what it was, and nothing is kept of it"


def ask(*words: str) -> Told:
    """The command in this process, as JSON."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.TextIOWrapper(io.BytesIO())):
        status = main([*words, "--json"])
    out.flush()
    raw = out.buffer
    assert isinstance(raw, io.BytesIO)
    return Told(status, raw.getvalue().decode("utf-8"))


def findings(doctor: Told) -> Sequence[object]:
    """What the doctor named."""
    shape = json.loads(doctor.out)
    return list(shape["data"]["findings"]) if shape["ok"] else [shape["error"]]


def _enter(site: Site) -> None:
    os.environ.update(HOME=str(site.folder), XDG_STATE_HOME=str(site.folder / "state"))
    os.chdir(site.root)


def _files(board: Path) -> dict[str, bytes]:
    found = {}
    for folder, folders, names in os.walk(board):
        folders[:] = [name for name in folders if name != "locks"]
        for name in names:
            path = Path(folder, name)
            if path.is_file():  # and not a pipe
                found[os.path.relpath(path, board)] = path.read_bytes()
    return found


def _restore(board: Path, pristine: Mapping[str, bytes]) -> None:
    now = _files(board)
    for name in now.keys() - pristine.keys():
        (board / name).unlink()
    for name, data in pristine.items():
        if now.get(name) != data:
            (board / name).parent.mkdir(parents=True, exist_ok=True)
            (board / name).write_bytes(data)
