"""The figures of `tools/torture.py --write-page`: what was run goes in, what was run before stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tools import torture_page


def run(part: str, promise: str, faults: int) -> dict[str, Any]:
    row = {
        "promise": promise,
        "what": part,
        "faults": faults,
        "not met": 0,
        "violations": 0,
        "healed_s": None,
        "healed_s_max": None,
        "more": {},
    }
    return {"command": torture_page.command(part, ["--full"]), "seconds": 1.0, "figures": [row]}


def rows(page: Path) -> list[str]:
    return [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| P")]


def test_a_part_replaces_its_own_row_and_rows_stand_by_promise(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{torture_page.BEGIN}\n{torture_page.END}\nafter\n", encoding="utf-8")
    torture_page.write({"git": run("git", "P14", 3), "storage": run("storage", "P2", 5)}, page)
    torture_page.write({"git": run("git", "P14", 1234)}, page)
    assert ["P2", "P14"] == [row.split(" | ")[0].removeprefix("| ") for row in rows(page)]
    assert ["5", "1,234"] == [row.split(" | ")[2] for row in rows(page)]
    assert page.read_text(encoding="utf-8").startswith("before\n")
    assert page.read_text(encoding="utf-8").endswith(f"{torture_page.END}\nafter\n")


def test_the_page_has_a_place_for_the_figures(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("nothing\n", encoding="utf-8")
    with pytest.raises(SystemExit, match="no place for the figures"):
        torture_page.write({}, page)
    text = torture_page.PAGE.read_text(encoding="utf-8")
    assert 0 < text.index(torture_page.BEGIN) < text.index(torture_page.END)


def test_a_command_repeats_one_part_alone() -> None:
    said = torture_page.command("git", ["--full", "--write-page", "--seed", "2", "--jobs", "2"])
    assert "tools/torture.py --only git --full --seed 2" == said
    assert "tools/torture.py --only git --all" == torture_page.command("git", ["--only", "git", "--all"])
