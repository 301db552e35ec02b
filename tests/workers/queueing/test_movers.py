"""Whoever moves the queue is killed at each of its steps: every run that waits has its turn, and one end."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from lattice.commands.tasks import CreateTask
from lattice.core.run_events import ProcessCompleted, ProcessFailed
from lattice.workers import launch, liveness, preflight, standby
from lattice.workers.queueing import queue
from lattice.workers.runs import open_runs
from tests.torture.arena import Finding, contained, forked, settle
from tests.torture.breaks import put
from tests.torture.inject import Fault, Kind, Orders, Role, boot_text, install, read_trace
from tests.torture.site import ANN, SCRIPTS, Site, wrongs
from tests.torture.victims import Victims

WAITING = ("LAT-2", "LAT-3")
KINDS: tuple[Kind, ...] = ("kill before", "kill after")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Three tasks, and workers of which one runs at a time."""
    made = Site(tmp_path / "site")
    made.make({name: (SCRIPTS[name], {"worktree": False}) for name in ("Gated", "Quick")})
    for name in WAITING:
        CreateTask(f"Task {name}").run(made.board, ANN)
    path = made.root / ".lattice" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"worker": {"max_parallel": 1}}), encoding="utf-8")
    return made


def entered(template: Site, folder: Path) -> Site:
    """A copy with a run that waits for its gate, and two runs that wait for its end."""
    folder.mkdir()
    site = template.copy(folder)
    os.environ.update(HOME=str(folder), XDG_STATE_HOME=str(folder / "state"))
    return site


def begin(site: Site, orders: Orders) -> None:
    """Start the run whose guard is under orders, and the two that wait."""

    def gated() -> None:
        put(standby, "_BOOT", boot_text(orders, {}))
        start(site, "Gated", "LAT-1")

    assert 0 == os.waitpid(forked(gated), 0)[1]
    for name in WAITING:
        assert 0 == os.waitpid(forked(partial(start, site, "Quick", name)), 0)[1]


def start(site: Site, worker: str, task: str) -> None:
    board = site.board
    launch.start(board, preflight.plan(board, preflight.Request(worker, task), os.environ), ANN)


def ended(site: Site) -> list[type]:
    """The kinds of the ends that the log has, task by task."""
    ends = []
    for name in ("LAT-1", *WAITING):
        _, events = site.board.store.history(site.board.resolve(name))
        ends += [type(event.body) for event in events if isinstance(event.body, (ProcessCompleted, ProcessFailed))]
    return ends


def by_its_guard(template: Site, folder: Path, faults: tuple[Fault, ...]) -> Finding:
    """The guard of the run that ended moves the queue. Runs in an arena."""
    site = entered(template, folder)
    begin(site, Orders(str(site.trace), faults))
    gate = os.open(site.root / "gate", os.O_RDWR)
    os.write(gate, b"\n")
    found = [] if settle() else ["processes that outlive the runs"]
    os.close(gate)
    return after(site, faults, found, [ProcessCompleted] * 3)


def by_a_command(template: Site, folder: Path, faults: tuple[Fault, ...]) -> Finding:
    """Everybody of the run that had the slot was killed, and a command moves the queue. Runs in an arena."""
    site = entered(template, folder)
    orders = Orders(str(site.trace), faults)
    begin(site, Orders(str(folder / "guards")))
    (run,) = (run for run in open_runs(site.board.folder) if not run.waits())
    victims = Victims(site.board.folder)
    for pid in (victims.guard(run.run_id), victims.supervisor(run.run_id), *victims.agents(run.run_id)):
        os.kill(pid, signal.SIGKILL)
    settle()

    def move() -> None:
        install(orders.encode(), "mender", {})
        queue.move(site.board, os.environ)

    assert 0 == os.waitpid(forked(lambda: liveness.refresh(site.board, heals=False)), 0)[1]
    os.waitpid(forked(move), 0)
    found = [] if settle() else ["processes that outlive the runs"]
    return after(site, faults, found, [ProcessFailed, ProcessCompleted, ProcessCompleted])


def after(site: Site, faults: tuple[Fault, ...], found: list[str], expected: list[type]) -> Finding:
    """What is off once one reading command has looked."""
    assert 0 == os.waitpid(forked(lambda: liveness.refresh(site.board)), 0)[1]
    found += [] if settle() else ["processes that outlive the runs of the next command"]
    found += wrongs(site)
    found += [] if ended(site) == expected else [f"they ended as {[kind.__name__ for kind in ended(site)]}"]
    trace = read_trace(site.trace)
    if not found:
        shutil.rmtree(site.folder)
    calls = {role: list(names) for role, names in trace.calls.items()}
    return Finding("movers", ", ".join(map(str, faults)), len(trace.met) == len(faults), tuple(found), None, calls)


def steps(names: Sequence[str]) -> Iterator[tuple[int, Kind]]:
    """Every call that changes something, each kind; of those that only open a file, each third."""
    for k, name in enumerate(names, 1):
        if name != "open":
            yield from ((k, kind) for kind in KINDS)
        elif k % 3 == 0:
            yield k, KINDS[k % 2]


Way = Callable[[Site, Path, tuple[Fault, ...]], Finding]


@pytest.mark.parametrize(("way", "role"), [(by_its_guard, "guard"), (by_a_command, "mender")])
def test_a_mover_that_is_killed_at_any_step_leaves_every_run_its_turn_and_one_end(
    site: Site, tmp_path: Path, way: Way, role: Role
) -> None:
    (sound,) = contained([partial(way, site, tmp_path / "sound", ())])
    assert ((), True) == (sound.violations, sound.met)
    names = (sound.seen or {})[role]
    first = names.index("fork") + 1 if role == "guard" else 0  # The guard's first is its supervisor.
    faults = [Fault(role, k, kind) for k, kind in steps(names) if k > first]
    trials = [partial(way, site, tmp_path / str(number), (fault,)) for number, fault in enumerate(faults)]
    seen = list(contained(trials, 2))
    assert [] == [(one.label, one.violations) for one in seen if one.violations]
    assert sum(one.met for one in seen) >= len(faults) - 2
