"""Imports go one way: `cli | web | mcp → workers → commands → ledger → store → core → errors`."""

from __future__ import annotations

import ast

import pytest

from tests.house.sources import dependencies, imports_in, modules, named_in, tree

LAYERS = ("errors", "core", "store", "ledger", "resource_ledger", "commands", "workers")
FACES = ("cli", "web", "mcp")
TESTING = "testing"
"""What is shipped to test with stands upon the layers, and nothing stands upon it: a face may call it by name alone."""

CALLS_TESTING = frozenset({"lattice.cli.worker_certify"})

# What the pure layer may use of the standard library: nothing here reads a clock, a file, the environment or chance.
PURE = frozenset({
    "__future__", "abc", "binascii", "bisect", "collections", "copy", "datetime", "difflib", "enum", "functools",
    "hashlib", "heapq", "itertools", "json", "keyword", "math", "operator", "re", "string", "textwrap", "types",
    "typing", "unicodedata", "zlib",
})  # fmt: skip
IMPURE_CALLS = frozenset({"open", "input", "print", "exec", "eval", "__import__", "breakpoint"})
CLOCKS = frozenset({"now", "utcnow", "today"})


def layer(name: str) -> str:
    """The layer of a dotted name in the package; its own name alone is the package's root."""
    return name.split(".")[1] if "." in name else ""


def permitted(source: str, target: str) -> bool:
    """Whether layer `source` may import layer `target`."""
    if target in (source, ""):
        return True
    if source in (*FACES, TESTING):
        return target in LAYERS
    return source in LAYERS and target in LAYERS and LAYERS.index(target) < LAYERS.index(source)


def ours(name: str) -> set[tuple[int, str]]:
    """What module `name` uses of the package; `lattice.x` alone, and `lattice` for its version."""
    known = modules()
    return {(line, target) for line, target in dependencies(name) if target in known}


def pure_imports(body: ast.Module, name: str) -> list[str]:
    """What a module of the core imports that it must not."""
    return [
        f"{name}:{line} imports {target}"
        for line, target in imports_in(body, name, package=False)
        if target.split(".")[0] not in PURE | {"lattice"}
    ]


def impure_calls(body: ast.Module, name: str) -> list[str]:
    """Where a module of the core calls what reads or writes the world."""
    found = []
    for node in ast.walk(body):
        match node:
            case ast.Call(func=ast.Name(id=called)) if called in IMPURE_CALLS:
                found.append(f"{name}:{node.lineno} calls {called}()")
            case ast.Call(func=ast.Attribute(attr=called)) if called in CLOCKS:
                found.append(f"{name}:{node.lineno} reads the clock: {called}()")
    return found


def core() -> list[str]:
    return [name for name in modules() if layer(name) == "core"]


def test_every_module_belongs_to_a_known_layer() -> None:
    known = {"", "__main__", *LAYERS, *FACES, TESTING}
    assert [] == [name for name in modules() if layer(name) not in known]


def test_no_module_imports_a_higher_layer_or_another_face() -> None:
    wrong = [
        f"{name}:{line} uses {target}"
        for name in modules()
        if layer(name) != "__main__"
        for line, target in sorted(ours(name))
        if not permitted(layer(name), layer(target)) and not (name in CALLS_TESTING and layer(target) == TESTING)
    ]
    assert [] == wrong


def test_the_core_imports_only_what_is_pure() -> None:
    assert [] == [problem for name in core() for problem in pure_imports(tree(name), name)]


def test_the_core_reads_no_clock_and_opens_nothing() -> None:
    assert [] == [problem for name in core() for problem in impure_calls(tree(name), name)]


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("workers", "ledger", True),
        ("cli", "commands", True),
        ("core", "errors", True),
        ("store", "ledger", False),
        ("commands", "workers", False),
        ("workers", "cli", False),
        ("cli", "web", False),
        ("mcp", "cli", False),
        ("testing", "workers", True),
        ("testing", "cli", False),
        ("workers", "testing", False),
        ("cli", "testing", False),
        ("elsewhere", "core", False),
    ],
)
def test_the_direction_is_the_one_the_design_draws(source: str, target: str, expected: bool) -> None:
    assert expected is permitted(source, target)


def test_imports_are_seen_wherever_they_stand() -> None:
    body = ast.parse(
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    import lattice.cli.main\n"
        "def late():\n    from ..workers import launch\n    from . import ids\n"
        "TABLE = {'show': 'lattice.cli.show:run'}\n"
    )
    seen = {target for _, target in imports_in(body, "lattice.core.task", package=False)}
    assert {"lattice.cli.main", "lattice.workers.launch", "lattice.core.ids"} <= seen
    assert [(7, "lattice.cli.show")] == list(named_in(body, frozenset({"lattice.cli.show"})))


def test_impurity_in_the_core_is_seen() -> None:
    body = ast.parse("def f(path):\n    import os\n    return open(path), datetime.now()\n")
    assert ["lattice.core.x:2 imports os"] == pure_imports(body, "lattice.core.x")
    assert 2 == len(impure_calls(body, "lattice.core.x"))
