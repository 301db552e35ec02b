"""`doctor` and `rebuild` as a person and a program meet them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import lattice
from lattice.cli.doctor import SECTIONS
from tests.cli.conftest import CommandLine


def damaged(cli: CommandLine) -> Path:
    """The snapshot of LAT-1, which is not JSON."""
    path = next((cli.folder / ".lattice" / "tasks").glob("task_*.json"))
    path.write_text("{", encoding="utf-8")
    return path


def test_a_sound_board_is_told_so(cli: CommandLine) -> None:
    said = cli("doctor")
    assert (0, "No issues found.") == (said.status, said.out.splitlines()[-1])
    expected = {"artifacts": 0, "errors": 0, "events": 1, "resources": 0, "tasks": 1, "warnings": 0}
    assert {"findings": [], "summary": expected} == cli("doctor", "--json").data


def test_errors_give_status_1_and_name_the_mend(cli: CommandLine) -> None:
    path = damaged(cli)
    said = cli("doctor")
    assert (1, True) == (said.status, "lattice doctor --fix" in said.out)
    told = cli("doctor", "--json")
    finding = told.data["findings"][0]
    assert (1, "json_parse", "error", path.stem) == (
        told.status,
        *(finding[key] for key in ("check", "level", "task_id")),
    )
    assert {"errors": 1, "warnings": 0}.items() <= told.data["summary"].items()


def test_warnings_alone_give_status_0(cli: CommandLine) -> None:
    (cli.folder / ".lattice" / "plans" / "task_01JD0000000000000000000000.md").write_text("x", encoding="utf-8")
    told = cli("doctor", "--json")
    assert (0, ["orphan_text"]) == (told.status, [finding["check"] for finding in told.data["findings"]])


def test_a_fix_says_what_it_will_do_first_and_then_what_it_did(cli: CommandLine) -> None:
    damaged(cli)
    said = cli("doctor", "--fix")
    places = [said.out.index(text) for text in ("To be done:", "Done:", "is kept in .lattice/doctor/", "No issues")]
    assert (0, sorted(places)) == (said.status, places)


def test_a_fix_tells_a_program_what_it_did(cli: CommandLine) -> None:
    damaged(cli)
    told = cli("doctor", "--fix", "--json")
    assert (0, [], ["json_parse"]) == (
        told.status,
        told.data["findings"],
        [one["check"] for one in told.data["fixed"]],
    )


def test_a_fix_of_a_sound_board_leaves_no_trace(cli: CommandLine) -> None:
    before = cli.tree()
    assert 0 == cli("doctor", "--fix").status
    assert before == cli.tree()


def test_what_a_dead_run_left_is_found_and_cleared_away(cli: CommandLine) -> None:
    marker = cli.folder / ".lattice" / "runs" / "open" / "run_01JD0000000000000000000000"
    marker.parent.mkdir(parents=True)
    marker.touch()
    assert ["leftover_run"] == [finding["check"] for finding in cli("doctor", "--json").data["findings"]]
    assert [] == cli("doctor", "--fix", "--json").data["findings"]
    assert not marker.exists()


def test_hostile_names_of_files_are_shown_harmless(cli: CommandLine) -> None:
    (cli.folder / ".lattice" / "events" / "\x1b[31mred\n.jsonl").write_text("x", encoding="utf-8")
    said = cli("doctor")
    assert (0, False) == (said.status, "\x1b" in said.out)


def test_a_log_that_is_a_symbolic_link_is_not_followed(cli: CommandLine) -> None:
    secret = cli.folder / "secret"
    secret.write_text("s3cret", encoding="utf-8")
    (cli.folder / ".lattice" / "events" / "task_01JD0000000000000000000000.jsonl").symlink_to(secret)
    told = cli("doctor", "--json")
    assert (1, "unreadable", False) == (told.status, told.data["findings"][0]["check"], "s3cret" in told.out)


def test_each_check_has_its_section() -> None:
    named = {check for checks in SECTIONS.values() for check in checks}
    places = (
        "core/integrity",
        "store/files/doctor*",
        "store/files/twice",
        "commands/session_files",
        "commands/doctor",
        "workers/leftovers",
    )
    top = Path(lattice.__file__).parent
    sources = "".join(path.read_text("utf-8") for place in places for path in top.glob(f"{place}.py"))
    given = set(re.findall(r'Finding\(\s*"(\w+)"', sources)) | {"jsonl_parse", "unreadable", "global_log_consistency"}
    assert given == named


def test_a_rebuild_by_id_and_by_short_id(cli: CommandLine) -> None:
    path = damaged(cli)
    told = cli("rebuild", "LAT-1", "--json").data
    assert {"global_log_rebuilt": False, "rebuilt_tasks": [path.stem]} == told
    assert "First" == json.loads(path.read_text())["title"]
    told = cli("rebuild", "--all", "--json").data
    assert {"global_log_rebuilt": True, "rebuilt_resources": [], "rebuilt_tasks": [path.stem]} == told


def test_a_rebuild_of_nothing_of_both_and_of_what_is_not_there(cli: CommandLine) -> None:
    assert "VALIDATION_ERROR" == cli("rebuild", "--json").error["code"]
    assert "VALIDATION_ERROR" == cli("rebuild", "LAT-1", "--all", "--json").error["code"]
    assert "NOT_FOUND" == cli("rebuild", "LAT-99", "--json").error["code"]
    assert "NOT_FOUND" == cli("rebuild", "task_01JD0000000000000000000000", "--json").error["code"]


def test_a_rebuild_passes_over_a_damaged_log_and_says_so(cli: CommandLine) -> None:
    cli("create", "Second")
    log = next((cli.folder / ".lattice" / "events").glob("task_*.jsonl"))
    log.write_bytes(b"garbage\n")
    told = cli("rebuild", "--all", "--json")
    assert (1, 1, "LOG_DAMAGED") == (told.status, len(told.data["rebuilt_tasks"]), told.data["failed"][0]["code"])
