"""What an engine's program can do: the flags in its own help, and its version, asked once for each binary.

The answers are kept in `$XDG_CACHE_HOME/lattice/engines.json` by the program's real path, with its size and its
time of change: one that was updated is asked again. A cache that cannot be read or written costs a start, no more.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lattice.core.codec import BadLine, dump, parse
from lattice.core.record import Record
from lattice.core.text import visible
from lattice.errors import DefinitionError, ValidationError, choices
from lattice.store.files import disk
from lattice.workers.engines.protocol import Engine
from lattice.workers.environment import EnvironmentRules, child_environment
from lattice.workers.worktrees.worktree_root import base_folder

ANSWER_S = 20.0
HELP_BYTES_MAX = 1 << 20
VERSION_CHARS_MAX = 80
ENTRIES_MAX = 64
_FLAG = re.compile(r"(?<![\w-])--?[A-Za-z][\w-]*")
_STYLE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Probed(Record):
    """What a binary said of itself."""

    path: str
    version: str | None  # its first line, as it came
    flags: frozenset[str]
    error: str | None = None  # why it did not answer


def probe(engine: Engine, path: str, environ: Mapping[str, str]) -> Probed:
    """What the binary at this absolute path can do, from the cache or from itself. Never raises, never hangs."""
    try:
        key = _key(engine, path)
    except OSError as why:
        return Probed(path, None, frozenset(), f"{path} cannot be read: {why.strerror}")
    cache = _cache_file(environ)
    entries = _read(cache)
    known = _known(path, entries.get(key))
    if known is not None:
        return known
    found = _asked(engine, path, environ)
    if found.error is None and cache is not None:
        entry = {"version": found.version, "flags": sorted(found.flags)}
        latest = {**_read(cache), key: entry}  # read again: another may have asked of another meanwhile
        kept = dict(list(latest.items())[-ENTRIES_MAX:])
        with contextlib.suppress(OSError, ValidationError):  # only the next start is slower
            disk.replace(cache, dump({"engines": kept}))
    return found


def missing(engine: Engine, probed: Probed, *, reviewer: bool = False) -> tuple[str, ...]:
    """The flags that this work needs and the binary lacks."""
    needed = (*engine.required, *(engine.reviewer if reviewer else ()))
    return tuple(flag for flag in needed if flag not in probed.flags)


def ready(engine: Engine, path: str, environ: Mapping[str, str], *, reviewer: bool) -> Probed:
    """The same, for a binary that is to be used. Raises DefinitionError where it cannot be."""
    probed = probe(engine, path, environ)
    off = problem(engine, probed, reviewer=reviewer)
    if off is not None:
        raise off
    return probed


def problem(engine: Engine, probed: Probed, *, reviewer: bool = False) -> DefinitionError | None:
    """Why the binary cannot be used for this work; None where it can."""
    if probed.error is not None:
        hint = f"Try it by hand: {engine.program} {' '.join(engine.help_arguments)}"
        return DefinitionError(f"{engine.name}: {probed.error}", hint=hint, engine=engine.name)
    lacking = missing(engine, probed, reviewer=reviewer)
    if not lacking:
        return None
    version = f" {probed.version}" if probed.version else ""
    why = ", without which a reviewer would do what the branch's own files say" if reviewer else ""
    return DefinitionError(
        f"{engine.name}: {probed.path}{version} lacks {choices(lacking)}{why}.",
        hint=f"Install a version that has what is missing: {engine.install}",
        engine=engine.name,
        missing=list(lacking),
    )


def flags_of(said: str) -> frozenset[str]:
    """The flags that a help names, long and short."""
    return frozenset(_FLAG.findall(_STYLE.sub("", said)))


def _asked(engine: Engine, path: str, environ: Mapping[str, str]) -> Probed:
    said = _output([path, *engine.help_arguments], environ)
    if isinstance(said, _Silent):
        return Probed(path, None, frozenset(), said.why)
    flags = flags_of(said)
    if not flags:
        return Probed(path, None, flags, f"{path} {' '.join(engine.help_arguments)} named no flag")
    version = _output([path, "--version"], environ)
    lines = [] if isinstance(version, _Silent) else _STYLE.sub("", version).strip().splitlines()
    return Probed(path, visible(lines[0][:VERSION_CHARS_MAX]) if lines else None, flags)


class _Silent(Record):
    """It did not answer, and why."""

    why: str


def _output(argv: Sequence[str], environ: Mapping[str, str]) -> str | _Silent:
    """What a program says on both its outputs. It works in /, so that no branch's settings lie around it.

    Into a file of memory, not a pipe: what it started may hold a pipe open long after it has gone.
    """
    environment = {**child_environment(environ, EnvironmentRules(), {}), "NO_COLOR": "1"}
    with open(os.memfd_create("help", os.MFD_CLOEXEC), "w+b") as output:
        try:
            process = subprocess.Popen(
                argv,
                cwd="/",
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        except OSError as why:
            return _Silent(f"{argv[0]} cannot be executed: {why.strerror}")
        try:
            status = process.wait(ANSWER_S)
        except subprocess.TimeoutExpired:
            return _Silent(f"{' '.join(argv)} did not answer within {ANSWER_S:g} s")
        finally:
            with contextlib.suppress(ProcessLookupError):  # nothing of its group is left, which is the rule
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        output.seek(0)
        said = output.read(HELP_BYTES_MAX).decode("utf-8", "replace")
    if status != 0:
        last = (said.strip().splitlines() or ["nothing"])[-1]
        return _Silent(f"{' '.join(argv)} ended with {status} and said: {visible(last[:200])}")
    return said


def _key(engine: Engine, path: str) -> str:
    """The program's real path, and all that would change if it were another one. Raises OSError."""
    real = os.path.realpath(path)
    status = os.stat(real)
    return "\t".join((real, str(status.st_mtime_ns), str(status.st_size), " ".join(engine.help_arguments)))


def _cache_file(environ: Mapping[str, str]) -> Path | None:
    try:
        return base_folder(environ, "XDG_CACHE_HOME", ".cache", "a cache") / "lattice" / "engines.json"
    except ValidationError:
        return None  # Without a home there is no cache.


def _read(cache: Path | None) -> dict[str, Any]:
    """The cache's entries; none where it cannot be believed."""
    if cache is None:
        return {}
    try:
        entries = parse(disk.read(cache) or b"{}").get("engines")
    except (OSError, BadLine):
        return {}
    return entries if isinstance(entries, dict) else {}


def _known(path: str, entry: object) -> Probed | None:
    if not isinstance(entry, dict):
        return None
    version, flags = entry.get("version"), entry.get("flags")
    if not (version is None or isinstance(version, str)) or not isinstance(flags, list):
        return None
    return Probed(path, version, frozenset(flag for flag in flags if isinstance(flag, str)))
