"""What the supervisor of a run is to do, as `spec.json` keeps it: resolved and checked when the run was requested."""

from __future__ import annotations

import json

from lattice.core.codec import parse
from lattice.core.record import Record
from lattice.workers.definitions.definition import Retries
from lattice.workers.engines import spec as agent_spec
from lattice.workers.engines.spec import AgentSpec
from lattice.workers.sandboxes import sandbox
from lattice.workers.sandboxes.sandbox import Sandbox
from lattice.workers.worktrees import preparation_spec
from lattice.workers.worktrees.preparation_spec import Preparation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LOG_LIMIT_BYTES = 64 << 20
"""How much output a run may write where its definition says nothing else."""


class OutputSpec(Record):
    """A file that the engine leaves in its output folder."""

    name: str
    path: str
    role: str | None
    required: bool
    schema: Any = None  # as `core.json_schema` checks it; what the file said when the run was requested
    answer: bool = False  # where the file is not there, the engine's last message is it, if that is JSON


class RunSpec(Record):
    """What the supervisor is to do. Everything was checked and resolved when it was written."""

    run_id: str
    task_id: str
    short_id: str | None
    process_type: str
    actor: str
    root: str  # the folder that holds .lattice/
    host: str  # the machine and the board on it: a copy of the folder elsewhere is not the run
    engine: str
    argv: tuple[str, ...]
    files: tuple[tuple[str, str], ...]  # path and digest of what the engine executes from the main checkout
    repo_top: str | None
    common_dir: str | None
    worktree: str | None
    commit_sha: str | None
    base_sha: str | None
    timeout_s: float
    idle_timeout_s: float | None
    grace_s: float
    outputs: tuple[OutputSpec, ...]
    requested_ms: int
    interrupt_s: float | None = None  # of the grace, the part before SIGTERM; None: half
    after_result_s: float | None = None
    log_limit_bytes: int = LOG_LIMIT_BYTES
    branch: str | None = None  # made in the worktree, for a worker that changes code
    keep: tuple[str, ...] = ()  # patterns of ignored files to keep when the worktree goes
    preparation: Preparation | None = None
    sandbox: Sandbox | None = None
    definition_digest: str = ""
    variables: tuple[str, ...] = ()  # the names of what the engine is given of somebody's environment
    env_set: tuple[tuple[str, str], ...] = ()  # what the definition sets in it
    in_hook: str | None = None
    max_parallel: int | None = None
    retries: Retries | None = None
    attempt: int = 1
    retry_of: str | None = None
    limited: int = 0  # how many runs before it, in a row, met a rate limit
    agent: AgentSpec | None = None
    parent: str | None = None  # the run of the team that it belongs to
    team_usd: float | None = None  # a team's: what all of its members together may use
    team_tokens: int | None = None
    review_kind: str | None = None  # what kind of review it gives

    def encode(self) -> bytes:
        """As `spec.json`."""
        shape = self.fields() | {"outputs": [output.fields() for output in self.outputs]}
        shape["preparation"] = self.preparation.fields() if self.preparation is not None else None
        shape["sandbox"] = self.sandbox.fields() if self.sandbox is not None else None
        shape["agent"] = agent_spec.encoded(self.agent) if self.agent is not None else None
        shape["retries"] = self.retries.fields() if self.retries is not None else None
        return json.dumps(shape, sort_keys=True, indent=2).encode() + b"\n"


def decode_spec(data: bytes) -> RunSpec:
    """The spec in `spec.json`. Raises ValueError, KeyError or TypeError where it is not one."""
    shape = parse(data)
    shape["argv"] = tuple(shape["argv"])
    shape["files"] = tuple((path, digest) for path, digest in shape["files"])
    shape["outputs"] = tuple(OutputSpec(**output) for output in shape["outputs"])
    shape["keep"] = tuple(shape.get("keep", ()))
    if shape.get("preparation") is not None:
        shape["preparation"] = preparation_spec.decode(shape["preparation"])
    if shape.get("sandbox") is not None:
        shape["sandbox"] = sandbox.decode(shape["sandbox"])
    shape["variables"] = tuple(shape.get("variables", ()))
    shape["env_set"] = tuple((name, value) for name, value in shape.get("env_set", ()))
    if shape.get("agent") is not None:
        shape["agent"] = agent_spec.decode(shape["agent"])
    if shape.get("retries") is not None:
        shape["retries"] = Retries(**{**shape["retries"], "on": tuple(shape["retries"]["on"])})
    return RunSpec(**shape)
