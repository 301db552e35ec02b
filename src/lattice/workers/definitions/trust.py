"""What a worker would execute, and whether this user trusts it to start without a person who asks for it.

A run that a person asks for by name needs no trust. One that a trigger, a sweep or another program asks for
does: for the checkout that the definition lies in, and for the content of the definition, its script, its
prompt, its schemas and each file of the checkout that its commands name; of a team, of each of its members, too,
those that are workers of their own among them. One changed byte asks again.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lattice.commands.board import Board
from lattice.commands.hooks import Pinned
from lattice.commands.trust import Grant, trust_store
from lattice.core.codec import dump
from lattice.core.record import Record
from lattice.errors import DefinitionError, NotFound, NotTrusted, StorageError, ValidationError
from lattice.store.files.digest import file_digest, sha256
from lattice.workers.definitions import catalogue
from lattice.workers.definitions.definition import PLACEHOLDERS, Definition, expand
from lattice.workers.definitions.file import is_worker_name
from lattice.workers.worktrees.git import Repository

KIND = "worker"


class Shown(Record):
    """A definition as it is now. `digest` covers it, its members and the content of every one of the files."""

    definition: Definition
    checkout: Path
    argv: tuple[str, ...]
    members: tuple[Definition, ...]  # of a team, with who writes its summary
    files: tuple[Pinned, ...]
    digest: str
    trusted: bool
    changed: bool = False  # it was trusted as it stood before


def checkout_of(board: Board) -> Path:
    """The folder whose workers/ counts for the board: the checkout it lies in, else the board's own folder."""
    repo = Repository.around(board.root)
    return repo.top if repo is not None else board.root


def shown(definition: Definition, checkout: Path, environ: Mapping[str, str]) -> Shown:
    """What the worker would execute, and whether that is trusted. Raises ValidationError, StorageError."""
    members = tuple(_members(definition, checkout))
    own = (definition, *(member for member in members if not member.builtin))
    files = _files(own, checkout)
    shape: dict[str, object] = {"definition": definition.digest, "files": [[file.path, file.digest] for file in files]}
    if elsewhere := {member.name: member.digest for member in own if member.digest != definition.digest}:
        shape["members"] = elsewhere
    entry = dump(shape)
    digest = f"sha256:{sha256(entry).hexdigest()}"
    # A built-in one came with Lattice, and whoever installed that trusts both.
    store, place = trust_store(environ), os.path.realpath(checkout)
    trusted = definition.builtin or store.is_trusted(KIND, place, digest)
    changed = not trusted and store.knows(KIND, place, definition.name)
    return Shown(definition, checkout, argv_of(definition, checkout), members, files, digest, trusted, changed)


def argv_of(definition: Definition, checkout: Path) -> tuple[str, ...]:
    """What a worker executes, as far as it can be told without a run: of an agent, its program; of a team nothing."""
    script = definition.script_path(checkout)
    if script is not None:
        return (str(script),)
    return definition.command or (() if definition.team is not None else (definition.engine,))


def require_trusted(definition: Definition, checkout: Path, environ: Mapping[str, str]) -> None:
    """For whoever starts a run that no person asked for by name. Raises NotTrusted, ValidationError, StorageError."""
    if not shown(definition, checkout, environ).trusted:
        raise NotTrusted(
            f"{definition.name} is not trusted to start without a person, as its definition is now.",
            hint=f"See what would run, and allow it: lattice worker trust {definition.name}",
            worker=definition.name,
        )


def trust(what: Shown, environ: Mapping[str, str], at: str) -> Shown:
    """Trust exactly what was shown. Raises ValidationError, StorageError, LockTimeout."""
    if not what.trusted:
        place = os.path.realpath(what.checkout)
        trust_store(environ).add([Grant(KIND, place, what.digest, what.definition.name, at)])
    return what.replace(trusted=True)


def distrust(name: str, checkout: Path, environ: Mapping[str, str]) -> tuple[Grant, ...]:
    """Take the trust of a worker back, in every version. Returns what was trusted.

    Raises as `trust` does, and ValidationError for what cannot be a worker's name.
    """
    if not is_worker_name(name):
        raise ValidationError(f"{name[:80]!r} cannot name a worker.", hint="See them: lattice worker triggers")
    return trust_store(environ).remove(os.path.realpath(checkout), KIND, name)


def find(board: Board, name: str, environ: Mapping[str, str]) -> Shown:
    """The definition of that name. Raises NotFound, DefinitionError, ValidationError, StorageError."""
    checkout = checkout_of(board)
    definition = catalogue.find(name, checkout)
    catalogue.check(definition, checkout, environ)
    return shown(definition, checkout, environ)


def _members(definition: Definition, checkout: Path) -> Iterator[Definition]:
    """A team's members and who writes its summary; not one that cannot be read, which is none of the team then."""
    if definition.team is None:
        return
    for member in definition.team.members:
        if member.definition is not None:
            yield member.definition
        elif member.worker is not None:
            try:
                yield catalogue.find(member.worker, checkout)
            except (NotFound, DefinitionError):
                continue
    if definition.team.summary is not None:
        yield definition.team.summary


def _files(definitions: Sequence[Definition], checkout: Path) -> tuple[Pinned, ...]:
    """The scripts, the prompts, the schemas, and the files of the checkout that the commands name."""
    found: list[Path] = []
    values = {**dict.fromkeys(PLACEHOLDERS, ""), "python": sys.executable, "repo": str(checkout)}
    for definition in definitions:
        folder = definition.folder(checkout)
        named = [definition.script, definition.prompt_file, *(output.schema for output in definition.outputs)]
        named.append(definition.team.second_round if definition.team is not None else None)
        found += [folder / name for name in named if name is not None]
        setup = definition.setup.run if definition.setup is not None else ()
        for argv in (definition.command, *setup):
            words = [word.partition("=")[2] if word.startswith("-") else word for word in expand(argv, values)]
            found += [checkout / word for word in words if word and word != sys.executable]
    try:
        return tuple(Pinned(str(path), _digest(path)) for path in dict.fromkeys(found) if _is_file(path))
    except OSError as refused:
        raise StorageError(f"{refused.filename} cannot be read: {refused.strerror}.") from refused


def _digest(path: Path) -> str:
    with path.open("rb") as content:
        return f"sha256:{file_digest(content).hex()}"


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # too long for a name, for example: then it names no file
        return False
