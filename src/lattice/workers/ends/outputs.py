"""The outputs of a run: looked at for the verdict, and kept as artifacts of the task as they were judged."""

from __future__ import annotations

import os
from codecs import BOM_UTF8
from collections.abc import Mapping
from pathlib import Path

from lattice.commands.artifacts import PAYLOAD_BYTES_MAX, describe, keep, read_payload
from lattice.commands.board import Board
from lattice.core.codec import BadLine, parse_value
from lattice.core.events import ArtifactAttached
from lattice.core.json_schema import problem_with as schema_problem
from lattice.core.run import Owed
from lattice.errors import NotFound, ValidationError
from lattice.store.files.digest import file_digest, sha256
from lattice.workers.runs import RunFolder
from lattice.workers.spec import OutputSpec, RunSpec

READ_ATTEMPTS = 2
"""A success without its output is a false one, and what a disk refuses once it often gives the next time."""

REVIEW_ROLE = "review"
VALIDATED_BYTES_MAX = 16 << 20


def owed_of(folder: RunFolder, spec: RunSpec) -> tuple[Owed, ...]:
    """Every output that the definition names, and what is there of it now."""
    return tuple(_look(folder, output) for output in spec.outputs)


def keep_outputs(
    board: Board, folder: RunFolder, spec: RunSpec, artifacts: tuple[tuple[str, str], ...], judged: Mapping[str, str]
) -> list[ArtifactAttached]:
    """Keep what can be kept; `judged` has the SHA-256 that an output had for the verdict, by its name.

    An output that never can be kept does not keep the run from its end.
    """
    attached = []
    for artifact_id, name in artifacts:
        for attempt in range(1, READ_ATTEMPTS + 1):
            try:
                attached.append(_keep(board, folder, spec, artifact_id, name, judged.get(name)))
                break
            except (NotFound, ValidationError) as why:
                folder.note(f"the output {name} was not kept (attempt {attempt} of {READ_ATTEMPTS}): {why}")
    return attached


def _look(folder: RunFolder, output: OutputSpec) -> Owed:
    path = folder.out / output.path
    problem = _problem_of_file(folder, path, output)
    size = sha256 = None
    if problem is None:
        try:
            with path.open("rb") as file:
                size = os.fstat(file.fileno()).st_size
                sha256 = file_digest(file).hex()
            problem = _problem_of_content(path, size, output)
        except OSError as refused:
            problem = f"unreadable, {refused.strerror}"
    return Owed(output.name, output.path, problem is None, problem, output.required, sha256, size)


def _problem_of_file(folder: RunFolder, path: Path, output: OutputSpec) -> str | None:
    if os.path.realpath(path) != os.path.join(os.path.realpath(folder.out), output.path):
        return "a symbolic link"
    if not path.is_file():
        return "missing"
    size = path.stat().st_size
    if size == 0:
        return "empty"
    return "too large" if size > PAYLOAD_BYTES_MAX else None


def _problem_of_content(path: Path, size: int, output: OutputSpec) -> str | None:
    is_review = output.role == REVIEW_ROLE and output.path.endswith(".json")
    if output.schema is None and not is_review:
        return None
    if size > VALIDATED_BYTES_MAX:
        return f"not valid: more than {VALIDATED_BYTES_MAX} bytes, too large to be looked at"
    try:
        data = path.read_bytes()
        if output.schema is None:
            parse_value(data.removeprefix(BOM_UTF8))  # As who reads the review takes it.
            return None
        off = schema_problem(parse_value(data), output.schema)
    except BadLine as bad:
        off = str(bad)
    return None if off is None else f"not valid: {off[:500]}"


def _keep(
    board: Board, folder: RunFolder, spec: RunSpec, artifact_id: str, name: str, judged: str | None
) -> ArtifactAttached:
    output = next(output for output in spec.outputs if output.name == name)
    payload = read_payload(folder.out / output.path)
    if judged is not None and sha256(payload.data).hexdigest() != judged:
        raise ValidationError(f"{output.path} is not what was judged.")
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
