"""The queue: limits that hold, the order, what starts the next run, and what a run that waits is worth."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lattice.commands.tasks import CreateTask
from lattice.errors import AlreadyRunning, LimitReached
from lattice.workers import launch, lease, liveness, preflight
from lattice.workers.queueing import queue
from lattice.workers.queueing.turns import Limits, Waiting, choose
from lattice.workers.runs import RunFolder, all_runs, open_runs
from tests.workers.conftest import ANN, Bench, eventually, processor_time

NOW = 1_000_000
GATE = 'touch "$NOTES/$LATTICE_TASK_SHORT_ID"; while [ ! -e "$NOTES/go" ]; do sleep 0.02; done'
OVERLAP = """
mkdir "$NOTES/in-$LATTICE_RUN_ID"; ls "$NOTES" | grep -c ^in- >> "$NOTES/seen"
while [ ! -e "$NOTES/go" ]; do sleep 0.02; done
sleep 0.05
rmdir "$NOTES/in-$LATTICE_RUN_ID"
"""


def waits(run_id: str, worker: str = "W", **more: Any) -> Waiting:
    return Waiting(**({"run_id": run_id, "worker": worker, "engine": "script", "max_parallel": None, "rank": 5} | more))


def start_now(waiting: Sequence[Waiting], running: Sequence[tuple[str, str]] = (), **limits: Any) -> list[str]:
    said = choose(waiting, running, Limits(**limits), NOW)
    return [run_id for run_id, obstacles in said.items() if not obstacles]


def configure(bench: Bench, **worker: Any) -> None:
    path = bench.repo / ".lattice" / "config.json"
    shape = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(shape | {"worker": worker}), encoding="utf-8")


def tasks(bench: Bench, count: int, **more: Any) -> list[str]:
    """New tasks; their short ids."""
    return [str(CreateTask(f"Task {n}", **more).run(bench.board, ANN).task.short_id) for n in range(count)]


def drained(bench: Bench) -> None:
    """Wait until no run is open any more, with no command that could help."""
    eventually(lambda: not open_runs(bench.board.folder), within_s=120)


def states(bench: Bench) -> list[str]:
    return [bench.view(run).state for run in all_runs(bench.board.folder)]


def requests(bench: Bench) -> list[Any]:
    return [event.body for event in bench.events("process_requested")]


# The choice


def test_without_limits_everything_starts() -> None:
    assert ["a", "b"] == start_now([waits("a"), waits("b")])


def test_the_order_is_priority_then_first_come() -> None:
    assert ["c", "a"] == start_now([waits("b"), waits("a"), waits("c", rank=1)], board=2)


def test_each_limit_counts_what_runs() -> None:
    running = [("W", "script"), ("V", "command")]
    assert [] == start_now([waits("a")], running, board=2)
    assert [] == start_now([waits("a")], running, engines={"script": 1})
    assert [] == start_now([waits("a", worker="w", max_parallel=1)], running)
    assert ["a"] == start_now([waits("a", worker="X", max_parallel=1)], running, board=3, engines={"script": 2})


def test_a_run_that_has_to_wait_lets_pass_who_need_not() -> None:
    first = waits("a", engine="claude", rank=0)
    assert ["b"] == start_now([first, waits("b")], [("V", "claude")], engines={"claude": 1}, board=2)


def test_a_run_waits_for_its_time_and_for_the_pause_of_its_engine() -> None:
    assert ["b"] == start_now([waits("a", due_ms=NOW + 1), waits("b", due_ms=NOW)])
    assert ["b"] == start_now([waits("a", engine="claude"), waits("b")], paused_ms={"claude": NOW + 1})
    assert ["b"] == start_now([waits("a", worker="X"), waits("b", worker="Y")], paused_ms={"worker-x": NOW + 1})


# Limits


def test_twenty_runs_in_three_slots_are_never_more_than_three(bench: Bench) -> None:
    configure(bench, max_parallel=3)
    bench.worker(OVERLAP, worktree=False)
    starters = [
        subprocess.Popen(
            bench.command("worker", "run", "Sleeper", name, "--actor", "human:ann", "--quiet"),
            cwd=bench.repo, env=bench.environ(), stdout=subprocess.DEVNULL,
        )
        for name in ["LAT-1", *tasks(bench, 19)]
    ]  # fmt: skip
    assert {0} == {starter.wait(timeout=120) for starter in starters}
    eventually(lambda: 3 == len(list(bench.notes.glob("in-*"))))
    assert 17 == len(bench.data("worker", "queue"))
    (bench.notes / "go").touch()
    drained(bench)
    seen = [int(number) for number in (bench.notes / "seen").read_text().split()]
    assert 20 == len(seen)
    assert 3 == max(seen)
    assert ["succeeded"] * 20 == states(bench)


@pytest.mark.parametrize("by", ["worker", "engine", "board"])
def test_every_kind_of_limit_makes_the_second_run_wait(bench: Bench, by: str) -> None:
    settings: dict[str, dict[str, Any]] = {"engine": {"engines": {"script": 1}}, "board": {"max_parallel": 1}}
    configure(bench, **settings.get(by, {}))
    limit: dict[str, Any] = {"max_parallel": 1} if by == "worker" else {}
    bench.worker(GATE, worktree=False, **limit)
    second = tasks(bench, 1)[0]
    first = bench.data("worker", "run", "Sleeper", "LAT-1", "--actor", "human:ann")
    assert (False, None) == (first["queued"], first["place"])
    answer = bench.data("worker", "run", "Sleeper", second, "--actor", "human:ann")
    assert (True, 1, "queued") == (answer["queued"], answer["place"], answer["state"])
    (row,) = bench.data("worker", "queue")
    assert (answer["run_id"], 1) == (row["run_id"], row["place"])
    name = {"worker": "Sleeper", "engine": "engine script", "board": "the board"}[by]
    assert [f"the run of {name} to end"] == row["waits_for"]
    shown = bench.data("worker", "show", answer["run_id"])
    assert (1, row["waits_for"]) == (shown["place"], shown["waits_for"])
    page = bench.lattice("worker", "show", answer["run_id"]).stdout
    assert f"waits for    the run of {name} to end\n" in page
    assert " in the queue\n" in page
    said = bench.lattice("worker", "logs", answer["run_id"])
    assert (0, True) == (said.returncode, "waits in the queue and has said nothing yet" in said.stderr)
    (bench.notes / "go").touch()
    drained(bench)
    assert ["succeeded", "succeeded"] == states(bench)


def test_a_full_worker_refuses_with_no_queue_and_leaves_no_trace(bench: Bench) -> None:
    bench.running("exec sleep 300", max_parallel=1)
    second = tasks(bench, 1)[0]
    before = [path.name for path in (bench.repo / ".lattice" / "runs").iterdir()]
    error = bench.error("worker", "run", "Sleeper", second, "--no-queue", "--actor", "human:ann")
    assert "LIMIT_REACHED" == error["code"]
    assert sorted(before) == sorted(path.name for path in (bench.repo / ".lattice" / "runs").iterdir())
    board = bench.board
    plan = preflight.plan(board, preflight.Request("Sleeper", second), os.environ)
    with pytest.raises(LimitReached):
        launch.start(board, plan, ANN, wait=False)


def test_a_queued_run_is_the_one_run_of_its_worker_on_its_task(bench: Bench) -> None:
    bench.running("exec sleep 300", max_parallel=1)
    second = tasks(bench, 1)[0]
    queued = bench.start("Sleeper", second)
    with pytest.raises(AlreadyRunning, match=f"already queued on {second}: {queued.run_id}"):
        bench.start("Sleeper", second)
    assert "queued" == bench.data("show", second)["active_processes"][0]["state"]


def test_the_order_is_kept_when_slots_come_free(bench: Bench) -> None:
    bench.worker(f'echo "$LATTICE_TASK_SHORT_ID" >> "$NOTES/order"; {GATE}', worktree=False, max_parallel=1)
    bench.start()
    bench.note("order")
    low, (pressing,) = tasks(bench, 2), tasks(bench, 1, priority="critical")
    for name in (*low, pressing):
        bench.start("Sleeper", name)
    assert [pressing, *low] == [row["task"] for row in bench.data("worker", "queue")]
    (bench.notes / "go").touch()
    drained(bench)
    assert ["LAT-1", pressing, *low] == (bench.notes / "order").read_text().split()


@pytest.mark.parametrize("worker", [{"max_parallel": 0}, {"max_parallel": "2"}, {"engines": {"script": -1}}])
def test_a_limit_that_is_none_is_named(bench: Bench, worker: dict[str, Any]) -> None:
    configure(bench, **worker)
    error = bench.error("list")
    assert "CONFIG_ERROR" == error["code"]
    assert "expected a whole number from 1" in error["message"]


# Leaving the queue


def test_cancel_takes_a_run_out_of_the_queue(bench: Bench) -> None:
    running = bench.running("exec sleep 300", max_parallel=1)
    second = tasks(bench, 1)[0]
    queued = bench.start("Sleeper", second)
    done = bench.data("worker", "cancel", queued.run_id, "--reason", "not needed", "--actor", "human:ann")
    assert ("cancelled", {"kind": "cancelled", "reason": "not needed"}) == (done["state"], done["cause"])
    assert [] == bench.data("worker", "queue")
    assert queued.is_closed()
    assert "stopping" == bench.data("worker", "cancel", running.run_id, "--actor", "human:ann")["state"]
    assert "cancelled" == bench.finished(running).state


def test_a_waiting_run_is_waited_for_to_its_end(bench: Bench) -> None:
    bench.worker(GATE, worktree=False, max_parallel=1)
    bench.start()
    second = bench.start("Sleeper", tasks(bench, 1)[0])
    waiter = subprocess.Popen(
        bench.command("worker", "wait", second.run_id, "--json"),
        cwd=bench.repo, env=bench.environ(), stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    (bench.notes / "go").touch()
    said, _ = waiter.communicate(timeout=120)
    assert "succeeded" == json.loads(said)["data"]["state"]


def test_the_time_of_a_queued_run_counts_from_its_start(bench: Bench) -> None:
    bench.worker(GATE, worktree=False, max_parallel=1)
    bench.start()
    second = tasks(bench, 1)[0]
    queued = bench.start("Sleeper", second)
    waited = bench.board.store.task(bench.board.resolve(second)).run(queued.run_id)
    (bench.notes / "go").touch()
    drained(bench)
    _, events = bench.board.store.history(bench.board.resolve(second))
    (started,) = [event.body for event in events if event.type == "process_started"]
    assert waited is not None
    assert started.deadline < waited.deadline  # type: ignore[union-attr]  # the kind was asked for by its name


# Deaths


def test_a_queue_whose_guards_were_killed_is_moved_by_a_reading_command(bench: Bench) -> None:
    running = bench.running("exec sleep 300", max_parallel=1)
    second = tasks(bench, 1)[0]
    queued = bench.start("Sleeper", second)
    for pid in bench.supervision(running):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not running.alive())
    assert queued.waits()
    bench.data("worker", "ps")
    assert not queued.waits()
    assert "lost" == bench.view(running).state
    eventually(lambda: "running" == bench.view(queued).state)


def test_a_killed_supervisor_frees_its_slot_and_its_guard_starts_the_next(bench: Bench) -> None:
    running = bench.running("exec sleep 300", max_parallel=1)
    queued = bench.start("Sleeper", tasks(bench, 1)[0])
    _, supervisor = bench.supervision(running)
    os.kill(supervisor, signal.SIGKILL)
    eventually(lambda: not queued.waits() and queued.alive())
    assert "lost" == bench.view(running).state


def test_a_mover_that_dies_with_the_lease_in_its_hand_leaves_the_run_in_the_queue(bench: Bench) -> None:
    running = bench.running("exec sleep 300", max_parallel=1)
    queued = bench.start("Sleeper", tasks(bench, 1)[0])
    for pid in bench.supervision(running):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not running.alive())
    died = bench.python(
        "from lattice.workers.queueing import queue\nliveness.refresh(board, heals=False)\nqueue.start_guard = die\n"
        "queue.move(board, os.environ)\n"
    )
    assert -signal.SIGKILL == died.returncode, died.stderr
    assert queued.waits()
    assert not queued.alive()
    assert "queued" == bench.view(queued).state
    liveness.refresh(bench.board)
    assert not queued.waits()


def test_a_starter_that_dies_before_its_request_leaves_nothing_in_the_queue(bench: Bench) -> None:
    bench.running("exec sleep 300", max_parallel=1)
    second = tasks(bench, 1)[0]
    died = bench.python(
        "launch._request = die\n"
        f"launch.start(board, preflight.plan(board, preflight.Request('Sleeper', '{second}'), os.environ), by)\n"
    )
    assert -signal.SIGKILL == died.returncode, died.stderr
    assert 2 == len(open_runs(bench.board.folder))
    assert [] == bench.data("worker", "queue")
    assert 1 == len(all_runs(bench.board.folder))


def test_a_stop_that_was_noted_while_the_stopper_died_ends_the_run_in_the_queue(bench: Bench) -> None:
    bench.running("exec sleep 300", max_parallel=1)
    queued = bench.start("Sleeper", tasks(bench, 1)[0])
    died = bench.python(
        "from lattice.workers import control\ncontrol.take_out = die\ncontrol.stop(board, sys.argv[1], None, by)\n",
        queued.run_id,
    )
    assert -signal.SIGKILL == died.returncode, died.stderr
    bench.data("worker", "ps")
    assert "cancelled" == bench.view(queued).state


def test_a_run_inside_a_run_moves_no_queue(bench: Bench) -> None:
    running = bench.running("exec sleep 300", max_parallel=1)
    queued = bench.start("Sleeper", tasks(bench, 1)[0])
    for pid in bench.supervision(running):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not running.alive())
    bench.data("worker", "ps", LATTICE_RUN_ID="run_01M000000000000000000000AA")
    assert queued.waits()


# The environment


def test_no_value_of_the_environment_is_on_the_disk_and_the_next_run_has_it(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("API_KEY", "correct-horse")
    bench.worker(f'echo "$API_KEY $LATTICE_TASK_SHORT_ID" > "$NOTES/key-$LATTICE_TASK_SHORT_ID"; {GATE}',
                 worktree=False, max_parallel=1)  # fmt: skip
    bench.start()
    bench.note("key-LAT-1")
    second = tasks(bench, 1)[0]
    bench.start("Sleeper", second)
    files = [path for path in (bench.repo / ".lattice").rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if b"correct-horse" in path.read_bytes()]
    monkeypatch.delenv("API_KEY")
    (bench.notes / "go").touch()
    assert f"correct-horse {second}" == bench.note(f"key-{second}")
    drained(bench)


# Retries


def test_a_failed_run_is_tried_again_after_its_backoff_and_no_more_often_than_allowed(bench: Bench) -> None:
    again = {"times": 2, "backoff_seconds": 0.3, "backoff_factor": 3, "on": ["exit"]}
    bench.start(bench.worker('date +%s.%N >> "$NOTES/at"; exit 3', worktree=False, retries=again))
    eventually(lambda: 3 == len(bench.events("process_failed")))
    drained(bench)
    first, second, third = (float(text) for text in (bench.notes / "at").read_text().split())
    assert 0.3 <= second - first
    assert 0.9 <= third - second
    bodies = requests(bench)
    assert [1, 2, 3] == [body.attempt for body in bodies]
    page = bench.lattice("worker", "show", bodies[1].run_id).stdout
    assert f"  retry of     {bodies[0].run_id}, attempt 2\n" in page
    assert f"  retried      as {bodies[2].run_id}\n" in page
    assert [None, bodies[0].run_id, bodies[1].run_id] == [body.retry_of for body in bodies]
    assert [False, True, True] == [body.queued for body in bodies]
    assert 1 == len({body.commit_sha for body in bodies})


def test_a_retry_of_a_worker_that_changes_code_has_a_worktree_and_a_branch_of_its_own(bench: Bench) -> None:
    script = 'echo "$PWD $LATTICE_BRANCH $LATTICE_RUN_ID" >> "$NOTES/where"\nmkdir "$NOTES/once" || exit 0; exit 1'
    again = {"times": 1, "backoff_seconds": 0}
    bench.start(bench.worker(script, branch="lattice/{short_id}/{run}", retries=again))
    eventually(lambda: bench.events("process_completed"))
    drained(bench)
    lines = [line.split() for line in (bench.notes / "where").read_text().splitlines()]
    assert 2 == len(lines)
    for tree, branch, run_id in lines:
        assert (run_id, run_id[-8:].lower()) == (Path(tree).name, branch.rsplit("/", 1)[1])


@pytest.mark.parametrize("how", ["verdict", "cancelled", "success"])
def test_no_retry_for_a_verdict_nor_for_what_was_stopped_nor_for_a_success(bench: Bench, how: str) -> None:
    script = {"verdict": "true", "cancelled": "exec sleep 300", "success": 'echo 1 > "$LATTICE_OUTPUT_DIR/r"'}[how]
    outputs = {} if how == "cancelled" else {"r": {"path": "r", "required": True}}
    worker = bench.worker(script, worktree=False, outputs=outputs, retries={"times": 3, "backoff_seconds": 0})
    run = bench.start(worker)
    if how == "cancelled":
        eventually(lambda: bench.events("process_started"))
        bench.lattice("worker", "stop", run.run_id, "--actor", "human:ann")
    bench.finished(run)
    assert 1 == len(requests(bench))
    assert 1 == len(all_runs(bench.board.folder))


def test_a_lost_run_is_tried_again_by_whoever_finds_it(bench: Bench) -> None:
    run = bench.running("exec sleep 300", worktree=False, retries={"times": 1, "backoff_seconds": 0, "on": ["lost"]})
    for pid in bench.supervision(run):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not run.alive())
    bench.data("worker", "ps")
    assert "lost" == bench.view(run).state
    (again,) = [folder for folder in open_runs(bench.board.folder) if folder.run_id != run.run_id]
    eventually(lambda: "running" == bench.view(again).state)


def test_a_retry_waits_in_the_queue_with_its_time_and_is_the_one_run_of_its_worker(bench: Bench) -> None:
    run = bench.start(bench.worker("exit 1", worktree=False, retries={"times": 1, "backoff_seconds": 3600}))
    eventually(lambda: run.is_closed() and not run.alive())
    (waiting,) = bench.data("worker", "queue")
    assert (2, run.run_id) == (waiting["attempt"], waiting["retry_of"])
    assert [f"its time, {waiting['not_before']}"] == waiting["waits_for"]
    assert "ALREADY_RUNNING" == bench.error("worker", "run", "Sleeper", "LAT-1", "--actor", "human:ann")["code"]
    assert "cancelled" == bench.data("worker", "cancel", waiting["run_id"], "--actor", "human:ann")["state"]
    assert 2 == len(requests(bench))


def test_who_waits_for_a_run_is_told_that_it_is_tried_again_and_when(bench: Bench) -> None:
    again = {"times": 1, "backoff_seconds": 3600}
    bench.worker("exit 1", worktree=False, retries=again)
    error = bench.error("worker", "run", "Sleeper", "LAT-1", "--wait")
    retry = error["retry"]
    assert (error["run"]["retried_as"], 2, "queued") == (retry["run_id"], retry["attempt"], retry["state"])
    assert retry["not_before"] > error["run"]["ended_at"]
    told = f"It exited with status 1. It is tried again in [0-9]+ [a-z]+ [0-9]+ [a-z]+: {retry['run_id']}, attempt 2."
    assert re.search(told, error["message"]), error["message"]
    assert f"lattice worker wait {retry['run_id']}" in error["hint"]
    bench.data("worker", "cancel", retry["run_id"])
    said = bench.lattice("worker", "wait", error["run"]["run_id"])
    assert (1, True) == (said.returncode, f"which was cancelled: {retry['run_id']}, attempt 2." in said.stderr)


def test_who_waits_for_a_run_that_nothing_follows_is_told_of_nothing(bench: Bench) -> None:
    bench.worker("exit 1", worktree=False)
    error = bench.error("worker", "run", "Sleeper", "LAT-1", "--wait")
    assert (True, None) == (error["message"].endswith("It exited with status 1."), error["retry"])


def test_a_recorder_that_dies_before_the_end_leaves_no_retry_and_the_next_asks_for_one(bench: Bench) -> None:
    run = bench.running("exec sleep 300", worktree=False, retries={"times": 1, "backoff_seconds": 3600})
    for pid in bench.supervision(run):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: not run.alive())
    died = bench.python("board.ledger.transact = die\nreconcile.mend(board, RunFolder(board.folder, sys.argv[1]))\n",
                        run.run_id)  # fmt: skip
    assert -signal.SIGKILL == died.returncode, died.stderr
    assert 2 == len(all_runs(bench.board.folder)), "the retry's folder was made, and nobody asked for it"
    bench.data("worker", "ps")
    assert "lost" == bench.view(run).state
    assert 2 == len(requests(bench))
    bench.data("worker", "ps")
    assert 2 == len(all_runs(bench.board.folder))


def test_the_guard_that_waits_uses_no_processor_and_holds_nothing(bench: Bench) -> None:
    run = bench.start(bench.worker("exit 1", worktree=False, retries={"times": 1, "backoff_seconds": 600}))
    eventually(lambda: run.is_closed() and not run.alive())
    guard = eventually(lambda: [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit() and _is_guard(p, run)])
    eventually(lambda: lease.held(bench.repo / ".lattice/runs/queue/attendant"))
    assert not run.alive()
    eventually(lambda: processor_time(guard[0], 1.0) == 0)  # It may have taken the lock a moment ago.


# Rate limits


def limited(after_s: int) -> str:
    """A script that meets a rate limit the first time."""
    return f"""
date +%s >> "$NOTES/at"
[ -e "$NOTES/once" ] && exit 0
touch "$NOTES/once"
at=$(date -u -d '+{after_s} seconds' +%Y-%m-%dT%H:%M:%SZ); echo $at > "$NOTES/reset"
said='{{"state": "failed", "text": "too many", "rate_limit": {{"resets_at": "%s"}}}}'
printf "$said" $at > "$LATTICE_OUTPUT_DIR/result.json"
exit 1
"""


def test_a_rate_limit_pauses_its_worker_and_uses_up_no_retry(bench: Bench) -> None:
    run = bench.start(bench.worker(limited(3), worktree=False, retries={"times": 1, "backoff_seconds": 0}))
    eventually(lambda: bench.events("process_failed"))
    cause = bench.end(run)["cause"]
    assert {"kind": "rate_limit", "resets_at": bench.note("reset")} == cause
    bench.start("Sleeper", tasks(bench, 1)[0])
    drained(bench)
    reset = int(subprocess.check_output(["date", "-d", cause["resets_at"], "+%s"], text=True))
    _, *later = (int(text) for text in (bench.notes / "at").read_text().split())
    assert [True, True] == [reset <= each for each in later]
    assert [1, 1] == [body.attempt for body in requests(bench)]
    assert 1 == len(bench.events("process_completed"))


def test_a_rate_limit_without_retries_ends_the_run_and_pauses_the_worker(bench: Bench) -> None:
    run = bench.ended(limited(300), worktree=False)
    assert ("failed", "rate_limit") == (run.state, (run.cause or {})["kind"])
    error = bench.error("worker", "run", "Sleeper", "LAT-1", "--no-queue", "--actor", "human:ann")
    assert "the rate limit of Sleeper" in error["message"]
    assert 1 == len(requests(bench))
    assert bench.start("Sleeper", tasks(bench, 1)[0]).waits(), "a worker that pauses starts nothing, on any task"
    assert not bench.start(bench.worker("exit 0", name="Other", worktree=False), tasks(bench, 1)[0]).waits()


def test_a_run_that_is_asked_for_during_a_rate_limit_starts_after_it_with_nobody_looking(bench: Bench) -> None:
    first = bench.start(bench.worker(limited(4), worktree=False))
    eventually(lambda: first.is_closed() and not first.alive())
    second = bench.start("Sleeper", tasks(bench, 1)[0])
    assert second.waits()
    eventually(lambda: second.is_closed() and not second.alive())
    assert 2 == len((bench.notes / "at").read_text().split())


def test_place_counts_from_one(bench: Bench) -> None:
    bench.running("exec sleep 300", max_parallel=1)
    queued = [bench.start("Sleeper", name) for name in tasks(bench, 3)]
    assert [1, 2, 3] == [queue.place(bench.board, run.run_id) for run in queued]
    assert queue.place(bench.board, "run_unknown") is None


def test_ps_and_top_show_the_place_in_the_queue(bench: Bench) -> None:
    running = bench.running("exec sleep 300", max_parallel=1)
    first, second = (bench.start("Sleeper", name) for name in tasks(bench, 2))
    expected = {running.run_id: None, first.run_id: 1, second.run_id: 2}
    assert expected == {run["run_id"]: run["place"] for run in bench.data("worker", "ps")}
    assert expected == {run["run_id"]: run["place"] for run in bench.data("worker", "top")}
    rows = [row.split() for row in bench.lattice("worker", "ps").stdout.splitlines()]
    assert [["queued", "1"], ["queued", "2"]] == [row[3:5] for row in rows[1:]]


def _is_guard(entry: Path, run: RunFolder) -> bool:
    try:
        return run.run_id.encode() in (entry / "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
