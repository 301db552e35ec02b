"""What the soak left: everything that must not be so when all is quiet, and how the runs ended."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from lattice.core.run import end_state
from lattice.core.run_events import ProcessCompleted, ProcessFailed, ProcessRequested
from lattice.workers.processes.marks import RUN_MARK
from lattice.workers.runs import all_runs, open_runs
from lattice.workers.worktrees.salvage import SALVAGE_REFS
from tests.torture.crew import TASKS, Crew


def remains(crew: Crew) -> tuple[list[str], Counter[str]]:
    """What is wrong, and the ends by kind. Call it when nothing runs any more."""
    ends: Counter[str] = Counter()
    requested: set[str] = set()
    found: list[str] = []
    board = crew.site.board
    for name in TASKS:
        task, events = board.store.history(board.resolve(name))
        if board.store.task(task.id) != task:
            found.append(f"{name}: the snapshot is not what the log adds up to")
        found += [f"{run.run_id} is still active" for run in task.active_processes]
        bodies = [event.body for event in events]
        asked = [body.run_id for body in bodies if isinstance(body, ProcessRequested)]
        ended = Counter(body.run_id for body in bodies if isinstance(body, (ProcessCompleted, ProcessFailed)))
        found += [f"{ended[run_id]} ends of {run_id}" for run_id in asked if ended[run_id] != 1]
        found += [f"an end of {run_id}, which nobody requested" for run_id in ended.keys() - set(asked)]
        requested |= set(asked)
        for body in bodies:
            if isinstance(body, (ProcessCompleted, ProcessFailed)):
                cause = str((body.cause or {}).get("kind")) if isinstance(body, ProcessFailed) else None
                ends[f"{end_state(cause)}{f' ({cause})' if cause else ''}"] += 1
    found += _folders(crew, requested)
    found += _processes(requested)
    found += _worktrees(crew)
    found += _lost_work(crew)
    found += _doctor(crew.site.root)
    return found, ends


def _folders(crew: Crew, requested: set[str]) -> Iterator[str]:
    board = crew.site.board.folder
    yield from (f"an open marker: {run.run_id}" for run in open_runs(board))
    yield from (f"a draft: {path.name}" for path in (board / "runs").glob(".new-*"))
    for run in all_runs(board):
        if run.run_id not in requested:
            yield f"the folder of a run that was never requested: {run.run_id}"
        if run.alive() or run.waits():
            yield f"{run.run_id} is alive or waits"
        if not run.is_closed():
            yield f"{run.run_id} is not closed"


def _processes(requested: set[str]) -> Iterator[str]:
    """Processes of this machine that carry the mark of one of the runs."""
    marks = {f"{RUN_MARK}={run_id}".encode() for run_id in requested}
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            entries = environ.read_bytes().split(b"\0")
        except OSError:
            continue  # It ended, or is another user's.
        if marks & set(entries):
            yield f"process {environ.parent.name} has the mark of a run"


def _worktrees(crew: Crew) -> Iterator[str]:
    yield from (f"a worktree: {path}" for path in crew.site.folder.glob("state/lattice/worktrees/*/run_*"))
    listed = crew.real_git("worktree", "list", "--porcelain").count("worktree ")
    if listed != 1:
        yield f"git lists {listed - 1} worktrees"
    records = crew.site.root / ".git" / "worktrees"
    yield from (f"git's record of {path.name}" for path in (records.iterdir() if records.is_dir() else ()))


def _lost_work(crew: Crew) -> Iterator[str]:
    """Each commit that a worker noted is under a ref, and each changed file is in the salvage of its run."""
    commits, changed = crew.work_made()
    held = set(crew.real_git("rev-list", "--all").split())
    yield from (f"the commit of {run_id} is under no ref" for run_id, sha in commits.items() if sha not in held)
    refs = dict.fromkeys(crew.real_git("for-each-ref", "--format=%(refname)").split())
    for run_id in sorted(changed):
        aside = list(crew.site.folder.glob(f"state/lattice/worktrees/*/kept/{run_id}/dirty.txt"))
        ref = f"{SALVAGE_REFS}/{run_id}"
        if not aside and (ref not in refs or crew.real_git("show", f"{ref}:dirty.txt").strip() != run_id):
            yield f"the changed file of {run_id} is gone"


def _doctor(root: Path) -> Iterator[str]:
    words = [sys.executable, "-m", "lattice.cli.main", "doctor", "--json"]
    done = subprocess.run(words, cwd=root, capture_output=True, text=True, check=False)
    shape = json.loads(done.stdout)
    if not shape["ok"]:
        yield f"doctor: {shape['error']}"
    else:
        # A snapshot that is behind its log is what a full disk leaves, and believed by nobody: looked at above.
        findings = [one for one in shape["data"]["findings"] if one["check"] != "snapshot_drift"]
        yield from (f"doctor: {finding}" for finding in findings)
