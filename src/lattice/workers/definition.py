"""Definitions of workers: `workers/<name>.json` of the repository and the built-in ones, typed and checked.

A definition that is off is an error that names its file and key, and hides no other definition. The
digest covers the file, its script and its prompt, so that a change between request and start is seen.
"""

from __future__ import annotations

import hashlib
import math
import os
import re
import shutil
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from lattice.core import codec
from lattice.core.actors import parse_actor
from lattice.core.record import Record
from lattice.errors import DefinitionError, InvalidActor, NotFound, ValidationError, choices, nearest
from lattice.workers.environment import EnvironmentRules, child_environment

FILE_BYTES_MAX = 1 << 20
TIMEOUT_MINUTES_MAX = 10_080
GRACE_SECONDS_MAX = 600
ENGINES = ("script", "command")
LATER_ENGINES = ("claude", "codex", "gemini", "opencode", "team")
PLACEHOLDERS = (
    *("python", "run_id", "task_id", "short_id", "base_sha", "commit_sha"),
    *("worktree", "output_dir", "repo"),
)

_BUILTIN = Path(__file__).parent / "builtin"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_PROGRAM_PLACEHOLDERS = ("python", "repo")  # the program must not come from the commit under review


class Output(Record):
    """A file that a run owes (or may leave) below its output folder."""

    name: str
    role: str | None
    path: str
    required: bool


class Definition(Record):
    """A worker, as defined; times as in the file, None where it says nothing."""

    name: str
    engine: str
    actor: str
    digest: str
    source: Path | None = None
    builtin: bool = False
    description: str = ""
    script: str | None = None
    command: tuple[str, ...] = ()
    prompt_file: str | None = None
    model: str | None = None
    worktree: bool = True
    base: str | None = None
    timeout_minutes: float = 30
    idle_timeout_minutes: float | None = None
    grace_seconds: float = 10
    env: EnvironmentRules = EnvironmentRules()
    outputs: tuple[Output, ...] = ()
    artifact_role: str | None = None
    report_prefix: str | None = None
    report_dir: str | None = None
    sandbox: str | None = None

    def folder(self, repo_top: Path) -> Path:
        """Where its script and prompt are read from: the main checkout, or the package for a built-in one."""
        return self.source.parent if self.builtin and self.source is not None else repo_top

    def script_path(self, repo_top: Path) -> Path | None:
        """The script of a `script` engine; None for another."""
        return None if self.script is None else self.folder(repo_top) / self.script


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
    shipped, problems = _load_folder(_BUILTIN, _BUILTIN, builtin=True)
    own: dict[str, Definition] = {}
    if repo_top is not None:
        own, more = _load_folder(repo_top / "workers", repo_top, builtin=False)
        problems += more
    # A broken override must not let the built-in one run in its place.
    broken = {problem.name.casefold() for problem in problems if problem.name is not None}
    found = {key: found for key, found in {**shipped, **own}.items() if key in own or key not in broken}
    return Catalogue(tuple(found[key] for key in sorted(found)), tuple(problems))


def find(name: str, repo_top: Path | None) -> Definition:
    """The definition of that name, whatever its case.

    Raises NotFound with the names there are; the error of a broken file that has the name.
    """
    catalogue = load_all(repo_top)
    wanted = name.casefold()
    for problem in catalogue.problems:
        if wanted in {problem.path.stem.casefold(), (problem.name or "").casefold()}:
            raise problem.error
    for definition in catalogue.definitions:
        if definition.name.casefold() == wanted:
            return definition
    names = [definition.name for definition in catalogue.definitions]
    meant = nearest(name, names)
    raise NotFound(
        f"no worker is named {name!r}" + (f"; did you mean {meant}?" if meant else ""),
        hint=f"workers: {choices(names)}" if names else "put a definition into workers/<name>.json",
        workers=names,
    )


def load(path: Path, inside: Path, *, builtin: bool = False) -> Definition:
    """The definition in one file; its script and prompt lie below `inside`. Raises DefinitionError."""
    data = _read(path, inside)
    fields = _Fields(path, _parse(path, data))
    definition = _definition(fields, builtin=builtin)
    digest = hashlib.sha256(_framed("definition", data))
    folder = definition.folder(inside)
    for key, relative in (("script", definition.script), ("prompt_file", definition.prompt_file)):
        if relative is not None:
            digest.update(_framed(key, _file_digest(folder / relative)))
    return definition.replace(digest=digest.hexdigest())


def check(definition: Definition, repo_top: Path, environ: Mapping[str, str]) -> None:
    """Whether the definition can run from this checkout. Raises DefinitionError naming file and key."""
    folder = definition.folder(repo_top)
    if definition.prompt_file is not None:
        _existing(definition, "prompt_file", definition.prompt_file, folder)
    if definition.script is not None:
        script = _existing(definition, "script", definition.script, folder)
        if not os.access(script, os.X_OK):
            raise _off(definition, "script", f"{definition.script} is not executable", f"chmod +x {definition.script}")
    if definition.command:
        program(definition, repo_top, environ)


def program(definition: Definition, repo_top: Path, environ: Mapping[str, str]) -> str:
    """The absolute path of what a `command` engine executes, its first word resolved. Raises DefinitionError.

    Looked for on the PATH the worker itself will have; a word with a slash is a file of the main checkout.
    """
    first = expand(definition.command[:1], {"python": sys.executable, "repo": str(repo_top)})[0]
    if first == sys.executable:
        return first
    if "/" in first:
        return str(_executable(definition, first, repo_top))
    found = shutil.which(first, path=child_environment(environ, definition.env, {}).get("PATH", os.defpath))
    if found is None:
        raise _off(definition, "command", f"{first!r} is not on PATH", f"install {first}, or correct the command")
    return os.path.abspath(found)


def expand(argv: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """Each `{placeholder}` replaced by its value, `{{` and `}}` by a brace, in a single pass.

    A value is never looked at again, so text of a task cannot name another one. Raises DefinitionError.
    """

    def one(match: re.Match[str]) -> str:
        whole, name = match.group(0), match.group(1)
        if whole in ("{{", "}}"):
            return whole[0]
        if name is None:
            raise DefinitionError(f"a single {whole!r} in the command", hint=f"write {whole * 2} for a brace itself")
        if name not in values:
            meant = nearest(name, tuple(values))
            raise DefinitionError(
                f"placeholder {whole} is not known here" + (f"; did you mean {{{meant}}}?" if meant else ""),
                hint="placeholders: " + choices([f"{{{word}}}" for word in values]),
            )
        return values[name]

    return [_BRACES.sub(one, item) for item in argv]


# --- files ----------------------------------------------------------------------------------------


def _load_folder(folder: Path, inside: Path, *, builtin: bool) -> tuple[dict[str, Definition], list[Problem]]:
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


def _parse(path: Path, data: bytes) -> dict[str, Any]:
    try:
        shape = codec.parse(data)
        codec.dump(shape)
    except (codec.BadLine, ValidationError) as off:
        raise DefinitionError(f"{path}: {off}", hint="check it with `python -m json.tool`", file=str(path)) from off
    return shape


def _framed(key: str, data: bytes) -> bytes:
    """Length before content: two parts never read as two others."""
    return f"{key}:{len(data)}:".encode() + data


def _file_digest(path: Path) -> bytes:
    """The digest of a regular file, empty where there is none: `check` then says so."""
    if not path.is_file():
        return b""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
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


def _executable(definition: Definition, first: str, repo_top: Path) -> Path:
    relative = os.path.relpath(repo_top / first, repo_top)
    if relative.startswith(".."):
        raise _off(definition, "command", f"{first} is not inside the repository", "name the program by PATH alone")
    path = _existing(definition, "command", relative, repo_top)
    if not os.access(path, os.X_OK):
        raise _off(definition, "command", f"{relative} is not executable", f"chmod +x {relative}")
    return path


def _off(definition: Definition, key: str, reason: str, hint: str | None = None) -> DefinitionError:
    message = f"worker {definition.name}: {definition.source}: {key}: {reason}"
    return DefinitionError(message, hint=hint, name=definition.name, file=str(definition.source), key=key)


# --- fields ---------------------------------------------------------------------------------------


class _Fields:
    """The keys of one JSON object, taken one by one by type; each error names file and key."""

    def __init__(self, path: Path, shape: dict[str, Any], prefix: str = "", name: object = None) -> None:
        self.path = path
        self.prefix = prefix
        self.name = shape.get("name") if name is None and not prefix else name
        self._shape = shape

    def off(self, key: str, reason: str, hint: str | None = None) -> DefinitionError:
        full = self.prefix + key
        return DefinitionError(
            f"{self.path}: {full}: {reason}", hint=hint, name=self.name, file=str(self.path), key=full
        )

    def known(self, keys: Sequence[str]) -> None:
        for key in self._shape:
            if key not in keys:
                meant = nearest(key, keys)
                raise self.off(key, f"unknown key; did you mean {meant!r}?" if meant else "unknown key", choices(keys))

    def has(self, key: str) -> bool:
        return self._shape.get(key) is not None

    def text(self, key: str) -> str | None:
        value = self._shape.get(key)
        if value is not None and not (isinstance(value, str) and value and not _CONTROL.search(value)):
            raise self.off(key, "must be a text of one line")
        return value

    def needed(self, key: str) -> str:
        value = self.text(key)
        if value is None:
            raise self.off(key, "is missing")
        return value

    def relative(self, key: str) -> str | None:
        """A path below a folder: no absolute one, no `..`."""
        value = self.text(key)
        if value is not None and (
            value.startswith("/") or ".." in PurePosixPath(value).parts or not PurePosixPath(value).parts
        ):
            raise self.off(key, f"{value!r} must be a relative path without '..'")
        return value

    def flag(self, key: str, *, default: bool) -> bool:
        value = self._shape.get(key, default)
        if not isinstance(value, bool):
            raise self.off(key, "must be true or false")
        return value

    def number(self, key: str, accepted: Callable[[float], bool], range_text: str) -> float | None:
        value = self._shape.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise self.off(key, "must be a number")
        if not (accepted(value) and math.isfinite(value)):
            raise self.off(key, f"must be {range_text}")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._shape.get(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) and "\0" not in item for item in value):
            raise self.off(key, "must be a list of texts")
        return tuple(value)

    def inner(self, key: str) -> _Fields | None:
        value = self._shape.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.off(key, "must be an object")
        return _Fields(self.path, value, f"{self.prefix}{key}.", self.name)

    def names(self) -> list[str]:
        return list(self._shape)

    def items(self) -> list[tuple[str, object]]:
        return list(self._shape.items())


_KEYS = tuple(field for field in Definition._fields if field not in ("digest", "source", "builtin"))


def _definition(fields: _Fields, *, builtin: bool) -> Definition:
    fields.known(_KEYS)
    name = fields.needed("name")
    if not _NAME.fullmatch(name):
        raise fields.off("name", f"{name!r} must be a letter, then at most 63 letters, digits, '-' and '_'")
    engine = _engine(fields)
    sandbox = fields.text("sandbox")
    if sandbox not in (None, "none"):
        raise fields.off("sandbox", f"{sandbox!r} is not available in this version", 'leave it out, or write "none"')
    return Definition(
        name=name,
        engine=engine,
        actor=_actor(fields),
        digest="",
        source=fields.path,
        builtin=builtin,
        description=fields.text("description") or "",
        script=fields.relative("script"),
        command=_command(fields),
        prompt_file=fields.relative("prompt_file"),
        model=fields.text("model"),
        worktree=fields.flag("worktree", default=True),
        base=_ref(fields, "base"),
        timeout_minutes=_minutes(fields, "timeout_minutes") or Definition.timeout_minutes,
        idle_timeout_minutes=_minutes(fields, "idle_timeout_minutes"),
        grace_seconds=_grace(fields),
        env=_environment(fields.inner("env")),
        outputs=_outputs(fields.inner("outputs")),
        artifact_role=fields.text("artifact_role"),
        report_prefix=fields.text("report_prefix"),
        report_dir=fields.relative("report_dir"),
        sandbox=sandbox,
    )


def _engine(fields: _Fields) -> str:
    engine = fields.needed("engine")
    if engine in LATER_ENGINES:
        raise fields.off("engine", f"engine {engine!r} is not available in this version", f"use {choices(ENGINES)}")
    if engine not in ENGINES:
        meant = nearest(engine, ENGINES)
        raise fields.off(
            "engine",
            f"engine {engine!r} is not known" + (f"; did you mean {meant!r}?" if meant else ""),
            f"engines: {choices(ENGINES)}",
        )
    for key in ENGINES:  # Each of the two engines reads the key of its own name.
        if key != engine and fields.has(key):
            raise fields.off(key, f"a key the engine does not use: {engine!r} reads {engine!r}", f"remove {key!r}")
    if not fields.has(engine):
        raise fields.off(engine, f"is missing: engine {engine!r} needs it")
    return engine


def _actor(fields: _Fields) -> str:
    try:
        return parse_actor(fields.needed("actor"))
    except InvalidActor as error:
        raise fields.off("actor", error.message, error.hint) from error


def _command(fields: _Fields) -> tuple[str, ...]:
    command = fields.texts("command")
    if fields.has("command") and not (command and command[0]):
        raise fields.off("command", "must name a program first")
    try:
        expand(command[:1], dict.fromkeys(_PROGRAM_PLACEHOLDERS, "x"))
        expand(command, dict.fromkeys(PLACEHOLDERS, ""))
    except DefinitionError as error:
        raise fields.off("command", error.message, error.hint) from error
    return command


def _ref(fields: _Fields, key: str) -> str | None:
    ref = fields.text(key)
    if ref is not None and ref.startswith("-"):
        raise fields.off(key, f"{ref!r} cannot name a branch or commit")
    return ref


def _minutes(fields: _Fields, key: str) -> float | None:
    in_range = f"more than 0 and at most {TIMEOUT_MINUTES_MAX}"
    return fields.number(key, lambda value: 0 < value <= TIMEOUT_MINUTES_MAX, in_range)


def _grace(fields: _Fields) -> float:
    in_range = f"from 0 to {GRACE_SECONDS_MAX}"
    grace = fields.number("grace_seconds", lambda value: 0 <= value <= GRACE_SECONDS_MAX, in_range)
    return Definition.grace_seconds if grace is None else grace


def _environment(fields: _Fields | None) -> EnvironmentRules:
    if fields is None:
        return EnvironmentRules()
    fields.known(EnvironmentRules._fields)
    values = fields.inner("set")
    pairs: list[tuple[str, str]] = []
    for name, value in values.items() if values is not None else ():
        if not _VARIABLE.fullmatch(name):
            raise fields.off("set", f"{name!r} is not a variable's name")
        if not isinstance(value, str) or "\0" in value:
            raise fields.off("set", f"the value of {name} must be a text")
        pairs.append((name, value))
    return EnvironmentRules(fields.texts("strip"), fields.texts("keep"), tuple(pairs))


def _outputs(fields: _Fields | None) -> tuple[Output, ...]:
    if fields is None:
        return ()
    outputs: list[Output] = []
    for name in fields.names():
        inner = fields.inner(name)
        if inner is None or not _NAME.fullmatch(name):
            raise fields.off(name, "must be a name and an object with role, path and required")
        inner.known(("role", "path", "required"))
        path = inner.relative("path")
        if path is None:
            raise inner.off("path", "is missing")
        outputs.append(Output(name, inner.text("role"), path, inner.flag("required", default=False)))
    return tuple(outputs)
