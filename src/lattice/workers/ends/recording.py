"""Put a run's end where it belongs: on the board, with its artifacts and what follows it, and in its certificate.

The supervisor does this, or whoever finishes a run that lost its own; a run has one end, and the first counts.
"""

from __future__ import annotations

import contextlib

from lattice.commands.artifacts import discard
from lattice.commands.board import Board
from lattice.core.events import ArtifactAttached, TaskEvent
from lattice.core.run_events import ProcessCompleted, ProcessFailed
from lattice.core.task import Task
from lattice.errors import LatticeError, NotFound
from lattice.ledger import Signature
from lattice.workers.ends import certificate as certificates
from lattice.workers.ends.certificate import judged_of
from lattice.workers.ends.outcome import ERROR_CHARS_MAX, Outcome
from lattice.workers.ends.outputs import REVIEW_ROLE, keep_outputs
from lattice.workers.runs import RunFolder
from lattice.workers.spec import RunSpec
from lattice.workers.worktrees import branches
from lattice.workers.worktrees.takedown import repository_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lattice.workers.queueing.retries import Retry
    from lattice.workers.reviews.ending import RunReview


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
    from lattice.workers.queueing.retries import following  # It is built on the queue, and that on this.

    return following(board, folder, spec, outcome)


def _branch_to_link(folder: RunFolder, spec: RunSpec) -> str | None:
    """The branch that the run committed on. A git that fails does not keep a run from its end."""
    try:
        return branches.to_link(repository_of(spec), spec)
    except LatticeError as why:
        folder.note(f"the branch {spec.branch} was not linked to the task at once: {why}")
        return None


def _link_branch(board: Board, spec: RunSpec, by: Signature) -> None:
    """Link the branch after the end. What git refuses keeps the run open: whoever mends it tries again."""
    branch = branches.to_link(repository_of(spec), spec)
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
