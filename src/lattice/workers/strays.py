"""Which folders and worktrees no live run owns. Whoever only looks needs no more than this."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lattice.commands.board import Board
from lattice.core.ids import is_id
from lattice.errors import ValidationError
from lattice.workers.runs import RunFolder, open_runs
from lattice.workers.worktrees import worktree
from lattice.workers.worktrees.git import Repository
from lattice.workers.worktrees.worktree_root import worktrees_of

DRAFT_AGE_S = 60.0
"""How old the folder of a starter that never named its run must be before it counts as abandoned."""


def stray_worktrees(board: Board, repo: Repository, environ: Mapping[str, str]) -> list[Path]:
    """Worktrees of this board, on disk or in git's list, whose run is not alive."""
    try:
        root = worktrees_of(board, environ)
    except ValidationError:
        return []  # There is no safe root, so nothing of ours is in it.
    here = [path for path in root.iterdir() if is_id("run", path.name)]
    listed = [path for path in worktree.registered(repo) if path.parent == root]
    strays = dict.fromkeys(sorted([*here, *listed]))
    if not strays:
        return []
    # A run that goes on with the session of another works where that one did.
    alive = [folder.spec() for folder in open_runs(board.folder) if folder.alive()]
    taken = {spec.worktree for spec in alive if spec is not None}
    return [path for path in strays if str(path) not in taken and not RunFolder(board.folder, path.name).alive()]
