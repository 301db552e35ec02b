"""The scoreboard: what is counted for whom, and a cost that is not known."""

from __future__ import annotations

from lattice.core.reviews import life
from lattice.core.reviews.model import Finding, MergedFinding, Report, Review, Reviewer
from lattice.core.reviews.scoreboard import MODEL, WORKER, Score, scoreboard
from tests.core.reviews.test_life import LEAK, RACE, TYPO, Log

ONE = Reviewer("One", "m-1", run_id="run_1")
TWO = Reviewer("Two", "m-2", run_id="run_2")
TOOL = Reviewer("linter")


def log() -> Log:
    """One and Two found the race; One the leak, which Two refutes; the linter the typo."""
    made = Log()
    merged = (both(RACE), refuted(LEAK), MergedFinding(TYPO, (Report(TOOL, TYPO),)))
    made.write(life.recorded(made.task, Review((ONE, TWO, TOOL), merged, commit_sha="c1"), review_id="rev_1"))
    return made


def both(finding: Finding) -> MergedFinding:
    return MergedFinding(finding, (Report(ONE, finding), Report(TWO, finding)))


def refuted(finding: Finding) -> MergedFinding:
    return MergedFinding(finding, (Report(ONE, finding), Report(TWO, finding.replace(status="refuted"))))


def scores(made: Log, by: str = WORKER, **costs: float) -> dict[str, Score]:
    return {one.name: one for one in scoreboard([made.task], costs, by)}


def test_what_another_found_is_confirmed_and_what_another_refutes_is_refuted() -> None:
    found = scores(log())
    assert ("One", 1, 2, 1, 1, 1) == tuple(found["One"].fields().values())[:6]
    assert ("Two", 1, 1, 1, 0, 0) == tuple(found["Two"].fields().values())[:6]
    assert ("linter", 1, 1, 0, 0, 1) == tuple(found["linter"].fields().values())[:6]
    assert ["One", "Two", "linter"] == sorted(found)


def test_what_was_fixed_is_confirmed_and_what_was_waived_as_wrong_is_not() -> None:
    made = log()
    made.write(life.fix(made.task, 3, commit_sha="c2", note=None))
    made.write(life.waive(made.task, 1, reason="it is not so", wrong=True, actor="human:ann"))
    found = scores(made)
    assert (1, 0) == (found["linter"].confirmed, found["linter"].refuted)
    assert (0, 1) == (found["Two"].confirmed, found["Two"].refuted)


def test_a_risk_that_is_accepted_counts_against_nobody() -> None:
    made = log()
    made.write(life.waive(made.task, 3, reason="we can live with it", wrong=False, actor="human:ann"))
    assert 0 == scores(made)["linter"].refuted


def test_a_cost_that_is_not_known_is_none_and_never_nothing() -> None:
    found = scores(log(), run_1=3.0)
    assert (3.0, 3.0) == (found["One"].cost_usd, found["One"].cost_per_confirmed)
    assert (None, None) == (found["Two"].cost_usd, found["Two"].cost_per_confirmed)
    assert (0, None) == (found["linter"].runs, found["linter"].cost_usd)
    free = scores(log(), run_2=0.0)["Two"]
    assert (0.0, 0.0) == (free.cost_usd, free.cost_per_confirmed)


def test_models_are_counted_by_their_names() -> None:
    assert {"m-1", "m-2", "unknown"} == scores(log(), MODEL).keys()
