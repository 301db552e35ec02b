"""`import`, `export`, `stats` and `weather` on the command line."""

from __future__ import annotations

import json
import os
import stat

import pytest

from tests.cli.conftest import CommandLine

ISSUE = {"id": "bd-1", "title": "Fix", "created_at": "2026-01-01T00:00:00Z", "zork": 1}


def test_an_import_says_what_it_did_and_what_did_not_fit(cli: CommandLine) -> None:
    (cli.folder / "i.jsonl").write_text(json.dumps(ISSUE))
    would = cli("import", "--from", "beads", "i.jsonl", "--dry-run")
    assert (0, True) == (would.status, "1 would be created" in would.out)
    done = cli("import", "--from", "beads", "i.jsonl", "--json").data
    assert {"created": 1, "extended": 0, "unchanged": 0, "diverged": 0} == done["counts"]
    assert (["LAT-2"], {"zork": 1}) == ([task["short_id"] for task in done["tasks"]], done["dropped"])
    assert "" == cli("import", "--from", "beads", "i.jsonl", "--quiet").out


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (2, "USAGE", ("import", "--from", "beds", "x")),
        (2, "USAGE", ("import", "x")),
        (2, "USAGE", ("export", "--to", "xml")),
        (1, "NOT_FOUND", ("import", "--from", "beads", "x")),
        (1, "NOT_FOUND", ("import", "--from", "lattice", "/")),
        (1, "VALIDATION_ERROR", ("import", "--from", "json", "off")),
        (1, "VALIDATION_ERROR", ("import", "--from", "csv", "off")),
        (1, "VALIDATION_ERROR", ("import", "--from", "github", "off")),
        (1, "CONFLICT", ("export", "--to", "csv", "off")),
        (1, "STORAGE_ERROR", ("export", "--to", "csv", "no/such/folder.csv")),
    ],
)
def test_what_is_refused_leaves_no_trace(cli: CommandLine, status: int, code: str, words: tuple[str, ...]) -> None:
    (cli.folder / "off").write_text("{oops")
    before = cli.tree()
    refused = cli(*words, "--json")
    assert (status, code) == (refused.status, refused.error["code"])
    assert refused.error["hint"]
    assert before == cli.tree()


def test_an_export_goes_to_a_file_or_to_standard_output(cli: CommandLine) -> None:
    assert 0 == cli("export", "--to", "json", "b.json").status
    shape = json.loads((cli.folder / "b.json").read_text())
    assert ["LAT-1"] == [task["snapshot"]["short_id"] for task in shape["tasks"]]
    assert 0 == cli("export", "--to", "csv", "b.json", "--replace").status
    assert (cli.folder / "b.json").read_text().startswith("id,short_id,title")
    piped = cli.program("export", "--to", "markdown")
    assert (0, "### [ ] LAT-1: First") == (piped.status, piped.out.splitlines()[4])
    assert "content" in cli("export", "--to", "csv", "--json").data


def test_a_board_in_place_needs_no_import(cli: CommandLine) -> None:
    found = cli("import", "--from", "lattice", ".", "--json").data
    assert ("lattice", 1, 1) == (found["format"], found["tasks"], found["events"])


def test_stats_and_weather(cli: CommandLine) -> None:
    cli("create", "evil \\ [x](y) `z`", "--priority", "critical")
    assert {"active_tasks": 2, "archived_tasks": 0, "total_tasks": 2, "active_events": 2, "total_events": 2} == cli(
        "stats", "--json"
    ).data["summary"]
    assert "2 tasks" in cli("stats").out
    assert "Clear skies\n" == cli("weather", "--quiet").out
    assert ["LAT-2", "LAT-1"] == [task["id"] for task in cli("weather", "--json").data["up_next"]]
    assert "evil \\\\ \\[x\\](y) \\`z\\`" in cli("weather", "--markdown").out
    assert 2 == cli("weather", "--markdown", "--json").status


def test_an_export_takes_the_place_of_files_alone(cli: CommandLine) -> None:
    os.mkfifo(cli.folder / "pipe")
    for name in ("pipe", "."):
        refused = cli("export", "--to", "csv", name, "--replace", "--json")
        assert (1, "VALIDATION_ERROR") == (refused.status, refused.error["code"])
    assert stat.S_ISFIFO((cli.folder / "pipe").stat().st_mode)


def test_an_export_to_a_link_is_where_it_leads_to(cli: CommandLine) -> None:
    (cli.folder / "link.csv").symlink_to("led.csv")
    assert 0 == cli("export", "--to", "csv", "link.csv").status
    assert (cli.folder / "link.csv").is_symlink()
    assert (cli.folder / "led.csv").read_text().startswith("id,short_id,title")


def test_a_folder_that_is_not_there_is_not_said_to_be_something_else(cli: CommandLine) -> None:
    refused = cli("export", "--to", "csv", "no/such.csv", "--json").error
    assert (f"There is no folder '{cli.folder}/no'.", f"mkdir -p {cli.folder}/no") == (
        refused["message"],
        refused["hint"],
    )


@pytest.mark.parametrize("words", [("import", "--from", "csv", "."), ("review", "import", ".", "--task", "LAT-1")])
def test_a_folder_in_place_of_a_file_is_said_once(cli: CommandLine, words: tuple[str, ...]) -> None:
    refused = cli(*words, "--json").error
    assert f"'{cli.folder}' cannot be read: Is a directory." == refused["message"]
    assert refused["hint"]
