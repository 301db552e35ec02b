"""What a worktree is given before the engine: copied files and a setup with its cache, in real runs."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from lattice.errors import RunSetupError
from lattice.workers import control
from lattice.workers.run_view import RunView
from lattice.workers.worktrees import cache, copying
from tests.conftest import git
from tests.workers.conftest import ANN, Bench, eventually, is_alive


@pytest.fixture(autouse=True)
def _cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def tree(bench: Bench, tmp_path: Path) -> Iterator[Path]:
    """A worktree of the bench's repository, beside it."""
    path = tmp_path / "tree"
    git(bench.repo, "worktree", "add", "--quiet", "--detach", str(path))
    yield path
    git(bench.repo, "worktree", "remove", "--force", str(path))


def ignored(bench: Bench, *names: str) -> None:
    """Commit a .gitignore of these."""
    bench.commit(".gitignore", "".join(f"{name}\n" for name in names))


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])


def log_of(bench: Bench, run: RunView) -> str:
    return bench.lattice("worker", "logs", run.run_id).stdout


# --- copy -----------------------------------------------------------------------------------------


def test_a_run_finds_the_files_that_git_does_not_carry(bench: Bench) -> None:
    ignored(bench, ".env*", "conf/")
    (bench.repo / ".env").write_text("KEY=1\n", encoding="utf-8")
    (bench.repo / ".env").chmod(0o640)
    (bench.repo / "conf/deep").mkdir(parents=True)
    (bench.repo / "conf/deep/run.sh").write_text("x\n", encoding="utf-8")
    (bench.repo / "conf/deep/run.sh").chmod(0o755)
    (bench.repo / "conf/latest").symlink_to("deep/run.sh")
    seen = bench.ended(
        'stat -c "%a %n" .env conf/deep/run.sh > "$NOTES/modes"; readlink conf/latest >> "$NOTES/modes"',
        copy=[".env", "conf", "nothing*"],
    )
    assert "succeeded" == seen.state, seen.error
    assert ["640 .env", "755 conf/deep/run.sh", "deep/run.sh"] == bench.note("modes").splitlines()
    assert seen.salvage_ref is None, "what was copied is nobody's work"
    assert "copied 3 files" in log_of(bench, seen)


def test_a_copy_that_brought_nothing_says_why(bench: Bench) -> None:
    seen = bench.ended("true", copy=["a.txt", "nowhere.env"])
    said = "lattice: copied 0 files of a.txt nowhere.env: there is none, or the commit has it itself\n"
    assert said in log_of(bench, seen)


def test_what_the_commit_has_is_left_as_it_has_it(bench: Bench, tree: Path) -> None:
    (bench.repo / "a.txt").write_text("changed in the main checkout\n", encoding="utf-8")
    assert [] == copying.copy(bench.repo, tree, ["*.txt"])
    assert "one\n" == (tree / "a.txt").read_text(encoding="utf-8")


def test_patterns_match_within_a_name_and_dots_have_to_be_written(bench: Bench) -> None:
    for name in ("x/one.key", "x/y/two.key", "x/.hid/three.key", "x/y/.four.key", ".lattice/five.key"):
        path = bench.repo / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def found(*patterns: str) -> list[str]:
        return [item.path for item in copying.matching(bench.repo, patterns)]

    assert ["x/one.key"] == found("x/*.key")
    assert ["x/one.key", "x/y/two.key"] == found("**/*.key")
    assert ["x/.hid/three.key"] == found("x/.hid/*")
    assert ["x/y/.four.key"] == found("x/y/.*")
    assert [] == found("*.key")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path, outside: path.symlink_to(outside), "leads out of the checkout"),
        (lambda path, _: path.symlink_to("../../outside"), "leads out of the checkout"),
        (lambda path, _: os.mkfifo(path), "neither a file"),
    ],
    ids=["absolute", "relative", "fifo"],
)
def test_what_leads_out_is_refused_and_nothing_is_copied(
    bench: Bench, tree: Path, tmp_path: Path, make: Any, words: str
) -> None:
    (tmp_path / "outside").write_text("secret", encoding="utf-8")
    (bench.repo / "aaa.key").touch()
    make(bench.repo / "bbb.key", tmp_path / "outside")
    with pytest.raises(RunSetupError, match=words):
        copying.copy(bench.repo, tree, ["*.key"])
    assert not (tree / "aaa.key").exists()


def test_a_folder_that_is_a_link_is_not_entered(bench: Bench, tree: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/x.key").write_text("secret", encoding="utf-8")
    (bench.repo / "linked").symlink_to(tmp_path / "outside")
    assert [] == copying.copy(bench.repo, tree, ["linked/x.key", "**/*.key"])


def test_a_link_of_the_commit_is_not_written_through(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (bench.repo / "conf").symlink_to(tmp_path / "victim")
    git(bench.repo, "add", "conf")
    git(bench.repo, "commit", "--quiet", "--message", "A link")
    ignored(bench, "*.key")
    (bench.repo / "conf").unlink()
    (bench.repo / "conf").mkdir()
    (bench.repo / "conf/x.key").write_text("secret", encoding="utf-8")
    seen = bench.ended("true", copy=["conf/x.key"])
    assert ("failed", {"kind": "setup"}) == (seen.state, seen.cause)
    assert [] == os.listdir(tmp_path / "victim")


def test_a_file_that_a_commit_would_take_along_is_refused(bench: Bench) -> None:
    (bench.repo / ".env").write_text("KEY=1\n", encoding="utf-8")
    seen = bench.ended("true", copy=[".env"])
    assert ("failed", {"kind": "setup"}) == (seen.state, seen.cause)
    assert "git does not ignore '.env'" in str(seen.error)


def test_too_much_is_refused(bench: Bench, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (bench.repo / "big.key").open("wb") as big:
        big.truncate(copying.COPY_BYTES_MAX + 1)
    with pytest.raises(RunSetupError, match=f"the limit is {copying.COPY_BYTES_MAX}"):
        copying.copy(bench.repo, tree, ["big.key"])
    monkeypatch.setattr(copying, "COPY_FILES_MAX", 1)
    with pytest.raises(RunSetupError, match="more than 1 files match"):
        copying.copy(bench.repo, tree, ["**"])


# --- setup ----------------------------------------------------------------------------------------


def test_a_setup_runs_in_the_worktree_before_the_engine_and_is_in_the_log(bench: Bench) -> None:
    seen = bench.ended(
        'cat made > "$NOTES/made"',
        setup={"run": [["sh", "-c", 'echo "$LATTICE_RUN_ID" > made; echo said'], ["test", "-f", "{worktree}/made"]]},
    )
    assert "succeeded" == seen.state, seen.error
    assert seen.run_id == bench.note("made")
    log = log_of(bench, seen)
    assert log.index("setup: ") < log.index("said")


@pytest.mark.parametrize(
    ("setup", "words"),
    [
        ({"run": [["true"], ["sh", "-c", "exit 3"]]}, "exited with status 3"),
        ({"run": [["sh", "-c", "kill -9 $$"]]}, "signal 9 ended"),
        ({"run": [["sleep", "300"]], "timeout_minutes": 0.005}, "took longer than 0.3 s"),
    ],
)
def test_a_setup_that_fails_ends_the_run_and_names_the_command(bench: Bench, setup: dict[str, Any], words: str) -> None:
    seen = bench.ended('touch "$NOTES/ran"', setup=setup)
    assert ("failed", {"kind": "setup"}) == (seen.state, seen.cause)
    assert words in str(seen.error)
    assert setup["run"][-1][0] in str(seen.error)
    assert not (bench.notes / "ran").exists()
    assert [] == bench.events("process_started")


def test_a_stop_ends_a_setup_and_all_it_started(bench: Bench) -> None:
    script = 'sleep 300 & echo $! > "$NOTES/below.pid"; wait'
    run = bench.start(bench.worker("true", setup={"run": [["bash", "-c", script]]}))
    below = int(bench.note("below.pid"))
    control.stop(bench.board, run.run_id, "enough", ANN)
    seen = bench.finished(run)
    assert "cancelled" == seen.state
    assert not is_alive(below)


def test_the_wall_limit_holds_for_a_setup(bench: Bench) -> None:
    seen = bench.ended("true", timeout_minutes=0.02, setup={"run": [["sleep", "300"]], "timeout_minutes": 5})
    assert ("failed", {"kind": "setup"}) == (seen.state, seen.cause)


def test_a_killed_supervisor_leaves_nothing_of_a_setup(bench: Bench) -> None:
    script = 'sleep 300 & echo $! > "$NOTES/below.pid"; wait'
    run = bench.start(bench.worker("true", setup={"run": [["bash", "-c", script]]}))
    below = int(bench.note("below.pid"))
    shell = parent(below)
    os.kill(parent(parent(shell)), signal.SIGKILL)  # The shell is of the preparing process, which is the supervisor's.
    assert "lost" == bench.finished(run).state
    eventually(lambda: not is_alive(below))


# --- cache ----------------------------------------------------------------------------------------

INSTALL = (
    'echo x >> "$NOTES/installs"; mkdir -p node_modules/.bin; cat lock > node_modules/lib;'
    " ln -s ../lib node_modules/.bin/lib"
)
CACHED: dict[str, Any] = {"run": [["bash", "-c", INSTALL]], "cache": ["node_modules"], "key": ["lock", "absent"]}


def installs(bench: Bench) -> int:
    return bench.note("installs").count("x")


def entries(bench: Bench) -> list[str]:
    return sorted(path.name for path in (bench.folder / "cache").glob("lattice/*/*"))


def test_a_second_run_takes_what_the_first_one_made(bench: Bench) -> None:
    ignored(bench, "node_modules")
    bench.commit("lock", "1\n")
    script = "cat node_modules/.bin/lib; echo mine >> node_modules/lib"
    first = bench.ended(script, setup=CACHED)
    second = bench.ended(script, setup=CACHED)
    assert ("succeeded", "succeeded", 1) == (first.state, second.state, installs(bench))
    assert "node_modules from the cache" in log_of(bench, second)
    assert 1 == len(entries(bench))
    third = bench.ended("cat node_modules/lib", setup=CACHED)
    assert "mine" not in log_of(bench, third), "what a worker writes does not reach the cache"
    bench.commit("lock", "2\n")
    fourth = bench.ended("cat node_modules/lib", setup=CACHED)
    assert ("2", 2, 2) == (log_of(bench, fourth).splitlines()[-1], installs(bench), len(entries(bench)))


def test_another_setup_is_another_entry(bench: Bench) -> None:
    ignored(bench, "node_modules")
    bench.commit("lock", "1\n")
    bench.ended("true", setup=CACHED)
    bench.ended("true", setup=CACHED | {"run": [*CACHED["run"], ["true"]]})
    assert (2, 2) == (installs(bench), len(entries(bench)))


def test_a_damaged_entry_is_a_miss(bench: Bench) -> None:
    ignored(bench, "node_modules")
    bench.commit("lock", "1\n")
    bench.ended("true", setup=CACHED)
    (entry,) = (bench.folder / "cache").glob("lattice/*/*")
    os.rename(entry / "0", entry / "7")
    seen = bench.ended("cat node_modules/lib", setup=CACHED)
    assert ("succeeded", 2) == (seen.state, installs(bench))


def test_a_setup_that_fails_is_not_kept(bench: Bench) -> None:
    bench.commit("lock", "1\n")
    seen = bench.ended("true", setup=CACHED | {"run": [*CACHED["run"], ["false"]]})
    assert ("failed", []) == (seen.state, entries(bench))


def test_a_cache_that_cannot_be_written_costs_the_run_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    ignored(bench, "node_modules")
    bench.commit("lock", "1\n")
    fake = bench.folder / "fake-cp"
    fake.mkdir()
    (fake / "cp").write_text("#!/bin/sh\nexit 1\n", encoding="utf-8")
    (fake / "cp").chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake}:{os.environ['PATH']}")
    seen = bench.ended("true", setup=CACHED)
    assert ("succeeded", []) == (seen.state, entries(bench))
    assert "not kept" in log_of(bench, seen)


def test_a_key_that_is_a_link_is_refused(bench: Bench) -> None:
    (bench.repo / "lock").symlink_to("/etc/passwd")
    git(bench.repo, "add", "lock")
    git(bench.repo, "commit", "--quiet", "--message", "A link")
    seen = bench.ended("true", setup=CACHED)
    assert ("failed", True) == (seen.state, "not a regular file" in str(seen.error))


def test_two_runs_that_make_the_same_keep_one_of_them(tmp_path: Path) -> None:
    made = tmp_path / "tree"
    (made / "lib").mkdir(parents=True)
    (made / "lib/x").write_text("x", encoding="utf-8")
    root = tmp_path / "entries"
    root.mkdir()

    def execute(argv: Sequence[str]) -> bool:
        return 0 == subprocess.run(argv, check=False).returncode

    assert cache.store(root / "key", made, ["lib"], "run_1", execute)
    assert cache.store(root / "key", made, ["lib"], "run_2", execute)
    assert ["key"] == os.listdir(root)
    assert not cache.store(root / "other", made, ["missing"], "run_3", execute)
    (made / "link").symlink_to("lib")
    assert not cache.store(root / "other", made, ["link"], "run_3", execute)
    assert ["key"] == os.listdir(root)


def test_gc_prunes_what_nobody_used_for_long_and_what_dead_runs_had_begun(bench: Bench) -> None:
    ignored(bench, "node_modules")
    bench.commit("lock", "1\n")
    bench.ended("true", setup=CACHED)
    (entry,) = (bench.folder / "cache").glob("lattice/*/*")
    (entry.parent / ".new-run_01K0000000000000000000000A").mkdir()
    (entry.parent / ".gone-x").mkdir()
    assert stat.S_IMODE(entry.parent.stat().st_mode) == 0o700
    control.gc(bench.board, os.environ)
    assert [entry.name] == os.listdir(entry.parent)
    long_ago = time.time() - cache.CACHE_AGE_S - 60
    os.utime(entry, (long_ago, long_ago))
    assert (str(entry),) == control.gc(bench.board, os.environ).caches
    assert [] == os.listdir(entry.parent)


def test_a_program_that_is_not_there_is_refused_before_anything_is_written(bench: Bench) -> None:
    bench.worker("true", setup={"run": [["no-such-program"]]})
    before = bench.tree()
    error = bench.error("worker", "run", "Sleeper", "LAT-1")
    assert ("INVALID_DEFINITION", True) == (error["code"], "setup.run: 'no-such-program'" in error["message"])
    assert before == bench.tree()
