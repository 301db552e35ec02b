"""`review import` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import CommandLine
from tests.conftest import git

SAMPLE = Path(__file__).parents[1] / "core" / "reviews" / "samples" / "ticked.md"


def ruff(path: str) -> bytes:
    return json.dumps([{"filename": path, "location": {"row": 3}, "code": "F401", "message": "un\x1bused"}]).encode()


def test_a_dry_run_shows_the_review_and_leaves_no_trace(cli: CommandLine) -> None:
    (cli.folder / "report.md").write_bytes(SAMPLE.read_bytes())
    before = cli.tree()
    shown = cli("review", "import", "report.md", "--dry-run")
    assert shown.out.startswith("Read: a review by Otter (Large) (otter-2-large) (markdown): not ready; 1 blocker,")
    assert "  blocker    confirmed  race condition between counting and taking a seat" in shown.out
    data = cli("review", "import", "report.md", "--dry-run", "--json").data
    assert (True, "markdown", 5) == (data["dry_run"], data["format"], len(data["review"]["findings"]))
    assert before == cli.tree()


def test_standard_input_is_read_where_there_is_no_board(outside: CommandLine) -> None:
    read = outside.program("review", "import", "-", "--dry-run", "--json", stdin=ruff(str(outside.folder / "src/a.py")))
    (finding,) = read.data["review"]["findings"]
    assert ("src/a.py", 3) == (finding["file"], finding["line"])
    shown = outside.program("review", "import", "-", "--dry-run", stdin=ruff("/elsewhere/a.py"))
    assert "\\x1b" in shown.out
    assert "\x1b" not in shown.out + shown.err
    assert "Warning: not a path in the repository: /elsewhere/a.py" in shown.err


def test_a_folder_below_the_top_and_another_machines_root_are_understood(outside: CommandLine) -> None:
    git(outside.folder, "init", "--quiet")
    below = outside.folder / "web"
    below.mkdir()
    (below / "r.json").write_bytes(ruff(str(below / "app.py")))
    (below / "ci.json").write_bytes(ruff("/ci/build/web/app.py"))
    for words in (["web/r.json"], ["web/ci.json", "--root", "/ci/build"]):
        data = outside("review", "import", *words, "--dry-run", "--json").data
        assert "web/app.py" == data["review"]["findings"][0]["file"]


def test_a_review_goes_on_its_task_and_again_finds_the_same(cli: CommandLine) -> None:
    (cli.folder / "r.md").write_bytes(SAMPLE.read_bytes())
    first = cli("review", "import", "r.md", "--task", "LAT-1", "--json").data
    assert (["new"] * 5, "LAT-1") == ([*first["findings"].values()], first["task"])
    assert {"still"} == {*cli("review", "import", "r.md", "--task", "LAT-1", "--json").data["findings"].values()}
    assert "race condition between counting" in cli("review", "findings", "LAT-1").out


@pytest.mark.parametrize("words", [("r.json",), ("r.json", "--task", "LAT-9"), ("off", "--task", "LAT-1")])
def test_what_cannot_be_recorded_leaves_no_trace(cli: CommandLine, words: tuple[str, ...]) -> None:
    (cli.folder / "off").write_text("{oops")
    (cli.folder / "r.json").write_bytes(ruff("src/a.py"))
    before = cli.tree()
    refused = cli("review", "import", *words, "--json")
    assert refused.status != 0
    assert refused.error["hint"]
    assert before == cli.tree()


def test_who_gave_it_may_be_said(cli: CommandLine) -> None:
    (cli.folder / "r.md").write_bytes(SAMPLE.read_bytes())
    data = cli("review", "import", "r.md", "--reviewer", "Vega", "--reviewer-model", "v1", "--dry-run", "--json").data
    assert [{"name": "Vega", "model": "v1", "kind": "standard"}] == data["review"]["reviewers"]


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (1, "NOT_FOUND", ("no-such-file",)),
        (1, "VALIDATION_ERROR", (".",)),
        (1, "VALIDATION_ERROR", ("off",)),
        (1, "VALIDATION_ERROR", ("off", "--format", "sarif")),
        (1, "VALIDATION_ERROR", ("off", "--reviewer", "a\x1bb")),
        (2, "USAGE", ("off", "--format", "xml")),
        (2, "USAGE", ("r.md", "--commit", "HEAD")),  # there is no repository
    ],
)
def test_what_is_refused_is_named_and_leaves_no_trace(
    cli: CommandLine, status: int, code: str, words: tuple[str, ...]
) -> None:
    (cli.folder / "off").write_text("{oops")
    (cli.folder / "r.md").write_bytes(SAMPLE.read_bytes())
    before = cli.tree()
    refused = cli("review", "import", *words, "--dry-run", "--json")
    assert (status, code) == (refused.status, refused.error["code"])
    assert refused.error["hint"]
    assert before == cli.tree()
