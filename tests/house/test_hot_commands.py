"""The hot commands do no more work than they need: held by counts, never by time, so a slow machine cannot fail it.

A command runs in an interpreter of its own that notes every file it opens, every sync and every module.
What sqlite3 opens and syncs by itself is out of Python's sight; where strace is there, it counts that too.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tools.bench.boards import OURS, environment, make_ours
from tools.bench.works import HOT

SMALL, LARGE = 10, 200
WRITES = ("create", "comment", "status")
READS = ("show", "next", "list20")

NEVER = frozenset({
    "asyncio", "bisect", "concurrent.futures", "ctypes", "dataclasses", "difflib", "email", "fnmatch", "hashlib",
    "html", "http", "importlib", "importlib.metadata", "inspect", "ipaddress", "logging", "mimetypes",
    "multiprocessing", "pathlib", "random", "secrets", "shutil", "signal", "socket", "statistics", "string",
    "subprocess", "tempfile", "textwrap", "threading", "tokenize", "tomllib", "traceback", "typing", "unittest",
    "urllib", "urllib.parse", "urllib.request", "uuid",
    "lattice.cli.pager", "lattice.cli.progress", "lattice.cli.shells", "lattice.cli.worker_run",
    "lattice.commands.doctor",
    "lattice.commands.formats", "lattice.commands.hooks", "lattice.commands.imports", "lattice.commands.stats",
    "lattice.commands.artifacts", "lattice.commands.graph", "lattice.commands.history", "lattice.commands.talk",
    "lattice.core.adoption", "lattice.core.fulltext", "lattice.core.integrity", "lattice.core.moments",
    "lattice.core.query_language", "lattice.core.resource", "lattice.core.review_events",
    "lattice.core.run_events", "lattice.core.stats", "lattice.core.undo", "lattice.resource_ledger",
    "lattice.store.files.doctor", "lattice.store.files.rebuild", "lattice.store.files.resources",
    "lattice.store.files.scan", "lattice.store.memory", "lattice.store.protocol", "lattice.store.view",
    "lattice.workers.guard", "lattice.workers.launch", "lattice.workers.preflight", "lattice.workers.processes.marks",
    "lattice.workers.processes.tree", "lattice.workers.supervisor", "lattice.workers.worktrees.worktree",
})  # fmt: skip
"""What none of them has a use for, on a board without hooks, resources and runs."""

QUERIES = frozenset({
    "datetime", "heapq", "sqlite3", "lattice.core.query", "lattice.core.summary", "lattice.store.files.freshness",
    "lattice.store.files.index",
})  # fmt: skip
FORBIDDEN: Mapping[str, frozenset[str]] = {
    "show": NEVER | {"lattice.core.query", "lattice.core.next", "lattice.core.graph", "lattice.cli.lists"},
    "list20": NEVER | {"lattice.core.next", "lattice.core.graph", "lattice.core.comments", "lattice.cli.queries"},
    "next": NEVER | {"lattice.core.query", "lattice.core.graph", "lattice.core.comments", "lattice.cli.lists"},
    **{name: NEVER | QUERIES | {"lattice.core.next", "lattice.core.graph", "lattice.core.comments",
                                "lattice.cli.lists", "lattice.cli.queries"}
       for name in WRITES},
}  # fmt: skip
"""For each command, the modules that it has no use for. A write asks no question about many tasks."""

# Runs a command line as the installed script does, and says on standard error what that took.
WATCHED = """
import os, sys
WATCH = ("open", "os.listdir", "os.scandir", "sqlite3.connect")
opened, synced = [], []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event in WATCH else None)
def counted(name):
    call = getattr(os, name)
    def sync(descriptor):
        synced.append(name)
        return call(descriptor)
    setattr(os, name, sync)
for name in ("fdatasync", "fsync"):
    if hasattr(os, name):
        counted(name)
from lattice.cli.main import main
status = main(sys.argv[1:])
found = (list(opened), list(synced), sorted(sys.modules))
import json
print(json.dumps(found), file=sys.stderr)
sys.exit(status)
"""


STARTED = "import sys; from lattice.cli.main import main; sys.exit(main())"


class Watched(NamedTuple):
    """What one command did."""

    opened: list[str]
    synced: list[str]
    modules: set[str]

    def on_board(self, root: Path) -> list[str]:
        """What it opened of the board, in order, without what tells one run or task from another."""
        names = [os.path.relpath(path, root) for path in self.opened if path.startswith(str(root))]
        return [re.sub(r"[0-9A-HJKMNP-TV-Z]{26}|(?<=\.)\d+(?=\.tmp)", "*", name) for name in names]


@pytest.fixture(scope="module")
def boards(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """A board of each size, its index up to date."""
    made = {}
    for size in (SMALL, LARGE):
        root = tmp_path_factory.mktemp(f"board-{size}")
        env = environment(root / "home")
        make_ours(root, size, env)
        made[size] = root
    return made


def words(name: str, count: int = 0) -> Sequence[str]:
    return HOT[name].words[OURS](count)


def watch(root: Path, argv: Sequence[str]) -> Watched:
    """Run one command; the interpreter's own start, and what stands in the environment of the tests, is not in it."""
    env = environment(root / "home")
    ran = subprocess.run(
        [sys.executable, "-c", WATCHED, *argv], cwd=root, env=env, stdin=subprocess.DEVNULL, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert 0 == ran.returncode, ran.stderr
    opened, synced, modules = json.loads(ran.stderr.splitlines()[-1])
    return Watched(opened, synced, set(modules))


def settled(root: Path, name: str) -> Watched:
    """What the command does when it is run again and again: the first brings the caches up to date."""
    for count in range(2):
        watch(root, words(name, count))
    return watch(root, words(name, 2))


def traced(root: Path, argv: Sequence[str]) -> list[str]:
    """The lines of strace about files and syncs, of the whole process."""
    log = root / "trace"
    calls = "trace=open,openat,fdatasync,fsync,sync_file_range,syncfs"
    subprocess.run(
        ["strace", "-f", "-qq", "-o", log, "-e", calls, sys.executable, "-c", STARTED, *argv],
        cwd=root, env=environment(root / "home"), stdin=subprocess.DEVNULL, capture_output=True, check=True,
    )  # fmt: skip
    return log.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("name", [*READS, *WRITES])
def test_a_hot_command_opens_as_many_files_on_a_large_board_as_on_a_small_one(
    boards: dict[int, Path], name: str
) -> None:
    small = settled(boards[SMALL], name).on_board(boards[SMALL])
    large = settled(boards[LARGE], name).on_board(boards[LARGE])
    assert len(small) == len(large), (small, large[:40])
    assert 0 < len(large)


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is missing")
@pytest.mark.parametrize("name", [*READS, *WRITES])
def test_so_does_all_that_it_calls(boards: dict[int, Path], name: str) -> None:
    """Counted by the kernel: what sqlite3 opens is in it."""
    counts = {}
    for size, root in boards.items():
        settled(root, name)
        counts[size] = sum("open" in line and " ENOENT " not in line for line in traced(root, words(name, 3)))
    assert counts[SMALL] == counts[LARGE]


@pytest.mark.parametrize("name", WRITES)
def test_a_write_syncs_its_event_once(boards: dict[int, Path], name: str) -> None:
    """One fdatasync for the event's bytes. A new log's name is synced with its folder: fsync, and only then."""
    synced = settled(boards[SMALL], name).synced
    assert 1 == synced.count("fdatasync")
    assert (1 if name == "create" else 0) == synced.count("fsync")


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is missing")
@pytest.mark.parametrize("name", WRITES)
def test_nothing_beneath_a_write_syncs_a_second_time(boards: dict[int, Path], name: str) -> None:
    settled(boards[SMALL], name)
    synced = [line.split(None, 1)[1].partition("(")[0] for line in traced(boards[SMALL], words(name, 3))]
    found = [call for call in synced if "sync" in call]
    assert (["fdatasync", "fsync"] if name == "create" else ["fdatasync"]) == found


@pytest.mark.parametrize("name", READS)
def test_a_read_syncs_nothing(boards: dict[int, Path], name: str) -> None:
    assert [] == settled(boards[SMALL], name).synced


@pytest.mark.parametrize("name", [*READS, *WRITES])
def test_a_hot_command_imports_nothing_that_it_has_no_use_for(boards: dict[int, Path], name: str) -> None:
    modules = settled(boards[SMALL], name).modules
    assert "lattice.cli.main" in modules
    assert [] == sorted(modules & FORBIDDEN[name])


def test_the_table_of_forbidden_modules_names_only_what_is_there() -> None:
    """A module that was renamed would be forbidden by its old name, and pass for ever."""
    from importlib.util import find_spec

    named = set().union(*FORBIDDEN.values())
    assert [] == sorted(name for name in named if find_spec(name) is None)


def test_a_file_a_task_would_be_seen(boards: dict[int, Path]) -> None:
    """`rebuild --all` reads every log: the count that must not grow does grow there."""
    small, large = (len(watch(boards[size], ["rebuild", "--all"]).on_board(boards[size])) for size in (SMALL, LARGE))
    assert large - small >= LARGE - SMALL
