"""Running a board's hooks: after the lock is released, only what is trusted, each with a time limit.

A hook cannot undo what it is told of, so nothing that goes wrong with one is an error of the command:
it is a warning on standard error. A `lattice` that a hook runs fires no hooks itself.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from lattice.commands.trust import Grant, trust_store
from lattice.core.codec import dump, encode
from lattice.core.events import Event
from lattice.core.hooks import Hook, Hooks, parse_hooks, variables
from lattice.core.record import Record
from lattice.core.text import visible
from lattice.errors import LatticeError
from lattice.ledger import Written
from lattice.store.files.digest import file_digest, sha256

IN_HOOK = "LATTICE_IN_HOOK"
KIND = "hook"
OUTPUT_BYTES_KEPT = 4096
SAID_CHARS_MAX = 200


class Pinned(Record):
    """A file that a hook executes or reads by its arguments, as it is now."""

    path: str
    digest: str


class Target(Record):
    """What a hook would execute now. `digest` covers the settings' entry and the content of every file."""

    hook: Hook
    program: str | None
    files: tuple[Pinned, ...]
    problem: str | None
    digest: str


def target(hook: Hook, root: Path, environ: Mapping[str, str]) -> Target:
    """What `hook` would execute: a path counts from the board's root, a bare name is looked up on PATH.

    Pinned are the program, where it is given as a path or lies in the board's folder, and each
    argument that names a file. What those files load in turn is not: keep a hook in one file.
    """
    program, problem = _program(hook, root, environ)
    named = [word.partition("=")[2] if word.startswith("-") else word for word in hook.argv[1:]]
    candidates = [root / word for word in named if word]
    if program is not None and ("/" in hook.argv[0] or _inside(program, root)):
        candidates.insert(0, program)
    files = []
    try:
        for path in dict.fromkeys(candidates):
            if _is_file(path):
                with path.open("rb") as content:
                    files.append(Pinned(str(path), f"sha256:{file_digest(content).hex()}"))
    except OSError as refused:
        problem = f"{refused.filename} cannot be read: {refused.strerror}"
    entry = dump({"key": hook.key, "argv": list(hook.argv), "files": [[file.path, file.digest] for file in files]})
    digest = f"sha256:{sha256(entry).hexdigest()}"
    return Target(hook, str(program) if program else None, tuple(files), problem, digest)


class HookRunner:
    """The hooks of the board in `root`. `report` is told what a person should know."""

    def __init__(
        self, root: Path, raw: object, environ: Mapping[str, str], report: Callable[[str], None] | None = None
    ) -> None:
        self._root = root.resolve()
        self._raw = raw
        self._environ = environ
        self._report = report if report is not None else _to_stderr
        self._told: set[str] = set()

    def after(self, written: Written) -> None:
        """Run what the events call for, in their order. Raises nothing; KeyboardInterrupt ends the hook, too."""
        if self._environ.get(IN_HOOK):
            return
        try:
            hooks = parse_hooks(self._raw)
            called = [(event, hook) for event in written.events for hook in hooks.called_by(event)]
            if called:
                self._run(called, hooks, written.task.short_id)
        except LatticeError as off:
            self._once(f"No hook was run: {off.message}" + (f" {off.hint}" if off.hint else ""))
        except Exception as bug:  # noqa: BLE001  # what was recorded stays acknowledged, whatever a hook does
            self._once(f"A hook could not be run: {type(bug).__name__}: {bug}")

    def _run(self, called: list[tuple[Event, Hook]], hooks: Hooks, short_id: str | None) -> None:
        store = trust_store(self._environ)
        skipped: list[str] = []
        for event, hook in called:
            found = target(hook, self._root, self._environ)
            if not store.is_trusted(KIND, str(self._root), found.digest):
                skipped.append(hook.key)
                continue
            said = variables(event, short_id=short_id, root=str(self._root))
            problem = found.problem or execute(
                found, self._root, {**self._environ, **said, IN_HOOK: "1"}, encode(event), hooks.timeout_s
            )
            if problem:
                self._report(f"The hook {hook.key} failed: {problem}. The command itself did what it says.")
        new = [key for key in dict.fromkeys(skipped) if key not in self._told]
        self._told.update(new)
        if new:
            self._report(f"Not trusted, and skipped: {', '.join(new)}. See what would run, and allow it: lattice trust")

    def _once(self, message: str) -> None:
        if message not in self._told:
            self._told.add(message)
            self._report(message)


def execute(found: Target, root: Path, environ: Mapping[str, str], stdin: bytes, timeout_s: float) -> str | None:
    """Run one hook to its end, or to the time limit, which ends its process group. Returns what went wrong."""
    give_up_at = time.monotonic() + timeout_s
    # A file and not a pipe: a hook need not read what it is told.
    import tempfile  # it costs more than all else here: a hook that is fired pays for it

    process: subprocess.Popen[bytes] | None = None
    output, theirs = os.pipe()
    try:
        try:
            with tempfile.TemporaryFile() as told:
                told.write(stdin)
                told.seek(0)
                process = subprocess.Popen(
                    found.hook.argv,
                    executable=found.program,
                    stdin=told,
                    stdout=theirs,
                    stderr=theirs,
                    cwd=root,
                    env=environ,
                    start_new_session=True,
                )
        except (OSError, ValueError) as refused:
            return _not_started(refused)
        finally:
            os.close(theirs)
        said, ended = _watch(process.pid, output, give_up_at)
    finally:  # An interrupt may come at any moment from the hook's start on.
        os.close(output)
        if process is not None and process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    status = process.wait()
    if not ended:
        return f"it had not ended after {timeout_s:g} s, and was killed"
    if status == 0:
        return None
    how = f"exit status {status}" if status > 0 else f"signal {signal.Signals(-status).name}"
    return f"{how}, {said!r}" if said else how


def _watch(pid: int, output: int, give_up_at: float) -> tuple[str, bool]:
    """The last line of the output, and whether the process ended in time. Its children may hold the pipe open."""
    os.set_blocking(output, False)
    kept = b""
    ended = False
    pidfd = os.pidfd_open(pid)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            selector.register(pidfd, selectors.EVENT_READ)
            while not ended and (left_s := give_up_at - time.monotonic()) > 0:
                ready = {key.fd for key, _ in selector.select(left_s)}
                ended = pidfd in ready
                if output in ready:
                    part = os.read(output, 1 << 16)
                    kept = (kept + part)[-OUTPUT_BYTES_KEPT:]
                    if not part:
                        selector.unregister(output)
        if ended:
            with contextlib.suppress(BlockingIOError):
                kept = (kept + os.read(output, 1 << 16))[-OUTPUT_BYTES_KEPT:]
    finally:
        os.close(pidfd)
    lines = kept.decode("utf-8", "replace").split("\n")
    return next((text.strip() for text in reversed(lines) if text.strip()), "")[:SAID_CHARS_MAX], ended


def _program(hook: Hook, root: Path, environ: Mapping[str, str]) -> tuple[Path | None, str | None]:
    """The file to execute, or what is wrong with it."""
    name = hook.argv[0]
    if "/" in name:
        path = root / name
        if not _is_file(path):
            spaced = " (a text is the program alone; give arguments as a list)" if " " in name else ""
            return None, f"{name!r} is not there{spaced}"
        if not os.access(path, os.X_OK):
            return None, f"{name!r} is not executable; chmod +x makes it so"
        return path, None
    # An entry of PATH that is relative would mean another folder for each caller.
    places = [place for place in environ.get("PATH", os.defpath).split(os.pathsep) if place.startswith("/")]
    found = shutil.which(name, path=os.pathsep.join(places))
    if found is None:
        if " " in name:
            return None, f"{name!r} is not on PATH; a text is the program alone, give arguments as a list"
        return None, f"{name!r} is not on PATH; a script of the board's is given as ./{name}"
    return Path(found), None


def _inside(path: Path, root: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(root)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long for a name, for example: then it names no file
        return False


def _not_started(refused: OSError | ValueError) -> str:
    if isinstance(refused, OSError) and refused.strerror:
        return f"it could not be started: {refused.strerror}"
    return f"it could not be started: {refused}"


def _to_stderr(message: str) -> None:
    if sys.stderr is not None:
        with contextlib.suppress(OSError):  # There is nobody left to tell.
            sys.stderr.write(f"Warning: {visible(message)}\n")
            sys.stderr.flush()


class Listed(Record):
    """A hook of the board, and whether it would run."""

    target: Target
    trusted: bool


def listed(root: Path, raw: object, environ: Mapping[str, str]) -> tuple[Listed, ...]:
    """Every hook of the board in `root`. Raises ConfigError, ValidationError."""
    place = root.resolve()
    store = trust_store(environ)
    known = {grant.digest for grant in store.grants() if grant.kind == KIND and grant.path == str(place)}
    found = [target(hook, place, environ) for hook in parse_hooks(raw).all()]
    return tuple(Listed(one, one.digest in known) for one in found)


def allow(root: Path, shown: tuple[Listed, ...], environ: Mapping[str, str], at: str) -> tuple[Listed, ...]:
    """Trust what was shown and can run, and nothing that came after. Raises ValidationError, StorageError."""
    new = [one for one in shown if not one.trusted and one.target.problem is None]
    if new:
        place = str(root.resolve())
        trust_store(environ).add([Grant(KIND, place, one.target.digest, one.target.hook.key, at) for one in new])
    return tuple(one.replace(trusted=True) if one in new else one for one in shown)
