"""Hundreds of runs under random fire: kills, stops, a git that fails, a disk that fills; then the whole truth is told.

Runs go in waves over a few tasks and workers. In each wave processes of runs are killed, stopped and cut short by
a seeded plan, and at its end one command, `worker gc`, has to be enough. After the last wave nothing may
be left, and nothing that a worker made may be lost (`remains.py`).

The plan is the seed's; where in its life a process is when it is hit is the kernel's.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from lattice.commands.tasks import CreateTask
from lattice.workers.runs import all_runs
from tests.torture.arena import Finding
from tests.torture.battle import Battle
from tests.torture.breaks import BREAKS
from tests.torture.crew import TASKS, Crew
from tests.torture.mounts import CLONE_NEWNS, NotPermitted, mount, unshare
from tests.torture.plan import waves
from tests.torture.remains import remains
from tests.torture.site import ANN, Site


def soak(folder: Path, seed: int, runs: int, broken: tuple[str, ...] = ()) -> Finding:
    """So many runs. Runs in an arena; the folder stays where something was found."""
    folder.mkdir()
    os.environ.update(HOME=str(folder))
    for name in broken:
        BREAKS[name]()
    with small_disk(folder, runs) as disk:
        crew = Crew(Site(disk), folder)
        crew.make()
        os.environ.update(XDG_STATE_HOME=str(disk / "state"), PATH=f"{crew.shims}:{os.environ['PATH']}")
        for task in TASKS[1:]:
            CreateTask(f"Task {task}").run(crew.site.board, ANN)
        battle = Battle(crew, broken, capacity=disk != folder)
        began = time.monotonic()
        found: list[str] = []
        for wave in waves(seed):
            found += battle.wave(wave)
            if found or len(all_runs(crew.site.board.folder)) >= runs:
                break
        wall_s = time.monotonic() - began
        after, ends = remains(crew)
        found += after
        if found:
            subprocess.run(["cp", "--archive", disk, folder / "kept"], check=False)  # a pipe and all
    seen = {
        "runs": sum(ends.values()),
        "faults": sum(battle.faults.values()),
        "faults by kind": dict(sorted(battle.faults.items())),
        "ends by kind": dict(sorted(ends.items())),
        "wall_s": round(wall_s, 1),
        "slowest heal_s": round(max(battle.heals, default=0.0), 2),
        "median heal_s": round(sorted(battle.heals)[len(battle.heals) // 2], 3) if battle.heals else 0.0,
        "healed by a later command": battle.late,
        "stopped guards let go on": battle.let_go,
    }
    if not found:
        shutil.rmtree(folder, ignore_errors=True)
    label = f"seed {seed}" + (f" [{folder}]" if found else "")
    return Finding("soak", label, bool(battle.faults), tuple(found), max(battle.heals, default=None), seen)


@contextlib.contextmanager
def small_disk(folder: Path, runs: int) -> Iterator[Path]:
    """A file system of its own that can be filled, where mount(2) is permitted; else the folder."""
    disk = folder / "disk"
    disk.mkdir()
    try:
        unshare(CLONE_NEWNS)
        mount("tmpfs", disk, f"size={48 + runs // 4}m")
    except NotPermitted:
        disk.rmdir()
        yield folder
        return
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)
