"""A run whose output is a review: recorded on the task in the same act as the run's end."""

from __future__ import annotations

import json

import pytest

from lattice.core.review_events import ReviewRecorded
from lattice.workers.reviews.ending import review_of
from tests.workers.conftest import Bench

OUTPUTS = {"findings": {"role": "review", "path": "review.json", "required": True}}
FINDING = {"severity": "blocker", "title": "The page is blank", "file": "README.md", "line": 1, "status": "confirmed"}
REVIEW = {"verdict": "not_ready", "findings": [FINDING], "reviewers": [{"name": "Ann"}, {"name": "Bob", "model": "m"}]}


def leave(bench: Bench, text: str) -> None:
    bench.worker(f"cat > \"$LATTICE_OUTPUT_DIR/review.json\" <<'END'\n{text}\nEND", outputs=OUTPUTS)


def test_its_findings_are_the_task_s_and_its_reviewer_is_the_worker(bench: Bench) -> None:
    leave(bench, json.dumps(REVIEW))
    run = bench.start()
    seen = bench.finished(run)
    assert "succeeded" == seen.state
    [event] = bench.events("review_recorded")
    assert isinstance(event.body, ReviewRecorded)
    task = bench.board.store.task(seen.task_id)
    assert (["F1"], ["README.md"]) == (
        [one.name for one in task.findings],
        list({one.finding.file for one in task.findings}),
    )
    [reviewer] = task.reviews[0].reviewers  # whoever it names
    assert (seen.worker, seen.run_id) == (reviewer.name, reviewer.run_id)
    assert seen.artifact_ids == event.body.artifact_ids
    assert (seen.commit_sha, True) == (event.body.commit_sha, event.body.hunks is not None)
    [end] = bench.ends(run)
    assert (event.batch or (0,))[0] < (end.batch or (0,))[0]  # one act


def test_a_review_that_is_no_json_is_not_what_is_owed(bench: Bench) -> None:
    leave(bench, "# Review: it looks fine to me")
    error = bench.error("worker", "run", "Sleeper", "LAT-1", "--wait")
    assert ("RUN_FAILED", "verdict") == (error["code"], error["run"]["cause"]["kind"])
    assert "(not valid: it is not JSON (" in error["message"]


def test_who_waits_is_told_that_no_review_was_recorded(bench: Bench) -> None:
    leave(bench, '{"findings": 3}')
    done = bench.lattice("worker", "run", "Sleeper", "LAT-1", "--wait", "--json")
    answer = json.loads(done.stdout)
    assert ("succeeded", 1) == (answer["data"]["state"], len(answer["warnings"]))
    assert "the output findings was not recorded as a review: " in answer["warnings"][0]
    leave(bench, json.dumps(REVIEW))
    assert "warnings" not in json.loads(bench.lattice("worker", "run", "Sleeper", "LAT-1", "--wait", "--json").stdout)


@pytest.mark.parametrize("text", ['{"verdict": "ready", "findings": [{"title": "\\ud800"}]}', '{"findings": 3}'])
def test_what_is_no_review_keeps_no_run_from_its_end(bench: Bench, text: str) -> None:
    leave(bench, text)
    run = bench.start()
    assert "succeeded" == bench.finished(run).state
    assert [] == bench.events("review_recorded")
    assert 1 == len(bench.ends(run))


def test_a_review_of_a_plan_covers_no_diff(bench: Bench) -> None:
    leave(bench, json.dumps(REVIEW | {"kind": "Plan"}))
    run = bench.start()
    bench.finished(run)
    spec = run.spec()
    assert spec is not None
    kept = (("art_1", "findings"),)
    diff = review_of(run, spec, kept, "rev_1", "m-2")
    assert diff is not None
    assert diff.hunks is not None
    plan = review_of(run, spec.replace(review_kind="Plan"), kept, "rev_1", "m-2")
    assert plan is not None
    assert (None, "m-2", "Plan") == (plan.hunks, plan.review.reviewers[0].model, plan.review.reviewers[0].kind)
