"""A status that asks for a review of the diff as it is now: with a real repository, by the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lattice.cli.main import main
from lattice.commands import reviews
from lattice.commands.board import Board, read_config
from lattice.core.reviews.model import Finding, Review, Reviewer, by_one
from lattice.ledger import Signature
from lattice.workers.reviews.coverage import current_diff
from tests.conftest import git, make_board

CODE = "".join(f"line {number}\n" for number in range(1, 31))
BLOCKER = Finding("blocker", "The third line is wrong", file="code.py", line=3)


class Project:
    """A repository with a board; LAT-1 is on the branch `work`, which changes two places of code.py."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root, self._capsys = root, capsys
        make_board(root)
        (root / ".gitignore").write_text(".lattice\n", encoding="utf-8")
        self.commit("code.py", CODE)
        git(root, "switch", "--quiet", "--create", "work")
        self.commit("code.py", CODE.replace("line 3\n", "third\n").replace("line 20\n", "twentieth\n"))
        self("create", "Change it", "--status", "review")
        self("branch-link", "LAT-1", "work")
        self("assign", "LAT-1", "agent:author")

    def __call__(self, *words: str) -> dict[str, Any]:
        self._capsys.readouterr()
        main([*words, "--json"])
        answer: dict[str, Any] = json.loads(self._capsys.readouterr().out)
        return answer

    @property
    def board(self) -> Board:
        return Board(self.root, read_config(self.root))

    def commit(self, name: str, text: str) -> None:
        (self.root / name).write_text(text, encoding="utf-8")
        git(self.root, "add", "--all")
        git(self.root, "commit", "--quiet", "--message", name)

    def policy(self, **rules: object) -> None:
        path = self.root / ".lattice" / "config.json"
        config = json.loads(path.read_text(encoding="utf-8"))
        config["workflow"]["completion_policies"] = {"done": {"review": rules}}
        path.write_text(json.dumps(config), encoding="utf-8")

    def review(self, *found: Finding, name: str = "Reader", by: str = "agent:review-bot") -> None:
        board = self.board
        diff = current_diff(board, board.store.task(board.resolve("LAT-1")))
        who = Reviewer(name, "m-1")
        review = Review((who,), by_one(who, found), base_sha=diff.base_sha, commit_sha=diff.commit_sha)
        reviews.record(board, "LAT-1", review, Signature(by), hunks=diff.hunks)

    def refused(self) -> dict[str, Any]:
        error: dict[str, Any] = self("status", "LAT-1", "done")["error"]
        assert "COMPLETION_BLOCKED" == error["code"]
        assert error["hint"]
        return error

    def passes(self) -> bool:
        return self("status", "LAT-1", "done")["ok"] is True


@pytest.fixture
def project(git_repo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Project:
    monkeypatch.chdir(git_repo)
    return Project(git_repo, capsys)


def test_without_a_review_it_is_refused_and_with_force_it_is_not(project: Project) -> None:
    project.policy(required=True)
    assert "no review" in project.refused()["message"]
    assert project("status", "LAT-1", "done", "--force", "--reason", "by hand")["ok"]


def test_an_open_finding_is_named_until_it_is_settled(project: Project) -> None:
    project.policy(no_open=["blocker"])
    project.review(BLOCKER, BLOCKER.replace(severity="nit", title="A nit of taste", line=20))
    error = project.refused()
    assert "F1 blocker 'The third line is wrong' (code.py:3)" in error["message"]
    assert ["F1"] == [one["name"] for one in error["findings"]]
    assert project("review", "waive", "LAT-1", "F1", "--reason", "meant so", "--actor", "human:ann")["ok"]
    assert project.passes()


def test_a_review_goes_out_of_date_by_what_it_covered_alone(project: Project) -> None:
    project.policy(current=True)
    project.review()
    git(project.root, "switch", "--quiet", "main")
    project.commit("code.py", f"above\n{CODE}")  # elsewhere: every line number of the diff changes
    git(project.root, "switch", "--quiet", "work")
    git(project.root, "rebase", "--quiet", "main")
    assert project.passes()


@pytest.mark.parametrize(("name", "text"), [("code.py", "3rd\n"), ("new.py", "new\n")])
def test_a_hunk_that_changed_or_came_is_named_by_its_file(project: Project, name: str, text: str) -> None:
    project.policy(current=True)
    project.review()
    project.commit(
        name, CODE.replace("line 3\n", text).replace("line 20\n", "twentieth\n") if name == "code.py" else text
    )
    error = project.refused()
    assert [name] == error["files"]
    assert name in error["message"]
    project.review()
    assert project.passes()


def test_a_hunk_that_went_away_is_no_loss(project: Project) -> None:
    project.policy(current=True)
    project.review()
    project.commit("code.py", CODE.replace("line 3\n", "third\n"))
    assert project.passes()


def test_a_review_still_counts_when_its_commit_was_merged(project: Project) -> None:
    project.policy(current=True)
    project.commit("code.py", CODE.replace("line 3\n", "third\nand more\n").replace("line 20\n", "twentieth\n"))
    project.review()
    git(project.root, "switch", "--quiet", "main")
    git(project.root, "merge", "--quiet", "--no-ff", "--no-edit", "work")
    assert project.passes()


def test_reviewers_are_counted_once_each(project: Project) -> None:
    project.policy(reviewers=2)
    project.review()
    project.review(name="Reader")
    assert 1 == project.refused()["reviewers"]
    project.review(name="Another")
    assert project.passes()


def test_an_author_does_not_review_himself(project: Project) -> None:
    project.policy(not_author=True)
    project.review(by="agent:author")
    assert "author" in project.refused()["message"]
    project("assign", "LAT-1", "none")
    assert "assigned to nobody" in project.refused()["message"]
    project("assign", "LAT-1", "agent:author")
    project.review(by="agent:review-bot")
    assert project.passes()


def test_complete_asks_for_the_same(project: Project) -> None:
    project.policy(current=True, no_open=["blocker"])
    before = project("show", "LAT-1")["data"]["last_event_id"]
    assert "COMPLETION_BLOCKED" == project("complete", "LAT-1", "--review", "fine")["error"]["code"]
    assert before == project("show", "LAT-1")["data"]["last_event_id"]
    project.review()
    assert "done" == project("complete", "LAT-1", "--review", "fine")["data"]["status"]


def test_where_git_cannot_be_asked_it_stays_shut(project: Project) -> None:
    project.policy(current=True)
    project.review()
    (project.root / ".git").rename(project.root / "git-away")
    assert "GIT_ERROR" == project("status", "LAT-1", "done")["error"]["code"]


@pytest.mark.parametrize("rules", [{"current": "yes"}, {"no_open": "blocker"}, {"reviewers": -1}, {"no_open": ["bad"]}])
def test_a_policy_that_cannot_be_meant_is_named(project: Project, rules: dict[str, object]) -> None:
    project.policy(**rules)
    error = project("status", "LAT-1", "done")["error"]
    assert "CONFIG_ERROR" == error["code"]


def test_show_tells_what_is_open_in_one_line(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.review(BLOCKER, BLOCKER.replace(severity="nit", title="A nit of taste", line=20))
    capsys.readouterr()
    main(["show", "LAT-1"])
    assert "Findings: 1 blocker, 1 nit open; lattice review findings LAT-1" in capsys.readouterr().out


def test_a_fix_is_said_of_the_branch_s_commit(project: Project) -> None:
    project.review(BLOCKER)
    assert "CONFLICT" == project("review", "fix", "LAT-1", "F1")["error"]["code"]
    project.commit("code.py", CODE.replace("line 20\n", "twentieth\n"))
    fixed = project("review", "fix", "LAT-1", "F1")["data"]
    assert git(project.root, "rev-parse", "work") == fixed["fixed_in"]
    project.review()
    assert "verified" == project("review", "findings", "LAT-1", "--status", "all")["data"][0]["state"]


@pytest.mark.parametrize("commit", [["--commit", "work"], []])
def test_an_imported_review_counts_where_it_says_what_it_is_of(project: Project, commit: list[str]) -> None:
    project.policy(current=True)
    report = project.root.parent / "report.json"
    report.write_text(json.dumps({"verdict": "ready", "findings": []}), encoding="utf-8")
    imported = project("review", "import", str(report), "--task", "LAT-1", "--reviewer", "Reader", *commit)
    assert imported["ok"], imported
    assert bool(commit) == project.passes()
