"""The one way in which a command changes `config.json`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from lattice.commands.board import Board, read_config
from lattice.core.config import Config
from lattice.core.record import Record
from lattice.errors import StorageError
from lattice.store.files import disk
from lattice.store.files.locks import locked


class Settings(Record):
    """The board's settings after a change, and whether there was one."""

    config: Config
    changed: bool


def change_settings(board: Board, decide: Callable[[Config], Mapping[str, object]]) -> Settings:
    """Set the keys that `decide` gives, decided on the file as it is now; all other keys stay as they came.

    What `decide` raises leaves the file alone. Raises ConfigError, LockTimeout, StorageError.
    """
    with locked(board.folder / "locks" / "config.lock"):
        config = read_config(board.root)
        settings = {**config.raw, **decide(config)}
        if settings == config.raw:
            return Settings(config, changed=False)
        text = json.dumps(settings, sort_keys=True, indent=2) + "\n"
        try:
            disk.replace(board.folder / "config.json", text.encode("ascii"), durable=True)
        except OSError as refused:
            raise StorageError(
                f"config.json could not be written: {refused.strerror}. Nothing was changed."
            ) from refused
        return Settings(read_config(board.root), changed=True)
