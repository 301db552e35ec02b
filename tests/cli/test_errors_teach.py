"""An error teaches: it names the nearest match, the choices there are or where to see them, and leaves no trace."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import CommandLine

RUN = "run_01JD000000000000000000000A"
STATUSES = "backlog, in_planning, planned, in_progress, review, done, blocked, needs_human, cancelled"
PRIORITIES = "critical, high, medium, low"
RELATIONSHIPS = "depends_on"

# A command line, what was meant, and what else the answer has to say: the choices, or the command that shows them.
CASES: list[tuple[tuple[str, ...], str, str]] = [
    (("lst",), "lattice list", ""),
    (("worker", "shwo"), "lattice worker show", ""),
    (("query", "lsit"), "lattice query list", ""),
    (("list", "--prioritty", "high"), "--priority", ""),
    (("status", "LAT-1", "in_progres"), "in_progress", STATUSES),
    (("create", "x", "--status", "planed"), "planned", STATUSES),
    (("ready", "--status", "planed"), "planned", STATUSES),
    (("create", "x", "--type", "bugg"), "bug", "task, bug, spike, chore"),
    (("create", "x", "--priority", "hihg"), "high", PRIORITIES),
    (("list", "--priority", "hihg"), "high", PRIORITIES),
    (("list", "priority:>=hihg"), "high", PRIORITIES),
    (("create", "x", "--urgency", "imediate"), "immediate", "immediate, high, normal, low"),
    (("create", "x", "--complexity", "meduim"), "medium", "low, medium, high"),
    (("update", "LAT-1", "titel=x"), "title", "complexity, description, priority, tags, title, type, urgency"),
    (("list", "statsu:review"), "status", "status, priority, urgency"),
    (("list", "--columns", "titel"), "title", "field.NAME"),
    (("list", "--sort", "titel"), "title", "field.NAME"),
    (("link", "LAT-1", "depend_on", "LAT-2"), "depends_on", RELATIONSHIPS),
    (("graph", "--type", "depend_on"), "depends_on", RELATIONSHIPS),
    (("show", "LTA-1"), "LAT-1", "lattice list"),
    (("show", "LAT1"), "LAT-1", "lattice list"),
    (("show", "2"), "LAT-2", "lattice list"),
    (("show", "LAT-22"), "LAT-2", "lattice list"),
    (("comment", "LAT-31", "x"), "LAT-13", "lattice list"),
    (("log", "--task", "LTA-2"), "LAT-2", "lattice list"),
    (("list", "@mien"), "@mine", ""),
    (("query", "remove", "mien"), "mine", ""),
    (("resource", "status", "priner"), "printer", "lattice resource list"),
    (("resource", "acquire", "priner"), "printer", "lattice resource list"),
    (("resource", "release", "priner"), "printer", "lattice resource list"),
    (("session", "show", "Veag-1"), "Vega-1", "lattice session list"),
    (("session", "end", "Vega-2"), "Vega-1", "lattice session list"),
    (("comment", "LAT-1", "x", "--name", "Veag-1"), "Vega-1", "lattice session list"),
    (("worker", "run", "DifCheck", "LAT-1"), "DiffCheck", "Workers: CodeReviewHeavy, CodeReviewLite, DiffCheck"),
    (("worker", "check", "diffchek"), "DiffCheck", "Workers: CodeReviewHeavy, CodeReviewLite, DiffCheck"),
    (("comment", "LAT-1", "x", "--role", "reveiw"), "review", "Valid roles: review"),
    (("attach", "LAT-1", "--inline", "x", "--role", "reveiw"), "review", "Valid roles: review"),
    (("complete", "LAT-1", "--reveiw", "x"), "--review", ""),
    (("worker", "show", RUN[:-1] + "B"), RUN, "lattice worker ps --all"),
    (("worker", "logs", RUN.replace("_01J", "_0J1")), RUN, "lattice worker ps --all"),
    (("worker", "stop", RUN[:-1]), RUN, "lattice worker ps --all"),
    (("attach", "LAT-1", "--inline", "x", "--type", "nte"), "note", "conversation, file, log, note"),
    (("log", "--type", "coment_added"), "comment_added", ""),
    (("event", "LAT-1", "deployed"), "x_deployed", ""),
    (("completion", "bsh"), "bash", "bash, zsh, fish"),
    (("import", "--from", "bedas", "x"), "beads", "beads"),
    (("export", "--to", "cvs", "-"), "csv", "csv"),
]


@pytest.fixture
def taught(cli: CommandLine) -> CommandLine:
    """A board of 13 tasks with one of everything that has a name."""
    for number in range(2, 14):
        assert 0 == cli("create", f"Task {number}").status
    assert 0 == cli("query", "save", "mine", "assigned:me").status
    assert 0 == cli("resource", "create", "printer").status
    assert 0 == cli("session", "start", "--name", "Vega", "--model", "human").status
    (cli.folder / ".lattice" / "runs" / RUN).mkdir(parents=True)
    return cli


def kept(cli: CommandLine) -> dict[str, bytes]:
    """The board's files but `ids.json`: it is derived, and a look may renew the marks in it."""
    return {name: data for name, data in cli.tree().items() if name != "ids.json"}


@pytest.mark.parametrize(("words", "meant", "choices"), CASES, ids=[" ".join(words) for words, _, _ in CASES])
def test_an_error_says_what_was_meant_and_what_there_is(
    taught: CommandLine, words: tuple[str, ...], meant: str, choices: str
) -> None:
    before = kept(taught)
    done = taught(*words)
    assert done.status in (1, 2)
    assert "" == done.out
    error, hint = done.err.splitlines()
    assert error.startswith("Error: ")
    assert hint.startswith("Hint: ")
    assert meant in hint
    assert choices in done.err
    assert before == kept(taught)
    told = json.loads(taught(*words, "--json").out)["error"]
    assert error == f"Error: {told['message']}"
    assert hint == f"Hint: {told['hint']}"


def test_the_artifact_and_the_comment_that_were_meant_are_named(taught: CommandLine) -> None:
    made = taught("attach", "LAT-1", "--inline", "x", "--json").data
    artifact = made.get("artifact_id") or taught("artifact", "list", "LAT-1", "--quiet").out.strip()
    comment = taught("comment", "LAT-1", "Said", "--json").data["last_event_id"]
    for words, meant in (
        (("artifact", "show", off_by_one(artifact)), artifact),
        (("artifact", "show", artifact[:-1]), artifact),
        (("comment-edit", "LAT-1", off_by_one(comment), "x"), comment),
        (("comment", "LAT-1", "x", "--reply-to", off_by_one(comment)), comment),
        (("react", "LAT-1", comment[:-1], "heart"), comment),
    ):
        assert f"Hint: Did you mean {meant}?" in taught(*words).err


def off_by_one(full_id: str) -> str:
    return full_id[:-1] + ("A" if full_id[-1] != "A" else "B")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "LAT-777"), "See what there is: lattice list"),
        (("show", "LAT-0"), "See what there is: lattice list"),
        (("show", "ÄÖ-٣"), "See what there is: lattice list"),
        (("resource", "status", "oven"), "See which there are with lattice resource list"),
        (("session", "show", "Zed-9"), "Start one with lattice session start"),
        (("comment", "LAT-1", "x", "--role", "qa"), "Roles are listed in workflow.roles of .lattice/config.json."),
        (
            ("worker", "run", "Zed", "LAT-1"),
            "Workers: CodeReviewHeavy, CodeReviewLite, DiffCheck, PlanReview, TripleReview.",
        ),
        (("worker", "show", "zzz"), "See them: lattice worker ps --all"),
        (
            ("worker", "logs", "lat-1"),
            "See them: lattice worker ps --all; those of a task: lattice worker history LAT-1",
        ),
        (("artifact", "show", "art_01JD0000000000000000000000"), "See those of a task: lattice artifact list TASK"),
        (("comment-edit", "LAT-1", "ev_01JD0000000000000000000000", "x"), "See them, with their ids"),
    ],
)
def test_nothing_is_guessed_where_nothing_is_near(taught: CommandLine, words: tuple[str, ...], said: str) -> None:
    assert f"Hint: {said}" in taught(*words).err


def test_a_hint_never_sends_a_name_to_the_terminal_that_acts_on_it(taught: CommandLine) -> None:
    config = taught.folder / ".lattice" / "config.json"
    settings = json.loads(config.read_text("utf-8"))
    settings["workflow"]["roles"] = ["revi\x1b[2Jew"]
    config.write_text(json.dumps(settings), "utf-8")
    done = taught("comment", "LAT-1", "x", "--role", "revi[2Jew")
    assert "Did you mean" in done.err
    assert "\x1b" not in done.err
