"""The guard of the next run is a fork of the one that ends, and looks like one that was executed."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

import lattice
from lattice.workers.processes import usage
from lattice.workers.processes.table import parent_of
from lattice.workers.runs import RunFolder
from tests.workers.conftest import SOURCES, Bench, eventually, is_alive, open_files
from tests.workers.queueing.test_queue import configure, drained, tasks

MEASURES = """
guard=$(awk '/^PPid/ {print $2}' /proc/$PPID/status)
awk '/^RssAnon/ {print $2}' /proc/$guard/status >> "$NOTES/sizes"
"""
GROWTH_KIB_MAX = 2048
"""How much more memory the guard of the last run of a chain may have than that of the third."""


def chain(bench: Bench, length: int, script: str, **more: Any) -> tuple[RunFolder, list[RunFolder]]:
    """A run that waits for $NOTES/go, and those that wait for its end."""
    first = bench.running('while [ ! -e "$NOTES/go" ]; do sleep 0.02; done', name="Gate", **more)
    worker = bench.worker(script, **more)
    return first, [bench.start(worker, name) for name in tasks(bench, length)]


def stack_of(pid: int) -> str:
    """Where the process's stack lies: by chance at each execve(2), and the same in a fork."""
    maps = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8").splitlines()
    return next(line.split("-")[0] for line in maps if line.endswith("[stack]"))


def status_of(pid: int, *names: str) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    said = {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return {name: said[name] for name in names}


def test_the_next_guard_is_a_fork_that_shows_its_own_run_and_has_nothing_of_the_last(bench: Bench) -> None:
    configure(bench, max_parallel=1)
    first, (second,) = chain(bench, 1, "exec sleep 300")
    guard, supervisor = bench.supervision(first)
    # It lets go of what it handed on a moment after its fork has it.
    eventually(lambda: {"pipe", str(first.lease)}.isdisjoint(open_files(guard)))
    before = stack_of(guard), sorted(open_files(guard)), status_of(guard, "SigBlk", "SigIgn", "SigCgt", "Umask")
    environment = Path(f"/proc/{guard}/environ").read_bytes()
    (bench.notes / "go").touch()
    eventually(lambda: bench.view(second).state == "running")
    eventually(lambda: not is_alive(guard))
    assert [] == [pid for pid in (guard, supervisor) if is_alive(pid)]
    guard, supervisor = bench.supervision(second)
    eventually(lambda: {"pipe", str(second.lease)}.isdisjoint(open_files(guard)))
    after = stack_of(guard), sorted(open_files(guard)), status_of(guard, "SigBlk", "SigIgn", "SigCgt", "Umask")
    assert before == after
    assert environment == Path(f"/proc/{guard}/environ").read_bytes()
    assert first.run_id.encode() not in Path(f"/proc/{guard}/cmdline").read_bytes()
    assert (guard, guard) == (os.getsid(guard), os.getpgid(guard))
    assert parent_of(guard) not in (None, os.getpid())
    assert second.run_id in usage.look([second.run_id])
    assert 1 == len([path for path in Path(f"/proc/{supervisor}/fd").iterdir() if path.resolve() == second.lease])


def test_a_fork_that_is_killed_with_its_supervisor_is_mended_like_any(bench: Bench) -> None:
    configure(bench, max_parallel=1)
    _, (second,) = chain(bench, 1, "exec sleep 300")
    (bench.notes / "go").touch()
    eventually(lambda: bench.view(second).state == "running")
    guard, supervisor = bench.supervision(second)
    os.kill(supervisor, signal.SIGKILL)
    eventually(lambda: second.is_closed() and not is_alive(guard))
    assert "lost" == bench.view(second).state


def test_a_chain_of_forks_does_not_grow(bench: Bench) -> None:
    configure(bench, max_parallel=1)
    chain(bench, 25, MEASURES, worktree=False)
    (bench.notes / "go").touch()
    drained(bench)
    sizes = [int(text) for text in (bench.notes / "sizes").read_text(encoding="utf-8").split()]
    print(f"anonymous memory of the guards, KiB: {sizes}")
    assert 25 == len(sizes)
    assert sizes[-1] < sizes[2] + GROWTH_KIB_MAX


def test_a_guard_whose_code_was_replaced_on_the_disk_executes_the_next(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = bench.folder / "installed"
    shutil.copytree(Path(SOURCES) / "lattice", copy / "lattice")
    monkeypatch.setattr(lattice, "__file__", str(copy / "lattice" / "__init__.py"))
    configure(bench, max_parallel=1)
    first, (second,) = chain(bench, 1, "exec sleep 300")
    before = stack_of(bench.supervision(first)[0])
    module = copy / "lattice" / "workers" / "supervisor.py"
    shutil.copy2(module, copy / "new")
    (copy / "new").rename(module)
    (bench.notes / "go").touch()
    eventually(lambda: bench.view(second).state == "running")
    assert before != stack_of(bench.supervision(second)[0])


def test_a_supervisor_whose_guard_was_killed_starts_the_next_run_at_its_own_end(bench: Bench) -> None:
    configure(bench, max_parallel=1)
    first, (second,) = chain(bench, 1, "exec sleep 300")
    guard, supervisor = bench.supervision(first)
    os.kill(guard, signal.SIGKILL)
    eventually(lambda: not is_alive(guard))
    (bench.notes / "go").touch()
    eventually(lambda: bench.view(second).state == "running")
    assert "succeeded" == bench.view(first).state
    eventually(lambda: not is_alive(supervisor))
    assert not first.alive()
    assert first.run_id.encode() not in Path(f"/proc/{bench.supervision(second)[0]}/cmdline").read_bytes()
