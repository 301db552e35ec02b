"""What the processes of a run use."""

from __future__ import annotations

from lattice.workers.processes import usage
from lattice.workers.processes.usage import Usage
from tests.workers.conftest import Bench, eventually

BUSY = 'exec "$PY" -c "while True: pass"'
LARGE = 'exec "$PY" -c "held = bytearray(64 << 20); print(len(held), flush=True); import signal; signal.pause()"'


def test_a_busy_run_uses_a_processor(bench: Bench) -> None:
    run = bench.running(BUSY)
    first = usage.look([run.run_id])[run.run_id]
    second = eventually(lambda: _later(run.run_id, first.cpu_s + 0.2))
    assert second is not None
    assert second.cpu_percent(first) > 0
    assert first.processes >= 3  # guard, supervisor, worker
    bench.data("worker", "stop", run.run_id, "--wait")
    eventually(lambda: not usage.look([run.run_id]))  # its guard ends a moment after its lease


def _later(run_id: str, cpu_s: float) -> Usage | None:
    seen = usage.look([run_id])[run_id]
    return seen if seen.cpu_s > cpu_s else None


def test_memory_is_of_the_whole_tree(bench: Bench) -> None:
    run = bench.running(LARGE)
    eventually(lambda: b"67108864" in run.output_log.read_bytes())
    seen = usage.look([run.run_id])[run.run_id]
    assert seen.memory_bytes is not None
    assert 64 << 20 < seen.memory_bytes < 200 << 20
    (row,) = bench.data("worker", "ps")
    assert row["memory_bytes"] > 64 << 20
    assert row["processes"] == seen.processes
    bench.data("worker", "stop", run.run_id, "--wait")


def test_two_runs_are_told_apart(bench: Bench) -> None:
    runs = [bench.start(bench.worker(name=name)) for name in ("One", "Two")]
    assert {run.run_id for run in runs} == set(usage.look([run.run_id for run in runs]))
    for run in runs:
        bench.data("worker", "stop", run.run_id, "--wait")


def test_a_share_is_of_the_time_between_two_looks() -> None:
    before, after = Usage(1, 2.0, 10.0, None), Usage(1, 3.0, 12.0, None)
    assert (20.0, 50.0, 0.0) == (before.cpu_percent(), after.cpu_percent(before), before.cpu_percent(before))


def test_what_does_not_run_uses_nothing() -> None:
    assert {} == usage.look(["run_01K0000000000000000000000A"])
    assert {} == usage.look([])
