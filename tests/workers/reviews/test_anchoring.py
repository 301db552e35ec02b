"""Findings held against real commits."""

from __future__ import annotations

from pathlib import Path

import pytest

from lattice.core.reviews.model import Finding, Place, Review, Reviewer, by_one
from lattice.errors import GitError
from lattice.workers.reviews import anchoring
from lattice.workers.reviews.anchoring import anchored
from lattice.workers.worktrees.git import Repository
from tests.conftest import git

ANN, BOB = Reviewer("ann"), Reviewer("bob")


@pytest.fixture
def repository(git_repo: Path) -> Repository:
    (git_repo / "src").mkdir()
    (git_repo / "src" / "a b.py").write_text("def f(x):\n    return g(x)\n")
    (git_repo / "src blob 1").write_text("one\n")
    (git_repo / "link").symlink_to("/etc/passwd")
    git(git_repo, "add", "--all")
    git(git_repo, "commit", "--quiet", "--message", "Files")
    return Repository.discover(git_repo)


def review(*findings: Finding) -> Review:
    return Review((ANN,), by_one(ANN, findings))


def about(file: str, line: int | None = None) -> Finding:
    return Finding("nit", f"about {file!r}"[:40], file=file, line=line)


def test_places_are_those_of_the_commit(repository: Repository) -> None:
    sha = git(repository.top, "rev-parse", "HEAD")
    (repository.top / "src" / "a b.py").write_text("nothing here\n" * 9)
    (repository.top / "new.py").write_text("not in the commit\n")
    said = [
        about(f"{repository.top}/src/a b.py", 2),
        about("a/src/a b.py:2"),
        about("src/a b.py", 3),
        about("src blob 1", 1),
        about("src blob"),
        about("new.py", 1),
        about("src"),
        about("../../etc/passwd", 1),
        about(f"x\n{sha}:README.md", 1),
    ]
    made = anchored(review(*said), repository, sha)
    assert sha == made.commit_sha
    assert sorted(
        [
            ("src/a b.py", 2, "found"),
            ("src/a b.py", 2, "found"),
            ("src/a b.py", 3, "no_line"),
            ("src blob 1", 1, "found"),
            ("src blob", 0, "no_file"),
            ("new.py", 1, "no_file"),
            ("src", 0, "no_file"),
            ("../../etc/passwd", 1, "no_file"),
            (f"x\n{sha}:README.md", 1, "no_file"),
        ]
    ) == sorted((str(one.finding.file), one.finding.line or 0, str(one.finding.anchored)) for one in made.reports)


def test_two_names_of_one_place_come_together(repository: Repository) -> None:
    one = Finding("important", "`g` may be None", file=f"{repository.top}/src/a b.py", line=2)
    other = Finding("nit", "`g` may be None here", file="b/src/a b.py:2", also=(Place("README.md:1"), Place("../x")))
    both = Review((ANN, BOB), by_one(ANN, [one]) + by_one(BOB, [other]))
    [merged] = anchored(both, repository, git(repository.top, "rev-parse", "HEAD")).findings
    assert (ANN, BOB) == merged.finders
    assert (Place("README.md", 1),) == merged.finding.also
    assert merged.finding.anchor is not None


def test_a_file_too_large_to_look_into_is_there(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anchoring, "FILE_BYTES_MAX", 3)
    [merged] = anchored(review(about("./src/a b.py", 2)), repository, git(repository.top, "rev-parse", "HEAD")).findings
    assert ("src/a b.py", 2, None) == (merged.finding.file, merged.finding.line, merged.finding.anchored)


def test_without_findings_git_is_not_asked(repository: Repository) -> None:
    assert () == anchored(review(), repository, "0" * 40).findings
    with pytest.raises(GitError):
        anchored(
            review(about("a")), repository.__class__(repository.top / "src" / "gone", repository.common_dir), "0" * 40
        )
