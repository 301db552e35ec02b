"""What this user trusts to run: by kind, by the board's path and by content. Kept outside every repository.

A repository's settings can name programs; that alone must not run them, or cloning one and looking at
it would. Trust is a line in `$XDG_CONFIG_HOME/lattice/trust.json` that the user wrote by `lattice trust`,
or for a worker that starts by itself by `lattice worker trust`; it holds the digest of exactly what was
shown, so that one changed byte is not covered.
What was trusted once stays so when a branch brings it back; `lattice untrust` takes all of it away.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lattice.core.codec import BadLine, parse
from lattice.core.record import Record
from lattice.errors import StorageError, ValidationError
from lattice.store.files import disk
from lattice.store.files.locks import locked

_FIELDS = ("kind", "path", "digest", "name", "trusted_at")


class Grant(Record):
    """One thing that is trusted: `digest` of what `name` was on the board at `path`."""

    kind: str  # hook, worker
    path: str
    digest: str
    name: str
    trusted_at: str


_Change = Callable[[tuple[Grant, ...]], tuple[Grant, ...]]


class TrustStore:
    """The user's grants."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def grants(self) -> tuple[Grant, ...]:
        """Every grant. Raises ValidationError where the file cannot be believed."""
        try:
            status = os.lstat(self.file)
        except FileNotFoundError:
            return ()
        except OSError as refused:
            raise self._off(f"it cannot be read: {refused.strerror}") from None
        if not stat.S_ISREG(status.st_mode):
            raise self._off("it is not a plain file")
        if status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise self._off("others than you can write it")
        try:
            shape = parse(disk.read(self.file) or b"{}")
        except OSError as refused:
            raise self._off(f"it cannot be read: {refused.strerror}") from None
        except BadLine as off:
            raise self._off(str(off)) from None
        return self._parsed(shape.get("trusted", []))

    def is_trusted(self, kind: str, path: str, digest: str) -> bool:
        """Whether exactly this content, on the board at `path`, is trusted. Raises ValidationError."""
        return any((grant.kind, grant.path, grant.digest) == (kind, path, digest) for grant in self.grants())

    def knows(self, kind: str, path: str, name: str) -> bool:
        """Whether `name` is trusted on the board at `path`, whatever its content was. Raises ValidationError."""
        wanted = (kind, path, name.casefold())
        return any((grant.kind, grant.path, grant.name.casefold()) == wanted for grant in self.grants())

    def add(self, new: Sequence[Grant]) -> None:
        """Trust these, too. Raises ValidationError, StorageError, LockTimeout."""
        self._change(lambda kept: (*(g for g in kept if _what(g) not in set(map(_what, new))), *new))

    def remove(self, path: str, kind: str | None = None, name: str | None = None) -> tuple[Grant, ...]:
        """Trust nothing at `path`, or nothing of that kind and name. Returns what was trusted. Raises as `add` does."""
        gone: list[Grant] = []

        def goes(grant: Grant) -> bool:
            named = name is None or grant.name.casefold() == name.casefold()
            return grant.path == path and kind in (None, grant.kind) and named

        def without(kept: tuple[Grant, ...]) -> tuple[Grant, ...]:
            gone.extend(filter(goes, kept))
            return tuple(grant for grant in kept if not goes(grant))

        if self.file.exists():
            self._change(without)
        return tuple(gone)

    def _change(self, change: _Change) -> None:
        try:
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as refused:
            raise StorageError(
                f"{self.file.parent}, where trust is kept, cannot be made: {refused.strerror}.",
                hint="Set XDG_CONFIG_HOME to a folder that you can write.",
            ) from refused
        with locked(self.file.with_name("trust.lock")):
            kept = change(self.grants())
            shape = {"schema_version": 1, "trusted": [grant.fields() for grant in kept]}
            data = json.dumps(shape, sort_keys=True, indent=2).encode() + b"\n"
            try:
                disk.replace(self.file, data, durable=True)
            except OSError as refused:
                raise StorageError(f"{self.file} cannot be written: {refused.strerror}.") from refused

    def _parsed(self, items: object) -> tuple[Grant, ...]:
        found = []
        for item in items if isinstance(items, list) else [None]:
            if not isinstance(item, dict) or not all(isinstance(item.get(name), str) for name in _FIELDS):
                raise self._off("it does not hold a list of grants")
            found.append(Grant(**{name: item[name] for name in _FIELDS}))
        return tuple(found)

    def _off(self, why: str) -> ValidationError:
        return ValidationError(
            f"{self.file} is not believed: {why}. Nothing is trusted.",
            hint=f"Look at it (ls -l {self.file}); without it, trust begins anew: lattice trust",
        )


def trust_store(environ: Mapping[str, str]) -> TrustStore:
    """The user's own: under `XDG_CONFIG_HOME`, which counts where it is absolute, else under `~/.config`."""
    configured = environ.get("XDG_CONFIG_HOME", "")
    base = Path(configured) if configured.startswith("/") else _home(environ) / ".config"
    return TrustStore(base / "lattice" / "trust.json")


def _home(environ: Mapping[str, str]) -> Path:
    named = environ.get("HOME", "")
    try:
        return Path(named) if named.startswith("/") else Path("~").expanduser()
    except RuntimeError:
        raise ValidationError(
            "There is no home folder to keep trust in.", hint="Set HOME or XDG_CONFIG_HOME."
        ) from None


def _what(grant: Grant) -> tuple[str, str, str]:
    return grant.kind, grant.path, grant.digest
