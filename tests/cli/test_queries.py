"""`show` and `list`: what they tell people, and programs."""

from __future__ import annotations

import json

from lattice.cli.render import Terminal, cut, table, width
from lattice.commands.board import open_board
from lattice.core.run_events import ProcessRequested
from lattice.ledger import Signature
from lattice.workers.runs import host_name
from tests.cli.conftest import CommandLine

RUN = "run_01JD0000000000000000000001"


def test_show_tells_a_person_everything(cli: CommandLine) -> None:
    cli("comment", "LAT-1", "line one\nline two", "--role", "review")
    cli("update", "LAT-1", "tags=web,release", "urgency=high")
    cli("attach", "LAT-1", "--inline", "note", "--title", "Note")
    page = cli("show", "LAT-1").out
    assert page.startswith("LAT-1 (task_")
    for said in (
        '"First"\n',
        "Status: backlog  Priority: medium  Urgency: high  Type: task\n",
        "  Next: in_planning | planned | cancelled | needs_human\n",
        "Assigned: unassigned  Created by: human:ann\n",
        "Tags: web, release\nComments: 1\n",
        "Description:\n  One\n  Two\n",
        '"Note" (note)\n',
        "Evidence:\n  review: comment ev_",
        "Files:\n  plans/task_",
        'comment_added  "line one …" (role: review)  by human:ann\n',
    ):
        assert said in page
    history = page.partition("Events (latest first):\n")[2].splitlines()
    kinds = [line.split()[1] for line in history]
    assert ["artifact_attached", "field_updated", "field_updated", "comment_added", "task_created"] == kinds


def test_show_full_has_each_events_data(cli: CommandLine) -> None:
    cli("status", "LAT-1", "planned")
    assert 'status_changed  {"from": "backlog", "to": "planned"}  by human:ann\n' in cli("show", "LAT-1", "--full").out


def test_show_json_has_the_events_as_they_are_in_the_log(cli: CommandLine) -> None:
    cli("comment", "LAT-1", "x")
    data = cli("show", "LAT-1", "--json").data
    log = cli.folder / ".lattice" / "events" / f"{data['id']}.jsonl"
    assert [json.loads(line) for line in log.read_text().splitlines()] == data["events"]
    assert ["in_planning", "planned", "cancelled", "needs_human"] == data["valid_transitions"]
    assert f"plans/{data['id']}.md" == data["plan_path"]
    assert "notes_path" not in data
    assert [] == data["artifact_info"]


def test_show_compact_is_short_in_both_forms(cli: CommandLine) -> None:
    cli("comment", "LAT-1", "x")
    data = cli("show", "LAT-1", "--compact", "--json").data
    assert ("LAT-1", 1, 4) == (data["short_id"], data["comment_count"], len(data["valid_transitions"]))
    assert not {"events", "description", "custom_fields"} & set(data)
    assert "Events" not in cli("show", "LAT-1", "--compact").out


def test_an_artifact_whose_description_is_gone_is_said_to_be_missing(cli: CommandLine) -> None:
    artifact = cli("attach", "LAT-1", "--inline", "x", "--quiet").out.strip()
    (cli.folder / ".lattice" / "artifacts" / "meta" / f"{artifact}.json").unlink()
    assert f'{artifact} "?" (description missing)' in cli("show", "LAT-1").out
    assert cli("show", "LAT-1", "--json").data["artifact_info"][0]["missing"] is True


def test_list_is_aligned_and_whole_when_piped(cli: CommandLine) -> None:
    cli("create", "T" * 300, "--type", "bug", "--assigned-to", "agent:x")
    assert [
        "LAT-1  backlog  medium  task  First" + " " * 295 + "  unassigned",
        "LAT-2  backlog  medium  bug   " + "T" * 300 + "  agent:x",
    ] == cli("list").out.splitlines()


def test_list_filters_and_limits(cli: CommandLine) -> None:
    cli("create", "Bug", "--type", "bug", "--priority", "high", "--tags", "web", "--assigned-to", "agent:x")
    cli("create", "Planned", "--status", "planned")
    for words in (
        ("--type", "bug"), ("--priority", "high"), ("--tag", "web"), ("--assigned", "agent:x"),
        ("--status", "backlog", "--type", "bug"),
    ):  # fmt: skip
        assert "LAT-2\n" == cli("list", "--quiet", *words).out
    assert "LAT-1\nLAT-2\n" == cli("list", "--quiet", "--limit", "2").out
    assert ("", []) == (cli("list", "--quiet", "--tag", "none").out, cli("list", "--tag", "none", "--json").data)
    assert "No tasks.\n" == cli("list", "--tag", "none").out


def test_list_json_has_whole_snapshots_and_compact_short_ones(cli: CommandLine) -> None:
    assert "description" in cli("list", "--json").data[0]
    short = cli("list", "--json", "--compact").data[0]
    assert ("First", 0) == (short["title"], short["evidence_ref_count"])
    assert "description" not in short


def test_a_status_that_no_task_can_have_is_warned_of(cli: CommandLine) -> None:
    said = cli("list", "--status", "dnoe", "--json")
    assert (0, []) == (said.status, said.data)
    assert "'dnoe' is not a configured status." in said.json["warnings"][0]
    assert cli("list", "--status", "dnoe").err.startswith("Warning: 'dnoe' is not")
    assert "warnings" not in cli("list", "--json").json


def request(cli: CommandLine, host: str | None) -> None:
    """Put a run in the log that nobody supervises; by default one of this machine."""
    board = open_board(cli.folder, {})
    where = host or host_name(board.folder)
    body = ProcessRequested(RUN, "DiffCheck", "d", None, None, 60.0, where, "2099-01-01T00:00:00Z")
    board.ledger.transact(board.resolve("LAT-1"), lambda _: [body], Signature("human:ann"))


def test_a_dead_run_of_this_machine_is_never_shown_as_requested(cli: CommandLine) -> None:
    request(cli, None)
    written = cli("comment", "LAT-1", "x", "--json").data["active_processes"]
    assert ["lost"] == [run["state"] for run in written]
    for data in (cli("show", "LAT-1", "--json").data, cli("list", "--json").data[0]):
        assert {"lost"} >= {run["state"] for run in data["active_processes"]}
    assert "DiffCheck  requested" not in cli("show", "LAT-1").out
    assert "DiffCheck requested" not in cli("list").out


def test_a_run_of_another_machine_is_said_to_be_elsewhere(cli: CommandLine) -> None:
    request(cli, "elsewhere")
    for data in (cli("show", "LAT-1", "--json").data, cli("list", "--json").data[0]):
        assert [(RUN, "elsewhere")] == [(run["run_id"], run["state"]) for run in data["active_processes"]]
    page = cli("show", "LAT-1").out
    assert f"ACTIVE RUNS:\n  {RUN}  DiffCheck  elsewhere  requested " in page
    assert cli("list").out.endswith("unassigned  DiffCheck elsewhere\n")
    assert "elsewhere" == cli("comment", "LAT-1", "x", "--json").data["active_processes"][0]["state"]


def test_a_table_fits_the_terminal_and_cuts_the_title_alone() -> None:
    rows = [["LAT-1", "日本語" * 20, "ann"], ["LAT-22", "short", "bea"]]
    lines = table(rows, Terminal(columns=40), 1, ("TASK", "TITLE", "BY")).splitlines()
    assert [40, 40] == [width(line) for line in lines[1:]]
    assert "…" in lines[1]
    assert ["TASK", "TITLE", "BY"] == lines[0].split()


def test_cut_never_exceeds_its_columns() -> None:
    assert ["", "…", "a…", "日…", "abc"] == [cut("a", 0), cut("ab", 1), cut("abc", 2), cut("日本", 3), cut("abc", 3)]


def test_colour_goes_by_meaning_and_only_where_there_is_colour() -> None:
    assert "\x1b[32mdone\x1b[0m" == Terminal(colour=True).styled("done")
    assert "done" == Terminal().styled("done")
    assert "planned" == Terminal(colour=True).styled("planned")


def test_show_says_when_and_by_whom_a_task_was_last_sent_back(cli: CommandLine) -> None:
    assert not {"latest_reopen", "reopened_warning", "_full"} & set(cli("show", "LAT-1", "--json").data)
    for by, status in (("human:ann", "planned"), ("human:bob", "backlog"), ("human:cleo", "cancelled")):
        cli("status", "LAT-1", status, "--force", "--reason", "so", "--actor", by)
    shown = cli("show", "LAT-1", "--full", "--json").data
    moved = shown["events"][-2]
    assert {
        "ts": moved["ts"], "date": moved["ts"][:10], "actor": "human:bob", "from": "planned", "to": "backlog",
    } == shown["latest_reopen"]  # fmt: skip
    assert f"Previously completed, reset on {moved['ts'][:10]} by human:bob" == shown["reopened_warning"]
    assert shown["_full"] is True


def test_an_archived_task_is_shown_with_the_path_of_its_plan(cli: CommandLine) -> None:
    task_id = cli("show", "LAT-1", "--json").data["id"]
    (cli.folder / ".lattice" / "notes" / f"{task_id}.md").write_text("A note", encoding="utf-8")
    cli("archive", "LAT-1")
    shown = cli("show", "LAT-1", "--json").data
    for path in (shown["plan_path"], shown["notes_path"]):
        assert path.startswith("archive/")
        assert (cli.folder / ".lattice" / path).is_file()
        assert path in cli("show", "LAT-1").out
