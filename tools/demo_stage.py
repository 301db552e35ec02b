"""Where the demo plays: a temporary folder, the commands run in it, what is printed, and the clearing away."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from tools import demo_processes as processes

COMMAND_LIMIT_S = 60.0
WAIT_LIMIT_S = 30.0

T = TypeVar("T")


class DemoFailed(Exception):
    """Something that the demo claims did not hold."""


class Stage:
    """A folder of its own for a clone, its worktrees and its home; nothing is written outside of it."""

    def __init__(self) -> None:
        self.lattice_command = Path(sys.executable).parent / "lattice"
        if not self.lattice_command.exists():
            raise DemoFailed(f"there is no {self.lattice_command}: run `make setup`, then `make demo`")
        if shutil.which("git") is None:
            raise DemoFailed("git is not on PATH")
        self.folder = Path(os.path.realpath(tempfile.mkdtemp(prefix="lattice-demo-")))
        self.clone = self.folder / "clone"
        self.environ = self._environment()
        self._coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    def _environment(self) -> dict[str, str]:
        """The caller's, without what could lead a command to another board, repository, identity or home."""
        home = self.folder / "home"
        home.mkdir()
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("LATTICE_", "GIT_", "XDG_", "PYTHON"))}
        return inherited | {
            "PATH": f"{self.lattice_command.parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "HOME": str(home),
            "XDG_STATE_HOME": str(self.folder / "state"),
            "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "LATTICE_ACTOR": "human:you",
        }

    # --- what is printed ------------------------------------------------------------------------------

    def heading(self, text: str) -> None:
        self._print(f"\n{self._styled(f'== {text}', '1')}")

    def say(self, text: str = "") -> None:
        self._print(text)

    def command(self, text: str) -> None:
        self._print(f"\n{self._styled(f'$ {text}', '36')}")

    def claim(self, holds: object, sentence: str) -> None:
        """Print a fact that was checked. Raises DemoFailed where it is none."""
        if not holds:
            raise DemoFailed(f"this should hold, and does not: {sentence}")
        self._print(f"{self._styled('  ok', '32')}  {sentence}")

    def _styled(self, text: str, code: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._coloured else text

    def _print(self, text: str) -> None:
        print(text, flush=True)  # Flushed, so that what is seen and what is happening are the same moment.

    # --- what is run ----------------------------------------------------------------------------------

    def lattice(self, *words: str) -> str:
        """Run it before the user's eyes; returns what it printed. Raises DemoFailed where it refuses."""
        self.command(shlex.join(["lattice", *words]))
        said = self.run(str(self.lattice_command), *words)
        self.say(said.rstrip("\n"))
        return said

    def refused(self, *words: str) -> dict[str, Any]:
        """Run what must be refused before the user's eyes; the error. Raises DemoFailed where it is not."""
        self.command(shlex.join(["lattice", *words]))
        done = self._done(str(self.lattice_command), *words)
        self.say(f"{done.stdout}{done.stderr}".rstrip("\n"))
        if done.returncode == 0:
            raise DemoFailed(f"`lattice {shlex.join(words)}` was to be refused, and was not")
        error: dict[str, Any] = json.loads(self._done(str(self.lattice_command), *words, "--json").stdout)["error"]
        return error

    def quietly(self, *words: str) -> str:
        """Run `lattice` without showing it."""
        return self.run(str(self.lattice_command), *words)

    def ask(self, *words: str) -> Any:
        """The data of a command's JSON answer, not shown."""
        return json.loads(self.quietly(*words, "--json"))["data"]

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Run it before the user's eyes, in the background."""
        self.command(shlex.join(["lattice", *words]) + " &")
        return subprocess.Popen(
            [str(self.lattice_command), *words],
            cwd=self.clone,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        )

    def git(self, *words: str, cwd: Path | None = None, show: bool = False) -> str:
        """git's answer, in the clone. Raises DemoFailed with its words."""
        if show:
            self.command(shlex.join(["git", *words]))
        said = self.run("git", *words, cwd=cwd)
        if show:
            self.say(said.rstrip("\n"))
        return said

    def run(self, *argv: str, cwd: Path | None = None) -> str:
        """What it prints. Raises DemoFailed where it refuses."""
        done = self._done(*argv, cwd=cwd)
        if done.returncode != 0:
            shown = shlex.join([Path(argv[0]).name, *argv[1:]])
            raise DemoFailed(f"`{shown}` exited with {done.returncode}:\n{done.stdout}{done.stderr}".rstrip())
        return done.stdout

    def _done(self, *argv: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                argv,
                cwd=cwd or self.clone,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                encoding="utf-8",
                errors="replace",
                timeout=COMMAND_LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            shown = shlex.join([Path(argv[0]).name, *argv[1:]])
            raise DemoFailed(f"`{shown}` did not end within {COMMAND_LIMIT_S:g} s") from None

    def until(self, answer: Callable[[], T | None], what: str) -> T:
        """The first answer that is one. Each asking runs a command or waits, so there is no pause between two."""
        ends_at = time.monotonic() + WAIT_LIMIT_S
        while not (found := answer()):
            if time.monotonic() > ends_at:
                raise DemoFailed(f"within {WAIT_LIMIT_S:g} s there was no {what}")
        return found

    # --- the end --------------------------------------------------------------------------------------

    def close(self, *, keep: bool) -> None:
        """Stop what runs, then remove the folder, or keep it. Raises DemoFailed where something would not go."""
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, signal.SIG_IGN)  # A second Ctrl-C must not cut the clearing away short.
        self._stop_runs()
        stubborn = processes.end_all_of(self.folder, WAIT_LIMIT_S)
        if not keep:
            shutil.rmtree(self.folder)
        if stubborn:
            raise DemoFailed(f"these processes would not end: {', '.join(str(found.pid) for found in stubborn)}")

    def _stop_runs(self) -> None:
        """Ask each run for its end, as a person would. What does not heed is killed right after, by the caller."""
        if not (self.clone / ".lattice").is_dir():
            return
        try:
            for run in self.ask("worker", "ps"):
                self.quietly("worker", "stop", run["run_id"], "--wait")
        except DemoFailed as why:
            print(f"demo: while stopping what runs: {why}", file=sys.stderr)


def one_line(text: str, chars_max: int = 60) -> str:
    """What a stranger wrote, as a title: printable, one line, not too long, never empty."""
    printable = "".join(char if char.isprintable() else " " for char in text)
    words = re.sub(r"\s+", " ", printable).strip()
    return (
        words if len(words) <= chars_max else f"{words[: chars_max - 3].rstrip()}..."
    ) or "A commit without a subject"


def run_in(text: str) -> str:
    """The first run's id in what a command printed. Raises DemoFailed."""
    found = re.search(r"\brun_[0-9A-Z]{26}\b", text)
    if found is None:
        raise DemoFailed(f"no run's id is in what was printed:\n{text}".rstrip())
    return found[0]
