"""A worker as it is defined: its fields, typed, and the placeholders of its command."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from lattice.core.record import Record
from lattice.errors import DefinitionError, choices, nearest
from lattice.workers.definitions.agents import AGENTS, AUTO, TEAM, AgentRules
from lattice.workers.definitions.teams import TeamRules
from lattice.workers.definitions.triggering import Escalation, Sweep, Triggers
from lattice.workers.environment import EnvironmentRules
from lattice.workers.sandboxes.sandbox import SandboxRules

PROGRAMS = ("script", "command")
ENGINES = (*PROGRAMS, *AGENTS, AUTO, TEAM)
REVIEW_SCHEMA = "lattice:review"
"""As an output's schema: that of a review, which needs no file."""

PLACEHOLDERS = (
    *("python", "run_id", "task_id", "short_id", "base_sha", "commit_sha"),
    *("worktree", "output_dir", "repo"),
)
PROGRAM_PLACEHOLDERS = ("python", "repo")
"""Those of a command's first word: the program must not come from the commit under review."""

BRANCH_PLACEHOLDERS = ("short_id", "task_id", "worker", "run", "run_id")
"""Those of `branch`; `run` is the end of the run's id, as far as `worker show` needs it."""

RESULT_FILE = "result.json"
"""In the output folder: where an engine, or what reads its stream, reports its result."""

_BRACES = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class Output(Record):
    """A file that a run owes (or may leave) below its output folder."""

    name: str
    role: str | None
    path: str
    required: bool
    schema: str | None = None  # a JSON schema that it has to fit, as a path in the main checkout
    answer: bool = False  # where its file is not there, the engine's last message is it, if that is JSON


class Setup(Record):
    """What is run in the worktree before the engine, and what of it a cache keeps."""

    run: tuple[tuple[str, ...], ...]
    timeout_minutes: float | None = None
    cache: tuple[str, ...] = ()
    key: tuple[str, ...] = ()


class Retries(Record):
    """How often a run is tried again, after how long, and after which causes of its end."""

    times: int
    backoff_seconds: float
    backoff_factor: float
    on: tuple[str, ...]


class Definition(Record):
    """A worker, as defined; times as in the file, None where it says nothing."""

    name: str
    engine: str
    actor: str
    digest: str
    source: Path | None = None
    builtin: bool = False
    description: str = ""
    script: str | None = None
    command: tuple[str, ...] = ()
    prompt_file: str | None = None
    model: str | None = None
    worktree: bool = True
    base: str | None = None
    timeout_minutes: float = 30
    idle_timeout_minutes: float | None = None
    grace_seconds: float = 10
    interrupt_seconds: float | None = None
    after_result_seconds: float | None = None
    log_limit_mb: float = 64
    env: EnvironmentRules = EnvironmentRules()
    outputs: tuple[Output, ...] = ()
    artifact_role: str | None = None
    report_prefix: str | None = None
    report_dir: str | None = None
    sandbox: SandboxRules = SandboxRules()
    branch: str | None = None
    keep: tuple[str, ...] = ()
    copy: tuple[str, ...] = ()
    setup: Setup | None = None
    max_parallel: int | None = None
    retries: Retries | None = None
    triggers: Triggers | None = None
    escalate: tuple[Escalation, ...] = ()
    sweep: Sweep | None = None
    agent: AgentRules = AgentRules()
    review_kind: str | None = None  # what kind of review it gives: "standard", "critical", …
    team: TeamRules | None = None

    def folder(self, repo_top: Path) -> Path:
        """Where its script and prompt are read from: the main checkout, or the package for a built-in one."""
        return self.source.parent if self.builtin and self.source is not None else repo_top

    def prompt_path(self, repo_top: Path) -> Path | None:
        """The prompt of an agent; None for another engine."""
        return None if self.prompt_file is None else self.folder(repo_top) / self.prompt_file

    def script_path(self, repo_top: Path) -> Path | None:
        """The script of a `script` engine; None for another."""
        return None if self.script is None else self.folder(repo_top) / self.script


def expand(argv: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """Each `{placeholder}` replaced by its value, `{{` and `}}` by a brace, in a single pass.

    A value is never looked at again, so text of a task cannot name another one. Raises DefinitionError.
    """

    def one(match: re.Match[str]) -> str:
        whole, name = match.group(0), match.group(1)
        if whole in ("{{", "}}"):
            return whole[0]
        if name is None:
            raise DefinitionError(f"a single {whole!r}", hint=f"write {whole * 2} for a brace itself")
        if name not in values:
            meant = nearest(name, tuple(values))
            raise DefinitionError(
                f"placeholder {whole} is not known here" + (f"; did you mean {{{meant}}}?" if meant else ""),
                hint=f"placeholders: {choices([f'{{{word}}}' for word in values])}; braces themselves: {{{{ and }}}}",
            )
        return values[name]

    return [_BRACES.sub(one, item) for item in argv]
