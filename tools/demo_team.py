"""Two scenes of the demo: a review keeps a task from `done`, and a team of agents reviews one commit.

The agents are the fakes of `lattice.testing.engines`: programs that take the command lines of Claude Code, Codex
and Gemini and speak their streams. Everything around them is what real ones have.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lattice.testing.engines import behave, install
from tools.demo_stage import Stage

DEBUGGER: Mapping[str, Any] = {
    "severity": "blocker",
    "title": "A debugger stops every request",
    "file": "prices.py",
    "line": 1,
    "category": "leftover",
    "detail": "The breakpoint is on the path of every call.",
    "status": "confirmed",
}


def gate_a_task(stage: Stage, task: str) -> None:
    """With a policy, a task cannot be done while its review has open blockers."""
    stage.heading("Findings live on the board, and keep the task from being done")
    stage.lattice("review", "findings", task)
    path = stage.clone / ".lattice" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    config["workflow"]["completion_policies"] = {"done": {"review": {"required": True, "no_open": ["blocker"]}}}
    path.write_text(json.dumps(config, indent=2), encoding="utf-8")
    stage.say("\n(.lattice/config.json now asks that a task be reviewed, without an open blocker, before it is done)")
    for status in ("planned", "review"):
        stage.quietly("status", task, status)
    refused = stage.refused("status", task, "done")
    stage.claim(refused["code"] == "COMPLETION_BLOCKED", "done is refused, and the finding in the way is named")
    for finding in stage.ask("review", "findings", task, "--severity", "blocker"):
        number = f"F{finding['number']}"
        stage.lattice("review", "waive", task, number, "--reason", "planted for this demo")
    stage.lattice("status", task, "done")
    stage.claim(stage.ask("show", task)["status"] == "done", "a person waived them with a reason: now it is done")


def review_by_a_team(stage: Stage, task: str) -> None:
    """CodeReviewHeavy with fake agents: one engine is missing, one member lies, and one finding has several finders."""
    stage.heading("A team reviews one commit: CodeReviewHeavy (its agents are played by lattice.testing.engines)")
    place = install(stage.folder / "agents", names=("claude", "codex"), behaviour={"findings": [dict(DEBUGGER)]})
    behave(place, "codex", {"findings": [dict(DEBUGGER)], "when": [{"prompt": "adversarial", "is": ["no_artifact"]}]})
    stage.environ["PATH"] = f"{place}:{stage.environ['PATH']}"
    stage.lattice("worker", "run", "CodeReviewHeavy", task, "--wait")
    stage.lattice("review", "show", task)
    review = stage.ask("review", "show", task)["review"]
    absent = {one["name"] for one in review["absent"]}
    stage.claim(
        absent == {"codex-critical", "gemini-standard", "gemini-critical"},
        "three of six took part; gemini is not installed, and one said that it had succeeded without its review",
    )
    shared = [one for one in review["findings"] if one["title"] == DEBUGGER["title"]]
    finders = {one["reviewer"]["name"] for found in shared for one in found["found_by"]}
    stage.claim(len(shared) == 1 and len(finders) == 3, "what three of them found is one finding with three finders")
