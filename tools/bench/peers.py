"""The tools that Lattice is measured beside: installed from their registries into a cache, or named as missing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

TRACKER = "lattice-tracker==0.2.0"
BACKLOG = "backlog.md"
INSTALL_LIMIT_S = 300.0
USUAL = ("lattice-tracker", "taskwarrior", "backlog.md")
"""The trackers. What else can be installed is had by name."""


class Missing(Exception):
    """A peer that cannot be had here; the text says why."""


class Peer(NamedTuple):
    """A peer that is there."""

    name: str
    command: tuple[str, ...]
    version: str


def cache_folder() -> Path:
    """Where peers and boards are kept between two runs."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "lattice-bench"


def peers(cache: Path, wanted: Sequence[str] = ()) -> tuple[dict[str, Peer], dict[str, str]]:
    """The peers that are there, and why the others are not, by name: the usual ones, or those in `wanted`."""
    found, missing = {}, {}
    for name in dict.fromkeys((*USUAL, *(name for name in wanted if name in INSTALLERS))):
        if wanted and name not in wanted:
            missing[name] = "not asked for"
            continue
        try:
            command = INSTALLERS[name](cache)
            found[name] = Peer(name, command, _version(command))
        except Missing as why:
            missing[name] = str(why)
    return found, missing


def _tracker(cache: Path) -> tuple[str, ...]:
    venv = cache / "lattice-tracker"
    command = venv / "bin" / "lattice"
    if not _works([str(command), "--version"]):
        python = next((one for one in _pythons() if _works([one, "-c", "import venv"])), None)
        if python is None:
            raise Missing("it needs Python 3.12, which is neither on PATH nor under ~/.pyenv/versions")
        _run([python, "-m", "venv", "--clear", str(venv)], cache)
        _run([str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--compile", TRACKER], cache)
    return (str(command),)


def _pythons() -> Iterator[str]:
    # Interpreters themselves first: what is on PATH may be a version manager's shim.
    yield from (str(path) for path in sorted((Path.home() / ".pyenv" / "versions").glob("3.12*/bin/python")))
    on_path = shutil.which("python3.12")
    if on_path is not None:
        yield on_path


def _taskwarrior(cache: Path) -> tuple[str, ...]:
    on_path = shutil.which("task")
    if on_path is not None and _works([on_path, "rc:/dev/null", "--version"]):
        return (on_path,)
    return (str(_from_debian(cache, "taskwarrior", "task")),)


def _task_spooler(cache: Path) -> tuple[str, ...]:
    on_path = shutil.which("tsp")
    return (on_path,) if on_path is not None else (str(_from_debian(cache, "task-spooler", "tsp")),)


def _from_debian(cache: Path, package: str, program: str) -> Path:
    """A program of a Debian package, unpacked into the cache: no root is needed, and nothing is installed."""
    folder = cache / package
    command = folder / "usr" / "bin" / program
    if not command.exists():
        if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
            raise Missing(f"{program} is not on PATH, and there is no apt-get to fetch {package} with")
        folder.mkdir(parents=True, exist_ok=True)
        _run(["apt-get", "download", "--quiet", package], folder)
        for archive in folder.glob("*.deb"):
            _run(["dpkg", "-x", archive.name, "."], folder)
    if not command.exists():
        raise Missing(f"the package {package} holds no {program}")
    return command


def _backlog(cache: Path) -> tuple[str, ...]:
    folder = cache / "backlog.md"
    command = folder / "node_modules" / ".bin" / "backlog"
    if not command.exists():
        if shutil.which("npm") is None or shutil.which("node") is None:
            raise Missing("it needs node and npm, which are not on PATH")
        folder.mkdir(parents=True, exist_ok=True)
        _run(["npm", "install", "--no-audit", "--no-fund", "--prefix", ".", BACKLOG], folder)
    # Its compiled program where there is one: what the wrapper in node adds is not the tool's own work.
    compiled = sorted(folder.glob("node_modules/backlog.md-*/backlog"))
    return (str(compiled[0] if compiled else command),)


INSTALLERS: dict[str, Callable[[Path], tuple[str, ...]]] = {
    "lattice-tracker": _tracker,
    "taskwarrior": _taskwarrior,
    "backlog.md": _backlog,
    "task-spooler": _task_spooler,
}


def _run(argv: Sequence[str], cwd: Path) -> None:
    cwd.mkdir(parents=True, exist_ok=True)
    try:
        ran = subprocess.run(
            argv, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            timeout=INSTALL_LIMIT_S,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as refused:
        raise Missing(f"{argv[0]}: {refused}") from None
    if ran.returncode:
        said = (ran.stderr or ran.stdout).strip().splitlines()[-1:]
        raise Missing(f"{Path(argv[0]).name} {argv[1]} exited with {ran.returncode}: {' '.join(said)}")


def _works(argv: Sequence[str]) -> bool:
    try:
        ran = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return ran.returncode == 0


def _version(command: Sequence[str]) -> str:
    asked = "-V" if Path(command[0]).name == "tsp" else "--version"
    ran = subprocess.run(
        [*command, asked], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False
    )
    number = re.search(r"\d+(?:\.\d+)+", ran.stdout or ran.stderr)
    return number[0] if number else "of unknown version"
