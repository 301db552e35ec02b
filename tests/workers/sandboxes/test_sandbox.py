"""Sandboxes: what a worker in one can see and do, how it ends, and what happens where there is none."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from lattice.errors import DefinitionError, SandboxUnavailable
from lattice.workers import launch, preflight
from lattice.workers.run_view import RunView
from lattice.workers.runs import RunFolder
from lattice.workers.sandboxes import mounts
from lattice.workers.sandboxes.sandbox import Sandbox, SandboxRules, available, resolve
from tests.conftest import git
from tests.workers.conftest import ANN, DAEMON, Bench, eventually, is_alive

_WHY_NOT = available(SandboxRules("read-only", network=False), os.environ)[1]
pytestmark = pytest.mark.skipif(_WHY_NOT is not None, reason=f"no sandbox here: {_WHY_NOT}")

READ_ONLY: dict[str, Any] = {"mode": "read-only"}
BOTH = ["namespace", "read-only"]


def said(bench: Bench, script: str, name: str, **more: Any) -> tuple[RunView, str]:
    """The run of a script to its end, and what it left as `name` in its output folder."""
    more.setdefault("outputs", {"note": {"path": name, "role": "note"}})
    run = bench.start(bench.worker(script, **more))
    seen = bench.finished(run)
    path = run.out / name
    return seen, path.read_text(encoding="utf-8") if path.exists() else ""


def log_of(bench: Bench, run: RunView) -> str:
    return RunFolder(bench.board.folder, run.run_id).output_log.read_text(encoding="utf-8")


def test_nothing_outside_the_output_folder_can_be_written(bench: Bench) -> None:
    hostages = {
        "system": Path("/etc/lattice-sandbox-test"),
        "board": bench.repo / ".lattice" / "written",
        "git": bench.repo / ".git" / "written",
        "workers": bench.repo / "workers" / "written",
    }
    lines = [f'(echo x > "{path}") 2>/dev/null && echo {name}' for name, path in hostages.items()]
    script = "\n".join(["cat a.txt", *lines, "(echo x > a.txt) 2>/dev/null && echo worktree"])
    seen, wrote = said(bench, f'{{ {script}\n}} > "$LATTICE_OUTPUT_DIR/wrote"; exit 0', "wrote", sandbox=READ_ONLY)
    assert "succeeded" == seen.state, log_of(bench, seen)
    assert "one\n" == wrote
    assert [] == [path for path in hostages.values() if path.exists()]
    assert seen.salvage_ref is None


def test_home_is_empty_but_for_what_was_named(bench: Bench) -> None:
    secret = bench.folder / ".ssh"
    secret.mkdir()
    (secret / "id").write_text("secret", encoding="utf-8")
    (bench.folder / ".claude").mkdir()
    (bench.folder / ".claude" / "login").write_text("token", encoding="utf-8")
    (bench.folder / ".state").mkdir()
    script = """
    {
        ls -A "$HOME" | grep '^\\.'
        cat "$HOME/.claude/login"; echo
        (echo x > "$HOME/.claude/login") 2>/dev/null && echo changed
        echo kept > "$HOME/.state/session"
        echo gone > "$HOME/.new" && echo new
        ls "$HOME/.ssh" 2>/dev/null && echo ssh
    } > "$LATTICE_OUTPUT_DIR/home"; exit 0
    """
    rules = READ_ONLY | {"home": [".claude", ".not-there"], "home_writable": [".state"]}
    seen, home = said(bench, script, "home", sandbox=rules)
    assert "succeeded" == seen.state, log_of(bench, seen)
    assert [".claude", ".state", "token", "new"] == home.split()
    assert "kept\n" == (bench.folder / ".state" / "session").read_text(encoding="utf-8")
    assert "token" == (bench.folder / ".claude" / "login").read_text(encoding="utf-8")
    assert not (bench.folder / ".new").exists()


def test_the_main_checkout_is_not_seen_but_for_its_workers(bench: Bench) -> None:
    (bench.repo / ".env").write_text("TOKEN=1", encoding="utf-8")
    script = 'ls -A "$LATTICE_MAIN_CHECKOUT" > "$LATTICE_OUTPUT_DIR/seen"'
    assert [".git", ".lattice", "workers"] == said(bench, script, "seen", sandbox=READ_ONLY)[1].split()


def test_with_the_network_off_there_is_no_way_to_this_machine(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        script = f"""
        (exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null && echo reached
        tail -n +2 /proc/net/route
        echo done
        """
        script = f'{{ {script} }} > "$LATTICE_OUTPUT_DIR/net"'
        off = said(bench, script, "net", sandbox=READ_ONLY | {"network": False})[1]
        on = said(bench, script, "net", sandbox=READ_ONLY)[1]
    assert "done\n" == off
    assert "reached" == on.split()[0]


def test_paths_are_seen_and_read_only(bench: Bench) -> None:
    extra = bench.folder / "extra; touch x $(id) 'q\" \n--bind"
    extra.mkdir()
    (extra / "file").write_text("data", encoding="utf-8")
    script = """
    (cat "$EXTRA/file"; (echo x > "$EXTRA/file") && echo wrote) 2>/dev/null > "$LATTICE_OUTPUT_DIR/said"
    exit 0
    """
    rules = READ_ONLY | {"paths": [str(extra)]}
    env = {"set": {"EXTRA": str(extra)}}
    assert "data" == said(bench, script, "said", sandbox=rules, env=env)[1]
    (extra / "file").unlink()
    extra.rmdir()
    with pytest.raises(DefinitionError, match="does not exist"):
        bench.start(bench.worker(script, sandbox=rules))


@pytest.mark.parametrize("mode", BOTH)
def test_only_the_run_s_own_processes_are_seen(bench: Bench, mode: str) -> None:
    script = 'for p in /proc/[0-9]*; do tr "\\0" " " < $p/cmdline; echo; done > "$LATTICE_OUTPUT_DIR/seen"'
    _, seen = said(bench, script, "seen", sandbox=mode)
    assert "init.py" in seen
    assert "lattice.workers.guard" not in seen
    assert str(os.getpid()) not in seen.split()


@pytest.mark.parametrize("mode", BOTH)
@pytest.mark.parametrize(
    ("script", "state", "cause"),
    [
        ("exit 0", "succeeded", None),
        ("exit 3", "failed", {"kind": "exit"}),
        ("exit 137", "failed", {"kind": "exit"}),
        ("kill -KILL $$", "failed", {"kind": "signal", "signal": 9}),
        ("kill -TERM $$", "failed", {"kind": "signal", "signal": 15}),
    ],
)
def test_the_engine_s_own_end_is_told_exactly(
    bench: Bench, mode: str, script: str, state: str, cause: dict[str, Any] | None
) -> None:
    seen = bench.ended(script, sandbox=mode)
    assert (state, cause) == (seen.state, seen.cause and {key: seen.cause[key] for key in cause or {}})
    assert (int(script.split()[1]) if "exit" in script else None) == seen.exit
    assert () == seen.killed
    assert mode == seen.sandbox


@pytest.mark.parametrize("mode", BOTH)
def test_a_program_that_cannot_be_executed_is_a_failure_of_its_spawn(bench: Bench, mode: str) -> None:
    worker = bench.worker("true", sandbox=mode)
    script = bench.repo / "workers" / "sleeper.sh"
    script.write_text("#!/not/there\n", encoding="utf-8")
    seen = bench.finished(bench.start(worker))
    assert seen.cause is not None
    assert "spawn" == seen.cause["kind"]
    assert "No such file" in str(seen.error)
    assert seen.started_at is None


def test_a_sandbox_that_fails_at_the_start_is_named(bench: Bench) -> None:
    worker = bench.worker("true", sandbox=READ_ONLY)
    plan = preflight.plan(bench.board, preflight.Request(worker, "LAT-1"), os.environ)
    broken = plan.spec.sandbox.replace(program="/bin/false") if plan.spec.sandbox else None
    launch.start(bench.board, plan.replace(spec=plan.spec.replace(sandbox=broken)), ANN)
    seen = bench.finished(RunFolder(bench.board.folder, plan.spec.run_id))
    assert ("failed", "spawn") == (seen.state, (seen.cause or {})["kind"])
    assert "sandbox could not be made" in str(seen.error)


def test_a_bwrap_that_went_after_the_request_is_named(bench: Bench) -> None:
    plan = preflight.plan(bench.board, preflight.Request(bench.worker("true", sandbox=READ_ONLY), "LAT-1"), os.environ)
    gone = plan.spec.sandbox.replace(program="/gone/bwrap") if plan.spec.sandbox else None
    launch.start(bench.board, plan.replace(spec=plan.spec.replace(sandbox=gone)), ANN)
    seen = bench.finished(RunFolder(bench.board.folder, plan.spec.run_id))
    assert "/gone/bwrap: No such file" in str(seen.error)


@pytest.mark.parametrize("mode", BOTH)
def test_what_the_engine_leaves_is_ended_and_named(bench: Bench, mode: str) -> None:
    daemon = f"env -i {sys.executable} -c '{DAEMON}' \"$LATTICE_OUTPUT_DIR/pid\""
    waiting = 'while [ ! -e "$LATTICE_OUTPUT_DIR/pid" ]; do :; done'
    seen = bench.ended(f"{daemon}\n{waiting}\nexit 0", sandbox=mode)
    assert "succeeded" == seen.state
    assert 1 == len(seen.killed)


@pytest.mark.parametrize("mode", BOTH)
def test_a_daemon_without_a_mark_dies_with_guard_and_supervisor(bench: Bench, mode: str) -> None:
    """Not even the subreaper is left to find it: the kernel ends the namespace."""
    daemon = f"env -i setsid {sys.executable} -c '{DAEMON}' \"$LATTICE_OUTPUT_DIR/pid\""
    run = bench.running(f"{daemon}\nexec sleep 300", sandbox=mode)
    inside = eventually(lambda: (run.out / "pid").exists() and (run.out / "pid").read_text(encoding="utf-8"))
    pid = eventually(lambda: outside_of(run, str(inside))) or 0
    for process in bench.supervision(run):
        os.kill(process, signal.SIGKILL)
    eventually(lambda: not is_alive(pid))
    assert "lost" == bench.view(run).state
    bench.data("worker", "ps")
    assert "lost" == bench.finished(run).state


def outside_of(run: RunFolder, inside: str) -> int | None:
    """The pid here of the one daemon that has the pid `inside` in its own namespace."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                status = (entry / "status").read_text(encoding="utf-8")
                words = (entry / "cmdline").read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
            spaces = next((line.split()[1:] for line in status.splitlines() if line.startswith("NSpid:")), [])
            if [entry.name, inside] == spaces[-2:] and str(run.out).encode() in words:
                return int(entry.name)
    return None


@pytest.mark.parametrize("mode", BOTH)
def test_a_stop_reaches_the_engine_and_lets_it_finish(bench: Bench, mode: str) -> None:
    script = """
    trap 'echo asked >> "$LATTICE_OUTPUT_DIR/said"; exit 5' INT
    (trap 'echo child >> "$LATTICE_OUTPUT_DIR/said"; exit' TERM; trap '' INT; echo > "$LATTICE_OUTPUT_DIR/ready"
     while :; do read -t 1 _ < "$LATTICE_OUTPUT_DIR/fifo"; done) &
    mkfifo "$LATTICE_OUTPUT_DIR/fifo"
    while :; do read -t 1 _ <> "$LATTICE_OUTPUT_DIR/fifo"; done
    """
    run = bench.running(script, sandbox=mode, grace_seconds=20, interrupt_seconds=5)
    eventually((run.out / "ready").exists)
    eventually((run.out / "fifo").exists)
    bench.data("worker", "stop", run.run_id)
    seen = bench.finished(run)
    assert ("cancelled", 5) == (seen.state, seen.exit)
    assert ["asked", "child"] == (run.out / "said").read_text(encoding="utf-8").split()


@pytest.mark.parametrize("mode", BOTH)
def test_limits_hold_for_what_ignores_every_request(bench: Bench, mode: str) -> None:
    seen = bench.ended("trap '' INT TERM HUP; while :; do sleep 300; done", sandbox=mode, timeout_minutes=0.05)
    assert "timed_out" == seen.state
    assert {"kind": "timeout", "limit_s": 3.0} == seen.cause


def test_a_first_process_that_is_killed_ends_the_run_by_that_signal(bench: Bench) -> None:
    run = bench.running("exec sleep 300", sandbox="namespace")
    first = eventually(lambda: outside_init(run)) or 0
    os.kill(first, signal.SIGKILL)
    assert {"kind": "signal", "signal": 9} == bench.finished(run).cause


def outside_init(run: RunFolder) -> int | None:
    """The pid here of the first process of the run's namespace."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                mark = f"LATTICE_RUN_ID={run.run_id}".encode() in (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if mark and any(word.endswith(b"init.py") for word in words[:4]):
                return int(entry.name)
    return None


@pytest.mark.parametrize("mode", BOTH)
def test_the_start_names_the_engine_s_own_process(bench: Bench, mode: str) -> None:
    run = bench.running("exec sleep 300", sandbox=mode)
    (event,) = bench.events("process_started", run.run_id)
    assert event.raw is not None
    shown = Path(f"/proc/{event.raw['data']['pid']}/cmdline")
    eventually(lambda: b"sleep\x00300" in shown.read_bytes())  # The script that was executed becomes this.
    bench.data("worker", "stop", run.run_id, "--wait")


@pytest.mark.parametrize("mode", BOTH)
def test_the_environment_is_as_it_was_given(bench: Bench, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LC_ALL", "LC_CTYPE", "LANG"):
        monkeypatch.delenv(name, raising=False)
    script = 'tr "\\0" "\\n" < /proc/$$/environ > "$LATTICE_OUTPUT_DIR/env"'
    worker = bench.worker(script, sandbox=mode)
    plan = preflight.plan(bench.board, preflight.Request(worker, "LAT-1"), os.environ)
    launch.start(bench.board, plan, ANN)
    run = RunFolder(bench.board.folder, plan.spec.run_id)
    bench.finished(run)
    lines = (run.out / "env").read_text(encoding="utf-8").splitlines()
    inside = dict(line.split("=", 1) for line in lines if "=" in line)
    given = {name: value for name, value in plan.environment.items() if "\n" not in value}
    assert given | {"PWD": plan.spec.worktree} == {name: inside.get(name) for name in {*given, "PWD"}}
    assert {"PWD"} >= inside.keys() - plan.environment.keys()


def test_a_worker_with_a_branch_commits_to_it_and_to_no_other(bench: Bench) -> None:
    (bench.folder / ".gitconfig").write_text("[user]\n\tname = Bot\n\temail = bot@example.org\n", encoding="utf-8")
    before = git(bench.repo, "rev-parse", "main")
    script = """
    set -e
    echo two > a.txt
    git commit --quiet --all --message Two
    (git branch --force main HEAD) 2>/dev/null && echo moved >> "$LATTICE_OUTPUT_DIR/said"
    (git config core.fsmonitor evil) 2>/dev/null && echo configured >> "$LATTICE_OUTPUT_DIR/said"
    common=$(git rev-parse --git-common-dir)
    admin=$(git rev-parse --absolute-git-dir)
    for file in .git "$admin/commondir" "$admin/gitdir" "$admin/config.worktree" "$common/hooks/x" \\
        "$common/objects/pack/x" "$common/objects/info/alternates"; do
        (echo evil > "$file") 2>/dev/null && echo "wrote $file" >> "$LATTICE_OUTPUT_DIR/said"
        (rm -rf "$file") 2>/dev/null && [ ! -e "$file" ] && [ "${file%x}" = "$file" ] \\
            && [ "${file%alternates}" = "$file" ] && echo "removed $file" >> "$LATTICE_OUTPUT_DIR/said"
    done
    echo untracked > left.txt
    exit 0
    """
    rules = READ_ONLY | {"home": [".gitconfig"]}
    seen, wrote = said(bench, script, "said", sandbox=rules, branch="lattice/{short_id}/{run}")
    assert "succeeded" == seen.state, log_of(bench, seen)
    assert "" == wrote
    assert before == git(bench.repo, "rev-parse", "main")
    (link,) = bench.board.store.task(bench.task_id).branch_links
    assert "two" == git(bench.repo, "show", f"{link.branch}:a.txt")
    assert "untracked" == git(bench.repo, "show", f"{seen.salvage_ref}:left.txt")
    git(bench.repo, "fsck", "--strict")


def test_a_worktree_may_be_writable_without_a_branch_and_read_only_with_one(bench: Bench) -> None:
    seen = bench.ended("echo two > a.txt", sandbox=READ_ONLY | {"worktree": "writable"})
    assert "two" == git(bench.repo, "show", f"{seen.salvage_ref}:a.txt")
    fixed = READ_ONLY | {"worktree": "read-only"}
    assert 1 == bench.ended("echo two > a.txt", sandbox=fixed, branch="lattice/{run}").exit


def test_a_worker_without_a_worktree_sees_the_checkout_read_only(bench: Bench) -> None:
    script = '{ cat a.txt; (echo x > b.txt) 2>/dev/null && echo wrote; } > "$LATTICE_OUTPUT_DIR/said"; exit 0'
    assert "one\n" == said(bench, script, "said", sandbox=READ_ONLY, worktree=False)[1]


def test_the_command_reads_the_board_inside_and_writes_it_only_where_that_is_allowed(bench: Bench) -> None:
    show = f'"{sys.executable}" -m lattice.cli.main'
    script = f"""
    cd "$LATTICE_ROOT"
    {show} show LAT-1 --json > "$LATTICE_OUTPUT_DIR/show" 2>&1 || exit 4
    {show} comment LAT-1 "from inside" --actor agent:bot --json > "$LATTICE_OUTPUT_DIR/comment" 2>&1
    """
    env = {"set": {"PYTHONPATH": bench.environ()["PYTHONPATH"]}}
    seen, shown = said(bench, script, "show", sandbox=READ_ONLY, env=env)
    assert json.loads(shown)["ok"], shown
    assert ("failed", 1) == (seen.state, seen.exit), log_of(bench, seen)
    refused = json.loads((RunFolder(bench.board.folder, seen.run_id).out / "comment").read_text(encoding="utf-8"))
    assert not refused["ok"]
    assert [] == bench.events("comment_added")
    seen, _ = said(bench, script, "comment", sandbox=READ_ONLY | {"board": "writable"}, env=env)
    assert "succeeded" == seen.state, log_of(bench, seen)
    assert 1 == len(bench.events("comment_added"))


def test_an_agent_in_a_sandbox_says_how_its_run_ended_though_it_cannot_write_the_board(bench: Bench) -> None:
    script = f"""
    cd "$LATTICE_ROOT"
    "{sys.executable}" -m lattice.cli.main worker fail --error "no luck" --json > "$LATTICE_OUTPUT_DIR/said"
    """
    env = {"set": {"PYTHONPATH": bench.environ()["PYTHONPATH"]}}
    seen, answer = said(bench, script, "said", sandbox=READ_ONLY, env=env)
    assert json.loads(answer)["data"]["claim"], answer
    assert ("failed", {"kind": "verdict", "claim": "failed"}) == (seen.state, seen.cause)
    assert "no luck" in (seen.error or "")


def test_the_certificate_has_what_was_enforced(bench: Bench) -> None:
    seen = bench.ended("true", sandbox=READ_ONLY | {"network": False})
    told = bench.data("worker", "why", seen.run_id)["sandbox"]
    assert {
        "asked": "read-only", "absent": None, "mode": "read-only", "pid_namespace": True, "network": False,
        "worktree_writable": False, "board_writable": False,
    } == told  # fmt: skip
    assert "no network, worktree read-only, board read-only" in bench.lattice("worker", "why", seen.run_id).stdout
    seen = bench.ended("true", sandbox="namespace")
    told = bench.data("worker", "why", seen.run_id)["sandbox"]
    assert {"asked": "namespace", "absent": None, "mode": "namespace", "pid_namespace": True, "network": True} == told


def test_a_setup_runs_in_the_sandbox_and_may_write_the_worktree_alone(bench: Bench) -> None:
    hostage = bench.folder / "hostage"
    write = f'(echo x > "{hostage}"); (echo x > "$(git rev-parse --git-common-dir)/objects/x")'
    code = f"echo made > made.txt; {write}; true"
    script = 'cat made.txt > "$LATTICE_OUTPUT_DIR/said"'
    setup = {"run": [["bash", "-c", code]]}
    seen, made = said(bench, script, "said", sandbox=READ_ONLY, setup=setup)
    assert ("succeeded", "made\n") == (seen.state, made), log_of(bench, seen)
    assert not hostage.exists()
    assert not (bench.repo / ".git" / "objects" / "x").exists()
    failed = bench.ended("true", sandbox="namespace", setup={"run": [["bash", "-c", "exit 3"]]})
    assert "exited with status 3" in str(failed.error)


def without_bwrap(bench: Bench) -> str:
    """A PATH that has what a run needs, and no bwrap."""
    folder = bench.folder / "bin"
    folder.mkdir(exist_ok=True)
    for name in ("git", "bash", "sh", "sleep", "cat", "env"):
        found = shutil.which(name)
        assert found is not None
        if not (folder / name).exists():
            (folder / name).symlink_to(found)
    return str(folder)


@pytest.mark.parametrize("mode", BOTH)
def test_without_bwrap_the_run_is_refused_before_anything_is_written(bench: Bench, mode: str) -> None:
    worker = bench.worker("true", sandbox=mode)
    before = bench.tree()
    error = bench.error("worker", "run", worker, "LAT-1", PATH=without_bwrap(bench))
    assert "SANDBOX_UNAVAILABLE" == error["code"]
    assert "bwrap is not on PATH" in error["message"]
    assert "sandbox_fallback" in error["hint"]
    assert before == bench.tree()


def test_a_bwrap_that_is_not_permitted_is_refused_with_its_own_words(bench: Bench) -> None:
    path = without_bwrap(bench)
    fake = Path(path) / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n", encoding="utf-8")
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    worker = bench.worker("true", sandbox="read-only")
    error = bench.error("worker", "run", worker, "LAT-1", PATH=path)
    assert "No permissions to create new namespace" in error["message"]
    assert "user namespaces" in error["hint"]


def test_with_a_fallback_the_run_goes_on_without_and_says_so(bench: Bench) -> None:
    worker = bench.worker("true", sandbox="read-only", sandbox_fallback="none")
    environ = {"PATH": without_bwrap(bench)}
    run_id = bench.data("worker", "run", worker, "LAT-1", **environ)["run_id"]
    seen = bench.finished(RunFolder(bench.board.folder, run_id))
    assert ("succeeded", "none: bwrap is not on PATH") == (seen.state, seen.sandbox)
    assert "none: bwrap is not on PATH" in bench.lattice("worker", "show", run_id).stdout


def test_check_says_what_the_sandbox_is_and_whether_it_can_be_had(bench: Bench) -> None:
    bench.worker("true", name="Plain")
    bench.worker("true", name="Closed", sandbox=READ_ONLY | {"network": False})
    bench.worker("true", name="Either", sandbox="namespace", sandbox_fallback="none")
    here = {row["name"]: row for row in bench.data("worker", "check")}
    assert {"mode": "none", "available": True, "reason": None} == here["Plain"]["sandbox"]
    assert {"mode": "read-only", "available": True, "reason": None} == here["Closed"]["sandbox"]
    assert "Closed (sandbox: read-only)" in bench.lattice("worker", "check", "Closed").stdout
    done = bench.lattice("worker", "check", "--json", PATH=without_bwrap(bench))
    there = {row["name"]: row for row in json.loads(done.stdout)["data"]}
    assert 1 == done.returncode
    assert not there["Closed"]["ok"]
    assert there["Either"]["ok"]
    assert {"mode": "namespace", "available": False, "reason": "bwrap is not on PATH"} == there["Either"]["sandbox"]


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ({"sandbox": "strict"}, "sandbox: 'strict' is not known"),
        ({"sandbox": 1}, "sandbox: must be a text of one line"),
        ({"sandbox": {}}, "sandbox.mode: is missing"),
        ({"sandbox": {"mode": "namespace", "network": False}}, "sandbox.network: the mode 'namespace' has no such"),
        ({"sandbox": READ_ONLY | {"worktree": "rw"}}, "sandbox.worktree: 'rw' is not known"),
        ({"sandbox": READ_ONLY | {"network": "off"}}, "sandbox.network: must be true or false"),
        ({"sandbox": READ_ONLY | {"home": ["../x"]}}, "sandbox.home: '../x' must be a path below the home"),
        ({"sandbox": READ_ONLY | {"home": ["."]}}, "sandbox.home: '.' must be a path below the home"),
        ({"sandbox": READ_ONLY | {"home": ["~/.claude"]}}, "sandbox.home: '~/.claude' must be a path below"),
        ({"sandbox": READ_ONLY | {"paths": ["data"]}}, "sandbox.paths: 'data' must be an absolute path"),
        ({"sandbox": READ_ONLY | {"paths": ["/"]}}, "sandbox.paths: '/' must be an absolute path below /"),
        ({"sandbox": READ_ONLY | {"paths": ["/a/../b"]}}, "sandbox.paths: '/a/../b' must be an absolute path"),
        ({"sandbox": READ_ONLY | {"netwrok": True}}, "sandbox.netwrok: unknown key; did you mean 'network'?"),
        ({"sandbox": "none", "sandbox_fallback": "none"}, "sandbox_fallback: there is no sandbox to fall back from"),
        ({"sandbox": "namespace", "sandbox_fallback": "ask"}, "sandbox_fallback: 'ask' is not known"),
        ({"sandbox": "read-only", "branch": "work-{run}"}, "branch: 'work-{run}' would open every branch"),
    ],
)
def test_a_bad_value_is_named(bench: Bench, shape: dict[str, Any], reason: str) -> None:
    worker = bench.worker("true", **shape)
    with pytest.raises(DefinitionError) as refused:
        preflight.plan(bench.board, preflight.Request(worker, "LAT-1"), os.environ)
    assert reason in refused.value.message


def test_an_agent_has_a_copy_of_what_it_logs_in_with_where_the_definition_names_no_home(tmp_path: Path) -> None:
    login = tmp_path / ".codex" / "auth.json"
    login.parent.mkdir()
    login.write_text("{}", encoding="utf-8")
    environ = {**os.environ, "HOME": str(tmp_path)}
    environ.pop("CODEX_HOME", None)
    given = resolve(SandboxRules("read-only"), "codex", None, environ)
    assert given is not None
    assert ((str(login),), ()) == (given.copied, given.home)
    moved = resolve(
        SandboxRules("read-only"), "codex", None, environ | {"HOME": "/none", "CODEX_HOME": f"{tmp_path}/.codex"}
    )
    assert moved is not None
    assert (str(login),) == moved.copied
    own = resolve(SandboxRules("read-only", home=()), "codex", None, environ)
    assert own is not None
    assert () == own.copied
    assert resolve(SandboxRules(), "claude", None, os.environ) is None


def test_a_sandbox_is_in_the_run_s_spec_as_it_was_resolved(bench: Bench) -> None:
    run = bench.start(bench.worker("true", sandbox=READ_ONLY | {"home": [".x"], "network": False}))
    spec = run.spec()
    assert spec is not None
    assert Sandbox("read-only", str(shutil.which("bwrap")), network=False, home=(".x",)) == spec.sandbox
    bench.finished(run)


@pytest.mark.parametrize(
    ("expected", "home"), [("/home/a", "/home/a/"), ("/tmp/home", "/"), ("/tmp/home", ""), ("/tmp/home", "relative")]
)
def test_a_home_that_cannot_be_covered_is_replaced(expected: str, home: str) -> None:
    assert expected == mounts.home_of({"HOME": home})


def test_the_error_of_a_missing_sandbox_names_its_mode() -> None:
    with pytest.raises(SandboxUnavailable, match="'namespace' cannot be had here: bwrap is not on PATH"):
        resolve(SandboxRules("namespace"), "script", None, {"PATH": "/nowhere"})
