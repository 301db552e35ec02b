"""Runs under fire: a process of a run is killed, or refused something, at each step; then the truth is looked for.

After each trial: every request has exactly one end, nothing of the run is left (process, worktree, marker,
lease, draft), what the engine made is kept, and the worker can be started again.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from lattice.core.record import Record
from lattice.core.run_events import ProcessCompleted
from lattice.errors import AlreadyRunning, LatticeError
from lattice.workers import control, launch, preflight, standby
from lattice.workers.runs import RunFolder, open_runs
from tests.torture.arena import SETTLED_WITHIN_S, Finding, forked, nobody_supervises, settle
from tests.torture.inject import Fault, Kind, Orders, Role, install, read_trace
from tests.torture.site import ANN, TASK, Site, wrongs

STARTERS = 8
ENDED = "engine ended"
DRAFT_AGED_S = 3600
GIT_LIMIT_S = 1.0

FAKE_GIT = """#!/bin/sh
n=$(($(cat "{counter}") + 1)); echo $n > "{counter}"
if [ $n = {k} ]; then
    echo met >> "{met}"
    case "{kind}" in
        refuses) echo "fatal: injected" >&2; exit 128 ;;
        dies) kill -9 $$ ;;
        "dies after success") "{git}" "$@"; kill -9 $$ ;;
        hangs) exec sleep 600 ;;
    esac
fi
exec "{git}" "$@"
"""
GIT_KINDS = ("refuses", "dies", "dies after success", "hangs")


class Trial(Record):
    """One run, and what befalls it. `heals_alone`: no command is to be needed afterwards."""

    group: str
    worker: str
    faults: tuple[Fault, ...] = ()
    heals_alone: bool = False
    broken: tuple[str, ...] = ()
    git_fault: tuple[int, str] | None = None  # the n-th git command, and what it does
    settled_within_s: float = SETTLED_WITHIN_S

    def __str__(self) -> str:
        what = [*map(str, self.faults), *([f"git {self.git_fault[0]} {self.git_fault[1]}"] if self.git_fault else [])]
        return f"{self.worker}: {', '.join(what) or 'no fault'}"


def run_trial(trial: Trial, template: Site, folder: Path) -> Finding:
    """The trial, in a copy of the template that is removed unless something was found. Runs in an arena."""
    folder.mkdir()
    site = template.copy(folder)
    os.environ.update(HOME=str(site.folder), XDG_STATE_HOME=str(site.folder / "state"))
    path = os.environ["PATH"]
    if trial.git_fault is not None:
        os.environ["PATH"] = f"{_fake_git(site, *trial.git_fault)}:{path}"
    orders = Orders(str(site.trace), trial.faults, trial.broken, GIT_LIMIT_S if trial.git_fault is not None else None)
    forked(lambda: _starter(site, orders, trial.worker))
    whole = settle(None if trial.heals_alone else nobody_supervises, trial.settled_within_s)
    settled_at = time.monotonic()
    os.environ["PATH"] = path
    found = [] if whole else ["processes that outlive the run"]
    met = read_trace(site.trace).met
    if not trial.heals_alone:
        _mend(site, orders, trial)
    found += wrongs(site)
    met_at = max((at for role, at in met if role != "mender"), default=None)
    if not found:
        found += [f"afterwards: {wrong}" for wrong in _once_more(site, trial.worker)]
    all_met = len(read_trace(site.trace).met) == len(trial.faults) and (
        trial.git_fault is None or (site.folder / "met").exists()
    )
    if not found:
        shutil.rmtree(folder, ignore_errors=True)
    return Finding(
        trial.group,
        f"{trial}" + (f" [{folder}]" if found else ""),
        all_met,
        tuple(found),
        settled_at - met_at if trial.heals_alone and met_at is not None else None,
    )


def _starter(site: Site, orders: Orders, worker: str) -> None:
    install(orders.encode(), "starter", {})
    try:
        site.run(worker)
    except (LatticeError, OSError):
        return  # The board and the folders say what came of it; they are looked at.


def _mend(site: Site, orders: Orders, trial: Trial) -> None:
    """What a person's next command does; if the trial says so, it is killed as well and the one after it does it."""
    for draft in (site.root / ".lattice" / "runs").glob(".new-*"):
        aged = time.time() - DRAFT_AGED_S
        os.utime(draft, (aged, aged))
    if any(fault.role == "mender" for fault in trial.faults):
        os.waitpid(forked(lambda: _faulty_gc(site, orders)), 0)
    os.waitpid(forked(lambda: _gc(site, trial.broken)), 0)


def _faulty_gc(site: Site, orders: Orders) -> None:
    install(orders.encode(), "mender", {})
    control.gc(site.board, os.environ)


def _gc(site: Site, broken: Sequence[str]) -> None:
    install(Orders(str(site.trace) + ".gc", (), tuple(broken)).encode(), "mender", {})
    control.gc(site.board, os.environ)


def _once_more(site: Site, worker: str) -> list[str]:
    """A new run of the same worker, without a fault: it has to succeed and to leave nothing."""
    forked(lambda: _starter(site, Orders(str(site.trace) + ".again"), worker))
    found = [] if settle() else ["processes that outlive the next run"]
    _, events = site.board.store.history(site.board.resolve(TASK))
    if not isinstance(events[-1].body, ProcessCompleted):
        found.append(f"the next run did not succeed: {events[-1].type}")
    return found + wrongs(site)


# --- what to try ----------------------------------------------------------------------------------


def counted(template: Site, folder: Path, worker: str, faults: Iterable[Fault] = ()) -> dict[str, int]:
    """How many calls each process makes in such a run, and which of the supervisor's is at the engine's end."""
    folder.mkdir()
    site = template.copy(folder)
    os.environ.update(HOME=str(site.folder), XDG_STATE_HOME=str(site.folder / "state"))
    orders = Orders(str(site.trace), tuple(faults))
    forked(lambda: _starter(site, orders, worker))
    settle(nobody_supervises)
    os.waitpid(forked(lambda: _faulty_gc(site, orders)), 0)
    calls = read_trace(site.trace).calls
    shutil.rmtree(folder, ignore_errors=True)
    # The first that is asked for with waitid(2) is the engine: after it the sweep asks whether anything is left.
    ended = next((k for k, name in enumerate(calls["supervisor"], 1) if name == "waitid"), 0)
    return {role: len(names) for role, names in calls.items()} | {ENDED: ended}


def single_faults(worker: str, calls: Mapping[str, int], kinds: Sequence[Kind]) -> Iterator[Trial]:
    """Every call of starter, guard and supervisor, each kind."""
    roles: tuple[Role, ...] = ("starter", "supervisor", "setup", "guard")
    for kind in kinds:
        for role in roles:
            alone = role != "starter"
            group = "runs: one fault" if alone else "runs: the starter"
            for k in range(1, calls[role] + 1):
                yield Trial(group, worker, (Fault(role, k, kind),), alone)


def double_faults(worker: str, calls: Mapping[str, int]) -> Iterator[Trial]:
    """Guard and supervisor at once, at each call of the supervisor; with the starter, too."""
    for k in range(1, calls["supervisor"] + 1):
        yield Trial("runs: two and three", worker, (Fault("supervisor", k, "kill before", ("guard",)),))
        yield Trial("runs: two and three", worker, (Fault("supervisor", k, "kill after", ("starter", "guard")),))
    for k in range(1, calls["guard"] + 1):
        yield Trial("runs: two and three", worker, (Fault("guard", k, "kill before", ("starter",)),))


def mended_faults(worker: str, at: int, calls: Mapping[str, int], role: Role) -> Iterator[Trial]:
    """A supervisor is killed at its call `at`; then the guard, or the next command, at each of its steps."""
    also: tuple[Role, ...] = () if role == "guard" else ("guard",)
    first = Fault("supervisor", at, "kill before", also)
    kinds: tuple[Kind, ...] = ("kill before", "kill after", "enospc", "eio")
    for k in range(1, calls[role] + 1):
        yield Trial("runs: the mender", worker, (first, Fault(role, k, kinds[k % len(kinds)])))


def git_faults(worker: str, count: int) -> Iterator[Trial]:
    """Each git command of a run, each way to fail."""
    for k in range(1, count + 1):
        for kind in GIT_KINDS:
            yield Trial("git", worker, git_fault=(k, kind))


def _fake_git(site: Site, k: int, kind: str) -> Path:
    folder = site.folder / "fake"
    folder.mkdir()
    counter = site.folder / "counter"
    counter.write_text("0\n", encoding="ascii")
    real = shutil.which("git")
    text = FAKE_GIT.format(counter=counter, k=k, kind=kind, met=site.folder / "met", git=real)
    (folder / "git").write_text(text, encoding="utf-8")
    (folder / "git").chmod(0o755)
    return folder


# --- many at once ---------------------------------------------------------------------------------


def race_of_starters(template: Site, folder: Path, broken: Sequence[str] = ()) -> Finding:
    """Eight starters at once; the run cannot end before all have been answered. Exactly one has to win."""
    folder.mkdir()
    site = template.copy(folder)
    os.environ.update(HOME=str(site.folder), XDG_STATE_HOME=str(site.folder / "state"))
    go, start = os.pipe()
    hear, say = os.pipe()

    def starter() -> None:
        os.close(start)
        install(Orders(str(site.trace), (), tuple(broken)).encode(), "starter", {})
        board = site.board
        try:
            with standby.begun(board.root, board.ledger.new_id("run")) as guard:
                prepared = preflight.plan(board, preflight.Request("Gated", TASK), os.environ, guard.run_id)
                os.write(say, b"p")
                os.read(go, 1)
                launch.start(board, prepared, ANN, guard)
            os.write(say, b"s")
        except AlreadyRunning:
            os.write(say, b"r")

    for _ in range(STARTERS):
        forked(starter)
    os.close(go)
    os.close(say)
    answers = b""
    while answers.count(b"p") < STARTERS and (more := os.read(hear, 64)):
        answers += more
    os.close(start)  # which lets all go
    while more := os.read(hear, 64):
        answers += more
    found = [] if answers.count(b"s") == 1 else [f"{answers.count(b's')} of {STARTERS} starters won"]
    found += [] if answers.count(b"s") + answers.count(b"r") == STARTERS else [f"a starter did not answer: {answers!r}"]
    gate = os.open(site.root / "gate", os.O_RDWR)
    os.write(gate, b"\n" * STARTERS)
    found += [] if settle() else ["processes that outlive the run"]
    os.close(gate)
    found += wrongs(site)
    shutil.rmtree(folder, ignore_errors=True)
    return Finding("starters", "8 at once", True, tuple(found))


def known_dead(template: Site, folder: Path) -> Finding:
    """How long the lease outlives a supervisor that is killed."""
    folder.mkdir()
    site = template.copy(folder)
    os.environ.update(HOME=str(site.folder), XDG_STATE_HOME=str(site.folder / "state"))
    os.waitpid(forked(lambda: _starter(site, Orders(str(site.trace)), "Gated")), 0)
    (run,) = open_runs(site.board.folder)
    supervisor = _holder(run)
    killed_at = time.monotonic()
    os.kill(supervisor, signal.SIGKILL)
    while run.alive() and time.monotonic() - killed_at < 5:
        os.sched_yield()
    known_s = time.monotonic() - killed_at
    found = ["the lease is still held"] if known_s >= 5 else []
    found += [] if settle() else ["processes that outlive the run"]
    found += wrongs(site)
    shutil.rmtree(folder, ignore_errors=True)
    return Finding("death is known", "supervisor killed", True, tuple(found), known_s)


def _holder(run: RunFolder) -> int:
    """The process that has the lease open, as the kernel lists it."""
    for entry in Path("/proc").iterdir():
        try:
            links = [os.readlink(link) for link in (entry / "fd").iterdir()] if entry.name.isdigit() else []
        except OSError:
            continue
        if str(run.lease) in links:
            return int(entry.name)
    raise AssertionError(f"nobody holds the lease of {run.run_id}")
