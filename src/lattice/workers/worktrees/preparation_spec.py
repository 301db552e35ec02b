"""What a run's worktree is to be given, as its spec.json keeps it. Reading commands import it: no git, no processes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from lattice.core.record import Record
from lattice.store.files.digest import sha256

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Preparation(Record):
    """What is to be done, resolved when the run was requested."""

    copy: tuple[str, ...] = ()
    commands: tuple[tuple[str, ...], ...] = ()
    timeout_s: float = 0.0  # for all commands together
    cache: tuple[str, ...] = ()
    key: tuple[str, ...] = ()
    setup_digest: str = ""
    cache_root: str | None = None


def decode(shape: Mapping[str, Any]) -> Preparation:
    """The preparation in a run's spec.json. Raises KeyError or TypeError where it is none."""
    lists = {name: tuple(shape[name]) for name in ("copy", "cache", "key")}
    return Preparation(**{**shape, **lists, "commands": tuple(tuple(argv) for argv in shape["commands"])})


def digest_of_setup(commands: Sequence[Sequence[str]], paths: Sequence[str]) -> str:
    """What a cache entry is made by, as the definition has it: before its placeholders are filled in."""
    return sha256(json.dumps([list(map(list, commands)), list(paths)]).encode()).hexdigest()
