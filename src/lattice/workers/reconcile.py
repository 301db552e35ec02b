"""Finish what a dead supervisor left: its processes, its end on the board, its worktree.

Whoever finds a run whose lease is free does this: the guard at once, else any reading command, else
`worker gc`. Every step can be done twice, so that a mender that dies is mended by the next.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from lattice.commands.artifacts import discard
from lattice.commands.board import Board
from lattice.core.events import ArtifactAttached, TaskEvent
from lattice.core.run import Evidence, Lost
from lattice.core.run_events import ProcessCompleted, ProcessFailed, ProcessRequested
from lattice.core.task import Task
from lattice.errors import GitError, LatticeError, NotFound, StorageError
from lattice.ledger import Signature
from lattice.store.files import disk
from lattice.workers import lease
from lattice.workers.definitions.agents import TEAM
from lattice.workers.ends import certificate as certificates
from lattice.workers.ends.certificate import Found, judged_of
from lattice.workers.ends.outcome import ERROR_CHARS_MAX, Outcome, outcome_of
from lattice.workers.ends.outputs import REVIEW_ROLE, keep_outputs, owed_of
from lattice.workers.ends.reported import claim_of, result_of
from lattice.workers.processes.tree import kill_marked
from lattice.workers.runs import RunFolder, host_name
from lattice.workers.spec import RunSpec
from lattice.workers.worktrees import branches, worktree
from lattice.workers.worktrees.git import Repository
from lattice.workers.worktrees.salvage import keep_head, salvage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lattice.workers.queueing.retries import Retry
    from lattice.workers.reviews.ending import RunReview


def mend(board: Board, folder: RunFolder, killed: Sequence[int] = (), by: str = "a later command") -> bool:
    """Finish the run, if nobody supervises it and nobody else is at it. Whether it is finished now.

    `killed` are those of its processes that the caller has ended already; `by` is who found it.
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
        if folder.waits() or folder.alive() or not _is_here(board, folder):
            return False
        if not folder.is_closed():
            _finish(board, folder, killed, by)
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


def _finish(board: Board, folder: RunFolder, killed_before: Sequence[int], by: str) -> None:
    spec = folder.spec()
    if spec is None and not folder.exists():
        return  # Its starter took it back while we looked.
    if spec is None:
        raise StorageError(
            f"The run {folder.run_id} cannot be finished: its spec.json is missing or damaged.",
            hint=f"Look into {folder.path}; nothing there was changed.",
        )
    if spec.engine == TEAM:
        from lattice.workers.teams.rounds import stop_members  # only teams pay for it

        stop_members(board, spec, Signature(spec.actor, None, {"reason": f"run {spec.run_id}"}), wait=False)
    killed = [*killed_before, *kill_marked(spec.run_id)]
    stored = folder.read_outcome()
    outcome = Outcome(**stored) if stored is not None else _lost(board, folder, spec, killed, by)
    recorded = record_end(board, folder, spec, outcome)
    certify(board, folder, spec, outcome)
    remove_worktree(spec)
    if not recorded and not _was_requested(board, spec):
        folder.discard()  # Its starter died before the request: the board never heard of it.


def _lost(board: Board, folder: RunFolder, spec: RunSpec, killed: Sequence[int], by: str) -> Outcome:
    """The outcome of a run whose supervisor left none: what is there is told, and nothing of it believed."""
    said = (disk.read(folder.overdue) or b"").decode("utf-8", "replace").strip()
    now_ms = board.ledger.source.now_ms()
    evidence = Evidence(
        Lost(said or "Its supervisor died; nobody knows how far it came."),
        None,
        result_of(folder, spec, now_ms),
        claim_of(folder),
        owed_of(folder, spec),
    )
    duration_s = (now_ms - spec.requested_ms) / 1000
    found = Found(by, now_ms, duration_s, killed=tuple(killed), salvage_ref=rescue(spec, folder))
    outcome = outcome_of(spec, evidence, found)
    folder.write_outcome(outcome.stored())
    return outcome


def _was_requested(board: Board, spec: RunSpec) -> bool:
    try:
        _, events = board.store.history(spec.task_id)
    except NotFound:
        return True  # Nobody can say: the folder stays.
    return any(isinstance(event.body, ProcessRequested) and event.body.run_id == spec.run_id for event in events)


def record_end(board: Board, folder: RunFolder, spec: RunSpec, outcome: Outcome) -> bool:
    """Put the end on the board, with the artifacts, unless the run has one. Whether it was put there now.

    One transaction. Raises StorageError and its kind; then the outcome file still holds the end. Raises
    GitError where the end is there and the run's branch could not be linked; a later call does that.
    """
    by = Signature(spec.actor, None, {"reason": f"run {spec.run_id}"})
    try:
        active = board.store.task(spec.task_id).run(spec.run_id) is not None
    except NotFound:
        return False  # The task went, with git or to the archive: there is no board to tell.
    if not active:
        _link_branch(board, spec, by)  # Its end may have been put there without a word from git.
        return False
    branch = _branch_to_link(folder, spec)
    outcome, attached = with_outputs(board, folder, spec, outcome)
    review = _review(board, folder, spec, outcome)

    def decide(task: Task) -> list[TaskEvent]:
        if task.run(spec.run_id) is None:
            return []  # The first end counts.
        retry = follow.events(task) if follow is not None else []
        reviewed = review.events(task) if review is not None else []
        return [*attached, *reviewed, *branches.link(task, branch), outcome.body(task, spec), *retry]

    with _following(board, folder, spec, outcome) as follow:
        written = board.ledger.transact(spec.task_id, decide, by)
    if not written.events:
        for artifact_id, _ in outcome.artifacts:
            discard(board, artifact_id)
    if branch is None:
        _link_branch(board, spec, by)
    return bool(written.events)


def _review(board: Board, folder: RunFolder, spec: RunSpec, outcome: Outcome) -> RunReview | None:
    """The review that a run which succeeded has left; most runs leave none, and load nothing that could read one."""
    if outcome.error is not None or not any(output.role == REVIEW_ROLE for output in spec.outputs):
        return None
    if spec.parent is not None:
        return None  # Its team gives the review: theirs, merged.
    from lattice.workers.reviews.ending import review_of  # as above

    model = (outcome.certificate or {}).get("model")
    return review_of(folder, spec, outcome.artifacts, board.ledger.new_id("rev"), model)


def _following(
    board: Board, folder: RunFolder, spec: RunSpec, outcome: Outcome
) -> contextlib.AbstractContextManager[Retry | None]:
    """The run that follows this end; most ends are followed by none, and ask for no module that could make one."""
    if spec.retries is None and (outcome.cause is None or outcome.cause.get("kind") != "rate_limit"):
        return contextlib.nullcontext()
    from lattice.workers.queueing.retries import following  # It is built on the queue, which is built on this.

    return following(board, folder, spec, outcome)


def _branch_to_link(folder: RunFolder, spec: RunSpec) -> str | None:
    """The branch that the run committed on. A git that fails does not keep a run from its end."""
    try:
        return branches.to_link(_repository(spec), spec)
    except LatticeError as why:
        folder.note(f"the branch {spec.branch} was not linked to the task at once: {why}")
        return None


def _link_branch(board: Board, spec: RunSpec, by: Signature) -> None:
    """Link the branch after the end. What git refuses keeps the run open: whoever mends it tries again."""
    branch = branches.to_link(_repository(spec), spec)
    if branch is not None:
        board.ledger.transact(spec.task_id, lambda task: branches.link(task, branch), by)


def with_outputs(
    board: Board, folder: RunFolder, spec: RunSpec, outcome: Outcome
) -> tuple[Outcome, list[ArtifactAttached]]:
    """Keep the outputs; the outcome with those that were kept, and the events that attach them.

    A success whose required output cannot be kept as it was judged is none: the outcome then says so,
    in the run's folder too. Raises StorageError and its kind, OSError.
    """
    attached = keep_outputs(board, folder, spec, outcome.artifacts, judged_of(outcome.certificate))
    kept_ids = {artifact.artifact_id for artifact in attached}
    kept = tuple((artifact_id, name) for artifact_id, name in outcome.artifacts if artifact_id in kept_ids)
    required = {output.name for output in spec.outputs if output.required}
    gone = sorted(required & {name for artifact_id, name in outcome.artifacts if artifact_id not in kept_ids})
    if gone and outcome.error is None:
        error = f"The output it owes was there, and changed or went before it could be kept: {', '.join(gone)}."
        cause = {"kind": "verdict", "missing": gone}
        changed = {"state": "failed", "error": error, "cause": cause}
        certificate = outcome.certificate | changed if outcome.certificate is not None else None
        outcome = outcome.replace(error=error, cause=cause, certificate=certificate)
        folder.write_outcome(outcome.stored())
    return outcome.replace(artifacts=kept), attached


def certify(board: Board, folder: RunFolder, spec: RunSpec, outcome: Outcome) -> None:
    """Write the certificate of the end, as late where the board has another end of the run. Raises LatticeError."""
    stored = folder.read_outcome()
    certificate = (stored or outcome.fields()).get("certificate")
    if certificate is None:
        return  # The outcome is of a version that kept none.
    try:
        _, events = board.store.history(spec.task_id)
    except NotFound:
        events = ()
    ends = [e.body for e in events if isinstance(e.body, (ProcessCompleted, ProcessFailed))]
    end = next((body for body in ends if body.run_id == spec.run_id), None)
    error = end.error if isinstance(end, ProcessFailed) else None
    late = end is not None and (error, end.duration_s) != (
        certificate["error"] and certificate["error"][:ERROR_CHARS_MAX],
        outcome.duration_s,
    )
    if late:
        folder.note(f"the run had an end already; this one came late and was not believed: {certificate['state']}")
    certificates.write(folder, certificate, late=late)


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
        start = branches.start_of(repo, spec) or spec.commit_sha
        masked = spec.agent is not None and spec.agent.masked
        kept = salvage(repo, path, spec.run_id, start, spec.keep, masked=masked)
    except (LatticeError, OSError) as why:
        kept_at = path.parent / "kept" / spec.run_id
        folder.note(f"what the worktree holds cannot be told: {why}; kept at {kept_at}")
        _keep_head(repo, path, folder)
        worktree.set_aside(repo, path, kept_at)
        return str(kept_at) if os.path.lexists(kept_at) else None
    return kept.ref if kept is not None else None


def _keep_head(repo: Repository, path: Path, folder: RunFolder) -> None:
    """Before git's record of a worktree goes, whose changes could not be kept: its commits have no other name."""
    try:
        keep_head(repo, path, folder.run_id)
    except (LatticeError, OSError) as why:
        folder.note(f"the commits of its HEAD could not be kept: {why}")


def remove_worktree(spec: RunSpec) -> None:
    """Take the worktree down and see that it is gone. Raises GitError."""
    repo = _repository(spec)
    if spec.worktree is None:
        return
    if repo is None:
        raise GitError(f"The repository {spec.common_dir} is gone; the worktree {spec.worktree} was left.")
    worktree.remove(repo, Path(spec.worktree))
    branches.settle(repo, spec)


def _repository(spec: RunSpec) -> Repository | None:
    if spec.repo_top is None or spec.common_dir is None or not Path(spec.common_dir).is_dir():
        return None
    return Repository(Path(spec.repo_top), Path(spec.common_dir))
