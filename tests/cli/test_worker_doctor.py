"""`lattice worker doctor`: real programs that say what they can do, real definitions."""

from __future__ import annotations

from pathlib import Path

import pytest

from lattice.testing.engines import install
from tests.workers.conftest import Bench
from tests.workers.conftest import bench as bench  # noqa: PLC0414  # a fixture is shared by its name


@pytest.fixture
def place(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the four agents, the whole PATH beside the system's; nobody is logged in."""
    place = install(tmp_path / "agents")
    monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "OPENAI_API_KEY", "CODEX_API_KEY", "CODEX_HOME"):
        monkeypatch.delenv(name, raising=False)
    return place


def test_each_engine_is_told_with_its_version_and_login(
    bench: Bench, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "gemini").unlink()
    monkeypatch.setenv("CODEX_API_KEY", "secret-of-ours")
    answer = bench.data("worker", "doctor")
    engines = {row["name"]: row for row in answer["engines"]}
    assert ["claude", "codex", "gemini", "opencode"] == list(engines)
    assert (True, str(place / "codex")) == (engines["codex"]["ok"], engines["codex"]["path"])
    assert engines["codex"]["version"].startswith("codex-cli ")
    assert {"known": True, "how": "CODEX_API_KEY"} == engines["codex"]["login"]
    assert (False, None) == (engines["gemini"]["ok"], engines["gemini"]["path"])
    assert "secret-of-ours" not in bench.lattice("worker", "doctor").stdout


def test_an_engine_that_is_too_old_is_told_with_what_it_lacks(bench: Bench, place: Path) -> None:
    (place / "codex").write_text('#!/bin/sh\necho "codex exec --json --cd --sandbox 0.1"\n')
    (place / "claude").write_text("#!/bin/sh\necho no help here; exit 9\n")
    engines = {row["name"]: row for row in bench.data("worker", "doctor")["engines"]}
    assert True is engines["codex"]["ok"]
    assert ["--config"] == engines["codex"]["reviewer_error"]["missing"]
    assert "ended with 9 and said: no help here" in engines["claude"]["error"]["message"]
    shown = bench.lattice("worker", "doctor").stdout
    assert "no reviews" in shown
    assert "@openai/codex@latest" in shown


def test_an_engine_that_no_worker_uses_is_no_reason_to_fail(bench: Bench, place: Path) -> None:
    for name in ("claude", "codex", "gemini", "opencode"):
        (place / name).unlink()
    bench.worker()
    workers = {row["name"]: row["ok"] for row in bench.data("worker", "doctor")["workers"]}
    assert True is workers["Sleeper"]


def test_a_worker_that_cannot_run_is_named_and_the_status_is_1(bench: Bench, place: Path) -> None:
    bench.worker()
    (bench.repo / "workers" / "sleeper.sh").unlink()
    (bench.repo / "workers" / "junk.json").write_text("{", encoding="utf-8")
    done = bench.lattice("worker", "doctor", "--quiet")
    assert 1 == done.returncode
    assert {"Sleeper", "junk.json"} <= set(done.stdout.split())


def test_worktrees_that_have_no_safe_place_stop_the_workers_that_need_one(bench: Bench, place: Path) -> None:
    bench.worker()
    bench.worker(name="Inside", worktree=False)
    config = bench.repo / ".lattice" / "config.json"
    config.write_text(config.read_text().replace("{", '{"worker": {"worktree_root": "/tmp"},', 1), encoding="utf-8")
    done = bench.lattice("worker", "doctor", "--quiet")
    named = done.stdout.split()
    assert (1, True, False) == (done.returncode, "Sleeper" in named, "Inside" in named)
