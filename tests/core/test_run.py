"""The verdict: every ending, with and without what was owed, and with what was said of it."""

from __future__ import annotations

import pytest

from lattice.core.run import (
    Cancelled,
    Ending,
    Evidence,
    Exited,
    Failed,
    Lingered,
    LogFull,
    Lost,
    Owed,
    Reported,
    SetupFailed,
    Signalled,
    SpawnFailed,
    Succeeded,
    TimedOut,
    end_state,
    judge,
)

THERE = Owed("review", "review.json", found=True)
MISSING = Owed("review", "review.json", found=False)
GOOD = Reported(True, "all done")
BAD = Reported(False, "no access")


@pytest.mark.parametrize(
    ("ending", "kind", "state", "word"),
    [
        (Exited(3), "exit", "failed", "status 3"),
        (Signalled(9), "signal", "failed", "Signal 9"),
        (TimedOut(600.0), "timeout", "timed_out", "longer than 600 s"),
        (TimedOut(1.5, idle=True), "idle", "timed_out", "no output for 1.5 s"),
        (LogFull(1024), "log_limit", "failed", "more than 1024 bytes of output"),
        (Cancelled("enough"), "cancelled", "cancelled", "enough"),
        (Cancelled(None), "cancelled", "cancelled", "stopped."),
        (SetupFailed("no git"), "setup", "failed", "no git"),
        (SpawnFailed("no claude"), "spawn", "failed", "no claude"),
        (Lost("nobody"), "lost", "lost", "nobody"),
    ],
)
@pytest.mark.parametrize("owed", [(), (THERE,), (MISSING,)])
@pytest.mark.parametrize("said", [None, GOOD, BAD])
def test_an_ending_that_is_not_an_exit_with_0_is_a_failure_whatever_is_there_or_was_said(
    ending: Ending, kind: str, state: str, word: str, owed: tuple[Owed, ...], said: Reported | None
) -> None:
    verdict = judge(Evidence(ending, result=said, claim=said, owed=owed))
    assert isinstance(verdict, Failed)
    assert (kind, state) == (verdict.cause["kind"], end_state(verdict.cause["kind"]))
    assert word in verdict.error


@pytest.mark.parametrize(("text", "end"), [("no access", "no access."), ("No access.", "No access."), ("Why?", "Why?")])
def test_what_is_quoted_ends_its_sentence_once(text: str, end: str) -> None:
    verdict = judge(Evidence(Exited(1), result=Reported(False, text)))
    assert isinstance(verdict, Failed)
    assert verdict.error.endswith(f"It said that it had failed: {end}")


def test_an_exit_with_0_and_all_that_was_owed_is_a_success() -> None:
    for said in (None, GOOD):
        assert Succeeded() == judge(Evidence(Exited(0), claim=said)) == judge(Evidence(Exited(0), owed=(THERE,)))
    assert "succeeded" == end_state(None)


def test_an_exit_with_0_without_what_is_owed_is_a_failure_that_names_it() -> None:
    invalid = Owed("notes", "notes.md", found=False, reason="empty")
    verdict = judge(Evidence(Exited(0), owed=(THERE, MISSING, invalid)))
    assert isinstance(verdict, Failed)
    assert {"kind": "verdict", "missing": ["review", "notes"]} == verdict.cause
    assert "review (missing: review.json); notes (empty: notes.md)" in verdict.error
    assert "failed" == end_state("verdict")


def test_an_output_that_need_not_be_there_is_not_missed() -> None:
    assert Succeeded() == judge(Evidence(Exited(0), owed=(MISSING.replace(required=False),)))


def test_an_agent_that_says_it_succeeded_without_its_artifact_has_failed_and_the_report_says_why() -> None:
    verdict = judge(Evidence(Exited(0), claim=GOOD, owed=(MISSING,)))
    assert isinstance(verdict, Failed)
    assert {"kind": "verdict", "missing": ["review"]} == verdict.cause
    assert "missing: review.json" in verdict.error
    assert "It said that it had succeeded: all done." in verdict.error


@pytest.mark.parametrize(("key", "who"), [("result", "engine"), ("claim", "agent")])
def test_who_says_that_it_failed_is_believed(key: str, who: str) -> None:
    verdict = judge(Evidence(Exited(0), owed=(THERE,)).replace(**{key: BAD}))
    assert isinstance(verdict, Failed)
    assert {"kind": "verdict", key: "failed"} == verdict.cause
    assert who in verdict.error
    assert "no access" in verdict.error


def test_an_engine_that_reported_and_did_not_exit_is_judged_by_its_work() -> None:
    seen = Evidence(Lingered(5.0), Signalled(2), GOOD, owed=(THERE,))
    assert Succeeded() == judge(seen)
    for worse in ({"owed": (MISSING,)}, {"result": BAD}, {"claim": BAD}, {"result": None}):
        verdict = judge(seen.replace(**worse))
        assert isinstance(verdict, Failed)
        assert "verdict" == verdict.cause["kind"]
        assert "did not exit within 5 s" in verdict.error
