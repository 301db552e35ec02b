"""Whether what was written can call for a worker: a gate before triggers, for every face.

Every command that writes comes through here, and most have no use for workers: this module imports nothing that
costs, and knows of definitions only whether one names the key.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lattice.commands.board import Board
    from lattice.ledger import Written

INSIDE = ("LATTICE_RUN_ID", "LATTICE_IN_HOOK")
"""Set in the environment of a run, and of a hook: what is done there starts no worker, or there were circles.

They are `processes.RUN_MARK` and `hooks.IN_HOOK`, spelled out: importing those modules is what this one avoids.
"""

_KEY = b'"triggers"'


def may_call(board: Board, written: Written, environ: Mapping[str, str]) -> bool:
    """Whether triggers have to be asked: a status changed, outside of any run or hook, and a definition has some."""
    if inside_of(environ) is not None or not any(event.type == "status_changed" for event in written.events):
        return False
    return _any_triggers(os.path.dirname(board.path()))  # `board.root` imports pathlib, which costs more than all this


def inside_of(environ: Mapping[str, str]) -> str | None:
    """The variable that says that this is done inside a run or a hook."""
    return next((name for name in INSIDE if environ.get(name)), None)


def _any_triggers(root: str) -> bool:
    """Whether a definition may have triggers; asked without git, which takes longer than the command itself."""
    folder = os.path.join(_checkout(root), "workers")
    try:
        names = os.listdir(folder)
    except OSError:
        return False
    return any(mentions_triggers(os.path.join(folder, name)) for name in names if name.endswith(".json"))


def _checkout(root: str) -> str:
    """The folder upwards that has `.git`, a file or a folder; `root` where there is none."""
    folder, above = "", os.path.realpath(root)
    while folder != above:
        folder, above = above, os.path.dirname(above)
        if os.path.exists(os.path.join(folder, ".git")):
            return folder
    return root


def mentions_triggers(path: str) -> bool:
    """Whether a definition names the key; one that spells it with escapes is looked at, too."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with open(descriptor, "rb") as file:
            data = file.read(1 << 20)
    except OSError:
        return True  # Reading it in earnest will say what is wrong with it.
    return _KEY in data or b"\\u" in data
