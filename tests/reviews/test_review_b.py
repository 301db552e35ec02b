"""The second review of an earlier attempt (docs/explanation/reviews.md): one test for each of its findings."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

import lattice.workers.builtin
from lattice.testing.engines import install
from lattice.workers.runs import RunFolder
from tests.conftest import git
from tests.workers.conftest import Bench

BUILTIN = Path(lattice.workers.builtin.__file__).parent


def test_b1_every_shipped_definition_can_run_as_it_is_shipped(bench: Bench) -> None:
    engines = install(bench.folder / "engines")
    rows = bench.data("worker", "check", PATH=f"{engines}:{os.environ['PATH']}")
    checked = {row["name"]: row["ok"] for row in rows}
    shipped = {json.loads(path.read_text(encoding="utf-8"))["name"] for path in BUILTIN.glob("*.json")}
    assert shipped
    assert dict.fromkeys(shipped, True) == checked


@pytest.mark.parametrize("key", ["script", "prompt_file"])
def test_b1_a_definition_whose_file_is_missing_is_refused_before_anything_is_written(bench: Bench, key: str) -> None:
    bench.worker()
    path = bench.repo / "workers" / "sleeper.json"
    path.write_text(
        json.dumps(json.loads(path.read_text(encoding="utf-8")) | {key: "prompts/nowhere.md"}), encoding="utf-8"
    )
    before = bench.tree()
    error = bench.error("worker", "run", "Sleeper", "LAT-1")
    assert ("INVALID_DEFINITION", True) == (error["code"], "nowhere.md" in error["message"])
    assert before == bench.tree()


def test_b2_an_engine_that_says_nothing_about_its_end_still_has_one(bench: Bench) -> None:
    for script, state in (("true", "succeeded"), ("exit 1", "failed"), ("true", "succeeded")):
        assert state == bench.ended(script).state
        assert () == bench.board.store.task(bench.task_id).active_processes


def test_b3_two_simultaneous_starts_are_one_run(bench: Bench) -> None:
    bench.worker()
    starters = [
        subprocess.Popen(
            bench.command("worker", "run", "Sleeper", "LAT-1", "--json"),
            cwd=bench.repo,
            env=bench.environ(),
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    answers = [json.loads(starter.communicate(timeout=60)[0]) for starter in starters]
    (won,) = [answer["data"]["run_id"] for answer in answers if answer["ok"]]
    (lost,) = [answer["error"] for answer in answers if not answer["ok"]]
    assert ("ALREADY_RUNNING", won) == (lost["code"], lost["run_id"])
    assert 1 == len(bench.events("process_requested"))
    bench.data("worker", "stop", won, "--wait")
    bench.finished(RunFolder(bench.board.folder, won))


@pytest.mark.parametrize("actor", ["nobody", "robot:", "human:a\nb"])
def test_b4_an_actor_that_is_none_never_reaches_the_log(bench: Bench, actor: str) -> None:
    bench.worker(name="Odd", actor=actor)
    bench.worker()
    before = bench.tree()
    assert "INVALID_DEFINITION" == bench.error("worker", "run", "Odd", "LAT-1")["code"]
    assert "INVALID_ACTOR" == bench.error("worker", "run", "Sleeper", "LAT-1", f"--actor={actor}")["code"]
    assert before == bench.tree()


@pytest.mark.parametrize("script", ["true", "exit 1", "kill -9 $$"])
def test_b5_no_end_leaves_a_worktree(bench: Bench, script: str) -> None:
    run = bench.start(bench.worker(script))
    bench.finished(run)
    assert [] == bench.worktrees()
    assert 1 == git(bench.repo, "worktree", "list", "--porcelain").count("worktree ")


def test_b6_credentials_reach_the_engine_and_markers_do_not(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = ("CODEX_HOME", "CODEX_API_KEY", "CLAUDE_CONFIG_DIR", "CLAUDE_CODE_OAUTH_TOKEN", "ANTHROPIC_API_KEY")
    markers = ("CLAUDECODE", "CLAUDE_CODE_ENTRYPOINT", "CODEX_THREAD_ID", "CODEX_SANDBOX")
    for name in (*credentials, *markers):
        monkeypatch.setenv(name, "given")
    bench.ended('env > "$NOTES/env"')
    names = {line.split("=")[0] for line in bench.note("env").splitlines()}
    assert set(credentials) <= names
    assert not set(markers) & names


def test_b7_the_base_is_where_the_commit_left_main_and_does_not_move(bench: Bench) -> None:
    bench.worker('echo "$LATTICE_BASE_SHA $LATTICE_COMMIT_SHA" > "$NOTES/range"')
    fork = git(bench.repo, "rev-parse", "HEAD")
    git(bench.repo, "checkout", "--quiet", "-b", "feature")
    head = bench.commit("b.txt", "feature\n")
    git(bench.repo, "checkout", "--quiet", "main")
    bench.commit("c.txt", "main\n")
    bench.finished(bench.start(commit="feature"))
    assert f"{fork} {head}" == bench.note("range")
    (requested,) = bench.events("process_requested")
    data: dict[str, Any] = dict((requested.raw or {})["data"])
    assert (fork, head) == (data["base_sha"], data["commit_sha"])


def test_bn1_a_worker_is_found_by_its_name_in_any_case_whatever_its_file_is_called(bench: Bench) -> None:
    bench.worker(name="Reviewer")
    folder = bench.repo / "workers"
    (folder / "reviewer.json").rename(folder / "something-else.json")
    assert "Reviewer" == bench.data("worker", "run", "rEVIEWER", "LAT-1", "--dry-run")["worker"]
    assert "NOT_FOUND" == bench.error("worker", "run", "something-else", "LAT-1")["code"]


def test_bn2_a_key_the_engine_does_not_use_is_refused(bench: Bench) -> None:
    bench.worker(command=["true"])
    error = bench.error("worker", "run", "Sleeper", "LAT-1")
    assert ("INVALID_DEFINITION", True) == (error["code"], "command" in error["message"])


def test_bp_the_gates_are_those_this_project_has() -> None:
    makefile = (Path(__file__).parents[2] / "Makefile").read_text(encoding="utf-8")
    for gate in ("ruff check", "ruff format --check", "mypy", "pytest"):
        assert gate in makefile
    assert "npm" not in makefile
