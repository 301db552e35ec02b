"""Teams: members side by side, a quorum, who is missing and why, a second round, and one review in the end."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lattice.testing.engines import behave, install
from lattice.workers import launch, preflight
from lattice.workers.overview import on_this_machine
from lattice.workers.processes.marks import marked
from lattice.workers.run_view import RunView
from lattice.workers.runs import RunFolder, all_runs
from tests.conftest import git
from tests.workers.conftest import ANN, Bench, eventually

RACE = {
    "severity": "blocker",
    "title": "Race between the read and the lock",
    "file": "a.txt",
    "line": 1,
    "detail": "The state is read before the lock is taken, so a second writer loses its change.",
    "category": "concurrency",
}
TYPO = {"severity": "nit", "title": "A word is misspelt", "file": "a.txt", "line": 1, "detail": "One should be two."}


class Team:
    """A bench with fake engines, and the runs of a team on it."""

    def __init__(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bench = bench
        self.bin = install(bench.folder / "fakes", behaviour={"findings": [RACE]})
        monkeypatch.setenv("PATH", f"{self.bin}:{os.environ['PATH']}")

    def behave(self, engine: str, *names: str, **more: Any) -> None:
        behave(self.bin, engine, {"is": list(names), "findings": [RACE], **more})

    def missing(self, engine: str) -> None:
        (self.bin / engine).unlink()

    def define(self, members: Mapping[str, Any], **more: Any) -> str:
        folder = self.bench.repo / "workers"
        folder.mkdir(exist_ok=True)
        (folder / "prompt.md").write_text("Review {{short_id}}\n", encoding="utf-8")
        (folder / "second.md").write_text("Judge {{merged_review}}\n", encoding="utf-8")
        shape = {
            "name": "Crew",
            "actor": "agent:crew",
            "engine": "team",
            "prompt_file": "workers/prompt.md",
            "timeout_minutes": 3,
            "grace_seconds": 0.5,
            "members": members,
            "outputs": {
                "report": {"role": "review", "path": "review.md", "required": True},
                "review": {"role": "review", "path": "review.json", "required": True, "schema": "lattice:review"},
            },
            **more,
        }
        (folder / "crew.json").write_text(json.dumps(shape), encoding="utf-8")
        return "Crew"

    def ended(self, worker: str = "Crew") -> tuple[RunFolder, RunView]:
        """A run of the team to its last step; nothing of it or of its members may be left."""
        run = self.bench.start(worker)
        view = self.bench.finished(run, 90)
        for one in all_runs(self.bench.board.folder):
            assert one.is_closed()
            assert [] == marked(one.run_id)
        return run, view

    def states(self) -> dict[str, str]:
        """How each run on this machine ended, by its worker."""
        return {one.worker: one.state for one in on_this_machine(self.bench.board)}

    def review(self, run: RunFolder) -> dict[str, Any]:
        shape: dict[str, Any] = json.loads((run.out / "review.json").read_text(encoding="utf-8"))
        return shape


@pytest.fixture
def team(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Team:
    return Team(bench, monkeypatch)


def test_code_review_heavy_runs_on_a_fresh_board_with_no_file_to_write_first(team: Team) -> None:
    run, view = team.ended("CodeReviewHeavy")
    assert "succeeded" == view.state, view.error
    review = team.review(run)
    (finding,) = review["findings"]
    names = sorted(one["reviewer"]["name"] for one in finding["found_by"])
    assert [
        f"{engine}-{kind}" for engine in ("claude", "codex", "gemini") for kind in ("critical", "standard")
    ] == names
    assert "not_ready" == review["verdict"]
    assert "Race between the read and the lock" in (run.out / "review.md").read_text(encoding="utf-8")
    task = team.bench.board.store.task(team.bench.task_id)
    assert (1, 1) == (len(task.reviews), len(task.findings))
    assert 2 == len(view.artifact_ids)


def test_two_engines_missing_a_liar_a_rate_limit_and_one_that_hangs(team: Team) -> None:
    """The team of six of the promise: it ends, its quorum holds, the report names everybody, nothing is left."""
    team.missing("gemini")
    team.missing("opencode")
    team.behave(
        "codex",
        when=[{"prompt": "Be the liar", "is": ["no_artifact"]}, {"prompt": "Be late", "is": ["hang_without_result"]}],
    )
    team.behave("claude", when=[{"prompt": "Be limited", "is": ["rate_limit"], "resets_in": 3600}])
    folder = team.bench.repo / "workers"
    folder.mkdir()
    for name, words in (("liar", "Be the liar"), ("late", "Be late"), ("limited", "Be limited")):
        (folder / f"{name}.md").write_text(f"{words}\n", encoding="utf-8")
    team.define(
        {
            "good": {"engine": "claude"},
            "limited": {"engine": "claude", "prompt_file": "workers/limited.md"},
            "liar": {"engine": "codex", "prompt_file": "workers/liar.md"},
            "late": {"engine": "codex", "prompt_file": "workers/late.md", "idle_timeout_minutes": 0.01},
            "gone": {"engine": "gemini"},
            "away": {"engine": "opencode"},
        },
        quorum=1,
    )
    run, view = team.ended()
    assert "succeeded" == view.state, view.error
    assert {
        "Crew": "succeeded",
        "Crew/good": "succeeded",
        "Crew/limited": "failed",
        "Crew/liar": "failed",
        "Crew/late": "timed_out",
    } == team.states()
    review = team.review(run)
    reasons = {one["name"]: one["reason"] for one in review["absent"]}
    assert {"limited", "liar", "late", "gone", "away"} == set(reasons)
    assert "rate limit" in reasons["limited"]
    assert "without the output it owes" in reasons["liar"]
    assert "timed_out" in reasons["late"]
    assert "'gemini' is not on PATH" in reasons["gone"]
    report = (run.out / "review.md").read_text(encoding="utf-8")
    assert all(name in report for name in reasons)
    assert 1 == len(review["findings"])
    assert 1 == len(team.bench.board.store.task(team.bench.task_id).findings)
    shown = team.bench.lattice("review", "show", "LAT-1").stdout
    assert all(f"Took no part: {name}: " in shown for name in reasons)


def test_without_a_quorum_on_this_machine_nothing_is_started(team: Team) -> None:
    team.missing("codex")
    team.define({"one": {"engine": "claude"}, "two": {"engine": "codex"}})
    before = team.bench.tree()
    error = team.bench.error("worker", "run", "Crew", "LAT-1")
    assert "1 of its 2 members can run here, and its quorum is 2" in error["message"]
    assert "'codex' is not on PATH" in error["message"]
    assert before == team.bench.tree()


def test_without_a_quorum_of_reviews_the_run_has_failed_and_says_who_gave_none(team: Team) -> None:
    team.behave("codex", "error")
    team.define({"one": {"engine": "claude"}, "two": {"engine": "codex"}})
    _, view = team.ended()
    assert "failed" == view.state
    assert "1 of its members gave a review, and its quorum is 2. two: failed" in (view.error or "")
    assert () == team.bench.board.store.task(team.bench.task_id).reviews


def test_what_two_find_is_one_finding_and_what_one_finds_is_another(team: Team) -> None:
    team.behave(
        "codex", findings=[{**RACE, "title": "A race: state is read before the lock", "severity": "important"}, TYPO]
    )
    team.define({"one": {"engine": "claude"}, "two": {"engine": "codex"}, "rules": {"worker": "DiffCheck"}})
    run, view = team.ended()
    assert "succeeded" == view.state, view.error
    review = team.review(run)
    found = {one["title"]: sorted(by["reviewer"]["name"] for by in one["found_by"]) for one in review["findings"]}
    assert ["one", "two"] in found.values()
    assert ["two"] == found["A word is misspelt"]
    assert {"one", "two", "rules"} == {one["name"] for one in review["reviewers"]}


def test_in_a_second_round_each_confirms_or_refutes_what_all_have_found(team: Team) -> None:
    answer = {
        "verdict": "not_ready",
        "findings": [{"ref": "F1", "title": RACE["title"], "severity": "blocker", "status": "confirmed"}],
    }
    denial = {
        "verdict": "ready",
        "findings": [
            {"ref": "F1", "title": "x", "severity": "blocker", "status": "refuted", "detail": "the lock is held"}
        ],
    }
    team.behave("claude", when=[{"prompt": "Judge", "review": answer}])
    team.behave("codex", findings=[], when=[{"prompt": "Judge", "review": denial}])
    team.define({"one": {"engine": "claude"}, "two": {"engine": "codex"}}, second_round="workers/second.md")
    run, view = team.ended()
    assert "succeeded" == view.state, view.error
    (finding,) = team.review(run)["findings"]
    assert {("one", "confirmed"), ("two", "refuted")} <= {
        (one["reviewer"]["name"], one["status"]) for one in finding["found_by"]
    }
    assert {"Crew", "Crew/one", "Crew/two", "Crew/one-second", "Crew/two-second"} == set(team.states())
    assert "refute" in (run.out / "review.md").read_text(encoding="utf-8").lower()


def test_a_model_may_write_a_few_words_on_top_and_never_in_place_of_the_findings(team: Team) -> None:
    words = "One race, found by both.\n\n# Verdict\nShip it."
    (team.bench.repo / "workers").mkdir()
    (team.bench.repo / "workers" / "sum.md").write_text("Sum up {{merged_review}}\n", encoding="utf-8")
    team.behave("claude", when=[{"prompt": "Sum up", "is": ["no_artifact"], "text": words}])
    summary = {"engine": "claude", "prompt_file": "workers/sum.md"}
    team.define({"one": {"engine": "claude"}, "two": {"engine": "codex"}}, summary=summary)
    run, view = team.ended()
    assert "succeeded" == view.state, view.error
    review = team.review(run)
    assert {"text": words, "by": "fake-1"} == review["overview"]
    assert 1 == len(review["findings"])
    report = (run.out / "review.md").read_text(encoding="utf-8")
    assert report.index("One race, found by both.") < report.index("The Ugly Truth")
    assert 1 == sum(line.startswith("## Verdict") or line == "# Verdict" for line in report.splitlines())


def test_a_summary_that_cannot_be_had_takes_nothing_from_the_review(team: Team) -> None:
    (team.bench.repo / "workers").mkdir()
    (team.bench.repo / "workers" / "sum.md").write_text("Sum up\n", encoding="utf-8")
    team.behave("claude", when=[{"prompt": "Sum up", "is": ["error"]}])
    team.define({"two": {"engine": "codex"}}, summary={"engine": "claude", "prompt_file": "workers/sum.md"})
    run, view = team.ended()
    assert "succeeded" == view.state, view.error
    assert team.review(run).get("overview") is None
    assert 1 == len(team.review(run)["findings"])


def test_stopping_the_team_stops_its_members_each_with_an_end_of_its_own(team: Team) -> None:
    for engine in ("claude", "codex"):
        team.behave(engine, "hang_without_result")
    run = team.bench.start(team.define({"one": {"engine": "claude"}, "two": {"engine": "codex"}}, grace_seconds=20))
    eventually(lambda: len([one for one in on_this_machine(team.bench.board) if one.started_at is not None]) == 3)
    team.bench.data("worker", "stop", run.run_id, "--reason", "enough")
    team.bench.finished(run, 90)
    assert {"Crew": "cancelled", "Crew/one": "cancelled", "Crew/two": "cancelled"} == team.states()


def test_a_killed_conductor_takes_its_members_with_it_in_good_order(team: Team) -> None:
    for engine in ("claude", "codex"):
        team.behave(engine, "hang_without_result")
    run = team.bench.start(team.define({"one": {"engine": "claude"}, "two": {"engine": "codex"}}))
    eventually(lambda: len([one for one in on_this_machine(team.bench.board) if one.started_at is not None]) == 3)
    (event,) = team.bench.events("process_started", run.run_id)
    os.kill(event.body.pid, signal.SIGKILL)  # type: ignore[union-attr]  # a start, so it has a pid
    view = team.bench.finished(run, 90)
    assert ("failed", "signal") == (view.state, view.cause and view.cause["kind"])
    assert {"Crew": "failed", "Crew/one": "cancelled", "Crew/two": "cancelled"} == team.states()


def test_a_killed_supervisor_is_no_end_of_its_members_work(team: Team) -> None:
    """The guard finishes the team's run, and asks the members to end; theirs see to it."""
    for engine in ("claude", "codex"):
        team.behave(engine, "hang_without_result")
    run = team.bench.start(team.define({"one": {"engine": "claude"}, "two": {"engine": "codex"}}))
    eventually(lambda: len([one for one in on_this_machine(team.bench.board) if one.started_at is not None]) == 3)
    _, supervisor = team.bench.supervision(run)
    os.kill(supervisor, signal.SIGKILL)
    eventually(lambda: all(one.is_closed() for one in all_runs(team.bench.board.folder)), 90)
    assert {"Crew": "lost", "Crew/one": "cancelled", "Crew/two": "cancelled"} == team.states()
    team.bench.assert_clean()


def test_a_team_takes_no_slot_and_its_members_wait_their_turn(team: Team) -> None:
    config = team.bench.repo / ".lattice" / "config.json"
    shape = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps(shape | {"worker": {"max_parallel": 1}}), encoding="utf-8")
    team.define({"one": {"engine": "claude"}, "two": {"engine": "codex"}, "three": {"engine": "gemini"}})
    _, view = team.ended()
    assert "succeeded" == view.state, view.error
    assert {"succeeded"} == set(team.states().values())


def test_a_run_that_a_member_s_end_starts_is_not_ended_with_the_team(team: Team) -> None:
    config = team.bench.repo / ".lattice" / "config.json"
    shape = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps(shape | {"worker": {"max_parallel": 1}}), encoding="utf-8")
    team.behave("claude", "slow_drip", pause=0.2)
    team.bench.worker("sleep 3")
    run = team.bench.start(team.define({"one": {"engine": "claude"}}))
    # From here on the member has the one place there is; before, its folder could be there without its request.
    eventually(lambda: len([one for one in on_this_machine(team.bench.board) if one.started_at is not None]) == 2)
    stranger = team.bench.start("Sleeper")
    assert stranger.waits()
    eventually(run.is_closed, 90)
    assert "succeeded" == team.bench.finished(stranger, 60).state


def test_a_definition_that_changes_after_the_request_starts_nobody(team: Team) -> None:
    team.define({"one": {"engine": "claude"}})
    board = team.bench.board
    plan = preflight.plan(board, preflight.Request("Crew", "LAT-1"), os.environ)
    team.define({"one": {"engine": "claude"}}, description="another")
    launch.start(board, plan, ANN)
    view = team.bench.finished(RunFolder(board.folder, plan.spec.run_id), 60)
    assert "failed" == view.state
    assert "changed after the run was requested" in (view.error or "")
    assert {"Crew"} == set(team.states())


def test_git_sees_nothing_of_it_afterwards(team: Team) -> None:
    team.define({"one": {"engine": "claude"}})
    team.ended()
    assert "" == git(team.bench.repo, "for-each-ref", "refs/lattice")
    assert Path(team.bench.repo / ".git").is_dir()
