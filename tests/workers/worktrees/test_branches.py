"""Workers that change code: the branch of a run, from its request to a merge or a discard."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from lattice.core.events import BranchLinked, BranchUnlinked, GitEvent
from lattice.errors import Conflict, LatticeError, NotFound
from lattice.workers.run_view import RunView
from lattice.workers.runs import RunFolder
from lattice.workers.worktrees import merge, salvaged
from lattice.workers.worktrees.git import Repository
from lattice.workers.worktrees.worktree import checked_out_at
from tests.conftest import git
from tests.workers.conftest import ANN, Bench, eventually

BRANCH = "lattice/{short_id}/{run}"
COMMIT = 'echo two >> a.txt; echo new > b.txt; git add -A; git commit --quiet --message "Add b"'


def coded(bench: Bench, script: str = COMMIT, **more: Any) -> RunView:
    """A run of a worker that changes code."""
    return bench.ended(script, **({"branch": BRANCH} | more))


def branch_of(run: RunView) -> str:
    return f"lattice/LAT-1/{run.run_id[-8:].lower()}"


def branches(bench: Bench) -> list[str]:
    return git(bench.repo, "for-each-ref", "--format=%(refname:short)", "refs/heads/lattice").split()


def kept_refs(bench: Bench) -> list[str]:
    return git(bench.repo, "for-each-ref", "--format=%(refname)", "refs/lattice").split()


def links(bench: Bench) -> list[tuple[str, str | None]]:
    return [(link.branch, link.repo) for link in bench.board.store.task(bench.task_id).branch_links]


# --- the branch -----------------------------------------------------------------------------------


def test_commits_are_on_the_branch_which_is_linked_to_the_task(bench: Bench) -> None:
    seen = coded(bench, f'{COMMIT}; echo "$LATTICE_BRANCH" > "$NOTES/branch"')
    assert ("succeeded", None) == (seen.state, seen.salvage_ref)
    assert [branch_of(seen)] == branches(bench)
    assert branch_of(seen) == bench.note("branch")
    assert "Add b" == git(bench.repo, "log", "-1", "--format=%s", branch_of(seen))
    assert [(branch_of(seen), None)] == links(bench)
    assert [] == kept_refs(bench)
    linked = bench.events("branch_linked")[0]
    assert isinstance(linked.body, BranchLinked)
    assert "agent:bot" == linked.actor


def test_nothing_committed_leaves_no_branch_and_no_link(bench: Bench) -> None:
    seen = coded(bench, "true")
    assert "succeeded" == seen.state
    assert ([], [], []) == (branches(bench), links(bench), kept_refs(bench))


def test_the_end_of_a_run_tells_of_its_branch_and_of_what_was_kept(bench: Bench) -> None:
    bench.worker(f"{COMMIT}; echo loose > loose.txt", branch=BRANCH)
    said = bench.lattice("worker", "run", "Sleeper", "LAT-1", "--wait").stdout
    (run,) = bench.data("worker", "ps", "--all")
    for page in (said, bench.lattice("worker", "show", run["run_id"]).stdout):
        assert f"on branch lattice/LAT-1/{run['run_id'][-8:].lower()}: 1 commit, 2 files" in page
        assert f"kept, and on no branch (1 file): lattice worker salvage show {run['run_id']}" in page
    shown = bench.data("worker", "show", run["run_id"])
    assert (1, 1) == (shown["branch"]["commits"], shown["salvage"]["files"])


def test_what_is_not_committed_is_kept_and_not_committed_for_the_worker(bench: Bench) -> None:
    seen = coded(bench, f"{COMMIT}; echo loose > loose.txt")
    assert "succeeded" == seen.state
    assert seen.salvage_ref is not None
    assert "b.txt" in git(bench.repo, "ls-tree", "--name-only", branch_of(seen))
    assert "loose.txt" not in git(bench.repo, "ls-tree", "--name-only", branch_of(seen))
    assert "loose" == git(bench.repo, "show", f"{seen.salvage_ref}:loose.txt")
    assert git(bench.repo, "rev-parse", branch_of(seen)) == git(bench.repo, "rev-parse", f"{seen.salvage_ref}^")


def test_uncommitted_changes_alone_are_kept_without_a_branch(bench: Bench) -> None:
    seen = coded(bench, "echo loose > loose.txt")
    assert [] == branches(bench)
    assert "loose" == git(bench.repo, "show", f"{seen.salvage_ref}:loose.txt")


def test_commits_on_a_head_that_left_the_branch_are_kept(bench: Bench) -> None:
    seen = coded(bench, f"git switch --quiet --detach; {COMMIT}")
    assert ([], []) == (branches(bench), links(bench))
    assert "new" == git(bench.repo, "show", f"{seen.salvage_ref}:b.txt")


def test_a_rebase_that_stopped_halfway_loses_neither_its_old_commits_nor_its_new_ones(bench: Bench) -> None:
    base = git(bench.repo, "rev-parse", "HEAD")
    bench.commit("a.txt", "theirs\n")
    script = (
        f"git switch --quiet --detach {base}; echo first > first.txt; git add -A; git commit --quiet -m First\n"
        "echo ours > a.txt; git commit --quiet -am Ours; echo last > last.txt; git add -A; git commit --quiet -m Last\n"
        'git rev-parse HEAD > "$NOTES/old"; git rebase main && exit 9; exit 0'
    )
    seen = bench.ended(script)
    assert "succeeded" == seen.state, seen.error
    old = bench.note("old")
    git(bench.repo, "merge-base", "--is-ancestor", old, str(seen.salvage_ref))
    assert "first" == git(bench.repo, "show", f"{seen.salvage_ref}:first.txt"), "what was rebased already"
    rows = git(bench.repo, "log", "--format=%s", str(seen.salvage_ref)).splitlines()
    assert 2 == rows.count("First"), "before the rebase, and after it"
    tips = git(bench.repo, "rev-list", str(seen.salvage_ref)).split()
    texts = [git(bench.repo, "show", f"{tip}:a.txt") for tip in tips]
    assert any("<<<<<<<" in text for text in texts), "the file as the conflict left it"


def test_a_merge_that_stopped_at_a_conflict_loses_neither_side(bench: Bench) -> None:
    script = (
        "git switch --quiet --detach; echo ours > a.txt; git commit --quiet -am Ours; ours=$(git rev-parse HEAD)\n"
        "git switch --quiet --detach HEAD^; echo theirs > a.txt; git commit --quiet -am Theirs\n"
        'echo "$ours" > "$NOTES/ours"; git merge "$ours" && exit 9; echo loose > loose.txt; exit 0'
    )
    seen = coded(bench, script)
    assert "succeeded" == seen.state, seen.error
    git(bench.repo, "merge-base", "--is-ancestor", bench.note("ours"), str(seen.salvage_ref))
    assert "loose" == git(bench.repo, "show", f"{seen.salvage_ref}:loose.txt")
    texts = git(bench.repo, "log", "--format=%s", str(seen.salvage_ref)).splitlines()
    assert {"Ours", "Theirs"} <= set(texts)
    assert "<<<<<<<" in git(bench.repo, "show", f"{seen.salvage_ref}:a.txt")


def test_a_killed_run_keeps_its_branch(bench: Bench) -> None:
    run = bench.running(f'{COMMIT}; echo x > "$NOTES/committed"; exec sleep 300', branch=BRANCH)
    bench.note("committed")
    guard, supervisor = bench.supervision(run)
    os.kill(guard, signal.SIGKILL)
    os.kill(supervisor, signal.SIGKILL)
    eventually(lambda: not run.alive())
    assert [] == [row for row in bench.data("worker", "ps") if row["state"] == "running"]
    seen = bench.finished(run)
    assert "lost" == seen.state
    assert [(branch_of(seen), None)] == links(bench)
    assert "Add b" == git(bench.repo, "log", "-1", "--format=%s", branch_of(seen))


def test_a_git_that_fails_at_the_end_does_not_keep_a_run_from_its_end(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = f'case "$*" in *refs/heads/lattice*) [ -e "{bench.notes}/broken" ] && exit 2 ;; esac'
    switch = bench.fake_git(monkeypatch, broken)
    run = bench.start(bench.worker(f'{COMMIT}; touch "$NOTES/broken"', branch=BRANCH))
    eventually(lambda: bench.ends(run))
    assert [] == links(bench)
    switch.unlink()
    eventually(lambda: not run.alive())
    assert 0 == bench.lattice("worker", "gc").returncode
    seen = bench.finished(run)
    assert "succeeded" == seen.state
    assert [(branch_of(seen), None)] == links(bench), "made up for by whoever cleared away"


def test_a_branch_that_cannot_be_made_is_refused_before_anything_is_written(bench: Bench) -> None:
    git(bench.repo, "branch", "lattice")
    bench.worker("true", branch=BRANCH)
    before = bench.tree()
    error = bench.error("worker", "run", "Sleeper", "LAT-1")
    assert ("CONFLICT", True) == (error["code"], "there is a branch 'lattice'" in error["message"])
    assert before == bench.tree()


def test_a_worktree_that_fails_leaves_no_branch(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.fake_git(monkeypatch, 'case "$*" in *"reset --hard"*) echo no >&2; exit 1 ;; esac')
    seen = coded(bench)
    assert ("failed", {"kind": "setup"}) == (seen.state, seen.cause)
    assert [] == branches(bench)


# --- diff -----------------------------------------------------------------------------------------


def test_a_diff_is_that_of_the_branch_or_of_what_was_kept(bench: Bench) -> None:
    seen = coded(bench, f"{COMMIT}; echo loose > loose.txt")
    found = bench.data("worker", "diff", seen.run_id)
    assert ("branch", ["a.txt", "b.txt"]) == (found["source"], [row["path"] for row in found["files"]])
    assert ["Add b"] == [row["subject"] for row in found["commits"]]
    assert "+two" in found["patch"]
    loose = bench.data("worker", "diff", seen.run_id, "--salvage", "--stat")
    assert ("salvage", ["loose.txt"], False) == (
        loose["source"],
        [row["path"] for row in loose["files"]],
        "patch" in loose,
    )
    raw = bench.lattice("worker", "diff", seen.run_id, "--raw").stdout
    (bench.folder / "patch").write_text(raw, encoding="utf-8")
    git(bench.repo, "apply", "--check", str(bench.folder / "patch"))
    assert "NOT_FOUND" == bench.error("worker", "diff", bench.ended("true").run_id)["code"]


def test_the_work_of_a_run_whose_folder_is_not_here_is_said_to_be_elsewhere(bench: Bench) -> None:
    seen = coded(bench)
    shutil.rmtree(RunFolder(bench.board.folder, seen.run_id).path)
    for command, *by in (("diff",), ("merge", "--actor", "human:ann"), ("discard", "--actor", "human:ann")):
        error = bench.error("worker", command, seen.run_id, *by)
        assert ("NOT_FOUND", True) == (error["code"], f"it ran on {seen.host}" in error["message"])
    external = bench.data("worker", "start", "Ext", "LAT-1", "--actor", "agent:ext")["run_id"]
    assert "had no worktree" in bench.error("worker", "diff", external)["message"]


def test_a_hostile_file_name_and_text_reach_no_terminal(bench: Bench) -> None:
    seen = coded(bench, r'printf "\033[31mred\n" > "$(printf "x\033]0;y")"; git add -A; git commit --quiet -m Red')
    done = bench.lattice("worker", "diff", seen.run_id)
    assert (0, False) == (done.returncode, "\x1b" in done.stdout)
    assert 1 == len(bench.data("worker", "diff", seen.run_id)["files"])


# --- merge ----------------------------------------------------------------------------------------


def test_a_merge_goes_forward_with_the_checkout_and_is_recorded_once(bench: Bench) -> None:
    seen = coded(bench)
    done = bench.data("worker", "merge", seen.run_id, "--actor", "human:ann")
    assert ("fast_forward", str(bench.repo)) == (done["way"], done["checkout"])
    assert "new\n" == (bench.repo / "b.txt").read_text(encoding="utf-8")
    assert "" == git(bench.repo, "status", "--porcelain", "--untracked-files=no")
    assert "none" == bench.data("worker", "merge", seen.run_id, "--actor", "human:ann")["way"]
    (event,) = bench.events("git_event")
    assert GitEvent("merge", done["sha"], "refs/heads/main", seen.run_id) == event.body


def test_a_merge_brings_forward_the_checkout_whose_git_directory_lies_elsewhere(bench: Bench, tmp_path: Path) -> None:
    git(bench.repo, "init", "--quiet", "--separate-git-dir", str(tmp_path / "elsewhere.git"))
    done = bench.data("worker", "merge", coded(bench).run_id, "--actor", "human:ann")
    assert ("fast_forward", str(bench.repo)) == (done["way"], done["checkout"])
    assert "new\n" == (bench.repo / "b.txt").read_text(encoding="utf-8")
    assert "" == git(bench.repo, "status", "--porcelain", "--untracked-files=no")


@pytest.mark.parametrize("of", ["submodule", "its worktree"])
def test_a_merge_brings_the_checkout_of_a_submodule_forward(bench: Bench, tmp_path: Path, of: str) -> None:
    top = tmp_path / "top"
    git(tmp_path, "init", "--quiet", "top")
    git(top, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(bench.repo), "part")
    part = top / "part"
    git(part, "branch", "next")
    if of == "its worktree":
        git(part, "worktree", "add", "--quiet", "-b", "other", str(tmp_path / "linked"))
    repo = Repository.discover(tmp_path / "linked" if of == "its worktree" else part)
    assert [part] == checked_out_at(repo, git(part, "symbolic-ref", "--short", "HEAD").strip())
    assert [] == checked_out_at(repo, "next")


@pytest.mark.parametrize(
    ("way", "expected", "parents"), [("any", "merge", 2), ("no-ff", "merge", 2), ("squash", "squash", 1)]
)
def test_a_merge_of_branches_that_went_apart(bench: Bench, way: str, expected: str, parents: int) -> None:
    seen = coded(bench)
    bench.commit("c.txt", "three\n")
    done = merge.merge(bench.board, seen.run_id, ANN, way=way)
    assert (expected, "main") == (done.way, done.into)
    assert parents == len(git(bench.repo, "log", "-1", "--format=%P", "main").split())
    assert ["a.txt", "b.txt", "c.txt"] == git(bench.repo, "ls-files").split()
    assert f"Lattice-Run: {seen.run_id}" in git(bench.repo, "log", "-1", "--format=%B", "main")
    assert "" == git(bench.repo, "status", "--porcelain", "--untracked-files=no")


def test_no_ff_makes_a_commit_where_forward_would_do_and_the_message_is_the_given_one(bench: Bench) -> None:
    seen = coded(bench)
    done = merge.merge(bench.board, seen.run_id, ANN, way="no-ff", message="Take b")
    assert ("merge", "Take b") == (done.way, git(bench.repo, "log", "-1", "--format=%B", "main"))


def test_a_branch_that_is_checked_out_nowhere_moves_and_no_checkout_with_it(bench: Bench) -> None:
    seen = coded(bench)
    git(bench.repo, "branch", "develop")
    (bench.repo / "a.txt").write_text("mine\n", encoding="utf-8")
    done = merge.merge(bench.board, seen.run_id, ANN, into="develop")
    assert ("develop", None, "fast_forward") == (done.into, done.checkout, done.way)
    assert git(bench.repo, "rev-parse", "develop") == git(bench.repo, "rev-parse", branch_of(seen))
    assert "mine\n" == (bench.repo / "a.txt").read_text(encoding="utf-8")


def state_of(bench: Bench) -> dict[str, Any]:
    """Everything in the repository that a refused merge may not touch."""
    return {
        "refs": git(bench.repo, "for-each-ref"),
        "status": git(bench.repo, "status", "--porcelain"),
        "files": {path.name: path.read_bytes() for path in bench.repo.iterdir() if path.is_file()},
        "worktrees": git(bench.repo, "worktree", "list"),
        "events": len(bench.events()),
    }


def test_a_conflict_names_its_files_and_changes_nothing(bench: Bench) -> None:
    seen = coded(bench)
    bench.commit("a.txt", "else\n")
    before = state_of(bench)
    error = bench.error("worker", "merge", seen.run_id, "--actor", "human:ann")
    assert ("CONFLICT", ["a.txt"]) == (error["code"], error["files"])
    assert before == state_of(bench)


def test_refusals_change_nothing_and_say_what_to_do(bench: Bench) -> None:
    seen = coded(bench)
    git(bench.repo, "branch", "develop")
    bench.commit("c.txt", "three\n")

    def refused(words: str, kind: type[LatticeError] = Conflict, **more: Any) -> None:
        before = state_of(bench)
        with pytest.raises(kind, match=words) as caught:
            merge.merge(bench.board, seen.run_id, ANN, **more)
        assert caught.value.hint
        assert before == state_of(bench)

    refused("cannot be fast-forwarded", way="ff-only")
    refused("There is no branch 'nope'", NotFound, into="nope")
    refused("the run's own branch", into=branch_of(seen))
    (bench.repo / "b.txt").write_text("mine\n", encoding="utf-8")
    refused("untracked working tree files", LatticeError)
    (bench.repo / "b.txt").unlink()
    (bench.repo / "c.txt").write_text("mine\n", encoding="utf-8")
    refused(r"changes that are not committed: c\.txt")
    git(bench.repo, "checkout", "--quiet", "c.txt")
    git(bench.repo, "checkout", "--quiet", "--detach")
    refused("is on no branch", NotFound)


@pytest.mark.parametrize("into", ["main", "develop"])
@pytest.mark.parametrize("act", ["echo no >&2; exit 128", "kill -9 $$"], ids=["refuses", "dies"])
@pytest.mark.parametrize("at", ["merge-tree", "commit-tree", "merge --ff-only", "update-ref"])
def test_a_git_that_fails_at_any_step_leaves_no_half_a_merge(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, at: str, act: str, into: str
) -> None:
    seen = coded(bench)
    bench.commit("c.txt", "three\n")
    git(bench.repo, "branch", "develop")
    before = state_of(bench)
    switch = bench.fake_git(monkeypatch, f'case "$*" in *"{at}"*) {act} ;; esac')
    if (at, into) in (("merge --ff-only", "develop"), ("update-ref", "main")):
        assert "merge" == merge.merge(bench.board, seen.run_id, ANN, into=into).way, "that step is the other way's"
        return
    with pytest.raises(LatticeError):
        merge.merge(bench.board, seen.run_id, ANN, into=into)
    assert before == state_of(bench)
    switch.unlink()
    assert "merge" == merge.merge(bench.board, seen.run_id, ANN, into=into).way


@pytest.mark.parametrize("into", ["main", "develop"])
def test_a_branch_that_moves_meanwhile_keeps_what_it_moved_to(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, into: str
) -> None:
    seen = coded(bench)
    bench.commit("c.txt", "three\n")
    git(bench.repo, "branch", "develop")
    theirs = git(bench.repo, "commit-tree", "-p", into, "-m", "Theirs", f"{into}^{{tree}}")
    moves = f'case "$*" in *merge-tree*) $real update-ref refs/heads/{into} {theirs} ;; esac'
    bench.fake_git(monkeypatch, moves)
    with pytest.raises(LatticeError):
        merge.merge(bench.board, seen.run_id, ANN, into=into)
    assert theirs == git(bench.repo, "rev-parse", into)
    assert [] == bench.events("git_event")


def test_a_merge_that_was_not_recorded_is_recorded_by_the_next(bench: Bench) -> None:
    seen = coded(bench)
    git(bench.repo, "merge", "--quiet", branch_of(seen))
    assert "none" == merge.merge(bench.board, seen.run_id, ANN).way
    assert 1 == len(bench.events("git_event"))


def test_an_archived_task_is_refused_before_anything_moves(bench: Bench) -> None:
    seen = coded(bench)
    bench.data("archive", "LAT-1", "--actor", "human:ann")
    before = git(bench.repo, "for-each-ref")
    error = bench.error("worker", "merge", seen.run_id, "--actor", "human:ann")
    assert "NOT_FOUND" == error["code"]
    assert before == git(bench.repo, "for-each-ref")


def test_a_board_that_git_carries_does_not_make_the_checkout_dirty(bench: Bench) -> None:
    git(bench.repo, "add", ".lattice")
    git(bench.repo, "commit", "--quiet", "--message", "The board")
    seen = coded(bench)
    assert git(bench.repo, "status", "--porcelain", "--untracked-files=no", "--", ".lattice")
    assert "fast_forward" == merge.merge(bench.board, seen.run_id, ANN).way
    assert "merge" == bench.events("git_event")[0].body.fields()["action"], "the board still has its events"


def test_a_run_that_goes_on_is_neither_merged_nor_discarded(bench: Bench) -> None:
    run = bench.running(f"{COMMIT}; exec sleep 300", branch=BRANCH)
    for act in (merge.merge, merge.discard):
        with pytest.raises(Conflict, match="has not ended"):
            act(bench.board, run.run_id, ANN)
    bench.data("worker", "stop", run.run_id, "--wait", "--actor", "human:ann")


def test_what_became_of_a_branch_is_shown_with_its_run(bench: Bench) -> None:
    seen = coded(bench)

    def page() -> str:
        return bench.lattice("worker", "show", seen.run_id).stdout

    assert f"next: lattice worker merge {seen.run_id}, or lattice worker discard {seen.run_id}" in page()
    sha = merge.merge(bench.board, seen.run_id, ANN).sha[:12]
    assert f"  merged       into main, {sha}\n" in page()
    assert "next:" not in page()
    merge.discard(bench.board, seen.run_id, ANN)
    assert "  discarded    its branch\n" in page()
    history = bench.lattice("show", "LAT-1").stdout
    assert f"merged {seen.run_id} into main: {sha}" in history
    assert f"discarded {branch_of(seen)} of {seen.run_id}: " in history


# --- discard --------------------------------------------------------------------------------------


def test_a_discard_keeps_the_commits_and_takes_the_link_away(bench: Bench) -> None:
    seen = coded(bench, f"{COMMIT}; echo loose > loose.txt")
    tip = git(bench.repo, "rev-parse", branch_of(seen))
    gone = bench.data("worker", "discard", seen.run_id, "--actor", "human:ann")
    assert (f"refs/lattice/salvage/{seen.run_id}", []) == (gone["kept_as"], gone["held_by"])
    assert ([], []) == (branches(bench), links(bench))
    git(bench.repo, "merge-base", "--is-ancestor", tip, gone["kept_as"])
    assert "loose" == git(bench.repo, "show", f"{gone['kept_as']}:loose.txt")
    assert isinstance(bench.events("branch_unlinked")[0].body, BranchUnlinked)
    assert ["a.txt", "b.txt", "loose.txt"] == [
        row["path"] for row in bench.data("worker", "diff", seen.run_id)["files"]
    ]
    assert "NOT_FOUND" == bench.error("worker", "discard", seen.run_id, "--actor", "human:ann")["code"]
    assert "succeeded" == bench.ended("true").state, "no dangling link keeps the next run from its commit"


def test_a_merged_branch_is_discarded_without_a_second_copy(bench: Bench) -> None:
    seen = coded(bench)
    merge.merge(bench.board, seen.run_id, ANN)
    gone = merge.discard(bench.board, seen.run_id, ANN)
    assert (None, ("refs/heads/main",)) == (gone.kept_as, gone.held_by)
    assert ([], []) == (branches(bench), kept_refs(bench))


def test_a_branch_that_is_checked_out_is_not_discarded(bench: Bench, tmp_path: Path) -> None:
    seen = coded(bench)
    git(bench.repo, "worktree", "add", "--quiet", str(tmp_path / "mine"), branch_of(seen))
    with pytest.raises(Conflict, match="is checked out at"):
        merge.discard(bench.board, seen.run_id, ANN)
    assert [branch_of(seen)] == branches(bench)


def test_a_discard_that_was_cut_short_is_made_up_for(bench: Bench) -> None:
    seen = coded(bench)
    git(bench.repo, "branch", "--quiet", "-D", branch_of(seen))
    assert None is merge.discard(bench.board, seen.run_id, ANN).sha
    assert [] == links(bench)


# --- salvage --------------------------------------------------------------------------------------


def test_salvage_is_listed_shown_and_dropped_only_when_told_to(bench: Bench) -> None:
    seen = coded(bench, f"{COMMIT}; echo loose > loose.txt")
    (row,) = bench.data("worker", "salvage", "list")
    assert (seen.run_id, "Sleeper", "LAT-1", 1, 0) == (
        row["run_id"],
        row["worker"],
        row["task"],
        row["files"],
        row["commits"],
    )
    assert "loose.txt" in bench.lattice("worker", "salvage", "show", seen.run_id[-6:]).stdout
    asked = bench.data("worker", "salvage", "drop", seen.run_id)
    assert not asked["dropped"]
    assert [seen.salvage_ref] == kept_refs(bench)
    assert bench.data("worker", "salvage", "drop", seen.run_id, "--yes", "--actor", "human:ann")["dropped"]
    assert ([], []) == (kept_refs(bench), bench.data("worker", "salvage", "list"))
    assert "drop_salvage" == bench.events("git_event")[-1].body.fields()["action"]
    for command in ("show", "why"):
        assert f"{seen.salvage_ref}, dropped since" in bench.lattice("worker", command, seen.run_id).stdout
    assert f"dropped what was kept of {seen.run_id}: " in bench.lattice("show", "LAT-1").stdout
    assert "NOT_FOUND" == bench.error("worker", "salvage", "show", seen.run_id)["code"]
    assert [branch_of(seen)] == branches(bench), "the branch is another matter"


def test_commits_of_the_worker_are_counted_apart_from_that_which_holds_its_files(bench: Bench) -> None:
    seen = bench.ended(f"{COMMIT}; echo loose > loose.txt")
    (row,) = bench.data("worker", "salvage", "list")
    assert (3, 1) == (row["files"], row["commits"])
    page = bench.lattice("worker", "salvage", "show", seen.run_id).stdout
    assert f"3 files, 1 commit on no branch, as {seen.salvage_ref}" in page
    wanted = "To have it on a branch: "
    (told,) = (row.removeprefix(wanted) for row in page.splitlines() if row.startswith(wanted))
    git(bench.repo, *told.replace("NAME", "mine").split()[1:])
    assert "loose" == git(bench.repo, "show", "mine:loose.txt")


def test_salvage_that_changed_since_it_was_looked_at_is_not_dropped(bench: Bench) -> None:
    seen = coded(bench, "echo loose > loose.txt")
    item = salvaged.of_run(bench.board, seen.run_id)
    assert item is not None
    git(bench.repo, "update-ref", str(item.ref), "HEAD")
    with pytest.raises(Conflict, match="changed meanwhile"):
        salvaged.drop(bench.board, item, ANN)
    assert [item.ref] == kept_refs(bench)


def test_a_folder_that_git_could_not_read_is_kept_listed_and_dropped(bench: Bench) -> None:
    seen = bench.ended("echo mine > new.txt; rm .git")
    (row,) = bench.data("worker", "salvage", "list")
    assert (seen.salvage_ref, None) == (row["folder"], row["ref"])
    told = f"kept as a folder, which git could not take: lattice worker salvage show {seen.run_id}"
    assert told in bench.lattice("worker", "show", seen.run_id).stdout
    bench.data("worker", "salvage", "drop", seen.run_id, "--yes", "--actor", "human:ann")
    assert not Path(row["folder"]).exists()
    assert told not in bench.lattice("worker", "show", seen.run_id).stdout


@pytest.mark.parametrize("words", [("list", "x"), ("show",), ("list", "--yes"), ("lost",)])
def test_salvage_asks_for_what_it_needs(bench: Bench, words: tuple[str, ...]) -> None:
    assert 2 == bench.lattice("worker", "salvage", *words).returncode


def test_ignored_files_are_kept_where_the_definition_names_them(bench: Bench) -> None:
    bench.commit(".gitignore", "build/\n*.log\n")
    script = "mkdir -p build/deep; echo r > build/deep/report; echo l > x.log; echo n > n.log"
    assert None is bench.ended(script).salvage_ref
    seen = bench.ended(script, keep=["build", "x.*"])
    assert ["build/deep/report", "x.log"] == git(
        bench.repo, "diff", "--name-only", str(seen.commit_sha), str(seen.salvage_ref)
    ).split()
