"""Finish what a dead supervisor left: its processes, its end on the board, its worktree.

Whoever finds a run whose lease is free does this: the guard at once, else any reading command, else
`worker gc`. Every step can be done twice, so that a mender that dies is mended by the next.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lattice.commands.artifacts import PAYLOAD_BYTES_MAX, describe, discard, keep, read_payload
from lattice.commands.board import Board
from lattice.core.events import ArtifactAttached, ProcessCompleted, ProcessFailed, ProcessRequested, TaskEvent
from lattice.core.record import Record
from lattice.core.run import Failed, Lost, Verdict, judge
from lattice.core.task import Task
from lattice.errors import GitError, LatticeError, NotFound, StorageError, ValidationError
from lattice.ledger import Signature
from lattice.workers import lease, worktree
from lattice.workers.git import Repository
from lattice.workers.processes import kill_marked
from lattice.workers.runs import OutputSpec, RunFolder, RunSpec, host_name
from lattice.workers.salvage import salvage

READ_ATTEMPTS = 2
"""A success without its output is a false one, and what a disk refuses once it often gives the next time."""


class Outcome(Record):
    """A run's end, as it is kept in the run's folder before it is on the board."""

    error: str | None  # None: it completed
    cause: dict[str, Any] | None
    exit: int | None
    duration_s: float
    killed: tuple[int, ...]
    salvage_ref: str | None
    artifacts: tuple[tuple[str, str], ...]  # the artifact's id and the output's name

    def body(self, task: Task, spec: RunSpec) -> TaskEvent:
        """The event that says it."""
        run = task.run(spec.run_id)
        common: dict[str, Any] = {
            "run_id": spec.run_id,
            "started_event_id": run.started_event_id if run else None,
            "commit_sha": spec.commit_sha,
            "duration_s": self.duration_s,
            "exit": self.exit,
            "artifact_ids": tuple(artifact_id for artifact_id, _ in self.artifacts),
            "salvage_ref": self.salvage_ref,
            "killed": self.killed,
        }
        if self.error is None:
            return ProcessCompleted(**common, result="succeeded")
        return ProcessFailed(**common, error=self.error[:2_000], cause=self.cause or {})


def outcome_of(
    verdict: Verdict,
    *,
    exit_status: int | None,
    duration_s: float,
    killed: list[int],
    salvage_ref: str | None,
    artifacts: tuple[tuple[str, str], ...] = (),
) -> Outcome:
    """The outcome that a verdict amounts to."""
    failed = verdict if isinstance(verdict, Failed) else None
    return Outcome(
        error=failed.error if failed else None,
        cause=failed.cause if failed else None,
        exit=exit_status,
        duration_s=round(max(0.0, duration_s), 3),
        killed=tuple(killed),
        salvage_ref=salvage_ref,
        artifacts=artifacts,
    )


def mend(board: Board, folder: RunFolder, killed: Sequence[int] = ()) -> bool:
    """Finish the run, if nobody supervises it and nobody else is at it. Whether it is finished now.

    `killed` are those of its processes that the caller has ended already.
    Raises LatticeError or OSError where a step cannot be done now; a later call goes on from there.
    """
    if not folder.exists():
        folder.marker.unlink(missing_ok=True)
        return True
    try:
        held = lease.acquire(folder.mend)
    except BlockingIOError:
        return False
    except FileNotFoundError:
        return True  # Closed and removed while we looked.
    try:
        if folder.alive() or not _is_here(board, folder):
            return False
        if not folder.is_closed():
            _finish(board, folder, killed)
        if folder.exists():
            folder.close()
        return True
    finally:
        os.close(held)


def _is_here(board: Board, folder: RunFolder) -> bool:
    """Whether the run is of this board: a copied folder names processes and a worktree that are another's."""
    spec = folder.spec()
    return spec is None or spec.host == host_name(board.folder)


def end_without_folder(board: Board, task_id: str, run_id: str) -> bool:
    """End a dead run of this board whose folder somebody removed. Whether it was ended now."""

    def decide(task: Task) -> list[TaskEvent]:
        run = task.run(run_id)
        if run is None:
            return []
        return [
            ProcessFailed(
                run_id=run_id,
                started_event_id=run.started_event_id,
                commit_sha=run.commit_sha,
                duration_s=0.0,
                error="Its folder is gone, and nobody supervises it any more.",
                cause={"kind": "lost"},
                killed=tuple(kill_marked(run_id)),
            )
        ]

    by = Signature("agent:lattice", None, {"reason": f"run {run_id}"})
    return bool(board.ledger.transact(task_id, decide, by).events)


def _finish(board: Board, folder: RunFolder, killed_before: Sequence[int]) -> None:
    spec = folder.spec()
    if spec is None and not folder.exists():
        return  # Its starter took it back while we looked.
    if spec is None:
        raise StorageError(
            f"The run {folder.run_id} cannot be finished: its spec.json is missing or damaged.",
            hint=f"Look into {folder.path}; nothing there was changed.",
        )
    killed = [*killed_before, *kill_marked(spec.run_id)]
    stored = folder.read_outcome()
    if stored is not None:
        outcome = Outcome(**stored)
    else:
        lost = judge(Lost("Its supervisor died; nobody knows how far it came."), ())
        outcome = outcome_of(
            lost,
            exit_status=None,
            duration_s=time.time() - spec.requested_ms / 1000,
            killed=killed,
            salvage_ref=rescue(spec, folder),
        )
        folder.write_outcome(outcome.fields())
    recorded = record_end(board, folder, spec, outcome)
    remove_worktree(spec)
    if not recorded and not _was_requested(board, spec):
        folder.discard()  # Its starter died before the request: the board never heard of it.


def _was_requested(board: Board, spec: RunSpec) -> bool:
    try:
        _, events = board.store.history(spec.task_id)
    except NotFound:
        return True  # Nobody can say: the folder stays.
    return any(isinstance(event.body, ProcessRequested) and event.body.run_id == spec.run_id for event in events)


def record_end(board: Board, folder: RunFolder, spec: RunSpec, outcome: Outcome) -> bool:
    """Put the end on the board, with the artifacts, unless the run has one. Whether it was put there now.

    One transaction. Raises StorageError and its kind; then the outcome file still holds the end.
    """
    by = Signature(spec.actor, None, {"reason": f"run {spec.run_id}"})
    try:
        active = board.store.task(spec.task_id).run(spec.run_id) is not None
    except NotFound:
        return False  # The task went, with git or to the archive: there is no board to tell.
    if not active:
        return False
    attached = _keep_outputs(board, folder, spec, outcome)
    kept_ids = {artifact.artifact_id for artifact in attached}
    outcome = outcome.replace(artifacts=tuple(pair for pair in outcome.artifacts if pair[0] in kept_ids))

    def decide(task: Task) -> list[TaskEvent]:
        if task.run(spec.run_id) is None:
            return []  # The first end counts.
        return [*attached, outcome.body(task, spec)]

    written = board.ledger.transact(spec.task_id, decide, by)
    if not written.events:
        for artifact_id, _ in outcome.artifacts:
            discard(board, artifact_id)
    return bool(written.events)


def rescue(spec: RunSpec, folder: RunFolder) -> str | None:
    """Keep what is in the worktree and nowhere else; the ref that keeps it, or None where there is nothing.

    Where git cannot tell what is there, the folder itself is moved out of the way and kept.
    """
    if spec.worktree is None or spec.commit_sha is None:
        return None
    repo, path = _repository(spec), Path(spec.worktree)
    if repo is None:
        return None
    try:
        kept = salvage(repo, path, spec.run_id, spec.commit_sha)
    except (LatticeError, OSError) as why:
        kept_at = path.parent / "kept" / spec.run_id
        folder.note(f"what the worktree holds cannot be told: {why}; kept at {kept_at}")
        worktree.set_aside(repo, path, kept_at)
        return str(kept_at) if os.path.lexists(kept_at) else None
    return kept.ref if kept is not None else None


def remove_worktree(spec: RunSpec) -> None:
    """Take the worktree down and see that it is gone. Raises GitError."""
    repo = _repository(spec)
    if spec.worktree is None:
        return
    if repo is None:
        raise GitError(f"The repository {spec.common_dir} is gone; the worktree {spec.worktree} was left.")
    worktree.remove(repo, Path(spec.worktree))


def _repository(spec: RunSpec) -> Repository | None:
    if spec.repo_top is None or spec.common_dir is None or not Path(spec.common_dir).is_dir():
        return None
    return Repository(Path(spec.repo_top), Path(spec.common_dir))


def _keep_outputs(board: Board, folder: RunFolder, spec: RunSpec, outcome: Outcome) -> list[ArtifactAttached]:
    """Keep what can be kept. An output that never can does not keep the run from its end."""
    attached = []
    for artifact_id, name in outcome.artifacts:
        for attempt in range(1, READ_ATTEMPTS + 1):
            try:
                attached.append(_keep_output(board, folder, spec, artifact_id, name))
                break
            except (NotFound, ValidationError) as why:
                folder.note(f"the output {name} was not kept (attempt {attempt} of {READ_ATTEMPTS}): {why}")
    return attached


def _keep_output(board: Board, folder: RunFolder, spec: RunSpec, artifact_id: str, name: str) -> ArtifactAttached:
    output = next(output for output in spec.outputs if output.name == name)
    payload = read_payload(output_path(folder, output))
    meta = describe(
        artifact_id,
        kind="file",
        title=f"{spec.process_type}: {output.path}",
        summary=f"{name} of run {spec.run_id}",
        payload=payload,
        sensitive=False,
        by=spec.actor,
        ms=board.ledger.source.now_ms(),
        custom_fields={"run_id": spec.run_id, "output": name},
    )
    keep(board, meta, payload)
    return ArtifactAttached(artifact_id=artifact_id, role=output.role)


def output_path(folder: RunFolder, output: OutputSpec) -> Path:
    """Where the engine leaves an output."""
    return folder.out / output.path


def problem_with(folder: RunFolder, output: OutputSpec) -> str | None:
    """Why an output cannot be taken as it is; None where it can."""
    path = output_path(folder, output)
    if os.path.realpath(path) != os.path.join(os.path.realpath(folder.out), output.path):
        return "a symbolic link"
    if not path.is_file():
        return "missing"
    size = path.stat().st_size
    if size == 0:
        return "empty"
    return "too large" if size > PAYLOAD_BYTES_MAX else None
