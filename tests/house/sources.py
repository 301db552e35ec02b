"""What the house tests look at: the modules of the package, what each imports, the files of the repository."""

from __future__ import annotations

import ast
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

TOP = Path(__file__).resolve().parents[2]
SOURCE = TOP / "src"


@cache
def modules() -> dict[str, Path]:
    """Dotted name to file, of every module in the package; a package stands under its own name."""
    found = {}
    for path in sorted((SOURCE / "lattice").rglob("*.py")):
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(modules()[name].read_text(encoding="utf-8"), filename=name)


def imports_in(body: ast.Module, name: str, *, package: bool) -> Iterator[tuple[int, str]]:
    """Line and dotted target of everything imported in `body`, wherever it stands.

    Imports in functions and under TYPE_CHECKING count. `from a import b` yields both `a` and `a.b`,
    since b may be a module.
    """
    home = name.split(".") if package else name.split(".")[:-1]
    for node in ast.walk(body):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                above = home[: len(home) - level + 1] if level else []
                base = ".".join([*above, *([module] if module else [])])
                yield node.lineno, base
                yield from ((node.lineno, f"{base}.{alias.name}") for alias in names)


def named_in(body: ast.Module, known: frozenset[str]) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every module that a string names, alone or as `module:attribute`.

    The lazy tables and `python -m` reach modules by name; that is a dependency like any other.
    """
    for node in ast.walk(body):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            target = node.value.partition(":")[0]
            if target in known:
                yield node.lineno, target


def dependencies(name: str) -> set[tuple[int, str]]:
    """Line and target of all that module `name` imports or names: our own modules and others' alike."""
    package = modules()[name].name == "__init__.py"
    return {*imports_in(tree(name), name, package=package), *named_in(tree(name), frozenset(modules()))}


@cache
def project() -> dict[str, Any]:
    return tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))


@cache
def repository_files() -> tuple[Path, ...]:
    """What git tracks or would track, that is there."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=TOP,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return tuple(path for name in sorted(set(listed.split("\0"))) if name and (path := TOP / name).is_file())
