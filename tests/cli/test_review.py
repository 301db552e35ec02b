"""The command line of reviews: see them, and decide about what they found."""

from __future__ import annotations

import json

import pytest

from lattice.commands import reviews
from lattice.commands.board import Board, read_config
from lattice.core.reviews.model import Finding, Review, Reviewer, by_one
from lattice.ledger import Signature
from tests.cli.conftest import CommandLine

BOT = Signature("agent:review-bot")
READER = Reviewer("Reader", "m-1", "standard")
RACE = Finding("blocker", "Two writers race for the \x1b[2Jlock", file="cache.py", line=10, detail="One\nloses.")
TYPO = Finding("nit", "The greeting is spelled wrongly", file="banner.py", line=1)


def record(cli: CommandLine, *found: Finding, commit: str = "c1") -> reviews.Recorded:
    board = Board(cli.folder, read_config(cli.folder))
    review = Review((READER,), by_one(READER, found), "not_ready", "base", commit, summary="It\nraces.")
    return reviews.record(board, "LAT-1", review, BOT, hunks={"cache.py": ["a" * 16], "banner.py": ["b" * 16]})


@pytest.fixture
def reviewed(cli: CommandLine) -> CommandLine:
    """LAT-1 with a review: F1 is the nit, F2 the blocker."""
    record(cli, TYPO, RACE)
    return cli


def test_findings_are_listed_the_worst_first(reviewed: CommandLine) -> None:
    assert "F2\nF1\n" == reviewed("review", "findings", "LAT-1", "--quiet").out
    assert "LAT-1 F2\n" == reviewed("review", "findings", "--severity", "blocker", "--quiet").out
    assert "F1\n" == reviewed("review", "findings", "LAT-1", "--file", "banner.py", "--quiet").out
    assert "No findings.\n" == reviewed("review", "findings", "LAT-1", "--status", "waived").out
    first = reviewed("review", "findings", "--json").data[0]
    assert ("LAT-1", "F2", "open", "cache.py") == (
        first["task"], first["name"], first["state"], first["finding"]["file"],
    )  # fmt: skip


def test_what_a_reviewer_wrote_does_not_act_on_a_terminal(reviewed: CommandLine) -> None:
    for words in (["findings"], ["show", "LAT-1"], ["list"]):
        out = reviewed("review", *words).out
        assert "\x1b" not in out
        assert "Reader" in out


def test_a_review_is_shown_whole(reviewed: CommandLine) -> None:
    shown = reviewed("review", "show", "LAT-1").out
    assert "R1" in reviewed("review", "list", "LAT-1").out
    assert all(text in shown for text in ("not_ready", "races.", "F2  blocker", "loses.", "cache.py:10", "base..c1"))
    data = reviewed("review", "show", "LAT-1", "r1", "--json").data
    assert ([1, 2], 0, "cache.py") == (data["found"], data["left_out"], data["review"]["findings"][1]["file"])
    assert data["review_id"] == reviewed("review", "show", "LAT-1", data["review_id"][-6:], "--quiet").out.strip()


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ("markdown", "1. **Two writers race for the \\\\x1b\\[2Jlock**\n   - **File:** `cache.py:10`"),
        ("json", '"verdict": "not_ready"'),
        ("sarif", '"version": "2.1.0"'),
        (
            "github",
            "::error file=cache.py,line=10,title=Two writers race for the \\x1b[2Jlock::One%0Aloses.\n",
        ),
        ("gitlab", '"severity": "blocker"'),
    ],
)
def test_a_review_is_shown_in_the_forms_that_others_read(reviewed: CommandLine, form: str, expected: str) -> None:
    shown = reviewed("review", "show", "LAT-1", "--format", form).out
    assert expected in shown
    assert "\x1b" not in shown
    if form in ("json", "sarif", "gitlab"):
        assert "cache.py" in json.dumps(json.loads(shown))


def test_a_finding_lives_by_what_is_said_of_it(reviewed: CommandLine) -> None:
    assert "fixed" == reviewed("review", "fix", "LAT-1", "F2", "--note", "locked", "--json").data["state"]
    assert "F2 of LAT-1 is fixed already" in reviewed("review", "fix", "LAT-1", "f2").out
    assert "verified" == reviewed("review", "verify", "LAT-1", "2", "--json").data["state"]
    assert "is open again" in reviewed("review", "reopen", "LAT-1", "F2", "--reason", "it is not").out
    waived = reviewed("review", "waive", "LAT-1", "F2", "--wrong", "--reason", "a lock is held", "--json").data
    assert ("waived", True, "a lock is held") == (waived["state"], waived["wrong"], waived["reason"])
    assert "not so: a lock is held" in reviewed("review", "findings", "--status", "waived").out


def test_the_difference_between_two_reviews(reviewed: CommandLine) -> None:
    assert "NOT_FOUND" == reviewed("review", "diff", "LAT-1", "--json").error["code"]
    record(reviewed, RACE.replace(line=14), commit="c2")
    found = reviewed("review", "diff", "LAT-1", "--json").data
    assert ([], ["F1"], ["F2"]) == tuple([one["name"] for one in found[key]] for key in ("new", "gone", "still"))
    assert "Gone: 1" in reviewed("review", "diff", "LAT-1", "R1", "R2").out
    assert "CONFLICT" == reviewed("review", "diff", "LAT-1", "R2", "--json").error["code"]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["fix", "LAT-1", "F9"], "NOT_FOUND"),
        (["fix", "LAT-1", "Fx"], "VALIDATION_ERROR"),
        (["waive", "LAT-1", "F1"], "USAGE"),
        (["verify", "LAT-1", "F1", "--actor", "agent:a"], "NOT_ALLOWED"),
        (["fix", "LAT-1", "F1", "--commit", "HEAD"], "GIT_ERROR"),
        (["show", "LAT-1", "R7"], "NOT_FOUND"),
        (["findings", "--status", "opne"], "VALIDATION_ERROR"),
        (["findings", "--severity", "blokcer"], "VALIDATION_ERROR"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_next_step(reviewed: CommandLine, words: list[str], code: str) -> None:
    before = reviewed.tree()
    refused = reviewed("review", *words, "--json")
    assert code == refused.error["code"]
    assert refused.error["hint"]
    assert before == reviewed.tree()


def test_a_task_without_a_review_says_so(cli: CommandLine) -> None:
    assert "No reviews.\n" == cli("review", "list").out
    assert "No findings.\n" == cli("review", "findings").out
    assert "NOT_FOUND" == cli("review", "show", "LAT-1", "--json").error["code"]


def test_the_schema_is_printed_as_json(cli: CommandLine) -> None:
    assert "findings" in json.loads(cli("review", "schema").out)["required"]


def test_a_rebuild_gives_the_same_snapshot(reviewed: CommandLine) -> None:
    before = reviewed.tree()
    assert 0 == reviewed("rebuild", "--all").status
    assert before == reviewed.tree()
    assert 0 == reviewed("doctor").status


def test_reviewers_are_scored(reviewed: CommandLine) -> None:
    reviewed("review", "fix", "LAT-1", "F2")
    row = reviewed("review", "stats", "--json").data[0]
    assert ("Reader", 1, 2, 1, 0, 2, None) == tuple(
        row[key] for key in ("name", "reviews", "findings", "confirmed", "refuted", "unique", "cost_usd")
    )
    assert "m-1" in reviewed("review", "stats", "LAT-1", "--by", "model").out
    assert reviewed("review", "stats", "--quiet").out.splitlines() == ["Reader"]


def test_the_history_of_a_review_is_told_in_words(reviewed: CommandLine) -> None:
    reviewed("review", "fix", "LAT-1", "F1", "--note", "spelled")
    reviewed("review", "waive", "LAT-1", "F2", "--reason", "one thread", "--wrong")
    page = reviewed("show", "LAT-1").out
    assert "not_ready: 2 new  by agent:review-bot" in page
    assert "finding_waived  F2 as wrong: one thread  by human:ann\n" in page
    fixed = next(line for line in page.splitlines() if "finding_fixed" in line)
    assert fixed.endswith(": spelled  by human:ann")
    assert "{" not in page


def test_the_history_of_links_and_talk_is_told_in_words(cli: CommandLine) -> None:
    other = cli("create", "Second", "--json").data["id"]
    cli("link", "LAT-1", "blocks", "LAT-2")
    cli("branch-link", "LAT-1", "topic")
    said = cli("comment", "LAT-1", "Teh", "--json").data["last_event_id"]
    cli("comment-edit", "LAT-1", said, "The")
    cli("react", "LAT-1", said, "heart")
    page = cli("show", "LAT-1").out
    for told in (
        f"relationship_added  blocks {other}",
        "branch_linked  topic",
        'comment_edited  "The"',
        f"heart on {said}",
    ):
        assert told in page
    assert "{" not in page
