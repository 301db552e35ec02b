"""The workers there are: `workers/<name>.json` of the repository and the built-in ones, and whether each can run.

A definition that is off is an error that names its file and key, and hides no other definition. The
digest covers the file, its script and its prompt, so that a change between request and start is seen.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from lattice.core.codec import BadLine, parse_value
from lattice.core.json_schema import check_schema
from lattice.core.record import Record
from lattice.errors import DefinitionError, NotFound, ValidationError, choices, did_you_mean
from lattice.store.files.digest import file_digest, sha256
from lattice.workers.definitions.agents import is_agent
from lattice.workers.definitions.definition import REVIEW_SCHEMA, Definition, expand
from lattice.workers.definitions.file import parse_definition
from lattice.workers.environment import child_environment
from lattice.workers.sandboxes import sandbox
from lattice.workers.sandboxes.sandbox import Sandbox
from lattice.workers.spec import OutputSpec

FILE_BYTES_MAX = 1 << 20
NOT_HERE = "not_here"
"""The detail of an error that is about nothing but engines that are not installed: their names."""

_BUILTIN = Path(__file__).parent.parent / "builtin"


class Problem(Record):
    """A file that is no usable definition, and why; `name` is what it calls itself, if it says so."""

    path: Path
    error: DefinitionError
    name: str | None = None


class Catalogue(Record):
    """All definitions, sorted by name, and the files that are none."""

    definitions: tuple[Definition, ...]
    problems: tuple[Problem, ...]


def load_all(repo_top: Path | None) -> Catalogue:
    """The built-in definitions, and those of the repository, which override them by name without case."""
    return _all(_own(repo_top))


_Folder = tuple[dict[str, Definition], list[Problem]]
"""What is in one folder: the definitions by name without case, and the files that are none."""


def _own(repo_top: Path | None) -> _Folder:
    return _load_folder(repo_top / "workers", repo_top, builtin=False) if repo_top is not None else ({}, [])


def _all(read: _Folder) -> Catalogue:
    own, more = read
    shipped, problems = _load_folder(_BUILTIN, _BUILTIN, builtin=True)
    problems += more
    # A broken override must not let the built-in one run in its place.
    broken = {problem.name.casefold() for problem in problems if problem.name is not None}
    found = {key: found for key, found in {**shipped, **own}.items() if key in own or key not in broken}
    return Catalogue(tuple(found[key] for key in sorted(found)), tuple(problems))


def find(name: str, repo_top: Path | None) -> Definition:
    """The definition of that name, whatever its case.

    Raises NotFound with the names there are; the error of a broken file that has the name.
    """
    wanted = name.casefold()
    own = _own(repo_top)
    # What the repository defines, no built-in one is asked about: most starts are of these.
    catalogue = Catalogue(tuple(own[0].values()), tuple(own[1])) if wanted in own[0] else _all(own)
    for problem in catalogue.problems:
        if wanted in {problem.path.stem.casefold(), (problem.name or "").casefold()}:
            raise problem.error
    for definition in catalogue.definitions:
        if definition.name.casefold() == wanted:
            return definition
    names = [definition.name for definition in catalogue.definitions]
    further = f"Workers: {choices(names)}."
    if repo_top is not None:
        further += f" Others are read from {repo_top / 'workers'}/<name>.json."
    raise NotFound(
        f"No worker is named {name[:80]!r}.",
        hint=did_you_mean(name, names, further),
        workers=names,
    )


def load(path: Path, inside: Path, *, builtin: bool = False) -> Definition:
    """The definition in one file; its script and prompt lie below `inside`. Raises DefinitionError."""
    data = _read(path, inside)
    definition = parse_definition(path, data, builtin=builtin)
    digest = sha256(_framed("definition", data))
    folder = definition.folder(inside)
    for key, relative in _files_of(definition):
        digest.update(_framed(key, _file_digest(folder / relative)))
    return _signed(definition, digest.hexdigest())


def _files_of(definition: Definition) -> Iterator[tuple[str, str]]:
    """The key and the path of each file that the definition is made of, its members' too."""
    for key, relative in (("script", definition.script), ("prompt_file", definition.prompt_file)):
        if relative is not None:
            yield key, relative
    for output in definition.outputs:
        if output.schema is not None and output.schema != REVIEW_SCHEMA:
            yield f"schema {output.name}", output.schema
    if definition.team is not None:
        if definition.team.second_round is not None:
            yield "second_round", definition.team.second_round
        if definition.team.summary is not None:
            for key, relative in _files_of(definition.team.summary):
                yield f"summary.{key}", relative
        for member in definition.team.members:
            for key, relative in _files_of(member.definition) if member.definition is not None else ():
                yield f"members.{member.name}.{key}", relative


def _signed(definition: Definition, digest: str) -> Definition:
    """With the digest of its file, which is its members', too."""
    if definition.team is None:
        return definition.replace(digest=digest)
    members = tuple(
        member.replace(definition=member.definition and member.definition.replace(digest=digest))
        for member in definition.team.members
    )
    summary = definition.team.summary and definition.team.summary.replace(digest=digest)
    return definition.replace(digest=digest, team=definition.team.replace(members=members, summary=summary))


def check(
    definition: Definition, repo_top: Path, environ: Mapping[str, str], engine_order: tuple[str, ...] = ()
) -> None:
    """Whether the definition can run from this checkout; `engine_order` is the board's, for `auto`.

    Raises DefinitionError naming file and key.
    """
    folder = definition.folder(repo_top)
    engine = definition.engine
    if definition.prompt_file is not None:
        _existing(definition, "prompt_file", definition.prompt_file, folder)
    if definition.team is not None:
        from lattice.workers.teams import roll  # only the definitions of teams pay for it

        roll.check(definition, repo_top, environ, engine_order)
    if definition.script is not None:
        script = _existing(definition, "script", definition.script, folder)
        if not os.access(script, os.X_OK):
            raise _off(definition, "script", f"{definition.script} is not executable", f"chmod +x {definition.script}")
    if definition.command:
        program(definition, repo_top, environ)
    if is_agent(definition.engine):
        from lattice.workers import agents  # only the definitions of agents pay for it

        engine = agents.check(definition, engine_order, repo_top, environ).name
    for argv in definition.setup.run if definition.setup is not None else ():
        program_at(definition, "setup.run", argv[0], repo_top, environ)
    output_specs(definition, repo_top)
    sandbox_of(definition, environ, engine)
    for place, one in enumerate(definition.escalate):
        try:
            find(one.to, repo_top)
        except NotFound as off:
            raise _off(definition, f"escalate[{place}].to", off.message, off.hint) from off


def sandbox_of(definition: Definition, environ: Mapping[str, str], engine: str | None = None) -> Sandbox | None:
    """What the worker's runs get of the sandbox it asks for; `engine` is what `auto` came to.

    Raises SandboxUnavailable, DefinitionError.
    """
    for path in definition.sandbox.paths:
        if not os.path.exists(path):
            raise _off(definition, "sandbox.paths", f"{path} does not exist", "correct it, or take it out")
    return sandbox.resolve(definition.sandbox, engine or definition.engine, definition.branch, environ)


def output_specs(definition: Definition, repo_top: Path) -> tuple[OutputSpec, ...]:
    """The outputs with their schemas, read from the main checkout. Raises DefinitionError naming the file."""
    specs = []
    for output in definition.outputs:
        schema = None
        if output.schema == REVIEW_SCHEMA:
            from lattice.core.reviews.schema import SCHEMA  # only the definitions of reviewers pay for it

            schema = SCHEMA
        elif output.schema is not None:
            key = f"outputs.{output.name}.schema"
            folder = definition.folder(repo_top)
            path = _existing(definition, key, output.schema, folder)
            try:
                schema = parse_value(_read(path, folder))
                check_schema(schema)
            except (BadLine, ValidationError) as off:
                hint = off.hint if isinstance(off, ValidationError) else None
                raise _off(definition, key, f"{output.schema}: {off}", hint) from off
        specs.append(OutputSpec(output.name, output.path, output.role, output.required, schema, output.answer))
    return tuple(specs)


def program(definition: Definition, repo_top: Path, environ: Mapping[str, str]) -> str:
    """The absolute path of what a `command` engine executes. Raises DefinitionError."""
    return program_at(definition, "command", definition.command[0], repo_top, environ)


def program_at(definition: Definition, key: str, word: str, repo_top: Path, environ: Mapping[str, str]) -> str:
    """The absolute path of a program that the definition names under `key`. Raises DefinitionError.

    Looked for on the PATH the worker itself will have; a word with a slash is a file of the main checkout.
    """
    first = expand([word], {"python": sys.executable, "repo": str(repo_top)})[0]
    if first == sys.executable:
        return first
    if "/" in first:
        return str(_executable(definition, key, first, repo_top))
    found = shutil.which(first, path=child_environment(environ, definition.env, {}).get("PATH", os.defpath))
    if found is None:
        raise _off(definition, key, f"{first!r} is not on PATH", f"install {first}, or correct the command")
    return os.path.abspath(found)


def _load_folder(folder: Path, inside: Path, *, builtin: bool) -> _Folder:
    """Definitions by name without case, and problems; a name given twice belongs to neither file."""
    by_name: dict[str, list[Definition]] = {}
    problems: list[Problem] = []
    for path in sorted(folder.glob("*.json")):
        try:
            definition = load(path, inside, builtin=builtin)
        except DefinitionError as error:
            claimed = error.details.get("name")
            problems.append(Problem(path, error, claimed if isinstance(claimed, str) else None))
        else:
            by_name.setdefault(definition.name.casefold(), []).append(definition)
    for same in by_name.values():
        files = [str(definition.source) for definition in same]
        for definition in same if len(same) > 1 else ():
            message = f"{definition.source}: name: {definition.name!r} is defined more than once: {choices(files)}"
            twice = DefinitionError(message, hint="names are compared without case; rename one", key="name")
            problems.append(Problem(Path(str(definition.source)), twice, definition.name))
    return {key: same[0] for key, same in by_name.items() if len(same) == 1}, problems


def _read(path: Path, inside: Path) -> bytes:
    try:
        if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(inside)):
            raise DefinitionError(
                f"{path} leads out of the repository", hint="put the file itself there", file=str(path)
            )
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a FIFO must not hold us
        with open(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise DefinitionError(f"{path} is not a regular file", file=str(path))
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise DefinitionError(f"{path} cannot be read: {error.strerror}", file=str(path)) from error
    if len(data) > FILE_BYTES_MAX:
        raise DefinitionError(f"{path} is longer than {FILE_BYTES_MAX} bytes", file=str(path))
    return data


def _framed(key: str, data: bytes) -> bytes:
    """Length before content: two parts never read as two others."""
    return f"{key}:{len(data)}:".encode() + data


def _file_digest(path: Path) -> bytes:
    """The digest of a regular file, empty where there is none: `check` then says so."""
    if not path.is_file():
        return b""
    try:
        with path.open("rb") as file:
            return file_digest(file)
    except OSError:
        return b""


def _existing(definition: Definition, key: str, relative: str, folder: Path) -> Path:
    path = folder / relative
    if not path.exists():
        raise _off(definition, key, f"{relative} does not exist", f"it is looked for in {folder}")
    if not path.is_file():
        raise _off(definition, key, f"{relative} is not a regular file")
    if not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        raise _off(definition, key, f"{relative} leads out of the repository", "put the file itself there, not a link")
    return path


def _executable(definition: Definition, key: str, first: str, repo_top: Path) -> Path:
    relative = os.path.relpath(repo_top / first, repo_top)
    if relative.startswith(".."):
        raise _off(definition, key, f"{first} is not inside the repository", "name the program by PATH alone")
    path = _existing(definition, key, relative, repo_top)
    if not os.access(path, os.X_OK):
        raise _off(definition, key, f"{relative} is not executable", f"chmod +x {relative}")
    return path


def _off(definition: Definition, key: str, reason: str, hint: str | None = None) -> DefinitionError:
    message = f"worker {definition.name}: {definition.source}: {key}: {reason}"
    return DefinitionError(message, hint=hint, name=definition.name, file=str(definition.source), key=key)
