"""The demo's last scenes: a supervisor is killed with SIGKILL, then a supervisor with its guard."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any, NamedTuple

from tools import demo_processes as processes
from tools.demo_processes import Process
from tools.demo_repository import WORKER, add_worker
from tools.demo_stage import WAIT_LIMIT_S, Stage, run_in

COMMAND_CHARS = 64


class Run(NamedTuple):
    """A run at work, and the processes that the scenes are about."""

    task: str
    run_id: str
    worktree: Path
    folder: Path
    guard: int
    supervisor: int
    engine: int

    @property
    def mark(self) -> bytes:
        """What every process of the run carries in its environment."""
        return f"LATTICE_RUN_ID={self.run_id}".encode()


def kill_the_supervisor(stage: Stage) -> None:
    stage.heading("A worker at its worst, and a supervisor that dies")
    script = add_worker(stage)
    stage.command("cat workers/stubborn.sh")
    stage.say(script.rstrip("\n"))
    run = _start(stage, "Outlive the supervisor")
    stage.lattice("worker", "ps")
    stage.git("worktree", "list", show=True)
    tree = _show_tree(stage, run)

    stage.command(
        f"kill -KILL {run.supervisor}    # the supervisor; from here on, no lattice command until all is over"
    )
    killed_at = time.monotonic()
    os.kill(run.supervisor, signal.SIGKILL)
    ended = processes.gone([found.pid for found in tree if found.pid != run.guard], WAIT_LIMIT_S)
    processes_ms = (time.monotonic() - killed_at) * 1000
    guard_ended = processes.gone([run.guard], WAIT_LIMIT_S)
    all_ms = (time.monotonic() - killed_at) * 1000
    stage.claim(ended, f"the worker, its daemon and all below them are gone ({processes_ms:.0f} ms after the kill)")
    stage.claim(guard_ended, f"the guard has written the end, cleaned up and left ({all_ms:.0f} ms after the kill)")
    _nothing_left(stage, run)

    stage.say("\nWhat the board says:")
    stage.lattice("worker", "ps")
    _is_lost(stage, run)
    stage.claim(_ends(stage, run) == ["process_failed"], "its task has one end of it: process_failed, cause lost")
    stage.git("worktree", "list", show=True)
    _work_is_kept(stage, run)


def kill_the_guard_too(stage: Stage) -> None:
    stage.heading("The guard dies with it: nobody is left to notice")
    run = _start(stage, "Outlive them both")
    _show_tree(stage, run)
    stage.command(f"kill -KILL {run.guard} {run.supervisor}    # the guard and the supervisor")
    for pid in (run.guard, run.supervisor):  # The guard first: it must not see the supervisor's end.
        os.kill(pid, signal.SIGKILL)
    stage.claim(processes.gone([run.guard, run.supervisor], WAIT_LIMIT_S), "both are dead")
    orphans = processes.in_environment(run.mark)
    stage.claim(orphans, f"and the worker goes on without them, as {len(orphans)} processes")
    said = stage.lattice("worker", "ps")
    stage.claim(run.run_id not in said, "the first command that looks does not call it running, and ends it:")
    _is_lost(stage, run)
    _nothing_left(stage, run)
    _work_is_kept(stage, run)
    stage.claim(_ends(stage, run) == ["process_failed"], "its task has one end of it: process_failed, cause lost")
    said = stage.lattice("worker", "gc")
    stage.claim("Nothing to clear away" in said, "and there is nothing that a garbage collection could find")


def _start(stage: Stage, title: str) -> Run:
    """A run of the worker, with its daemon up."""
    created = stage.lattice("create", title)
    task = created.split()[2]
    said = stage.lattice("worker", "run", WORKER, task)
    run_id = run_in(said)
    stage.claim(run_id, "the run is supervised, and the command is back")

    def at_work() -> bool:
        log = stage.quietly("worker", "logs", run_id)
        return "daemon: up" in log and "worker: line 1" in log

    stage.until(at_work, f"word from {run_id} and its daemon")
    started = stage.until(lambda: _event(stage, task, run_id, "process_started"), f"process_started of {run_id}")
    now = processes.table()
    engine = int(started["pid"])
    stage.claim(engine in now, f"its worker, process {engine}, is alive")
    supervisor = now[engine].ppid
    return Run(
        task=task,
        run_id=run_id,
        worktree=Path(started["worktree_path"]),
        folder=stage.clone / ".lattice" / "runs" / run_id,
        guard=now[supervisor].ppid,
        supervisor=supervisor,
        engine=engine,
    )


def _show_tree(stage: Stage, run: Run) -> list[Process]:
    """The run's processes as /proc has them, and that they are what the scene says they are."""
    found = processes.tree(run.guard)
    roles = {run.guard: "guard", run.supervisor: "supervisor", run.engine: "worker"}
    session = next((process.session for _, process in found if process.pid == run.engine), None)
    stage.say("\nIts processes, read from /proc:")
    stage.say(f"  {'PID':>8} {'SESSION':>8}  COMMAND")
    daemons = 0
    for depth, process in found:
        daemon = process.pid not in roles and process.session == process.pid and process.session != session
        daemons += daemon
        role = "daemon" if daemon else roles.get(process.pid, "")
        command = process.command if len(process.command) <= COMMAND_CHARS else f"{process.command[:COMMAND_CHARS]}..."
        stage.say(f"  {process.pid:>8} {process.session:>8}  {'   ' * depth}{f'[{role}] ' if role else ''}{command}")
    stage.claim(
        roles.keys() <= {process.pid for _, process in found} and daemons == 1,
        "guard, supervisor and worker stand one below the other; the daemon left the worker's session",
    )
    return [process for _, process in found]


def _nothing_left(stage: Stage, run: Run) -> None:
    left = processes.in_environment(run.mark)
    stage.claim(not left, f"no process carries the run's mark ({run.mark.decode()})")
    stage.claim(not run.worktree.exists(), "its worktree is gone")
    worktrees = stage.git("worktree", "list", "--porcelain")
    stage.claim(worktrees.count("worktree ") == 1, "and so is git's own record of it")
    stage.claim((run.folder / "closed").exists(), "its folder under .lattice/runs/ is closed")


def _is_lost(stage: Stage, run: Run) -> None:
    stage.lattice("worker", "show", run.run_id)
    shown = stage.ask("worker", "show", run.run_id)
    lost = shown["state"] == "lost" and shown["cause"]["kind"] == "lost"
    stage.claim(lost, "the run is lost, and says so; nothing shows it as running")


def _work_is_kept(stage: Stage, run: Run) -> None:
    """What the worker had not committed is under a ref."""
    ref = stage.ask("worker", "show", run.run_id)["salvage_ref"]
    stage.claim(ref, "what the worker had not committed was kept before its worktree went:")
    said = stage.git("show", f"{ref}:unfinished.txt", show=True)
    stage.claim(said == "half of a thought\n", "nothing that it made is lost")


def _ends(stage: Stage, run: Run) -> list[str]:
    """The types of the events that end the run, of failures those with the cause lost."""
    events: list[dict[str, Any]] = stage.ask("show", run.task)["events"]
    ends = [event for event in events if event["type"] in ("process_completed", "process_failed")]
    return [
        str(event["type"])
        for event in ends
        if event["data"]["run_id"] == run.run_id
        and (event["type"] != "process_failed" or event["data"]["cause"]["kind"] == "lost")
    ]


def _event(stage: Stage, task: str, run_id: str, kind: str) -> dict[str, Any] | None:
    """The data of the run's event of that type."""
    for event in stage.ask("show", task)["events"]:
        if event["type"] == kind and event["data"]["run_id"] == run_id:
            return dict(event["data"])
    return None
