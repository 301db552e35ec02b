"""The verdict: every ending, with and without what was owed."""

from __future__ import annotations

import pytest

from lattice.core.run import (
    Cancelled,
    Ending,
    Exited,
    Failed,
    Lost,
    Owed,
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


@pytest.mark.parametrize(
    ("ending", "kind", "state", "word"),
    [
        (Exited(3), "exit", "failed", "status 3"),
        (Signalled(9), "signal", "failed", "Signal 9"),
        (TimedOut(600.0), "timeout", "timed_out", "longer than 600 s"),
        (TimedOut(1.5, idle=True), "idle", "timed_out", "no output for 1.5 s"),
        (Cancelled("enough"), "cancelled", "cancelled", "enough"),
        (Cancelled(None), "cancelled", "cancelled", "stopped."),
        (SetupFailed("no git"), "setup", "failed", "no git"),
        (SpawnFailed("no claude"), "spawn", "failed", "no claude"),
        (Lost("nobody"), "lost", "lost", "nobody"),
    ],
)
@pytest.mark.parametrize("owed", [[], [THERE], [MISSING]])
def test_an_ending_that_is_not_an_exit_with_0_is_a_failure(
    ending: Ending, kind: str, state: str, word: str, owed: list[Owed]
) -> None:
    verdict = judge(ending, owed)
    assert isinstance(verdict, Failed)
    assert (kind, state) == (verdict.cause["kind"], end_state(verdict.cause["kind"]))
    assert word in verdict.error


def test_an_exit_with_0_and_all_that_was_owed_is_a_success() -> None:
    assert Succeeded() == judge(Exited(0), []) == judge(Exited(0), [THERE])
    assert "succeeded" == end_state(None)


def test_an_exit_with_0_without_what_is_owed_is_a_failure_that_names_it() -> None:
    invalid = Owed("notes", "notes.md", found=False, reason="empty")
    verdict = judge(Exited(0), [THERE, MISSING, invalid])
    assert isinstance(verdict, Failed)
    assert {"kind": "verdict", "missing": ["review", "notes"]} == verdict.cause
    assert "review (missing: review.json); notes (empty: notes.md)" in verdict.error
    assert "failed" == end_state("verdict")
