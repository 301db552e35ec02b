"""Keeping a commit's own agent settings out of its reviewer's way.

A repository can bring instructions, hooks, tools and servers for the agents that work in it, and some
agents obey them in a folder that nobody ever trusted. A worker that reviews somebody's commit must not run
it: what agents read by themselves is not checked out (its content is still there for `git show`), and no
filter of the user's own configuration is run for it, which `.gitattributes` could ask for.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

from lattice.workers.worktrees.git import FULL_TREE, git
from lattice.workers.worktrees.removal import remove_tree

AGENT_PATHS = (
    *("CLAUDE.md", "CLAUDE.local.md", ".claude", ".claude.json", ".mcp.json"),
    *("AGENTS.md", "AGENTS.override.md", ".codex", ".agents"),
    *("GEMINI.md", ".gemini", ".geminiignore", ".env"),  # gemini loads .env, its service's address too
    *("opencode.json", "opencode.jsonc", ".opencode"),
    *(".cursor", ".cursorrules", ".cursorignore", ".windsurf", ".windsurfrules", ".clinerules", ".roo", ".goosehints"),
    *(".aider.conf.yml", ".aider.model.settings.yml", ".github/copilot-instructions.md"),
)
"""What agents look for by name, in whatever folder of the tree, as files or as folders."""

_TIMEOUT_S = 120.0


def pathspecs() -> list[str]:
    """git's patterns for all of them, at any depth and in any case: a disk may not tell cases apart."""
    return [f":(top,icase,glob)**/{path}{below}" for path in AGENT_PATHS for below in ("", "/**")]


def without_filters(cwd: Path, env_extra: Mapping[str, str] | None = None) -> list[str]:
    """git's options under which no filter that a configuration defines is run. Raises GitError."""
    names = git(
        ["config", "--null", "--name-only", "--get-regexp", r"^filter\..*\.(clean|smudge|process|required)$"],
        cwd=cwd,
        env_extra=env_extra,
        fine=(0, 1),  # 1: there is none
    )
    options = []
    for name in dict.fromkeys(names.split("\0")):
        if name:
            options += ["-c", f"{name}={'false' if name.endswith('.required') else ''}"]
    return options


def mask(tree: Path) -> list[str]:
    """Take the agents' files out of a worktree's folder, unnoticed by `git status`. Raises GitError, OSError."""
    names = git(["ls-files", "-z", "--", *pathspecs()], cwd=tree, timeout_s=_TIMEOUT_S)
    paths = [name for name in names.split("\0") if name]
    if not paths:
        return []
    for path in paths:
        _take_out(tree, path)
    _skip(tree, names, {})
    return paths


def spare(tree: Path, env: Mapping[str, str]) -> None:
    """In an index made afresh from a commit, pass over what `mask` took out of `tree`: nobody deleted it."""
    names = git(["ls-files", "-z", "--", *pathspecs()], cwd=tree, timeout_s=_TIMEOUT_S, env_extra=env)
    gone = [name for name in names.split("\0") if name and not os.path.lexists(os.path.join(tree, name))]
    if gone:
        _skip(tree, "".join(f"{name}\0" for name in gone), env)


def _skip(tree: Path, names: str, env: Mapping[str, str]) -> None:
    # git looks at what else the index has that is as young as the index itself: by its filters, were they on.
    options = [*FULL_TREE, *without_filters(tree, env)]
    git(
        [*options, "update-index", "--skip-worktree", "-z", "--stdin"],
        cwd=tree,
        timeout_s=_TIMEOUT_S,
        input_text=names,
        env_extra=env,
    )


def _take_out(tree: Path, name: str) -> None:
    """Remove a file, or a submodule's folder, and the folders that it leaves empty."""
    path = tree / name
    if path.is_dir() and not path.is_symlink():
        remove_tree(path)
    else:
        path.unlink(missing_ok=True)
    for folder in path.parents:
        if folder == tree:
            break
        with contextlib.suppress(OSError):  # not empty
            folder.rmdir()
