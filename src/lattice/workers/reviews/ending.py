"""The review that a run made: read when the run ends, and recorded on its task in the same act as its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from lattice.commands.artifacts import read_payload
from lattice.core.events import TaskEvent
from lattice.core.record import Record
from lattice.core.reviews import life
from lattice.core.reviews.coverage import Hunks
from lattice.core.reviews.formats import reader
from lattice.core.reviews.model import MergedFinding, Report, Review, Reviewer
from lattice.core.task import Task
from lattice.errors import LatticeError
from lattice.workers.definitions.agents import TEAM
from lattice.workers.ends.outputs import REVIEW_ROLE
from lattice.workers.reviews.anchoring import anchored
from lattice.workers.reviews.coverage import covered
from lattice.workers.runs import RunFolder
from lattice.workers.spec import RunSpec
from lattice.workers.worktrees.git import Repository

PLAN = "plan"
"""The kind of a review that read no diff."""


class RunReview(Record):
    """A review, ready to be recorded. What can take long or fail was done before the task's lock."""

    review: Review
    review_id: str
    run_id: str
    artifact_ids: tuple[str, ...]
    hunks: Hunks | None
    left_out: int

    def events(self, task: Task) -> list[TaskEvent]:
        """What records it on the fresh task."""
        return life.recorded(
            task,
            self.review,
            review_id=self.review_id,
            run_id=self.run_id,
            artifact_ids=self.artifact_ids,
            hunks=self.hunks,
            left_out=self.left_out,
        )


def review_of(
    folder: RunFolder, spec: RunSpec, kept: Sequence[tuple[str, str]], review_id: str, model: str | None
) -> RunReview | None:
    """The review among the outputs that were kept; None where none can be read, and the run's notes say why.

    `model` is what the agent said it was. An agent does not name its reviewers: it could name as many as a gate
    asks for.
    """
    artifacts = {name: artifact_id for artifact_id, name in kept}
    for output in spec.outputs:
        if output.role == REVIEW_ROLE and output.name in artifacts and output.path.endswith(".json"):
            try:
                return _read(folder, spec, folder.out / output.path, artifacts, review_id, model)
            except LatticeError as why:
                folder.note(f"the output {output.name} was not recorded as a review: {why}")
    return None


def _read(
    folder: RunFolder, spec: RunSpec, path: Path, artifacts: Mapping[str, str], review_id: str, model: str | None
) -> RunReview:
    roots = tuple(root for root in (spec.worktree, spec.repo_top) if root is not None)
    reading = reader.read(read_payload(path).data, "json", by=Reviewer(spec.process_type), roots=roots)
    review = reading.review.replace(commit_sha=spec.commit_sha, base_sha=spec.base_sha)
    if spec.engine != TEAM:  # That of a team was put together by Lattice, out of runs of their own.
        review = _by_run(review, spec, model)
    hunks = None
    of_plan = (spec.review_kind or "").casefold() == PLAN
    if spec.repo_top is not None and spec.commit_sha is not None and not of_plan:
        try:
            repo = Repository.discover(Path(spec.repo_top))
            review, hunks = covered(repo, anchored(review, repo, spec.commit_sha, roots))
        except LatticeError as why:
            folder.note(f"the review was not held against its commit: {why}")
    whole = life.fitted(review)
    left_out = len(review.findings) - len(whole.findings)
    return RunReview(whole, review_id, spec.run_id, tuple(artifacts.values()), hunks, left_out)


def _by_run(review: Review, spec: RunSpec, model: str | None) -> Review:
    """The review as that of the one who ran, whoever it names; its model and kind as it says where nobody knows."""
    said = review.reviewers[0] if review.reviewers else Reviewer(spec.process_type)
    who = Reviewer(spec.process_type, model or said.model, spec.review_kind or said.kind, spec.run_id)
    findings = tuple(MergedFinding(one.finding, (Report(who, one.finding),)) for one in review.findings)
    return review.replace(reviewers=(who,), findings=findings)
