"""A run from the inside: git that fails, limits, stops, outputs, what is kept, what the engine is given."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from lattice.commands.artifacts import PAYLOAD_BYTES_MAX
from tests.conftest import git
from tests.workers.conftest import Bench, eventually, is_alive, processor_time

ON_ADD = 'case "$*" in *"worktree add"*) {} ;; esac'
TREE = """
trap "" TERM INT HUP
"$PY" "$NOTES/daemon.py" "$NOTES/daemon.pid"
env -i "$PY" "$NOTES/daemon.py" "$NOTES/unmarked.pid"
bash -c 'echo $$ > "$NOTES/stopped.pid"; kill -STOP $$' &
echo $$ > "$NOTES/engine.pid"
while true; do sleep 300; done
"""


def tree_pids(bench: Bench) -> list[int]:
    return [int(bench.note(f"{name}.pid")) for name in ("engine", "daemon", "unmarked", "stopped")]


# --- git that fails -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "words"),
    [
        ('echo "fatal: no room for a worktree" >&2; exit 128', "fatal: no room for a worktree"),
        ("kill -9 $$", "killed by signal 9"),
        ('"$real" "$@"; kill -9 $$', "killed by signal 9"),
        ("echo waiting >&2; sleep 300", "did not end within"),
    ],
    ids=["refusing", "dying", "dying after success", "hanging"],
)
def test_a_worktree_that_git_cannot_add_is_a_failed_run_and_no_more(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, act: str, words: str
) -> None:
    bench.worker("true", timeout_minutes=0.02 if "sleep" in act else 5)
    switch = bench.fake_git(monkeypatch, ON_ADD.format(act))
    run = bench.start()
    seen = bench.finished(run)
    assert ("failed", {"kind": "setup"}) == (seen.state, seen.cause)
    assert words in (seen.error or "")
    assert 1 == len(bench.ends(run))
    assert [] == bench.events("process_started")
    switch.unlink()
    assert "succeeded" == bench.finished(bench.start()).state


def test_a_git_that_refuses_removal_leaves_no_worktree(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.fake_git(monkeypatch, 'case "$*" in *"worktree remove"*) echo no >&2; exit 1 ;; esac')
    assert "succeeded" == bench.ended("true").state


def test_what_git_cannot_salvage_is_moved_out_of_the_way_and_kept(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.fake_git(monkeypatch, 'case "$*" in *commit-tree*|*write-tree*|*add*--all*) echo no >&2; exit 1 ;; esac')
    seen = bench.ended("echo mine > new.txt")
    assert "succeeded" == seen.state
    assert seen.salvage_ref is not None
    assert "mine\n" == (Path(seen.salvage_ref) / "new.txt").read_text(encoding="utf-8")


# --- limits ---------------------------------------------------------------------------------------


def test_the_wall_limit_ends_a_tree_that_ignores_daemonises_and_stops_itself(bench: Bench) -> None:
    run = bench.running(TREE, timeout_minutes=4 / 60)
    tree = tree_pids(bench)
    seen = bench.finished(run)
    assert ("timed_out", {"kind": "timeout", "limit_s": 4.0}) == (seen.state, seen.cause)
    assert [] == [pid for pid in tree if is_alive(pid)]
    assert set(tree) <= set(seen.killed)


def test_silence_past_the_idle_limit_ends_a_run(bench: Bench) -> None:
    seen = bench.ended("echo once; exec sleep 300", idle_timeout_minutes=0.5 / 60)
    assert ("timed_out", {"kind": "idle", "limit_s": 0.5}) == (seen.state, seen.cause)


def test_a_flood_of_output_ends_a_run(bench: Bench) -> None:
    run = bench.start(bench.worker(f"head -c {3 << 20} /dev/zero; exec sleep 300", log_limit_mb=2))
    seen = bench.finished(run)
    assert ("failed", {"kind": "log_limit", "limit_bytes": 2 << 20}) == (seen.state, seen.cause)
    assert 2 << 20 == run.output_log.stat().st_size


def test_a_daemon_left_by_a_normal_exit_is_killed(bench: Bench) -> None:
    run = bench.start(
        bench.worker(
            '"$PY" "$NOTES/daemon.py" "$NOTES/daemon.pid"; while [ ! -e "$NOTES/daemon.pid" ]; do sleep 0.01; done'
        )
    )
    daemon = int(bench.note("daemon.pid"))
    seen = bench.finished(run)
    assert "succeeded" == seen.state
    assert not is_alive(daemon)
    assert (daemon,) == tuple(seen.killed)


# --- ends -----------------------------------------------------------------------------------------


def test_a_failing_engine_is_a_failed_run_with_its_status(bench: Bench) -> None:
    seen = bench.ended("exit 3")
    assert ("failed", 3, {"kind": "exit", "status": 3}) == (seen.state, seen.exit, seen.cause)


def test_an_engine_that_cannot_be_executed_is_a_failure_of_its_spawn(bench: Bench) -> None:
    bench.worker("true")
    script = bench.repo / "workers" / "sleeper.sh"
    script.write_text("#!/nowhere/interpreter\n", encoding="utf-8")
    seen = bench.finished(bench.start())
    assert ("failed", {"kind": "spawn"}) == (seen.state, seen.cause)
    assert "could not be executed" in (seen.error or "")


def test_a_script_that_changed_after_the_request_is_not_executed(bench: Bench) -> None:
    bench.worker("touch $NOTES/executed")
    plan_then_change = (
        "plan = preflight.plan(board, preflight.Request('Sleeper', 'LAT-1'), os.environ)\n"
        "Path('workers/sleeper.sh').write_text('#!/bin/bash\\ntouch $NOTES/executed\\n# other\\n')\n"
        "launch.start(board, plan, by)\nprint(plan.spec.run_id)"
    )
    done = bench.python(plan_then_change)
    assert 0 == done.returncode, done.stderr
    eventually(lambda: bench.events("process_failed"))
    (failed,) = bench.events("process_failed")
    assert "changed after the run was requested" in str(failed.raw)
    assert not (bench.notes / "executed").exists()


REVIEW = {"review": {"role": "review", "path": "review.md", "required": True}}


def test_an_owed_output_is_attached_to_the_task_with_its_role(bench: Bench) -> None:
    seen = bench.ended('echo good > "$LATTICE_OUTPUT_DIR/review.md"', outputs=REVIEW)
    assert "succeeded" == seen.state
    (artifact_id,) = seen.artifact_ids
    assert bench.board.store.task(bench.task_id).has_role("review")
    payload = bench.repo / ".lattice" / "artifacts" / "payload" / f"{artifact_id}.md"
    assert "good\n" == payload.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("true", "missing"),
        ('touch "$LATTICE_OUTPUT_DIR/review.md"', "empty"),
        ('ln -s /etc/passwd "$LATTICE_OUTPUT_DIR/review.md"', "a symbolic link"),
        ('mkfifo "$LATTICE_OUTPUT_DIR/review.md"', "missing"),
        (f'truncate -s {PAYLOAD_BYTES_MAX + 1} "$LATTICE_OUTPUT_DIR/review.md"', "too large"),
    ],
    ids=["missing", "empty", "link", "pipe", "too large"],
)
def test_an_engine_that_exits_0_without_what_it_owes_has_failed(bench: Bench, script: str, reason: str) -> None:
    seen = bench.ended(script, outputs=REVIEW)
    assert ("failed", {"kind": "verdict", "missing": ["review"]}) == (seen.state, seen.cause)
    assert reason in (seen.error or "")
    assert () == bench.board.store.task(bench.task_id).evidence_refs


def test_an_output_has_to_fit_its_schema_as_it_was_when_the_run_was_requested(bench: Bench) -> None:
    schema = {"type": "object", "required": ["findings"], "properties": {"findings": {"type": "array"}}}
    (bench.repo / "review.schema.json").write_text(json.dumps(schema), encoding="utf-8")
    owed = {"review": {"path": "review.json", "required": True, "schema": "review.schema.json"}}
    good = bench.ended('echo \'{"findings": []}\' > "$LATTICE_OUTPUT_DIR/review.json"', outputs=owed)
    assert ("succeeded", 1) == (good.state, len(good.artifact_ids))
    for bad, said in (('{"findings": 1}', "$.findings: must be array"), ("none", "it is not JSON")):
        seen = bench.ended(f"echo '{bad}' > \"$LATTICE_OUTPUT_DIR/review.json\"", outputs=owed)
        assert ("failed", {"kind": "verdict", "missing": ["review"]}) == (seen.state, seen.cause)
        assert f"review (not valid: {said}" in (seen.error or "")
        assert () == seen.artifact_ids
    weaker = f'echo true > "{bench.repo}/review.schema.json"; echo 1 > "$LATTICE_OUTPUT_DIR/review.json"'
    assert "failed" == bench.ended(weaker, outputs=owed).state


def test_an_output_behind_a_linked_folder_is_not_taken(bench: Bench) -> None:
    outputs = {"review": {"role": "review", "path": "sub/passwd", "required": True}}
    seen = bench.ended('ln -s /etc "$LATTICE_OUTPUT_DIR/sub"', outputs=outputs)
    assert "a symbolic link" in (seen.error or "")


# --- what is kept ---------------------------------------------------------------------------------


def test_commits_changes_and_untracked_files_of_the_worktree_are_kept(bench: Bench) -> None:
    seen = bench.ended(
        "git config user.name B; git config user.email b@example.org\n"
        "echo committed > b.txt; git add b.txt; git commit -qm B\n"
        "echo changed > a.txt; echo untracked > c.txt"
    )
    ref = seen.salvage_ref
    assert f"refs/lattice/salvage/{seen.run_id}" == ref
    assert ["changed", "committed", "untracked"] == [git(bench.repo, "show", f"{ref}:{n}.txt") for n in "abc"]


def test_a_worktree_without_changes_leaves_no_ref(bench: Bench) -> None:
    assert bench.ended("true").salvage_ref is None
    assert "" == git(bench.repo, "for-each-ref", "refs/lattice")


def test_commits_are_kept_where_the_engine_removed_its_own_worktree(bench: Bench) -> None:
    seen = bench.ended(
        "git config user.name B; git config user.email b@example.org\n"
        'echo committed > b.txt; git add b.txt; git commit -qm B; cd /; rm -rf "$LATTICE_WORKTREE"'
    )
    assert "committed" == git(bench.repo, "show", f"{seen.salvage_ref}:b.txt")


# --- what the engine is given ---------------------------------------------------------------------

LOOK = """
env -0 > "$NOTES/env"
"$PY" "$NOTES/fds.py" > "$NOTES/fds"
umask > "$NOTES/umask"
pwd > "$NOTES/pwd"
git rev-parse HEAD > "$NOTES/head"
"""
FDS = """
import json, os
folder = "/proc/self/fd"
print(json.dumps({fd: os.readlink(f"{folder}/{fd}") for fd in os.listdir(folder) if os.path.lexists(f"{folder}/{fd}")}))
"""


def test_the_engine_gets_a_clean_environment_and_no_descriptor_of_ours(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {
        "CLAUDECODE": "1", "ANTHROPIC_API_KEY": "key", "CODEX_HOME": "/codex", "CODEX_CI": "1", "FOO_A": "a",
        "LATTICE_RUN_ID": "run_of_another", "GEMINI_CLI": "1",
    }  # fmt: skip
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    (bench.notes / "fds.py").write_text(FDS, encoding="utf-8")
    values = {"NOTES": str(bench.notes), "PY": sys.executable, "MINE": "yes"}
    seen = bench.ended(
        LOOK,
        env={"strip": ["FOO_*"], "keep": ["GEMINI_CLI"], "set": values},
    )
    assert "succeeded" == seen.state
    env = dict(pair.split("=", 1) for pair in bench.note("env").split("\0") if pair)
    for kept in ("ANTHROPIC_API_KEY", "CODEX_HOME", "GEMINI_CLI"):
        assert given[kept] == env[kept]
    assert "yes" == env["MINE"]
    assert not {"CLAUDECODE", "CODEX_CI", "FOO_A"} & env.keys()
    head = git(bench.repo, "rev-parse", "HEAD")
    assert (seen.run_id, "agent:bot", "LAT-1", head) == tuple(
        env[f"LATTICE_{name}"] for name in ("RUN_ID", "ACTOR", "TASK_SHORT_ID", "COMMIT_SHA")
    )
    assert (str(bench.repo), env["LATTICE_WORKTREE"], head) == (
        env["LATTICE_ROOT"], bench.note("pwd"), bench.note("head"),
    )  # fmt: skip
    descriptors = json.loads(bench.note("fds"))
    assert "/dev/null" == descriptors["0"]
    assert {"0", "1", "2"} >= {fd for fd, target in descriptors.items() if "/proc/" not in target}
    assert "0077" == bench.note("umask")


def test_the_log_has_both_streams_and_is_private(bench: Bench) -> None:
    run = bench.start(bench.worker("echo out; echo err >&2"))
    bench.finished(run)
    assert "out\nerr\n" == run.output_log.read_text(encoding="utf-8")
    assert 0o600 == run.output_log.stat().st_mode & 0o777


def test_a_waiting_guard_and_supervisor_share_less_than_30_mib(bench: Bench) -> None:
    run = bench.running()
    pss = 0
    for pid in bench.supervision(run):
        for row in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if row.startswith("Pss:"):
                pss += int(row.split()[1])
    print(f"guard and supervisor: {pss} KiB of proportional memory")
    assert 0 < pss < 30 << 10
    bench.data("worker", "stop", run.run_id, "--wait")


def test_a_supervisor_uses_no_processor_time_while_it_waits(bench: Bench) -> None:
    run = bench.running()
    _, supervisor = bench.supervision(run)

    eventually(lambda: processor_time(supervisor, 0.5) <= 0.02)  # It may still have to finish what began the run.
    bench.data("worker", "stop", run.run_id, "--wait")


def test_a_commit_of_the_worker_is_kept_though_git_can_write_no_ref(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a disk that is full at that moment; the soak found one."""
    bench.fake_git(monkeypatch, 'case " $* " in *" update-ref "*) echo "fatal: disk full" >&2; exit 128;; esac')
    commit = "git -c user.name=A -c user.email=a@b commit --quiet --allow-empty --message work"
    view = bench.ended(f'{commit}; git rev-parse HEAD > "$NOTES/sha"')
    sha = bench.note("sha")
    assert "kept" in (view.salvage_ref or "")
    assert sha == git(bench.repo, "rev-parse", f"refs/lattice/salvage/{view.run_id}")
    assert sha in git(bench.repo, "rev-list", "--all").split()
