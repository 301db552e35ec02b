"""A repository with a board and workers for runs under fire, and everything that must be true of it afterwards."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from lattice.commands.board import Board, read_config
from lattice.commands.tasks import CreateTask
from lattice.core.record import Record
from lattice.core.run_events import ProcessCompleted, ProcessFailed, ProcessRequested, ProcessStarted
from lattice.core.task import Task
from lattice.errors import LatticeError
from lattice.ledger import Signature
from lattice.workers import launch, preflight, standby
from lattice.workers.processes.marks import marked
from lattice.workers.runs import RunFolder, all_runs, open_runs
from lattice.workers.worktrees import salvage, worktree
from lattice.workers.worktrees.git import Repository
from tests.conftest import git, make_board

ANN = Signature("human:ann")
TASK = "LAT-1"
DRAFTS_MAX = 2  # one for each process that was killed while it wrote a file
REVIEW = "done\n"

SCRIPTS = {
    "Quick": 'echo done > "$LATTICE_OUTPUT_DIR/review.md"',
    # A daemon in a session of its own, deaf to what asks politely; and a change that nobody committed.
    "Busy": (
        "setsid sh -c 'trap \"\" TERM INT HUP; while :; do sleep 600; done' >/dev/null 2>&1 </dev/null &\n"
        'echo change > changed.txt\necho done > "$LATTICE_OUTPUT_DIR/review.md"'
    ),
    "Gated": 'read -r _ < "$LATTICE_MAIN_CHECKOUT/gate"\necho done > "$LATTICE_OUTPUT_DIR/review.md"',
}
COMMITTED = (
    'echo "$LATTICE_RUN_ID" > work.txt\ngit add work.txt\n'
    'git -c user.name=A -c user.email=a@b commit --quiet --message "$LATTICE_RUN_ID"\n'
    'echo done > "$LATTICE_OUTPUT_DIR/review.md"'
)
PLAIN: dict[str, tuple[str, Mapping[str, object]]] = {
    **{name: (script, {}) for name, script in SCRIPTS.items()},
    "Coder": (COMMITTED, {"branch": "lattice/{short_id}/{run}"}),
    "Prepared": (
        'test "$(cat deps/made)" = made && echo done > "$LATTICE_OUTPUT_DIR/review.md"',
        {
            "setup": {
                "run": [["sh", "-c", "mkdir -p deps && echo made > deps/made"]],
                "cache": ["deps"],
                "key": ["workers/prepared.sh"],
            }
        },
    ),
}


class Site(Record):
    """A repository with a board and workers, of which each trial has a copy."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "repo"

    @property
    def trace(self) -> Path:
        return self.folder / "trace"

    @property
    def board(self) -> Board:
        """As a process that starts now opens it."""
        return Board(self.root, read_config(self.root))

    def run(self, worker: str, task: str = TASK) -> None:
        """Start a run as `worker run` does: its guard is begun before it is planned. Raises LatticeError."""
        board = self.board
        with standby.begun(board.root, board.ledger.new_id("run")) as guard:
            plan = preflight.plan(board, preflight.Request(worker, task), os.environ, guard.run_id)
            launch.start(board, plan, ANN, guard)

    def make(self, shapes: Mapping[str, tuple[str, Mapping[str, object]]] = PLAIN) -> None:
        """The repository, its board with LAT-1, and the workers: of each its script, and keys of its definition."""
        (self.root / "workers").mkdir(parents=True)
        for name, (script, more) in shapes.items():
            path = self.root / "workers" / f"{name.lower()}.sh"
            path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
            path.chmod(0o755)
            shape = {
                "name": name,
                "actor": "agent:bot",
                "engine": "script",
                "script": f"workers/{path.name}",
                "timeout_minutes": 5,
                "grace_seconds": 0.2,
                "outputs": {"review": {"role": "review", "path": "review.md", "required": True}},
                **more,
            }
            path.with_suffix(".json").write_text(json.dumps(shape), encoding="utf-8")
        git(self.root, "init", "--quiet", "--template=", "--initial-branch=main")
        git(self.root, "add", "--all")
        git(self.root, "-c", "user.name=A", "-c", "user.email=a@b", "commit", "--quiet", "--message", "Begin")
        os.mkfifo(self.root / "gate")
        make_board(self.root)
        CreateTask("First").run(self.board, ANN)

    def copy(self, folder: Path) -> Site:
        shutil.copytree(self.root, folder / "repo", ignore=shutil.ignore_patterns("gate"))
        os.mkfifo(folder / "repo" / "gate")
        (folder / "state").mkdir(mode=0o700)
        return Site(folder)


def wrongs(site: Site) -> list[str]:
    """Everything that must not be so once no run is alive."""
    board = site.board
    found: list[str] = []
    requested: list[str] = []
    try:
        for task in board.store.tasks():
            found += _wrong_ends(site, board, task, requested)
    except LatticeError as refused:
        return [f"the board cannot be read: {refused.message}"]
    return found + _left(site, board, requested)


def _wrong_ends(site: Site, board: Board, listed: Task, requested: list[str]) -> list[str]:
    """What is off in the log of a task; the runs that it requests are added to `requested`."""
    task, events = board.store.history(listed.id)
    found = [] if listed == task else ["the snapshot is not what the log adds up to"]
    bodies = [event.body for event in events]
    asked = [body.run_id for body in bodies if isinstance(body, ProcessRequested)]
    requested += asked
    for run_id in asked:
        ends = [b for b in bodies if isinstance(b, (ProcessCompleted, ProcessFailed)) and b.run_id == run_id]
        starts = [b for b in bodies if isinstance(b, ProcessStarted) and b.run_id == run_id]
        if len(ends) != 1:
            found.append(f"{len(ends)} ends of {run_id}")
        if len(starts) > 1:
            found.append(f"{len(starts)} starts of {run_id}")
        for end in ends:
            found += _wrong_artifacts(board, end)
        found += _not_kept(site, RunFolder(board.folder, run_id))
    return found + [f"{run.run_id} is still active" for run in task.active_processes]


def _left(site: Site, board: Board, requested: Sequence[str]) -> list[str]:
    found = [f"an open marker: {run.run_id}" for run in open_runs(board.folder)]
    for run in all_runs(board.folder):
        if run.run_id not in requested:
            found.append(f"the folder of a run that was never requested: {run.run_id}")
        if run.alive():
            found.append(f"the lease of {run.run_id} is held")
        if not run.is_closed():
            found.append(f"{run.run_id} is not closed")
        if marked(run.run_id):
            found.append(f"processes of {run.run_id}: {marked(run.run_id)}")
    found += [f"a draft: {path.name}" for path in (board.folder / "runs").glob(".new-*")]
    found += [f"a worktree on disk: {path.name}" for path in site.folder.glob("state/lattice/worktrees/*/run_*")]
    found += [f"a worktree on git's list: {path}" for path in worktree.registered(Repository.discover(site.root))[1:]]
    records = site.root / ".git" / "worktrees"
    if records.is_dir():
        found += [f"a record of a worktree: {path.name}" for path in records.iterdir()]
    drafts = [path.name for path in board.folder.rglob(".*.tmp")]
    return found + ([f"drafts of files: {drafts}"] if len(drafts) > DRAFTS_MAX else [])


def _wrong_artifacts(board: Board, end: ProcessCompleted | ProcessFailed) -> list[str]:
    if isinstance(end, ProcessCompleted) and len(end.artifact_ids) != 1:
        return [f"{end.run_id} succeeded with {len(end.artifact_ids)} artifacts"]
    kept = [board.folder / "artifacts" / "payload" / f"{artifact_id}.md" for artifact_id in end.artifact_ids]
    return [f"{path.name} is not what the engine wrote" for path in kept if not _says(path, REVIEW)]


def _says(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


def _not_kept(site: Site, run: RunFolder) -> list[str]:
    """What an engine made before its output was there has to be kept: a commit, or a change in the worktree."""
    spec = run.spec()
    if spec is not None and spec.process_type == "Coder" and _says(run.out / "review.md", REVIEW):
        subjects = git(site.root, "log", "--all", "--format=%s").split()
        return [] if run.run_id in subjects else [f"the commit of {run.run_id} is under no ref"]
    if spec is None or spec.process_type != "Busy" or not _says(run.out / "review.md", REVIEW):
        return []
    if list(site.folder.glob(f"state/lattice/worktrees/*/kept/{run.run_id}/changed.txt")):
        return []
    ref = f"{salvage.SALVAGE_REFS}/{run.run_id}"
    if git(site.root, "for-each-ref", ref) and "changed.txt" in git(site.root, "ls-tree", "--name-only", ref):
        return []
    return [f"what the engine of {run.run_id} made is gone"]
