"""A bench for runs: a repository with a board, workers made of shell scripts, real processes, real git."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import pytest

import lattice
from lattice.commands.board import Board, read_config
from lattice.commands.tasks import CreateTask
from lattice.core.events import Event
from lattice.ledger import Signature
from lattice.workers import launch, preflight, standby
from lattice.workers.overview import find
from lattice.workers.processes.marks import kill_marked, marked
from lattice.workers.run_view import RunView
from lattice.workers.runs import RunFolder, all_runs
from lattice.workers.worktrees.git import Repository
from tests.conftest import git, make_board

SOURCES = str(Path(lattice.__file__).parents[1])
ANN = Signature("human:ann")
WITHIN_S = 30.0
_T = TypeVar("_T")

# Two forks and a session of its own, deaf to what asks politely: it writes its pid once it is so.
DAEMON = """
import os, signal, sys
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
for asked in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(asked, signal.SIG_IGN)
with open(sys.argv[1] + ".new", "w") as file:
    file.write(str(os.getpid()))
os.rename(sys.argv[1] + ".new", sys.argv[1])
while True:
    signal.pause()
"""


def eventually(condition: Callable[[], _T], within_s: float = WITHIN_S) -> _T:
    """The condition's first true value. Fails where there is none in time."""
    ends_at = time.monotonic() + within_s
    while not (value := condition()):
        assert time.monotonic() < ends_at, f"not within {within_s} s"
        time.sleep(0.005)
    return value


def is_alive(pid: int) -> bool:
    """Whether the process runs: a zombie does not."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return fields[0] not in "ZX"


def open_files(pid: int) -> list[str]:
    """What the process has open, by kind where it has no name, in the order of its descriptors."""
    found = []
    for name in sorted(os.listdir(f"/proc/{pid}/fd"), key=int):
        with contextlib.suppress(FileNotFoundError):  # It was closed meanwhile.
            found.append(os.readlink(f"/proc/{pid}/fd/{name}").partition(":")[0])
    return found


def processor_time(pid: int, for_s: float) -> float:
    """How many seconds of a processor a process uses while so much time passes."""
    before = _used(pid)
    time.sleep(for_s)  # Nothing is waited for: the time that passes is what is measured.
    return (_used(pid) - before) / os.sysconf("SC_CLK_TCK")


def _used(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


class Bench:
    """One board in one repository. `notes` is a folder that worker scripts know as $NOTES."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repo = folder / "repo"
        self.state = folder / "state"
        self.notes = folder / "notes"
        for made in (self.repo, self.notes):
            made.mkdir()
        self.state.mkdir(mode=0o700)
        (self.notes / "daemon.py").write_text(DAEMON, encoding="utf-8")
        git(self.repo, "init", "--quiet", "--initial-branch=main")
        git(self.repo, "config", "user.name", "Ann")
        git(self.repo, "config", "user.email", "ann@example.org")
        self.commit("a.txt", "one\n")
        make_board(self.repo)
        self.task_id = CreateTask("First").run(self.board, ANN).task.id

    @property
    def board(self) -> Board:
        """The board, as a process that starts now opens it."""
        return Board(self.repo, read_config(self.repo))

    def damage(self, ref: str) -> None:
        """Make the log of a task unreadable, and take its snapshot away."""
        task_id = self.board.resolve(ref)
        (self.board.folder / "tasks" / f"{task_id}.json").unlink()
        log = self.board.folder / "events" / f"{task_id}.jsonl"
        log.write_bytes(b"{" + log.read_bytes())

    def commit(self, name: str, text: str) -> str:
        """Commit a file; the commit's hash."""
        (self.repo / name).write_text(text, encoding="utf-8")
        git(self.repo, "add", "--", name)
        git(self.repo, "commit", "--quiet", "--message", f"Change {name}")
        return git(self.repo, "rev-parse", "HEAD")

    def worker(self, script: str = "exec sleep 300", name: str = "Sleeper", **more: Any) -> str:
        """Define a worker that runs the shell script; its name."""
        folder = self.repo / "workers"
        folder.mkdir(exist_ok=True)
        path = folder / f"{name.lower()}.sh"
        path.write_text(f"#!/bin/bash\n{script}\n", encoding="utf-8")
        path.chmod(0o755)
        shape: dict[str, Any] = {
            "name": name,
            "actor": "agent:bot",
            "engine": "script",
            "script": f"workers/{name.lower()}.sh",
            "timeout_minutes": 5,
            "grace_seconds": 0.4,
        }
        shape |= more
        shape["env"] = {"set": {"NOTES": str(self.notes), "PY": sys.executable}} | shape.get("env", {})
        (folder / f"{name.lower()}.json").write_text(json.dumps(shape), encoding="utf-8")
        return name

    def start(self, worker: str = "Sleeper", task: str = "LAT-1", commit: str | None = None) -> RunFolder:
        """Start a run from this process, as `worker run` does."""
        board = self.board
        with standby.begun(board.root, board.ledger.new_id("run")) as guard:
            plan = preflight.plan(board, preflight.Request(worker, task, commit), os.environ, guard.run_id)
            launch.start(board, plan, ANN, guard)
        return RunFolder(board.folder, plan.spec.run_id)

    def running(self, script: str = "exec sleep 300", **more: Any) -> RunFolder:
        """Start a run and wait until its engine runs."""
        run = self.start(self.worker(script, **more))
        eventually(lambda: self.events("process_started", run.run_id))
        # Whoever stops its supervisor now must not stop it with the log's lock in its hand.
        self.board.ledger.transact(self.task_id, lambda _: [], ANN)
        return run

    def finished(self, run: RunFolder, within_s: float = WITHIN_S) -> RunView:
        """The run after its last step; nothing of it may be left."""
        eventually(lambda: run.is_closed() and not run.alive(), within_s)
        self.assert_clean()
        assert [] == marked(run.run_id)
        return self.view(run)

    def ended(self, script: str, **more: Any) -> RunView:
        """A run from its request to its last step."""
        return self.finished(self.start(self.worker(script, **more)))

    def view(self, run: RunFolder) -> RunView:
        return find(self.board, run.run_id)

    def events(self, kind: str | None = None, run_id: str | None = None) -> list[Event]:
        """The events of LAT-1, of one kind, of one run."""
        found = self.board.store.history(self.task_id)[1]
        return [
            event
            for event in found
            if kind in (None, event.type) and (run_id is None or getattr(event.body, "run_id", None) == run_id)
        ]

    def ends(self, run: RunFolder) -> list[Event]:
        """The events that end the run."""
        return [e for e in self.events(run_id=run.run_id) if e.type in ("process_completed", "process_failed")]

    def end(self, run: RunFolder) -> Mapping[str, Any]:
        """The data of the one event that ends the run."""
        (event,) = self.ends(run)
        assert event.raw is not None
        data: Mapping[str, Any] = event.raw["data"]
        return data

    def lattice(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """A command line, as a program of its own."""
        return subprocess.run(
            self.command(*words),
            cwd=self.repo,
            env=self.environ(**environ),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "lattice.cli.main", *words]

    def environ(self, **more: str) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": SOURCES, **more}

    def data(self, *words: str, **environ: str) -> Any:
        """What a command answers as JSON."""
        done = self.lattice(*words, "--json", **environ)
        shape = json.loads(done.stdout)
        assert shape["ok"], done.stdout
        return shape["data"]

    def error(self, *words: str, **environ: str) -> Any:
        """The error that a command answers with, exit status 1 or 2."""
        done = self.lattice(*words, "--json", **environ)
        assert done.returncode in (1, 2), done
        return json.loads(done.stdout)["error"]

    def python(self, code: str, *words: str) -> subprocess.CompletedProcess[str]:
        """A Python program on the board, for a process that has to die at a certain place."""
        head = (
            "import os, signal, sys\nfrom pathlib import Path\n"
            "from lattice.commands.board import Board, read_config\n"
            "from lattice.ledger import Signature\n"
            "from lattice.workers import launch, liveness, preflight, reconcile, supervisor\n"
            "from lattice.workers.runs import RunFolder\n"
            "board = Board(Path.cwd(), read_config(Path.cwd()))\nby = Signature('human:ann')\n"
            "def die(*_args, **_kwargs):\n    os.kill(os.getpid(), signal.SIGKILL)\n"
        )
        return subprocess.run(
            [sys.executable, "-c", head + code, *words],
            cwd=self.repo,
            env=self.environ(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def note(self, name: str) -> str:
        """What the worker wrote to $NOTES/name, once it did."""
        path = self.notes / name
        return eventually(lambda: path.exists() and path.read_text(encoding="utf-8").strip()) or ""

    def supervision(self, run: RunFolder) -> tuple[int, int]:
        """The pids of the run's guard and of its supervisor."""
        found = supervision(run)
        assert 2 == len(found), found
        return found[0], found[1]

    def worktrees(self) -> list[Path]:
        """The runs' worktrees on disk."""
        return sorted(self.state.glob("lattice/worktrees/*/run_*"))

    def assert_clean(self) -> None:
        """No worktree, no record of one, no marker of an open run."""
        assert [] == self.worktrees()
        assert 1 == git(self.repo, "worktree", "list", "--porcelain").count("worktree ")
        records = self.repo / ".git" / "worktrees"
        assert [] == (list(records.iterdir()) if records.exists() else [])
        assert [] == sorted(path.name for path in (self.repo / ".lattice" / "runs" / "open").glob("*"))

    def tree(self) -> dict[str, bytes]:
        """Every path of the board and its content; and git's list of worktrees.

        But for the names of locks, and for the index, which any look may bring up to date.
        """
        board = self.repo / ".lattice"
        shape = {
            str(path.relative_to(board)): path.read_bytes() if stat.S_ISREG(path.lstat().st_mode) else b""
            for path in board.rglob("*")
            if "locks" not in path.parts and not path.name.startswith("index.sqlite")
        }
        return shape | {"git worktree list": git(self.repo, "worktree", "list", "--porcelain").encode()}

    def fake_git(self, monkeypatch: pytest.MonkeyPatch, script: str) -> Path:
        """Put a git before git: the shell script sees git's words as "$*", and falls through to the real one.

        Returns a file; remove it and git is itself again.
        """
        real = subprocess.run(["which", "git"], check=True, capture_output=True, text=True).stdout.strip()
        folder = self.folder / "fake-git"
        folder.mkdir()
        switch = folder / "on"
        switch.touch()
        fake = folder / "git"
        fake.write_text(
            f'#!/bin/bash\nreal={real}\nif [ -e "{switch}" ]; then\n{script}\nfi\nexec {real} "$@"\n', encoding="utf-8"
        )
        fake.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        return switch

    def kill_everything(self) -> None:
        """End whatever a failed test left."""
        for run in all_runs(self.repo / ".lattice"):
            for pid in supervision(run):
                with contextlib.suppress(ProcessLookupError):  # It ended a moment ago.
                    os.kill(pid, signal.SIGKILL)
            kill_marked(run.run_id)
        for note in self.notes.glob("*.pid"):
            pid = int(note.read_text(encoding="utf-8") or 0)
            if pid and is_alive(pid):
                os.kill(pid, signal.SIGKILL)


def supervision(run: RunFolder) -> list[int]:
    """Guard, supervisor, and its setup, in this order: all have the run's id on their command line."""
    found: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            parent = int((entry / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if run.run_id.encode() in words and any(b"lattice.workers.guard" in word for word in words):
            found[int(entry.name)] = parent
    return sorted(found, key=lambda pid: sum(above in found for above in (found[pid], found.get(found[pid]))))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A bench in `tmp_path`."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("HOME", str(tmp_path))
    made = Bench(tmp_path)
    yield made
    made.kill_everything()


def repository(bench: Bench) -> Repository:
    """The bench's repository as the workers know it."""
    return Repository.discover(bench.repo)
