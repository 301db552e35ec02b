"""Power cuts: a small disk is cut off while writers write, and mounted again; what was acknowledged has to be on it.

The file system is told to shut down without writing anything more (FS_IOC_SHUTDOWN), so that after it is mounted
again it holds what was synced and, by chance, a part of the rest, as its own journal has it. One that cannot be told
so is left alone, and what its disk held at that moment is mounted in its place.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from lattice.commands.artifacts import Attach
from lattice.commands.tasks import Comment, CreateTask, Update, change
from lattice.errors import LatticeError
from lattice.ledger import Written
from tests.conftest import make_board
from tests.torture.arena import Finding, forked
from tests.torture.breaks import BREAKS
from tests.torture.mounts import CLONE_NEWNS, NotPermitted, cut_power, image, mount, unshare
from tests.torture.storage import ANN, TEXT, opened, read

WRITERS = 2
UNTOLD = ("btrfs",)  # It knows no such order.
ACKNOWLEDGED_MAX = 12
MODES = (
    ("ext4", "commit=300"),
    ("ext4", "commit=300", "data=writeback", "noauto_da_alloc"),
    ("xfs",),
    ("btrfs", "commit=300"),
)
"""The kinds of file systems, and how they are mounted: ext4 with its own care for files that are renamed without
a sync, and without it."""


def cuts(folder: Path, seed: int, number: int, broken: Sequence[str] = ()) -> Finding:
    """So many cuts of one disk. Runs in an arena."""
    folder.mkdir()
    disk, root = folder / "disk", folder / "disk" / "board"
    kind, *options = MODES[seed % len(MODES)]
    label = f"seed {seed}, {' with '.join([kind, *filter(None, [','.join(options)])])}"
    try:
        unshare(CLONE_NEWNS)
        image(kind, folder / "image")
        disk.mkdir()
        mount(str(folder / "image"), disk, *options)
    except NotPermitted as why:
        return Finding("power", f"{label}: {why}", False)
    told: list[str] = []
    found: list[str] = []
    made = 0
    try:
        board = make_board(root)
        CreateTask("First").run(board, ANN)
        (root / "report.md").write_bytes(TEXT)
        os.sync()
        for name in broken:
            BREAKS[name]()
        chance = random.Random(seed)
        for made in range(1, number + 1):
            told += _until_cut(root, chance, partial(_cut, kind, disk, folder / "image"))
            subprocess.run(["umount", disk], check=True)
            if kind in UNTOLD:
                (folder / "held").replace(folder / "image")
            mount(str(folder / "image"), disk, *options)
            found = _wrongs(root, told, made)
            if found:
                break
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)
    if not found:
        shutil.rmtree(folder)
    seen = {"cuts": made, "acknowledged": len(told)}
    return Finding("power", label + (f" [{folder}]" if found else ""), made > 0, tuple(found), None, seen)


def _cut(kind: str, disk: Path, file: Path) -> None:
    """From this moment on nothing reaches what will be mounted."""
    if kind in UNTOLD:
        subprocess.run(["cp", "--sparse=always", file, file.with_name("held")], check=True)
    else:
        cut_power(disk)


def _until_cut(root: Path, chance: random.Random, cut: Callable[[], None]) -> list[str]:
    """Let writers write, and cut the disk off; the ids of the events that were acknowledged before."""
    hear, say = os.pipe()
    writers = [forked(partial(_write, root, chance.randrange(1 << 30), say)) for _ in range(WRITERS)]
    os.close(say)
    wanted = chance.randint(1, ACKNOWLEDGED_MAX)
    data = b""
    while data.count(b"\n") < wanted and (part := os.read(hear, 1 << 16)):
        data += part
    for pid in writers:
        os.kill(pid, signal.SIGSTOP)
        os.waitpid(pid, os.WUNTRACED)
    cut()
    for pid in writers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
    while part := os.read(hear, 1 << 16):
        data += part
    os.close(hear)
    return [line.decode() for line in data.split(b"\n")[:-1]]


def _write(root: Path, seed: int, say: int) -> None:
    chance = random.Random(seed)
    board = opened(root)
    streams = [task.id for task in board.store.tasks()]
    while True:
        act = chance.randrange(8)
        if act == 0:
            written: Written = CreateTask("Another").run(board, ANN)
        elif act == 1:
            written = change(board, chance.choice(streams), Update((f"custom_fields.n={chance.random()}",)), ANN)
        elif act == 2:
            attached = Attach(str(root / "report.md")).run(board, chance.choice(streams), ANN)
            os.write(say, f"{attached.task.last_event_id}\n".encode())
            continue
        else:
            written = change(board, chance.choice(streams), Comment("said"), ANN)
        os.write(say, "".join(f"{event.id}\n" for event in written.events).encode())


def _wrongs(root: Path, told: Sequence[str], made: int) -> list[str]:
    try:
        return [f"cut {made}: {wrong}" for wrong in read(root, told, drafts_max=made * WRITERS)]
    except LatticeError as refused:
        return [f"cut {made}: the board cannot be read: {refused.code}: {refused.message}"]
