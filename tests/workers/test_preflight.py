"""What is checked before a run is asked for: what is wrong leaves no trace, and what is planned stays as it is."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from lattice.workers import preflight
from tests.conftest import git
from tests.workers.conftest import Bench

GOOD: dict[str, Any] = {"name": "Bad", "actor": "agent:bot", "engine": "script", "script": "workers/sleeper.sh"}


@pytest.mark.parametrize(
    ("change", "words", "code"),
    [
        ({"script": "workers/none.sh"}, [], "INVALID_DEFINITION"),
        ({"script": "../outside.sh"}, [], "INVALID_DEFINITION"),
        ({"script": "/bin/true"}, [], "INVALID_DEFINITION"),
        ({"prompt_file": "prompts/none.md"}, [], "INVALID_DEFINITION"),
        ({"engine": "scirpt"}, [], "INVALID_DEFINITION"),
        ({"engine": "command", "script": None, "command": ["no-such-program-at-all"]}, [], "INVALID_DEFINITION"),
        ({"command": ["true"]}, [], "INVALID_DEFINITION"),
        ({"timeout_minuets": 3}, [], "INVALID_DEFINITION"),
        ({"actor": "nobody"}, [], "INVALID_DEFINITION"),
        ({"timeout_minutes": 0}, [], "INVALID_DEFINITION"),
        ({"timeout_minutes": "10"}, [], "INVALID_DEFINITION"),
        ({"outputs": {"x": {"path": "../../escape"}}}, [], "INVALID_DEFINITION"),
        ({}, ["--commit", "nowhere"], "NOT_FOUND"),
        ({}, ["--commit", "--all"], None),
        ({}, ["--base", "nowhere"], "NOT_FOUND"),
        ({}, ["--actor", "nobody"], "INVALID_ACTOR"),
    ],
    ids=lambda value: (
        "-".join(map(str, value.items() if isinstance(value, dict) else value))[:40]
        if isinstance(value, (dict, list))
        else str(value)
    ),
)
def test_what_cannot_work_is_refused_with_a_code_and_leaves_no_trace(
    bench: Bench, change: dict[str, Any], words: list[str], code: str | None
) -> None:
    bench.worker()
    (bench.folder / "outside.sh").write_text("#!/bin/sh\n", encoding="utf-8")
    shape = {key: value for key, value in (GOOD | change).items() if value is not None}
    (bench.repo / "workers" / "bad.json").write_text(json.dumps(shape), encoding="utf-8")
    before = bench.tree()
    error = bench.error("worker", "run", "Bad", "LAT-1", *words)
    assert code in (error["code"], None)
    assert error["message"]
    assert before == bench.tree()
    assert [] == bench.worktrees()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["NoSuchWorker", "LAT-1"], "NOT_FOUND"),
        (["Sleeper", "LAT-99"], "NOT_FOUND"),
        (["Sleeper", "../LAT-1"], "INVALID_ID"),
    ],
)
def test_a_missing_worker_or_task_is_refused_and_leaves_no_trace(bench: Bench, words: list[str], code: str) -> None:
    bench.worker()
    before = bench.tree()
    assert code == bench.error("worker", "run", *words)["code"]
    assert before == bench.tree()


def test_a_board_outside_a_repository_cannot_make_a_worktree_and_says_so(bench: Bench, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    (alone / "workers").mkdir(parents=True)
    bench.repo = alone
    bench.worker()
    for words in (["init", "--project-code", "LAT", "--actor", "human:ann"], ["create", "First"]):
        assert 0 == bench.lattice(*words).returncode
    before = sorted(path for path in alone.rglob("*") if "locks" not in path.parts)
    error = bench.error("worker", "run", "Sleeper", "LAT-1")
    assert ("INVALID_DEFINITION", True) == (error["code"], "not in a git repository" in error["message"])
    assert error["message"] == bench.error("worker", "check", "Sleeper")["message"]
    assert before == sorted(path for path in alone.rglob("*") if "locks" not in path.parts)


def test_a_repository_without_a_commit_is_refused(bench: Bench) -> None:
    bench.worker()
    git(bench.repo, "checkout", "--quiet", "--orphan", "empty")
    error = bench.error("worker", "run", "Sleeper", "LAT-1")
    assert ("NOT_FOUND", "The repository has no commit yet.") == (error["code"], error["message"])
    assert error["message"] == bench.error("worker", "check", "Sleeper")["message"]


def test_a_worker_without_a_worktree_runs_before_the_first_commit(bench: Bench) -> None:
    git(bench.repo, "checkout", "--quiet", "--orphan", "empty")
    bench.worker('test -z "$LATTICE_COMMIT_SHA"', worktree=False)
    assert 0 == bench.lattice("worker", "check", "Sleeper").returncode
    run = bench.data("worker", "run", "Sleeper", "LAT-1", "--wait")
    assert ("succeeded", None, None) == (run["state"], run["commit_sha"], run["base_sha"])
    assert "NOT_FOUND" == bench.error("worker", "run", "Sleeper", "LAT-1", "--base", "nowhere")["code"]


@pytest.mark.parametrize("where", ["outside", "empty"])
def test_where_no_worktree_can_be_made_the_built_in_workers_are_not_here(bench: Bench, where: str) -> None:
    if where == "outside":
        (bench.repo / ".git").rename(bench.folder / "git")
    else:
        git(bench.repo, "checkout", "--quiet", "--orphan", "empty")
    bench.worker("true", worktree=False)
    states = {row["name"]: row["state"] for row in bench.data("worker", "list")}
    assert ("ok", "not here") == (states["Sleeper"], states["DiffCheck"])
    done = bench.lattice("worker", "check")
    said = "is not in a git repository" if where == "outside" else "The repository has no commit yet."
    assert (0, True) == (done.returncode, "not here  DiffCheck: " in done.stdout and said in done.stdout), done.stdout
    assert 0 == bench.lattice("worker", "doctor").returncode


# --- base and head --------------------------------------------------------------------------------


def test_head_and_base_are_hashes_from_the_request_on(bench: Bench) -> None:
    bench.worker("true")
    fork = git(bench.repo, "rev-parse", "HEAD")
    git(bench.repo, "checkout", "--quiet", "-b", "feature")
    head = bench.commit("b.txt", "feature\n")
    git(bench.repo, "checkout", "--quiet", "main")
    bench.commit("c.txt", "main went on\n")
    bench.finished(bench.start(commit="feature"))
    (requested,) = bench.events("process_requested")
    data = (requested.raw or {})["data"]
    assert (head, fork) == (data["commit_sha"], data["base_sha"])


def test_programs_of_setup_and_files_of_a_command_are_checked_where_they_lie_in_the_main_checkout(bench: Bench) -> None:
    tools = {name: bench.repo / "workers" / name for name in ("setup.sh", "tool.py")}
    bench.worker("true")
    for path in [*tools.values(), bench.repo / "data"]:
        path.write_text("#!/bin/sh\n", encoding="utf-8")
        path.chmod(0o755)
    command = ["python3", "{repo}/workers/tool.py", "{repo}/data"]
    more = {"engine": "command", "command": command, "setup": {"run": [["{repo}/workers/setup.sh"]]}}
    shape = json.loads((bench.repo / "workers" / "sleeper.json").read_text(encoding="utf-8"))
    del shape["script"]
    (bench.repo / "workers" / "sleeper.json").write_text(json.dumps(shape | more), encoding="utf-8")
    planned = preflight.plan(bench.board, preflight.Request("Sleeper", "LAT-1"), os.environ).spec
    assert {str(path) for path in tools.values()} == {path for path, _ in planned.files}
