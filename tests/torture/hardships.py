"""Runs in hard places: past their deadline and deaf, on a disk that is full, after a reboot, on a clock that jumps."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from lattice.core.run_events import ProcessCompleted, ProcessFailed
from lattice.errors import LatticeError
from lattice.workers import control, standby
from lattice.workers.runs import open_runs
from tests.torture.arena import Finding, forked, settle
from tests.torture.breaks import BREAKS, put
from tests.torture.inject import guard_text
from tests.torture.mounts import CLONE_NEWNS, CLONE_NEWTIME, NotPermitted, image, mount, mounted, unshare
from tests.torture.site import TASK, Site, wrongs
from tests.torture.victims import Victims

TIMEOUT_S = 3.0  # The preparation counts, and on a machine under load it takes long.
GRACE_S = 0.2
LATE_S_MAX = 1.0
DECADE_S = 10 * 365 * 86400.0
JUMPS_S = (DECADE_S, -DECADE_S, 3600.0, -3600.0)
_DEAF = "trap '' TERM INT HUP"
_DONE = 'echo done > "$LATTICE_OUTPUT_DIR/review.md"\n'
DEAF = {
    "Deaf": f"{_DEAF}\nwhile :; do sleep 600; done",
    "Daemon": f'setsid sh -c "({_DEAF}; while :; do sleep 600; done) &" >/dev/null 2>&1 </dev/null\nsleep 600',
    "Unmarked": f'env -i setsid sh -c "{_DEAF}; while :; do /bin/sleep 9; done" >&- 2>&- </dev/null &\nsleep 600',
    "Stopped": "kill -STOP $$",
    "Forking": f"{_DEAF}\nwhile :; do sh -c '{_DEAF}; sleep 600' & sleep 0.05; done",
}
FILLS = {
    "exit 0": _DONE + 'cat /dev/zero > "$LATTICE_MAIN_CHECKOUT/fill" 2> /dev/null; exit 0',
    "exit 3": _DONE + 'cat /dev/zero > "$LATTICE_MAIN_CHECKOUT/fill" 2> /dev/null; exit 3',
}
_TIMED: Mapping[str, object] = {"timeout_minutes": TIMEOUT_S / 60, "grace_seconds": GRACE_S}


def deadline_site(folder: Path) -> Site:
    """A site with workers that do not want to end."""
    site = Site(folder)
    site.make({name: (script, _TIMED) for name, script in DEAF.items()})
    return site


def deadline(worker: str, template: Site, folder: Path, late_s_max: float, broken: Sequence[str] = ()) -> Finding:
    """A run that reaches its limit: how long after limit and grace everything of it was over. Runs in an arena."""
    site = entered(template, folder)
    os.waitpid(forked(lambda: _start(site, worker, broken)), 0)
    began = time.monotonic()
    gone = settle(within_s=TIMEOUT_S + GRACE_S + 20)
    late_s = max(0.0, time.monotonic() - began - TIMEOUT_S - GRACE_S)
    found = [] if gone else ["processes that outlive the run"]
    found += [] if late_s <= late_s_max else [f"over {late_s:.1f} s after its limit and grace"]
    found += wrongs(site) or _other_end(site, "timeout")
    return told("deadline", worker, folder, found, healed_s=late_s)


def full_disk(kind: str, fill: str, folder: Path, broken: Sequence[str] = ()) -> Finding:
    """A run that fills its own disk before it ends: the end is the true one, and kept. Runs in an arena."""
    folder.mkdir()
    disk = folder / "disk"
    label = f"{kind}, {fill}"
    try:
        unshare(CLONE_NEWNS)
        if kind != "tmpfs":
            image(kind, folder / "image")
        with mounted("tmpfs" if kind == "tmpfs" else str(folder / "image"), disk, *(["size=6m"] * (kind == "tmpfs"))):
            site = Site(disk)
            site.make({"Filler": (FILLS[fill], {"worktree": False})})
            found = _filled(site, fill, folder, broken)
    except NotPermitted as why:
        return Finding("full disk", f"{label}: {why}", False)
    return told("full disk", label, folder, found)


def _filled(site: Site, fill: str, folder: Path, broken: Sequence[str]) -> list[str]:
    os.environ.update(HOME=str(folder), XDG_STATE_HOME=str(folder))
    os.waitpid(forked(lambda: _start(site, "Filler", broken)), 0)
    found = [] if settle() else ["processes that outlive the run"]
    found += [] if (site.root / "fill").exists() else ["the disk was never full"]
    left = open_runs(site.board.folder)
    found += [f"{run.run_id}: its outcome was not kept" for run in left if run.read_outcome() is None]
    os.waitpid(forked(partial(_gc, site)), 0)  # It cannot do much, and must not do harm.
    (site.root / "fill").unlink(missing_ok=True)
    os.waitpid(forked(partial(_gc, site)), 0)
    return found + (wrongs(site) or _other_end(site, None if fill == "exit 0" else "exit"))


def clock_jump(jump_s: float, template: Site, folder: Path) -> Finding:
    """A run goes on while the clocks of its supervisor, and of the commands that look at it, are set. In an arena."""
    site = entered(template, folder)
    os.waitpid(forked(lambda: _start(site, "Gated", clock=jump_s)), 0)
    os.waitpid(forked(partial(_gc, site, jump_s)), 0)
    found = _others_look(site, jump_s)
    return told("clocks", f"set by {jump_s:g} s", folder, found + _let_go(site))


def boot_clock(offset_s: int, template: Site, folder: Path) -> Finding:
    """The same where the clocks that count from the boot are others for who looks (time_namespaces(7)). In an arena."""
    site = entered(template, folder)
    os.waitpid(forked(lambda: _start(site, "Gated")), 0)

    def look() -> None:
        unshare(CLONE_NEWTIME)
        offsets = f"monotonic {offset_s} 0\nboottime {offset_s} 0\n"
        Path("/proc/self/timens_offsets").write_text(offsets, encoding="ascii")
        os._exit(os.waitstatus_to_exitcode(os.waitpid(forked(partial(_gc, site)), 0)[1]))

    status = os.waitstatus_to_exitcode(os.waitpid(forked(look), 0)[1])
    found = _let_go(site)
    return told("clocks", f"the boot {offset_s} s earlier", folder, found, met=status == 0)


def reboot(template: Site, folder: Path) -> Finding:
    """Everything of a run dies at one moment, and whoever looks next finds another boot. Runs in an arena."""
    site = entered(template, folder)
    os.waitpid(forked(lambda: _start(site, "Gated")), 0)
    (run,) = open_runs(site.board.folder)
    victims = Victims(site.board.folder)
    for pid in (victims.guard(run.run_id), victims.supervisor(run.run_id), *victims.agents(run.run_id)):
        os.kill(pid, signal.SIGKILL)
    settle()
    (folder / "boot_id").write_text("00000000-0000-4000-8000-000000000000\n", encoding="ascii")

    def look() -> None:
        unshare(CLONE_NEWNS)
        mount(f"{folder}/boot_id", Path("/proc/sys/kernel/random/boot_id"), "bind")
        unshare(CLONE_NEWTIME)
        Path("/proc/self/timens_offsets").write_text("boottime 5000 0\n", encoding="ascii")
        os._exit(os.waitstatus_to_exitcode(os.waitpid(forked(partial(_gc, site)), 0)[1]))

    status = os.waitstatus_to_exitcode(os.waitpid(forked(look), 0)[1])
    found = (wrongs(site) or _other_end(site, "lost")) if status == 0 else []
    return told("clocks", "a reboot", folder, found, met=status == 0)


def install(jump_s: float) -> None:
    """Set the wall clock of this process, and of the supervisor that it becomes."""
    for name, unit in (("time", 1.0), ("time_ns", 1e9)):
        put(time, name, _moved(getattr(time, name), jump_s * unit))


def _moved(clock: Callable[[], float], by: float) -> Callable[[], float]:
    def moved() -> float:
        now = clock()
        return type(now)(now + type(now)(by))

    return moved


def guarded_by(broken: Sequence[str] = (), clock: float = 0.0) -> None:
    """Put this process, a starter, under the breaks, and the guards it starts too, on a clock of their own."""
    first = f"from tests.torture.breaks import BREAKS; [BREAKS[name]() for name in {tuple(broken)!r}]"
    if clock:
        first += f"; from tests.torture.hardships import install; install({clock!r})"
    put(standby, "_BOOT", guard_text(first))
    for name in broken:
        BREAKS[name]()


def _start(site: Site, worker: str, broken: Sequence[str] = (), clock: float = 0.0) -> None:
    guarded_by(broken, clock)
    site.run(worker)


def _gc(site: Site, clock: float = 0.0) -> None:
    if clock:
        install(clock)
    control.gc(site.board, os.environ)


def _others_look(site: Site, jump_s: float) -> list[str]:
    """A second starter on a clock of its own is refused as ever."""

    def another() -> None:
        install(jump_s)
        try:
            site.run("Gated")
        except LatticeError as refused:
            os._exit(0 if refused.code == "ALREADY_RUNNING" else 2)
        os._exit(3)

    status = os.waitstatus_to_exitcode(os.waitpid(forked(another), 0)[1])
    return [] if status == 0 else [f"a second starter was not told of the run: {status}"]


def _let_go(site: Site) -> list[str]:
    """The run has to be alive still, and to succeed when its gate opens."""
    alive = [run for run in open_runs(site.board.folder) if run.alive()]
    found = [] if len(alive) == 1 else [f"{len(alive)} runs are alive"]
    gate = os.open(site.root / "gate", os.O_RDWR)
    os.write(gate, b"\n" * 4)
    found += [] if settle() else ["processes that outlive the run"]
    os.close(gate)
    return found + (wrongs(site) or _other_end(site, None))


def _other_end(site: Site, cause: str | None) -> list[str]:
    """What is off where the run did not end for this cause; None: it succeeded."""
    _, events = site.board.store.history(site.board.resolve(TASK))
    ends = [event.body for event in events if isinstance(event.body, (ProcessCompleted, ProcessFailed))]
    seen = [(end.cause or {}).get("kind") if isinstance(end, ProcessFailed) else None for end in ends]
    return [] if seen == [cause] else [f"it ended as {seen}, not as {cause}"]


def entered(template: Site, folder: Path) -> Site:
    """A copy of the template, which this process's home and state are put into."""
    folder.mkdir()
    site = template.copy(folder)
    os.environ.update(HOME=str(site.folder), XDG_STATE_HOME=str(site.folder / "state"))
    return site


def told(
    group: str, label: str, folder: Path, found: Sequence[str], *, healed_s: float | None = None, met: bool = True
) -> Finding:
    """The finding; the folder goes where nothing was found."""
    if not found:
        shutil.rmtree(folder, ignore_errors=True)
    return Finding(group, label + (f" [{folder}]" if found else ""), met, tuple(found), healed_s)
