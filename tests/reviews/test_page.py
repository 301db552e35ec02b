"""docs/explanation/reviews.md: a row for every finding, and no test named there that does not exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "explanation" / "reviews.md"
FINDINGS = (
    *("A1", "A2", "A3", "A4", "A5", "A6"),  # blockers, important, potential
    *("AW1", "AW2", "AW3", "AW4"),  # what will break
    *("AM1", "AM2", "AM3", "AM4"),  # what is missing
    *("AN1", "AN2", "AN3"),  # nits
    *("B1", "B2", "B3", "B4", "B5", "B6", "B7"),
    *("BW1", "BW2", "BW3", "BW4"),
    *("BM1", "BM2", "BM3", "BM4", "BM5"),
    *("BN1", "BN2", "BP"),
)
CODE = re.compile(r"`((?:\w+/)*\w+\.py)`")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def rows() -> dict[str, list[str]]:
    """Each finding's cells: what was wrong, what makes it impossible, the tests."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    return {name: rest for name, *rest in cells if name not in ("finding", "---")}


def functions(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_every_finding_has_its_row_in_order() -> None:
    assert list(FINDINGS) == list(rows())


def test_every_row_says_what_was_wrong_what_prevents_it_and_which_test_shows_it() -> None:
    for name, cells in rows().items():
        assert 3 == len(cells), name
        assert all(cells), name
        assert TEST.findall(cells[2]), name


def test_every_test_the_page_names_exists() -> None:
    named = TEST.findall(PAGE.read_text(encoding="utf-8"))
    assert named
    assert [] == [f"{path}::{test}" for path, test in named if test not in functions(path)]


def test_every_test_named_after_a_finding_is_on_the_page() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for letter in "ab":
        path = f"tests/reviews/test_review_{letter}.py"
        missing = [name for name in functions(path) if name.startswith("test_") and f"{path}::{name}" not in text]
        assert [] == missing


def test_every_file_of_the_code_that_the_page_names_exists() -> None:
    named = set(CODE.findall(PAGE.read_text(encoding="utf-8"))) - {"tests/reviews/test_page.py"}
    assert "workers/supervisor.py" in named
    assert [] == sorted(path for path in named if not (ROOT / "src" / "lattice" / path).is_file())
