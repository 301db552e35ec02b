"""Every module says what it is, and every module is used."""

from __future__ import annotations

import ast
import importlib
import re

from tests.house.sources import dependencies, modules, project, tree

# Reached from outside the package: by the installed command, by `python -m`, or by those who test against it.
ENTRY_POINTS = (
    r"lattice",
    r"lattice\.__main__",
    r"lattice\.cli\.main",
    r"lattice\.workers\.guard",
    r"lattice\.workers\.builtin\.\w+\.__main__",
    r"lattice\.testing\.(engines|starts)",  # shipped for the tests of those who build on workers
    r"lattice\.testing\.engines\.__main__",
    r"lattice\.workers\.engines\.stream",  # the conformance suite; the supervisor's next
    r"lattice\.store\.memory",  # shipped for the tests of those who build on the store's protocol
)


def entry_points() -> set[str]:
    return {name for name in modules() if any(re.fullmatch(pattern, name) for pattern in ENTRY_POINTS)}


def reached(starts: set[str]) -> set[str]:
    """All modules that `starts` come to use, each with the packages that it stands in."""
    known = modules()
    seen: set[str] = set()
    ahead = sorted(starts)
    while ahead:
        name = ahead.pop()
        if name in seen or name not in known:
            continue
        seen.add(name)
        ahead.append(name.rpartition(".")[0])
        ahead.extend(target for _, target in dependencies(name))
    return seen


def test_every_module_opens_by_saying_what_it_is() -> None:
    silent = [name for name in modules() if tree(name).body and not ast.get_docstring(tree(name))]
    assert [] == silent  # a package's empty __init__ has nothing to say


def test_every_module_postpones_its_annotations() -> None:
    """Record reads annotations as text; a module without the import would hand it objects."""
    eager = [
        name
        for name in modules()
        if any(isinstance(node, ast.AnnAssign | ast.FunctionDef) for node in ast.walk(tree(name)))
        and "__future__" not in {target for _, target in dependencies(name)}
    ]
    assert [] == eager


def test_no_module_is_dead() -> None:
    assert [] == sorted(set(modules()) - reached(entry_points()))


def test_the_installed_command_is_there() -> None:
    target, _, function = project()["project"]["scripts"]["lattice"].partition(":")
    assert callable(getattr(importlib.import_module(target), function))


def test_a_module_nobody_uses_is_found() -> None:
    """What an entry point does not come to is missing from what is reached."""
    assert {"lattice", "lattice.errors"} == reached({"lattice.errors"})
