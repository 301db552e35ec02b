"""The outcome of a run: its end as it is kept in the run's folder before it is on the board."""

from __future__ import annotations

import json

from lattice.core.events import TaskEvent
from lattice.core.record import Record
from lattice.core.run import Evidence, Exited, Failed, judge
from lattice.core.run_events import ProcessCompleted, ProcessFailed
from lattice.core.task import Task
from lattice.workers.ends.certificate import Found, certificate_of
from lattice.workers.runs import OUTCOME_BYTES
from lattice.workers.spec import RunSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

ERROR_CHARS_MAX = 2_000
ERROR_CHARS_IN_BRIEF = 500
FRAME_BYTES_MAX = 100
KILLED_IN_BRIEF = 100
KILLED_MAX = 1_000
"""How many killed processes an end names: a fork bomb must not take the room that is kept for it."""


class Outcome(Record):
    """A run's end, as it is kept in the run's folder before it is on the board."""

    error: str | None  # None: it completed
    cause: dict[str, Any] | None
    exit: int | None
    duration_s: float
    killed: tuple[int, ...]
    salvage_ref: str | None
    artifacts: tuple[tuple[str, str], ...]  # the artifact's id and the output's name
    certificate: dict[str, Any] | None = None

    def stored(self) -> dict[str, Any]:
        """As `RunFolder.write_outcome` takes it. What does not fit the room goes: the end itself always fits."""
        shape = self.fields()
        if len(json.dumps(shape)) < OUTCOME_BYTES - FRAME_BYTES_MAX:
            return shape
        brief = self.replace(certificate=None, killed=self.killed[:KILLED_IN_BRIEF])
        return brief.replace(error=self.error and self.error[:ERROR_CHARS_IN_BRIEF]).fields()

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
            "usage": (self.certificate or {}).get("usage"),
            "model": (self.certificate or {}).get("model"),
        }
        if self.error is None:
            return ProcessCompleted(**common, result="succeeded")
        return ProcessFailed(**common, error=self.error[:ERROR_CHARS_MAX], cause=self.cause or {})


def outcome_of(spec: RunSpec, evidence: Evidence, found: Found, artifacts: tuple[tuple[str, str], ...] = ()) -> Outcome:
    """The outcome that the evidence amounts to."""
    verdict = judge(evidence)
    failed = verdict if isinstance(verdict, Failed) else None
    return Outcome(
        error=failed.error if failed else None,
        cause=failed.cause if failed else None,
        exit=evidence.status.code if isinstance(evidence.status, Exited) else None,
        duration_s=round(max(0.0, found.duration_s), 3),
        killed=found.killed[:KILLED_MAX],
        salvage_ref=found.salvage_ref,
        artifacts=artifacts,
        certificate=certificate_of(spec, evidence, verdict, found),
    )
