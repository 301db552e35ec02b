"""Real commands under strace(1): the kernel refuses the n-th call on a file of the board, with ENOSPC or EIO.

Nothing in the process knows of it, so that it meets also what Python's own files do, and what C does for it. What
the command then says has to be so: what it acknowledged is there, what it said was not recorded is not.
`when=N` of strace counts in each process, and with `-P` only the calls on that file: a draft, whose name is never
the same, and a rename, of which `-P` sees one end, are counted without.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, get_args

from lattice.core.record import Record
from tests.faults import Outcome
from tests.torture.acts import COMMANDS, Bench, Streams, streams, wrongs
from tests.torture.arena import Finding
from tests.torture.inject import TOP

TRACED = ("create", "update", "comment", "status", "assign", "attach", "link", "archive", "undo", "resource acquire")
PLAIN = "from lattice.cli.main import main; sys.exit(main(sys.argv[1:]))"
CALLS = "openat,write,pwrite64,fdatasync,fsync,ftruncate,fallocate,rename,renameat,renameat2,mkdir,unlink,utimensat"
LIMIT_S = 60.0
Kind = Literal["enospc", "eio"]
_CALL = re.compile(r"\d+ +(\w+)\((.*)\) = -?\d")
_FILE = re.compile(r"\d+<([^>]*)>")
_WORD = re.compile(r'"([^"]*)"')


class NotTraceable(Exception):
    """There is no strace here, or it may not trace."""


class Trial(Record):
    """The n-th call of a name on a file, below the folder of the board, is refused; without one, on whatever file."""

    command: str
    path: str | None
    call: str
    n: int
    kind: Kind
    after: Streams  # what a board has that was refused nothing

    def __str__(self) -> str:
        return f"{self.command}: {self.kind} of {self.call} {self.n} on {self.path or 'any file'}"


def trials(bench: Bench, folder: Path) -> Iterator[Trial]:
    """Every call that changes or syncs a file of the board. Raises NotTraceable."""
    if shutil.which("strace") is None:
        raise NotTraceable("there is no strace here")
    folder.mkdir()
    streams(bench.root)  # What it derives is then in every copy, and makes no calls.
    for command in TRACED:
        root = folder / command.replace(" ", "-")
        shutil.copytree(bench.root, root, symlinks=True)
        before = {str(path.relative_to(root)) for path in root.rglob("*")}
        done, log = _run(bench.replace(root=root), command, ("-y", "-e", f"trace={CALLS}"))
        if done.returncode or not log:
            raise NotTraceable(f"strace does not trace here: {done.stderr.strip() or done.stdout.strip()}")
        after = streams(root)
        for path, call, n in _calls(log, root, before):
            yield from (Trial(command, path, call, n, kind, after) for kind in get_args(Kind))
    shutil.rmtree(folder)


def _calls(log: str, root: Path, before: set[str]) -> Iterator[tuple[str | None, str, int]]:
    """Of what strace wrote: the path below the root, the call, and the how manieth of its name on that path it is."""
    seen: Counter[tuple[str | None, str]] = Counter()
    for line in log.splitlines():
        match = _CALL.match(line)
        if match is None:
            continue
        call, words = match.groups()
        file, texts = _FILE.match(words), _WORD.findall(words)
        path = os.path.relpath(file[1] if file else texts[-1] if texts else "/", root)
        kept = path in before and not call.startswith("rename")
        for place in (path, None):
            seen[place, call] += 1
        if not path.startswith(".lattice/") or (call == "openat" and "O_RDONLY" in words):
            continue
        if kept or call not in ("openat", "write"):  # of which Python makes others, not always as many
            place = path if kept else None
            yield place, call, seen[place, call]


def run_trial(trial: Trial, bench: Bench, folder: Path, program: str = PLAIN) -> Finding:
    """The trial, in a copy of the board that is removed unless something was found. Runs in an arena."""
    folder.mkdir()
    os.environ.update(HOME=str(folder), XDG_STATE_HOME=str(folder))
    mine = bench.replace(root=folder / "board")
    shutil.copytree(bench.root, mine.root)
    before = streams(mine.root)
    fault = f"inject={trial.call}:error={trial.kind.upper()}:when={trial.n}"
    where = ("-P", str(mine.root / trial.path)) if trial.path else ()
    words = (*where, "-e", f"trace={trial.call}", "-e", fault)
    done, log = _run(mine, trial.command, words, program)
    crashed = done.returncode not in (0, 1) or "INTERNAL_ERROR" in done.stdout or "Traceback" in done.stderr
    said = done.stdout if done.returncode == 0 else f"refused: {done.stdout}"
    found = [f"it broke down: {done.stdout} {done.stderr}"] if crashed else []
    found = found or wrongs(mine.root, Outcome((said,), (), done.returncode, ()), before, trial.after)
    if not found:
        shutil.rmtree(folder)
    label = f"{trial}" + (f" [{folder}]" if found else "")
    return Finding("strace", label, "(INJECTED)" in log, tuple(found))


def _run(
    bench: Bench, command: str, words: Sequence[str], program: str = PLAIN
) -> tuple[subprocess.CompletedProcess[str], str]:
    """The command in a process of its own, under strace that is told these words; and what strace wrote."""
    log = bench.root.with_suffix(".strace")
    told = ["strace", "-f", "-o", str(log), *words, "--"]
    boot = f"import sys; sys.path[:0] = {[str(TOP), *sys.path[1:]]!r}; {program}"
    done = subprocess.run(
        [*told, sys.executable, "-S", "-B", "-c", boot, *bench.words(COMMANDS[command]), "--json"],
        cwd=bench.root, capture_output=True, text=True, timeout=LIMIT_S, check=False,
    )  # fmt: skip
    return done, log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
