"""The earlier tool, installed once into pytest's cache, and run as a black box."""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import shutil
import subprocess
from pathlib import Path
from typing import Any, NoReturn

import pytest

PACKAGE = "lattice-tracker==0.2.*"


def install(cache: Path) -> Path:
    """The earlier tool's command. Skips where it cannot be had; on CI it fails."""
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # In a fresh clone all of pytest's workers come at once.
        return _installed(cache)


def _installed(cache: Path) -> Path:
    command = cache / "venv" / "bin" / "lattice"
    if command.exists() and _works(command):
        return command
    python = _python()
    if python is None:
        unavailable("there is no Python 3.12, neither on the PATH nor under ~/.pyenv/versions")
    try:
        subprocess.run([python, "-m", "venv", "--clear", cache / "venv"], check=True, capture_output=True, timeout=120)
        pip: list[str | Path] = [cache / "venv" / "bin" / "python", "-m", "pip", "install", "--quiet", PACKAGE]
        subprocess.run(pip, check=True, capture_output=True, timeout=300)
    except (OSError, subprocess.SubprocessError) as failed:
        words = getattr(failed, "stderr", None) or b""
        unavailable(f"{PACKAGE} cannot be installed: {failed} {words.decode(errors='replace')[-500:]}")
    return command


def unavailable(why: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(f"the earlier tool is needed on CI: {why}")
    pytest.skip(f"the earlier tool: {why}")


def _python() -> str | None:
    home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    found = [str(path) for path in sorted((home / ".pyenv" / "versions").glob("3.12.*/bin/python"))]
    on_path = shutil.which("python3.12")
    for python in [*found, *([on_path] if on_path else [])]:
        if _works(Path(python)):
            return python
    return None


def _works(command: Path) -> bool:
    try:
        done = subprocess.run([command, "--help"], env=_environment(), capture_output=True, timeout=120, check=False)
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


def _environment() -> dict[str, str]:
    # Its package has our name: a PYTHONPATH for ours would give it ours.
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


class EarlierTool:
    """Runs the earlier tool on one board."""

    def __init__(self, command: Path, root: Path) -> None:
        self._command = command
        self._root = root

    def run(self, *words: str, actor: str | None = "human:ann") -> str:
        """What it prints; raises where it refuses."""
        by = ["--actor", actor] if actor else []
        argv: list[str | Path] = [self._command, *words, *by]
        done = subprocess.run(
            argv, cwd=self._root, env=_environment(), capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout

    def ask(self, *words: str) -> Any:
        """The `data` of what it answers in JSON."""
        return json.loads(self.run(*words, "--json", actor=None))["data"]
