"""Single decisions of the design, each tried where a wrong one would show: what a listing believes, whether the
doctor reads what it need not, whom the verdict believes, and who gives a slot back."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from lattice.commands.tasks import Comment, CreateTask, change
from lattice.workers.runs import all_runs, open_runs
from tests.conftest import make_board
from tests.torture import corruption
from tests.torture.arena import Finding, forked, settle
from tests.torture.breaks import BREAKS
from tests.torture.hardships import entered, guarded_by, told
from tests.torture.site import ANN, Site, wrongs
from tests.torture.storage import opened
from tests.torture.victims import Victims

BOAST = '{"state": "succeeded", "text": "all is well"}'
BOASTERS = {
    "Boaster": f"cd \"$LATTICE_OUTPUT_DIR\" && echo '{BOAST}' > .result && mv .result result.json",
    "Claimer": '"$PYTHON" -m lattice.cli.main worker complete --result "all is well" > /dev/null',
}
_NARROW = 'read -r _ < "$LATTICE_MAIN_CHECKOUT/gate"\necho done > "$LATTICE_OUTPUT_DIR/review.md"\n'


def decision_site(folder: Path, python: str) -> Site:
    """A site with agents that say what is not so, and with a worker of which one runs at a time."""
    site = Site(folder)
    env: dict[str, object] = {"env": {"set": {"PYTHON": python}}}
    site.make({**{name: (script, env) for name, script in BOASTERS.items()}, "Narrow": (_NARROW, {"max_parallel": 1})})
    CreateTask("Second").run(site.board, ANN)
    return site


def boast(worker: str, template: Site, folder: Path, broken: Sequence[str] = ()) -> Finding:
    """An agent says that it succeeded, and left nothing that it owes. Runs in an arena."""
    site = entered(template, folder)
    os.waitpid(forked(lambda: _start(site, worker, "LAT-1", broken)), 0)
    found = [] if settle() else ["processes that outlive the run"]
    (run,) = all_runs(site.board.folder)
    said = run.result if worker == "Boaster" else run.claim
    met = said.exists()
    found += wrongs(site)
    return told("verdict", f"{worker} boasts", folder, found, met=met)


def slot(template: Site, folder: Path, broken: Sequence[str] = ()) -> Finding:
    """The supervisor of the one run that may go is killed; the run that waits has to get its slot. Runs in an arena."""
    site = entered(template, folder)
    gate = os.open(site.root / "gate", os.O_RDWR)
    for task in ("LAT-1", "LAT-2"):
        os.waitpid(forked(partial(_start, site, "Narrow", task, broken)), 0)
    first, second = all_runs(site.board.folder)
    queued = second.waits()
    os.kill(Victims(site.board.folder).supervisor(first.run_id), signal.SIGKILL)
    os.write(gate, b"\n" * 4)
    found = [] if settle() else ["processes that outlive the runs"]
    os.close(gate)
    found += [f"{run.run_id} still waits" for run in open_runs(site.board.folder) if run.waits()]
    return told("slots", "a supervisor is killed", folder, found or wrongs(site), met=queued)


def gap(folder: Path, broken: Sequence[str] = ()) -> Finding:
    """A task comes as git brings one: its files, and no line in the journal of changes. Runs in an arena."""
    here, there = folder / "here", folder / "there"
    folder.mkdir()
    make_board(here)
    CreateTask("First").run(opened(here), ANN)
    shutil.copytree(here, there)
    made = CreateTask("Second").run(opened(there), ANN).task
    os.chdir(here)
    corruption.ask("list")
    for name in broken:
        BREAKS[name]()
    CreateTask("Third").run(opened(here), ANN)
    corruption.ask("list")
    for kind, path in (("tasks", f"{made.id}.json"), ("events", f"{made.id}.jsonl")):
        shutil.copy(there / ".lattice" / kind / path, here / ".lattice" / kind / path)
    listed = corruption.ask("list")
    found = [] if made.id in listed.out else ["a task that git brought is not in the list"]
    return told("listing", "a gap in the journal", folder, found)


def unread(folder: Path, broken: Sequence[str] = ()) -> Finding:
    """A letter of a log becomes another, its length stays: the doctor has to read the log to see it. In an arena."""
    root = folder / "board"
    folder.mkdir()
    board = make_board(root)
    task = CreateTask("First").run(board, ANN).task
    change(board, task.id, Comment("said so"), ANN)
    change(board, task.id, Comment("and more"), ANN)
    for name in broken:
        BREAKS[name]()
    log = root / ".lattice" / "events" / f"{task.id}.jsonl"
    log.write_bytes(log.read_bytes().replace(b"said so", b"said no"))
    os.chdir(root)
    doctor = corruption.ask("doctor")
    found = [] if corruption.findings(doctor) else ["the doctor names nothing"]
    return told("listing", "a letter that changed", folder, found)


def _start(site: Site, worker: str, task: str, broken: Sequence[str]) -> None:
    guarded_by(broken)
    site.run(worker, task)
