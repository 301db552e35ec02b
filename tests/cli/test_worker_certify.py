"""`lattice worker certify`: its table, its JSON, its exit status."""

from __future__ import annotations

from pathlib import Path

import pytest

from lattice.testing import certify
from lattice.testing.certify import Certificate, Row
from tests.cli.conftest import CommandLine

WRONG = Row("error", "failed (exit)", "succeeded", ok=False, differences=("it ended as\x1b[2J succeeded",))


@pytest.fixture
def one_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate with a difference in it, as a wrong adapter of somebody's would have."""
    found = Certificate("mine", "adapter", (Row("ok", "succeeded", "succeeded", ok=True), WRONG))
    monkeypatch.setattr(certify, "certify", lambda *_: found)


def test_an_adapter_is_certified_where_there_is_no_board(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CommandLine(tmp_path, capsys)("worker", "certify", "opencode", "--only", "noise", "--json")
    assert 0 == done.status
    (row,) = done.data["rows"]
    assert ("adapter", True, "noise", []) == (done.data["kind"], done.data["ok"], row["behaviour"], row["differences"])


def test_a_difference_is_shown_and_is_the_exit_status(
    one_differs: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = CommandLine(tmp_path, capsys)
    done = line("worker", "certify", "mine")
    assert 1 == done.status
    assert "2 behaviours, 1 differ" in done.out
    assert "\x1b" not in done.out
    assert (1, "error\n") == line("worker", "certify", "mine", "--quiet")[:2]


def test_a_behaviour_file_that_is_not_there_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = CommandLine(tmp_path, capsys)("worker", "certify", "claude", "--behaviour", "none.json", "--json")
    assert 1 == done.status
    assert "none.json" in done.error["message"]
