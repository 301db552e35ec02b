"""A board that was found: its folder, its settings, its store and its ledger."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping

from lattice.core.actors import parse_actor
from lattice.core.codec import BadLine, parse
from lattice.core.config import Config, parse_config
from lattice.core.ids import is_id, near_short_ids, parse_short_id
from lattice.core.text import check_line
from lattice.errors import ConfigError, InvalidId, MissingActor, NotFound, NotInitialized, ValidationError
from lattice.ledger import Ledger, Signature
from lattice.store.files import disk
from lattice.store.files.board import FileStore
from lattice.store.files.disk import StrPath

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from lattice.core.reviews.coverage import Diff
    from lattice.core.task import Task
    from lattice.store.protocol import Store, Unread

FOLDER = ".lattice"
_PATH_SHOWN_MAX = 400


class SystemSource:
    """The clock and the randomness of this machine."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def chance(self) -> int:
        return int.from_bytes(os.urandom(10))


class Board:
    """What commands act on. `root` is the folder that holds `.lattice/`, and `folder` is that one.

    `path` is for what every command does: it knows names as text, since `pathlib` costs 5 ms to import.
    """

    def __init__(self, root: StrPath, config: Config, store: Store | None = None) -> None:
        self._root = os.fspath(root)
        self._folder = os.path.join(self._root, FOLDER)
        self.config = config
        self.store = store if store is not None else FileStore(self._folder)
        self.ledger = Ledger(self.store, SystemSource())
        self.diff_of: Callable[[Task], Diff] | None = None
        """What asks git for a task's diff: the face that opened the board knows it. Raises LatticeError."""
        if config.raw.get("hooks"):
            self._watch()

    @property
    def root(self) -> Path:
        from pathlib import Path  # as the class says

        return Path(self._root)

    @property
    def folder(self) -> Path:
        return self.root / FOLDER

    def path(self, *names: str) -> str:
        """The name of a file in `folder`."""
        return os.path.join(self._folder, *names)

    def _watch(self) -> None:
        from lattice.commands.hooks import HookRunner  # a board without hooks does not pay for them

        self.ledger.after.append(HookRunner(self.root, self.config.raw["hooks"], os.environ).after)

    def resolve(self, ref: str) -> str:
        """The id of the task that `ref` names, by id or by short id. Raises InvalidId, NotFound."""
        if is_id("task", ref):
            return ref
        short_id = parse_short_id(ref)
        if short_id is None:
            raise InvalidId(
                f"Invalid task id: {ref[:80]!r}. Expected a short id such as {self.config.short_id_prefix or 'LAT'}-1, "
                "or task_ and 26 characters.",
                hint=self._hint(ref),
            )
        task_id = self.store.resolve(short_id)
        if task_id is None:
            raise NotFound(f"Short ID {short_id!r} not found.", hint=self._hint(short_id))
        return task_id

    def left_out(self, unread: Unread) -> tuple[str, ...]:
        """What an answer has to say of the tasks that it lacks, since their logs cannot be read."""
        return tuple(
            f"{self.store.short_id(task_id) or task_id} is left out, as its log cannot be read: {damage.message} "
            "Next: lattice doctor"
            for task_id, damage in sorted(unread.items())
        )

    def _hint(self, ref: str) -> str:
        """What to do about a task that is not there: the short id that was meant, where a likely one is."""
        likely = near_short_ids(ref, self.config.short_id_prefix) if self.config.short_id_prefix else ()
        meant = next((short_id for short_id in likely if self.store.resolve(short_id) is not None), None)
        return f"{f'Did you mean {meant}? ' if meant else ''}See what there is: lattice list"


def find_root(start: StrPath, environ: Mapping[str, str]) -> str:
    """The folder that contains `.lattice/`: `LATTICE_ROOT`, else the nearest one upwards. Raises NotInitialized."""
    named = environ.get("LATTICE_ROOT")
    if named:
        if os.path.isdir(os.path.join(named, FOLDER)):
            return named
        raise NotInitialized(f"LATTICE_ROOT is {named!r}, and there is no {FOLDER}/ in it.", hint="lattice init")
    folder, above = "", os.fspath(start)
    while folder != above:
        folder, above = above, os.path.dirname(above)
        if os.path.isdir(os.path.join(folder, FOLDER)):
            return folder
    raise NotInitialized(f"There is no board here: no {FOLDER}/ in {start} or above it.", hint="lattice init")


def open_board(start: StrPath, environ: Mapping[str, str]) -> Board:
    """The board for a working directory. Raises NotInitialized, ConfigError."""
    root = find_root(start, environ)
    return Board(root, read_config(root))


def read_config(root: StrPath) -> Config:
    """The settings of the board in `root`. Raises ConfigError, NotInitialized."""
    path = os.path.join(root, FOLDER, "config.json")
    try:
        data = disk.read(path)
    except OSError as refused:
        raise ConfigError(f"{path} cannot be read: {refused.strerror}.", hint=f"ls -l {path}") from None
    if data is None:
        hint = "git switch -, where git went back to a commit without the board; else lattice init"
        raise NotInitialized(f"{path} is missing.", hint=hint)
    try:
        return parse_config(parse(data))
    except BadLine as off:
        raise ConfigError(
            f"{path} cannot be read: {off}.", hint="Mend the file by hand, or restore it from git."
        ) from None


def signature(
    config: Config,
    environ: Mapping[str, str],
    *,
    actor: str | None = None,
    model: str | None = None,
    session: str | None = None,
    triggered_by: str | None = None,
    on_behalf_of: str | None = None,
    reason: str | None = None,
    identity: Mapping[str, object] | None = None,
) -> Signature:
    """Who acts: the identity of a session, else what was given, else `LATTICE_ACTOR`, else the board's `default_actor`.

    Raises MissingActor, InvalidActor, ValidationError.
    """
    name = actor or environ.get("LATTICE_ACTOR") or config.default_actor
    if not name and identity is None:
        raise MissingActor(
            "Nobody is named as the one who does this.",
            hint="Add --actor human:ann, or set LATTICE_ACTOR, or default_actor in .lattice/config.json.",
        )
    meta = {"model": model, "session": session}
    provenance = {
        "triggered_by": triggered_by,
        "on_behalf_of": parse_actor(on_behalf_of) if on_behalf_of else None,
        "reason": reason,
    }
    for what, text in (meta | provenance).items():
        if text is not None:
            check_line(text, what.replace("_", " "), chars_max=10_000)
    return Signature(
        identity if identity is not None else parse_actor(name or ""),
        {key: value for key, value in meta.items() if value is not None} or None,
        {key: value for key, value in provenance.items() if value is not None} or None,
    )


def read_object(path: StrPath) -> dict[str, Any] | None:
    """The JSON object in a file; None where it is missing or is none. Raises OSError."""
    data = disk.read(path)
    if data is None:
        return None
    try:
        return parse(data)
    except BadLine:
        return None


def read_text_file(path: Path, what: str) -> str:
    """A file's text, as UTF-8. Raises NotFound, ValidationError."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFound(f"There is no file {_named(path)} for the {what}.") from None
    except OSError as off:
        raise ValidationError(f"The {what} cannot be read from {_named(path)}: {off.strerror}.") from None
    except ValueError as off:  # no UTF-8, or a name that no file can have
        raise ValidationError(f"The {what} cannot be read from {_named(path)}: {off}.") from None


def _named(path: Path) -> str:
    name = str(path)
    return repr(name) if len(name) <= _PATH_SHOWN_MAX else f"{name[:_PATH_SHOWN_MAX]!r}…"
