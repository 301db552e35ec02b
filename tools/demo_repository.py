"""The repository that the demo plays in: a clone of this one, or one made on the spot; and what the demo adds to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from tools.demo_stage import DemoFailed, Stage, one_line

COMMITS_MAX = 4
PLANTED_BRANCH = "demo-planted"
WORKER = "Stubborn"

# Put together here: a review of this file itself finds no debugger and no conflict.
_DEBUGGER = "break" + "point()"
_OURS, _MIDDLE, _THEIRS = "<" * 7, "=" * 7, ">" * 7

_PLANTED = {
    "prices.py": f"def discount(price: float, percent: float) -> float:\n    {_DEBUGGER}\n    return price - percent\n",
    "total.py": "def total(prices: list[float]) -> float:\n    return sum(prices\n",
    "notes.txt": f"Prices are in\n{_OURS} HEAD\ncents.\n{_MIDDLE}\neuros.\n{_THEIRS} prices-in-euros\n",
}

# A worker at its worst: deaf to polite signals, a daemon in a session of its own, its work not committed.
_SCRIPT = r"""#!/usr/bin/env bash
trap '' HUP INT TERM
printf 'half of a thought\n' > unfinished.txt
(
  setsid bash -c 'trap "" HUP INT TERM; echo "daemon: up"; exec > /dev/null 2>&1; while :; do sleep 1; done' daemon &
)
for ((line = 1; ; line++)); do
  echo "worker: line $line"
  sleep 1
done
"""


class Commit(NamedTuple):
    """What a task is made from."""

    ref: str
    base: str | None
    title: str


def prepare(stage: Stage, source: Path) -> bool:
    """Fill `stage.clone`, on the branch `demo`; False where `source` has no commits to clone and one was made."""
    # A checkout of another user's (a mounted volume, CI) is read, not run: git may trust it here.
    trusted = "".join(f'[safe]\n\tdirectory = "{path}"\n' for path in (source, source / ".git"))
    Path(stage.environ["GIT_CONFIG_GLOBAL"]).write_text(
        f"[user]\n\tname = Demo\n\temail = demo@example.invalid\n[init]\n\tdefaultBranch = main\n{trusted}",
        encoding="utf-8",
    )
    cloned = _has_commits(stage, source)
    if cloned:
        # --no-local: one way for every source, a shallow clone or a worktree too; nothing is shared with it.
        stage.git("clone", "--quiet", "--no-local", "--", str(source), str(stage.clone), cwd=stage.folder)
    else:
        _make(stage)
    stage.git("checkout", "--quiet", "-B", "demo")
    return cloned


def last_commits(stage: Stage) -> list[Commit]:
    """The newest first, COMMITS_MAX at most; the parent is missing at a root, and where a shallow clone ends."""
    listed = stage.git("log", "-z", "--first-parent", f"-{COMMITS_MAX}", "--format=%H%x1f%P%x1f%s")
    commits = []
    for entry in filter(None, listed.split("\0")):
        sha, parents, subject = entry.split("\x1f", 2)
        base = parents.split()[0][:12] if parents else None
        commits.append(Commit(sha[:12], base, one_line(subject)))
    return commits


def plant(stage: Stage) -> Commit:
    """A commit on a branch of its own, with one defect in each of its files."""
    stage.git("checkout", "--quiet", "-b", PLANTED_BRANCH)
    _commit(stage, {f"demo_planted/{name}": text for name, text in _PLANTED.items()}, "Discounts, in a hurry")
    stage.git("checkout", "--quiet", "demo")
    return Commit(PLANTED_BRANCH, "demo", "Discounts, in a hurry")


def add_worker(stage: Stage) -> str:
    """Write the worker of the last scenes into the clone; returns its script."""
    folder = stage.clone / "workers"
    folder.mkdir(exist_ok=True)
    script = folder / "stubborn.sh"
    script.write_text(_SCRIPT, encoding="utf-8")
    script.chmod(0o755)
    definition = {
        "name": WORKER,
        "description": "ignores SIGTERM and leaves a daemon behind",
        "actor": "agent:stubborn",
        "engine": "script",
        "script": "workers/stubborn.sh",
        "timeout_minutes": 5,
        "grace_seconds": 1,
    }
    (folder / "stubborn.json").write_text(json.dumps(definition, indent=2) + "\n", encoding="utf-8")
    return _SCRIPT


def _has_commits(stage: Stage, source: Path) -> bool:
    """Whether `source` is itself a repository: an unpacked archive inside of another one is not."""
    if not (source / ".git").exists():
        return False
    try:
        stage.git("rev-parse", "--verify", "--quiet", "HEAD^{commit}", cwd=source)
    except DemoFailed:
        return False
    return True


def _make(stage: Stage) -> None:
    stage.clone.mkdir()
    stage.git("init", "--quiet")
    _commit(stage, {"README.md": "Prices\n", "prices.py": "PRICES = {'tea': 250}\n"}, "Begin a price list")
    _commit(stage, {"prices.py": "PRICES = {'tea': 250, 'cake': 400}\n"}, "Sell cake too")


def _commit(stage: Stage, files: dict[str, str], subject: str) -> None:
    for name, text in files.items():
        path = stage.clone / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        stage.git("add", "--force", "--", name)
    stage.git("commit", "--quiet", "--message", subject)
