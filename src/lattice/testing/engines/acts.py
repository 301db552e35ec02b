"""What a fake engine does beside talking: the files that it leaves, and the ways in which it gets out of hand.

What could hurt is done in a run's own worktree alone: where $LATTICE_WORKTREE is the working directory.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

from lattice.testing.engines.behaviour import Behaviour
from lattice.testing.engines.output import complain

REVIEW_FILE = "review.json"
FLOOD_LINE = b"still working, still working, still working\n"
DAEMON_ENDS_S = 3600  # so that one that nobody cleans up does not stay for ever


def leave_output(told: Behaviour, environ: Mapping[str, str]) -> None:
    """Write what the run owes into its output folder: the files that are named, or a review."""
    folder = environ.get("LATTICE_OUTPUT_DIR")
    if not folder or not told.owes:
        return
    files = dict(told.files) or {REVIEW_FILE: json.dumps(review(told), indent=2) + "\n"}
    _write(Path(folder), files)


def review(told: Behaviour) -> Mapping[str, object]:
    """The review that the behaviour tells: whole, or made of its findings."""
    if told.review is not None:
        return told.review
    blocked = any(finding.get("severity") == "blocker" for finding in told.findings)
    return {
        "schema_version": 1,
        "verdict": told.verdict or ("not_ready" if blocked else "ready"),
        "summary": told.text,
        "findings": [dict(finding) for finding in told.findings],
    }


def work(told: Behaviour) -> None:
    """Write the files that are named into the working directory."""
    _write(Path.cwd(), told.work)


def _write(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as why:
            complain(f"{path} was not written: {why.strerror}")


def flood(told: Behaviour) -> None:
    """Write that much on standard error."""
    left = told.flood_bytes
    block = FLOOD_LINE * 1024
    while left > 0:
        left -= os.write(2, block[:left])


def escape(told: Behaviour, environ: Mapping[str, str]) -> None:
    """Do what is named, in order."""
    for name in told.escapes:
        try:
            _ESCAPES[name](told, environ)
        except (OSError, subprocess.CalledProcessError) as why:
            complain(f"{name} came to nothing: {why}")


def _own(environ: Mapping[str, str]) -> Path:
    """The working directory, where it is the run's own worktree. Raises OSError."""
    here = os.getcwd()
    if os.path.realpath(environ.get("LATTICE_WORKTREE") or "/") != here:
        raise PermissionError(f"{here} is not the worktree of a run")
    return Path(here)


def _daemon(told: Behaviour, _environ: Mapping[str, str]) -> None:
    """Leave a process behind: forked twice, in a session of its own, deaf, with the engine's output still open."""
    ready, tell = os.pipe()
    child = os.fork()
    if child:
        os.close(tell)
        os.waitpid(child, 0)
        os.read(ready, 1)
        os.close(ready)
        return
    os.setsid()
    if os.fork():
        os._exit(0)
    for asked in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(asked, signal.SIG_IGN)
    signal.alarm(DAEMON_ENDS_S)
    if told.outside:
        Path(told.outside).write_text(f"{os.getpid()}\n", encoding="utf-8")
    os.close(tell)
    while True:
        signal.pause()


def _delete_cwd(_told: Behaviour, environ: Mapping[str, str]) -> None:
    shutil.rmtree(_own(environ))


def _index_lock(_told: Behaviour, environ: Mapping[str, str]) -> None:
    folder = _git(_own(environ), "rev-parse", "--absolute-git-dir").strip()
    (Path(folder) / "index.lock").touch()


def _commit(_told: Behaviour, environ: Mapping[str, str]) -> None:
    here = _own(environ)
    (here / "by-the-engine.txt").write_text("made by a fake engine\n", encoding="utf-8")
    _git(here, "add", "--", "by-the-engine.txt")
    who = ("-c", "user.name=Fake Engine", "-c", "user.email=fake@example.org")
    _git(here, *who, "commit", "--quiet", "--no-verify", "--message", "By a fake engine")


def _git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True).stdout


def _write_outside(told: Behaviour, environ: Mapping[str, str]) -> None:
    """Write a file that is none of its business: the one that is named, else one in the main checkout."""
    checkout = environ.get("LATTICE_MAIN_CHECKOUT")
    place = told.outside or (f"{checkout}/escaped.txt" if checkout else None)
    if place is None:
        raise FileNotFoundError("the behaviour names no file, and there is no main checkout")
    Path(place).write_text("written by a fake engine\n", encoding="utf-8")


_ESCAPES: Mapping[str, Callable[[Behaviour, Mapping[str, str]], None]] = {
    "daemon": _daemon,
    "delete_cwd": _delete_cwd,
    "index_lock": _index_lock,
    "commit": _commit,
    "write_outside": _write_outside,
}
