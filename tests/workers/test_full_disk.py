"""A run whose disk is full: a small real file system, filled by the engine. The end is kept, and told later."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lattice.workers.ends import certificate
from tests.workers.conftest import Bench, eventually

REVIEW = {"review": {"role": "review", "path": "review.md", "required": True}}
FILL = 'echo good > "$LATTICE_OUTPUT_DIR/review.md"; cat /dev/zero > "$NOTES/fill" 2> /dev/null; '


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    """A bench on a tmpfs of 4 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], capture_output=True, check=False)
    if mounted.returncode != 0:
        pytest.skip("mount(8) is not permitted here")
    try:
        monkeypatch.setenv("XDG_STATE_HOME", str(disk / "state"))
        monkeypatch.setenv("HOME", str(disk))
        made = Bench(disk)
        yield made
        made.kill_everything()
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


@pytest.mark.parametrize(("end", "state"), [("exit 0", "succeeded"), ("exit 3", "failed")])
def test_the_true_end_survives_a_full_disk_and_is_recorded_when_there_is_room(
    small: Bench, end: str, state: str
) -> None:
    run = small.start(small.worker(FILL + end, outputs=REVIEW, worktree=False))
    eventually(lambda: run.read_outcome() is not None and not run.alive())
    assert [] == small.ends(run)
    kept = certificate.read(run) or {}
    assert (state, True) == (kept["state"], kept["outputs"][0]["found"])
    assert 0 == small.lattice("list").returncode  # It cannot mend the run now, and does not fail for it.
    assert [] == small.ends(run)
    (small.notes / "fill").unlink()
    assert 0 == small.lattice("list").returncode
    seen = small.finished(run)
    assert (state, 1, 1) == (seen.state, len(small.ends(run)), len(seen.artifact_ids))
    told = small.data("worker", "why", run.run_id)
    assert (state, "supervisor", False) == (told["state"], told["found_by"], told["late"])


def test_the_room_of_the_worktree_is_used_for_the_end(small: Bench) -> None:
    small.commit("large.bin", "x" * (300 << 10))
    run = small.start(small.worker(FILL + "exit 0", outputs=REVIEW))
    seen = small.finished(run)
    assert ("succeeded", 1, 1) == (seen.state, len(small.ends(run)), len(seen.artifact_ids))
    assert (small.notes / "fill").exists()


def test_a_log_that_fills_the_disk_does_not_lose_the_end(small: Bench) -> None:
    run = small.start(small.worker("cat /dev/zero 2> /dev/null; exit 4"))
    eventually(lambda: run.read_outcome() is not None and not run.alive())
    assert 4 << 20 > run.output_log.stat().st_size > 1 << 20
    run.output_log.unlink()
    assert 0 == small.lattice("list").returncode
    seen = small.finished(run)
    assert ("failed", {"kind": "exit", "status": 4}, 1) == (seen.state, seen.cause, len(small.ends(run)))
