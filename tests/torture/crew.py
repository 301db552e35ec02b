"""The workers of the soak, what they leave behind as proof of their work, and the git and the disk that fail them.

A worker notes what it has made outside of the disk that fills, and only after it was made: what was
noted has to be found again.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from lattice.workers import standby
from lattice.workers.ends import overdue
from lattice.workers.worktrees import git as git_module
from tests.conftest import git
from tests.torture.breaks import BREAKS, put
from tests.torture.inject import guard_text
from tests.torture.site import Site

GIT_LIMIT_S = 2.0
TIMEOUT_MINUTES = 0.05
TASKS = ("LAT-1", "LAT-2", "LAT-3", "LAT-4", "LAT-5")
DONE = 'echo done > "$LATTICE_OUTPUT_DIR/review.md"\n'
DIRTY = 'echo "$LATTICE_RUN_ID" > dirty.txt && : > "$MADE/$LATTICE_RUN_ID.dirty"\n'
COMMIT = (
    'echo "$LATTICE_RUN_ID" > work.txt && git add work.txt && git commit --quiet --message work && '
    'git rev-parse HEAD > "$MADE/.$LATTICE_RUN_ID" && mv "$MADE/.$LATTICE_RUN_ID" "$MADE/$LATTICE_RUN_ID.commit"\n'
)
DEAF = "setsid sh -c 'trap \"\" TERM INT HUP; while :; do sleep 600; done' >/dev/null 2>&1 </dev/null &\n"
WORKERS: dict[str, tuple[str, Mapping[str, object]]] = {
    "Plain": (DONE, {}),
    "Busy": (DEAF + DIRTY + "sleep 0.4\n" + DONE, {}),
    "Detached": (COMMIT + DIRTY + "sleep 0.3\n" + DONE, {}),
    "Coder": (COMMIT + "sleep 0.3\n" + DIRTY + DONE, {"branch": "lattice/{short_id}/{run}"}),
    "Failing": (DIRTY + "sleep 0.2\nexit 3\n", {"retries": {"times": 1, "backoff_seconds": 0, "on": ["exit", "lost"]}}),
    "Hanging": (DEAF + COMMIT + "sleep 600\n", {}),
    "Narrow": (DIRTY + "sleep 0.2\n" + DONE, {"max_parallel": 1}),
}

# A git outside a run, of a command line that is killed, is nobody's: there it hangs for a while, not for good.
SHIM = """#!/bin/sh
for order in {orders}/*; do
    mv "$order" {spoiled}/ 2> /dev/null || continue
    case "$order" in
        *.refuses) echo "fatal: injected" >&2; exit 128 ;;
        *.dies) kill -9 $$ ;;
        *.dies-after) {git} "$@"; kill -9 $$ ;;
        *.hangs) exec sleep "$([ -n "$LATTICE_RUN_ID" ] && echo 600 || echo 20)" ;;
    esac
done
exec {git} "$@"
"""


class Crew:
    """A site with the workers, on a disk that may fill, and a folder elsewhere for what must not be lost."""

    def __init__(self, site: Site, safe: Path) -> None:
        self.site = site
        self.made = safe / "made"
        self.shims = safe / "shims"
        self._orders = safe / "orders"
        self._spoiled = safe / "spoiled"
        self._fill = site.folder / "fill"
        self._numbers = 0

    def make(self) -> None:
        """The repository, its board, the workers and the git in front of git."""
        for folder in (self.made, self.shims, self._orders, self._spoiled, self.site.folder / "state"):
            folder.mkdir(mode=0o700)
        self.site.make(shapes={name: self._shape(name) for name in WORKERS})
        config = self.site.root / ".lattice" / "config.json"
        shape = json.loads(config.read_text(encoding="utf-8"))
        shape.setdefault("worker", {})["max_parallel"] = 6
        config.write_text(json.dumps(shape), encoding="utf-8")
        git(self.site.root, "config", "user.name", "A")
        git(self.site.root, "config", "user.email", "a@b")
        shim = SHIM.format(orders=self._orders, spoiled=self._spoiled, git=shutil.which("git"))
        (self.shims / "git").write_text(shim, encoding="utf-8")
        (self.shims / "git").chmod(0o755)

    def _shape(self, name: str) -> tuple[str, dict[str, object]]:
        script, more = WORKERS[name]
        return script, {"timeout_minutes": TIMEOUT_MINUTES, "env": {"set": {"MADE": str(self.made)}}, **more}

    def spoil_git(self, kind: str) -> None:
        """Let the next git command of any run meet this."""
        self._numbers += 1
        (self._orders / f"{self._numbers:05}.{kind}").touch()

    def spoiled(self) -> Counter[str]:
        """What gits met since this was asked; what none met is taken back."""
        met = Counter(f"git {path.suffix[1:]}" for path in self._spoiled.iterdir())
        for folder in (self._spoiled, self._orders):
            for path in folder.iterdir():
                path.unlink()
        return met

    def fill_disk(self) -> bool:
        """Leave no room. Whether there was some before."""
        fresh = not self._fill.exists()
        descriptor = os.open(self._fill, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            for size in (1 << 20, 1 << 16, 4096):
                with contextlib.suppress(OSError):
                    while os.write(descriptor, bytes(size)):
                        continue
        finally:
            os.close(descriptor)
        return fresh

    def empty_disk(self) -> None:
        """Give the room back."""
        self._fill.unlink(missing_ok=True)

    def work_made(self) -> tuple[dict[str, str], set[str]]:
        """The commit of each run that made one, and the runs that left a changed file."""
        commits = {path.stem: path.read_text(encoding="ascii").strip() for path in self.made.glob("run_*.commit")}
        return commits, {path.stem for path in self.made.glob("run_*.dirty")}

    def real_git(self, *words: str) -> str:
        """git itself, without the shim."""
        binary = str(shutil.which("git", path=os.environ["PATH"].removeprefix(f"{self.shims}:")))
        done = subprocess.run([binary, *words], cwd=self.site.root, check=True, capture_output=True, text=True)
        return done.stdout


def under_fire(broken: tuple[str, ...], *, overdue_now: bool = False) -> None:
    """Put this process, and the guards that it starts, under the rules of the soak."""
    install(broken)
    if overdue_now:
        put(overdue, "OVERDUE_AFTER_S", 0.0)
        put(overdue, "HANGING_AFTER_S", 30.0)


def install(broken: tuple[str, ...]) -> None:
    """The breaks, and a limit for a git that hangs which a soak can wait for; in every guard from here on, too."""
    for name in broken:
        BREAKS[name]()
    communicate = git_module._communicate

    def limited(
        process: subprocess.Popen[bytes], data: bytes | None, subcommand: str, timeout_s: float
    ) -> tuple[bytes, bytes]:
        return communicate(process, data, subcommand, min(timeout_s, GIT_LIMIT_S))

    put(git_module, "_communicate", limited)
    first = f"from tests.torture.crew import install; install({broken!r})"
    put(standby, "_BOOT", guard_text(first))
