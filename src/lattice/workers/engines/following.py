"""A run's stream, read as it comes: what the agent has said so far, for its limits, its verdict and who looks on.

The engine writes to a file, not to us: what it said outlives whoever reads it, and is read again by whoever
finishes the run of a dead supervisor, or replays it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from pathlib import Path
from typing import Any

from lattice.core.costs import cost_of, parse_prices
from lattice.core.run import Exited, OverBudget, Reported, Signalled
from lattice.store.files import disk
from lattice.workers.engines import table
from lattice.workers.engines.heard import Heard, Usage
from lattice.workers.engines.said import answer
from lattice.workers.engines.spec import AgentSpec
from lattice.workers.engines.stream import Stream, finished
from lattice.workers.runs import RunFolder
from lattice.workers.spec import OutputSpec, RunSpec

CHUNK = 1 << 20
_FENCED = re.compile(r"^```(?:json)?[ \t]*\n(.*?)^```", re.MULTILINE | re.DOTALL)


class Follower:
    """The stream of one run, from its beginning to where it is now."""

    def __init__(self, folder: RunFolder, spec: RunSpec, agent: AgentSpec) -> None:
        self._folder = folder
        self._agent = agent
        self._answers = [output for output in spec.outputs if output.answer]
        self._prices = parse_prices(agent.prices)
        self._engine = table.engine(spec.engine)
        self._stream = Stream(self._engine, agent.before)
        self._offset = 0
        self._noted: dict[str, Any] = {}

    @property
    def heard(self) -> Heard:
        return self._stream.heard

    def read(self) -> None:
        """Take in what has come since the last time, and note it for those who look on."""
        with contextlib.suppress(FileNotFoundError), self._folder.stream.open("rb", buffering=0) as file:
            file.seek(self._offset)
            while part := file.read(CHUNK):
                self._offset += len(part)
                self._stream.feed(part)
        self._note()

    def end(self) -> None:
        """Take in the rest; a last line without its end counts as far as it is one."""
        self.read()
        self._stream.end()
        self._note()

    def has_result(self) -> bool:
        """Whether the engine has told its result."""
        return self.heard.succeeded is not None

    def result(self, status: Exited | Signalled | None, now_ms: int) -> Reported:
        """The engine's result, after its end."""
        return finished(self._engine, self.heard, status, now_ms).replace(model=self.heard.model)

    def over_budget(self) -> OverBudget | None:
        """The first of the run's budgets that is used up, as far as the stream tells."""
        usage, agent = _used(self.heard), self._agent
        cost = cost_of(usage.fields(), self.heard.model or agent.model, self._prices)
        if agent.budget_usd is not None and cost is not None and cost.usd > agent.budget_usd:
            return OverBudget(agent.budget_usd, cost.usd, "USD", cost.estimated)
        used = (usage.tokens_in or 0) + (usage.tokens_out or 0)
        if agent.budget_tokens is not None and used > agent.budget_tokens:
            return OverBudget(agent.budget_tokens, used, "tokens")
        return None

    def keep_answers(self) -> None:
        """Write the outputs that the last message is, where their files are not there; what should be JSON must be.

        A reviewer that may write nothing can only answer.
        """
        for output in self._answers:
            path = _place(self._folder.out, output)
            answer = self._answer(output.path)
            if path is not None and answer is not None:
                with contextlib.suppress(OSError):  # It is missing then, and the verdict says so.
                    disk.replace(path, answer.encode("utf-8", "replace"))

    def _answer(self, path: str) -> str | None:
        """The last message as the content of such a file; None where it is none."""
        text = self.heard.text
        if not path.endswith(".json"):
            return text
        value = self.heard.structured if self.heard.structured is not None else _json_in(text or "")
        return None if value is None else json.dumps(value, ensure_ascii=False, indent=2) + "\n"

    def _note(self) -> None:
        heard = self.heard
        shape = {
            "activity": heard.activity,
            "turns": heard.turns,
            "tools": heard.tools,
            "model": heard.model,
            "session_id": heard.session_id,
            "usage": {name: value for name, value in _used(heard).fields().items() if value is not None},
        }
        if shape != self._noted:
            self._noted = shape
            with contextlib.suppress(OSError):  # A full disk keeps nobody from working on.
                disk.replace(self._folder.progress, json.dumps(shape).encode())


def told(folder: RunFolder, spec: RunSpec, now_ms: int) -> Reported | None:
    """What the kept stream says of the result, read anew; None where there is none. `worker replay` asks it, too."""
    if spec.agent is None or not os.path.exists(folder.stream):
        return None
    follower = Follower(folder, spec, spec.agent)
    follower.end()
    return follower.result(None, now_ms)


def _used(heard: Heard) -> Usage:
    """What is used up by now: what the engine counted, or, until it has, the least that it must be."""
    so_far = heard.so_far.fields()
    return Usage(**{name: value if value is not None else so_far[name] for name, value in heard.usage.fields().items()})


def _place(out: Path, output: OutputSpec) -> Path | None:
    """Where the output's file goes; None where something is there, or its folder leads elsewhere."""
    path = out / output.path
    inside = os.path.realpath(path) == os.path.join(os.path.realpath(out), output.path)
    return path if inside and path.parent.is_dir() and not os.path.lexists(path) else None


def _json_in(text: str) -> Any:
    """The JSON value that a message is, or that its last fenced block is; None where there is none."""
    for part in (text, *reversed(_FENCED.findall(text))):
        value = answer(part)
        if isinstance(value, dict):
            return value
    return None
