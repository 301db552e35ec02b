"""The certificate of a run's end: everything that the verdict hung on, kept in the run's folder.

It is part of the outcome, for which there is room on a full disk, and a file of its own,
`certificate.json`, once the end is recorded. What was found after the run had an end already is kept
as `late`: told, and not believed.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence

import lattice
from lattice.core.codec import BadLine, parse
from lattice.core.record import Record
from lattice.core.run import Evidence, Failed, Reported, Verdict, end_state
from lattice.ledger import timestamp
from lattice.store.files import disk
from lattice.workers.ends.ladder import Rung
from lattice.workers.runs import RunFolder
from lattice.workers.sandboxes.sandbox import NAMESPACE, NONE, Sandbox
from lattice.workers.spec import RunSpec

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PIDS_MAX = 500
"""How many killed processes are kept by number; the count is always told."""

CERTIFICATE_BYTES_MAX = 40_000
"""Of the room that is reserved for the outcome, which also names what is in the certificate."""


class Found(Record):
    """How a run's end came to be known: by whom, what was sent and killed, and when."""

    by: str  # supervisor, guard, worker gc, or another command
    at_ms: int
    duration_s: float
    rungs: tuple[Rung, ...] = ()
    killed: tuple[int, ...] = ()
    salvage_ref: str | None = None
    log_cut_bytes: int = 0  # written between the last look and the end, over the limit, and not kept


def certificate_of(spec: RunSpec, evidence: Evidence, verdict: Verdict, found: Found) -> dict[str, Any]:
    """The certificate, as JSON."""
    failed = verdict if isinstance(verdict, Failed) else None
    shape: dict[str, Any] = {
        "run_id": spec.run_id,
        "task_id": spec.task_id,
        "worker": spec.process_type,
        "state": end_state(failed.cause["kind"] if failed else None),
        "error": failed.error if failed else None,
        "cause": failed.cause if failed else None,
        "found_by": found.by,
        "at": timestamp(found.at_ms),
        "host": spec.host,
        "versions": {
            "lattice": lattice.__version__,
            "python": sys.version.split()[0],
            "kernel": os.uname().release,
        },
        "evidence": {
            "ending": _named(evidence.ending),
            "status": _named(evidence.status) if evidence.status is not None else None,
            "result": _said(evidence.result),
            "claim": _said(evidence.claim),
        },
        "outputs": [output.fields() for output in evidence.owed],
        "sandbox": _enforced(spec.sandbox),
        "timers": {
            "clock": "CLOCK_BOOTTIME",
            "elapsed_s": round(found.duration_s, 3),
            "wall_s": spec.timeout_s,
            "idle_s": spec.idle_timeout_s,
            "after_result_s": spec.after_result_s,
            "interrupt_s": spec.interrupt_s,
            "grace_s": spec.grace_s,
            "log_limit_bytes": spec.log_limit_bytes,
        },
        "signals": [rung.shape() for rung in found.rungs],
        "killed": list(found.killed[:PIDS_MAX]),
        "killed_count": len(found.killed),
        "salvage_ref": found.salvage_ref,
        "log_cut_bytes": found.log_cut_bytes,
        "model": _model(spec, evidence),
        "usage": next((dict(said.usage) for said in (evidence.result, evidence.claim) if said and said.usage), None),
    }
    return _bounded(shape)


def _enforced(given: Sandbox | None) -> dict[str, Any] | None:
    """What held the worker back, or why nothing did though it was asked for. None: nothing was asked for."""
    if given is None:
        return None
    asked = {"asked": given.mode, "absent": given.absent}
    if given.absent is not None:
        return asked | {"mode": NONE, "pid_namespace": False, "network": True}
    confined = given.mode != NAMESPACE
    held = {"mode": given.mode, "pid_namespace": True, "network": given.network}
    if not confined:
        return asked | held
    return asked | held | {"worktree_writable": given.worktree_writable, "board_writable": given.board_writable}


def write(folder: RunFolder, certificate: dict[str, Any], *, late: bool) -> None:
    """Put it into the run's folder; where the disk refuses, the outcome still has it."""
    try:
        disk.replace(folder.certificate, _encoded(certificate | {"late": late}) + b"\n")
    except OSError as refused:
        folder.note(f"the certificate could not be written: {refused}; it is in the outcome")


def read(folder: RunFolder) -> dict[str, Any] | None:
    """The certificate of the run; None where there is none, as before its end."""
    try:
        return parse(disk.read(folder.certificate) or b"")
    except BadLine:
        kept = (folder.read_outcome() or {}).get("certificate")
        return kept if isinstance(kept, dict) else None


def _model(spec: RunSpec, evidence: Evidence) -> str | None:
    """What the agent said it was; else what it was asked to be, since not every engine says."""
    told = evidence.result.model if evidence.result else None
    return told or (spec.agent.model if spec.agent else None)


def _named(record: Record) -> dict[str, Any]:
    return {"is": type(record).__name__} | record.fields()


def _said(said: Reported | None) -> dict[str, Any] | None:
    return None if said is None else said.fields()


def _bounded(shape: dict[str, Any]) -> dict[str, Any]:
    """The certificate in its room: long lists go first, and it says so."""
    for key in ("signals", "killed", "outputs"):
        if len(_encoded(shape)) <= CERTIFICATE_BYTES_MAX:
            break
        shape = shape | {key: [], "left_out": [*shape.get("left_out", []), key]}
    return shape


def _encoded(shape: dict[str, Any]) -> bytes:
    return json.dumps(shape, sort_keys=True).encode()


def judged_of(certificate: dict[str, Any] | None) -> dict[str, str]:
    """The SHA-256 that each output had for the verdict, by the output's name."""
    outputs: Sequence[dict[str, Any]] = (certificate or {}).get("outputs", ())
    return {output["name"]: output["sha256"] for output in outputs if output.get("sha256")}
