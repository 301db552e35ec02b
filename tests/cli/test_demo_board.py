"""The board to look around in."""

from __future__ import annotations

import pytest

from tests.cli.conftest import CommandLine, outside

__all__ = ["outside"]


def test_the_demo_is_a_whole_board_in_a_folder_of_its_own(
    outside: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = outside("demo", "init", "--json").data
    assert 8 == made["tasks"]
    assert not (outside.folder / ".lattice").exists()
    monkeypatch.chdir(made["root"])
    listed = outside("list", "--json").data
    assert 8 == len(listed)
    assert {"done", "review", "in_progress", "backlog", "needs_human", "blocked"} <= {task["status"] for task in listed}
    assert [] == outside("doctor", "--json").data["findings"]
    assert ["DEMO-2"] == [task["short_id"] for task in outside("ready", "--json").data]


def test_nothing_is_mixed_into_a_board_that_is_there(outside: CommandLine) -> None:
    assert 0 == outside("demo", "init", "--path", "here").status
    before = sorted((outside.folder / "here").rglob("*"))
    refused = outside("demo", "init", "--path", "here", "--json")
    assert (1, "CONFLICT") == (refused.status, refused.error["code"])
    assert before == sorted((outside.folder / "here").rglob("*"))
