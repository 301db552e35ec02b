"""A run's folder: made at once or not at all, its outcome whole or not there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from lattice.errors import NotFound
from lattice.workers import runs
from lattice.workers.runs import RunFolder, find_run, open_runs
from lattice.workers.spec import OutputSpec, RunSpec, decode_spec
from lattice.workers.worktrees.preparation_spec import Preparation

RUN = "run_01K0000000000000000000000A"
SPEC = RunSpec(
    run_id=RUN, task_id="task_01K0000000000000000000000A", short_id="LAT-1", process_type="W", actor="agent:a",
    root="/repo", host="here/1", engine="script", argv=("/repo/w.sh",), files=(("/repo/w.sh", "00"),),
    repo_top="/repo", common_dir="/repo/.git", worktree=None, commit_sha="a" * 40, base_sha=None, timeout_s=60.0,
    idle_timeout_s=None, grace_s=1.0, outputs=(OutputSpec("review", "r.md", "review", True),), requested_ms=1,
)  # fmt: skip


def test_a_spec_reads_back_as_it_was_written() -> None:
    assert SPEC == decode_spec(SPEC.encode())
    prepared = Preparation(("x",), (("npm", "ci"),), 60.0, ("node_modules",), ("lock",), "digest", "/cache")
    coded = SPEC.replace(branch="lattice/LAT-1/x", keep=("build",), preparation=prepared)
    assert coded == decode_spec(coded.encode())


def test_a_folder_gets_its_name_with_its_lease_held(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, RUN)
    fd = folder.create(SPEC)
    assert folder.alive()
    assert SPEC == folder.spec()
    assert [RUN] == [run.run_id for run in open_runs(tmp_path)]
    os.close(fd)
    assert not folder.alive()


def test_a_folder_that_cannot_be_made_whole_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "mkfifo", refuse)
    with pytest.raises(OSError, match="No space"):
        RunFolder(tmp_path, RUN).create(SPEC)
    assert ["open"] == os.listdir(tmp_path / "runs")
    assert [] == os.listdir(tmp_path / "runs" / "open")


def test_a_folder_taken_back_is_never_seen_half_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder(tmp_path, RUN)
    fd = folder.create(SPEC)
    seen: list[bool] = []
    real = shutil.rmtree

    def watched(path: Path, *, ignore_errors: bool) -> None:
        seen.append(folder.exists())
        real(path, ignore_errors=ignore_errors)

    monkeypatch.setattr(shutil, "rmtree", watched)
    folder.discard()
    os.close(fd)
    assert [False] == seen
    assert ["open"] == os.listdir(tmp_path / "runs")


def test_room_for_the_outcome_is_there_before_it_is_needed(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, RUN)
    os.close(folder.create(SPEC))
    assert runs.OUTCOME_BYTES <= folder.outcome.stat().st_blocks * 512
    assert folder.read_outcome() is None


def test_an_outcome_is_read_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, RUN)
    os.close(folder.create(SPEC))
    folder.write_outcome({"error": None, "exit": 0})
    assert {"error": None, "exit": 0} == folder.read_outcome()
    data = bytearray(folder.outcome.read_bytes())
    for place in range(data.index(b"\n")):
        torn = bytearray(data)
        torn[place] ^= 1
        folder.outcome.write_bytes(torn)
        assert folder.read_outcome() is None, place
    folder.outcome.write_bytes(data[:10])
    assert folder.read_outcome() is None


def test_a_later_shorter_outcome_replaces_a_longer_one(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, RUN)
    os.close(folder.create(SPEC))
    folder.write_outcome({"error": "x" * 1000})
    folder.write_outcome({"error": None})
    assert {"error": None} == folder.read_outcome()


def test_a_poke_reaches_a_supervisor_and_says_where_there_is_none(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path, RUN)
    os.close(folder.create(SPEC))
    assert not folder.poke()
    control = os.open(folder.control, os.O_RDWR | os.O_NONBLOCK)
    assert folder.poke()
    assert b"\n" == os.read(control, 10)
    os.close(control)


def test_a_run_is_found_by_an_end_of_its_id_that_no_other_shares(tmp_path: Path) -> None:
    other = RUN[:-2] + "BA"
    for run_id in (RUN, other):
        (tmp_path / "runs" / run_id).mkdir(parents=True)
    assert RUN == find_run(tmp_path, RUN).run_id
    assert other == find_run(tmp_path, "ba").run_id
    for ref in ("A", "zz", "", "../x"):
        with pytest.raises(NotFound):
            find_run(tmp_path, ref)


def test_names_that_are_no_runs_are_not_taken_for_runs(tmp_path: Path) -> None:
    (tmp_path / "runs" / "open").mkdir(parents=True)
    for name in ("x", "run_1", ".new-" + RUN):
        (tmp_path / "runs" / "open" / name).touch()
        (tmp_path / "runs" / name).mkdir()
    assert [] == open_runs(tmp_path)
    assert [] == runs.all_runs(tmp_path)
