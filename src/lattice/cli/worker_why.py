"""`lattice worker why`: the certificate of a run's end, all that its verdict hung on."""

from __future__ import annotations

import argparse
import signal
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from lattice.cli.arguments import Answer, Command, Context, Parser
from lattice.cli.cost_words import cost_data, told_cost
from lattice.cli.render import Terminal, line, span
from lattice.cli.worker_views import kept_words
from lattice.cli.worker_wait import add_run
from lattice.core.costs import Cost
from lattice.core.text import how_many
from lattice.errors import NotFound
from lattice.workers import costs, liveness, overview
from lattice.workers.ends import certificate
from lattice.workers.run_view import RunView
from lattice.workers.runs import RunFolder


class WorkerWhy(Command):
    description = (
        "How its engine ended, which signals were sent and what they killed, each output with its hash, what was\n"
        "said of it, the timers, and who found its end. A run that was lost says what is known of it."
    )
    examples = ("lattice worker why RUN", "lattice worker why RUN --json")

    def arguments(self, parser: Parser) -> None:
        add_run(parser)

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        board = context.board
        liveness.refresh(board)
        run = overview.find(board, args.run)
        if not run.ended:
            raise NotFound(
                f"{run.run_id} has not ended: it is {run.state}.",
                hint=f"lattice worker wait {run.run_id}, or lattice worker show {run.run_id}",
                run_id=run.run_id,
            )
        folder = RunFolder(board.folder, run.run_id)
        kept = (certificate.read(folder) or _from_the_log(run)) | {"noted": list(folder.noted())}
        cost = costs.of_run(run, costs.prices_of(board))
        return Answer(
            data=lambda: {**kept, "cost": cost_data(cost)},
            text=lambda terminal: _page(run, kept, cost, terminal),
            quiet=str(kept["state"]),
        )


def _from_the_log(run: RunView) -> dict[str, Any]:
    """What the board says of an end whose folder has no certificate: an older run, or one whose folder went."""
    return {
        "run_id": run.run_id,
        "task_id": run.task_id,
        "worker": run.worker,
        "state": run.state,
        "error": run.error,
        "cause": run.cause,
        "found_by": None,
        "at": run.ended_at,
        "host": run.host,
        "evidence": {"ending": None, "status": {"is": "Exited", "code": run.exit} if run.exit is not None else None},
        "outputs": [],
        "signals": [],
        "killed": list(run.killed),
        "killed_count": len(run.killed),
        "salvage_ref": run.salvage_ref,
        "late": False,
    }


def _page(run: RunView, kept: Mapping[str, Any], cost: Cost | None, terminal: Terminal) -> str:
    lines = [terminal.styled(f"{run.worker}  {run.run_id}", "heading")]
    lines.append(f"  {'state':<12} {terminal.styled(run.state)}")
    lines += [f"  {name:<12} {line(value)}" for name, value in _facts(run, kept, cost, terminal) if value is not None]
    for sent in kept.get("signals", ()):
        lines.append(
            f"  {'sent':<12} {line(sent['signal'])} after {span(sent['at_s'])} to "
            f"{how_many(sent['count'], 'process', 'processes')}"
        )
    for output in kept.get("outputs", ()):
        lines.append(f"  {'output':<12} {line(_output(output))}")
    lines += [f"  {'noted':<12} {line(note)}" for note in kept["noted"]]
    return "\n".join(lines)


def _facts(
    run: RunView, kept: Mapping[str, Any], cost: Cost | None, terminal: Terminal
) -> Iterator[tuple[str, str | None]]:
    evidence = kept.get("evidence", {})
    yield "why", run.error
    if kept.get("late"):
        yield "late", f"it ended otherwise before; afterwards it came to {kept['state']}, which was not believed"
    yield "ended by", _ending(evidence.get("ending"))
    yield "engine", _ending(evidence.get("status"))
    yield "it reported", _said(evidence.get("result"))
    yield "agent said", _said(evidence.get("claim"))
    yield "found by", kept.get("found_by")
    yield "at", terminal.when(kept["at"]) if kept.get("at") else None
    yield "host", kept.get("host")
    yield "sandbox", _sandbox(kept)
    yield "log", _cut(kept)
    yield "timers", _timers(kept.get("timers"))
    count = kept.get("killed_count", 0)
    yield "killed", f"{count}: {', '.join(map(str, kept.get('killed', ())))}" if count else "nothing"
    yield "kept", kept_words(run) if run.salvage_ref == kept.get("salvage_ref") else kept.get("salvage_ref")
    yield "usage", ", ".join(f"{name} {value}" for name, value in (kept.get("usage") or {}).items()) or None
    yield "cost", told_cost(run, cost)
    yield "versions", ", ".join(f"{name} {value}" for name, value in kept.get("versions", {}).items()) or None
    yield "left out", ", ".join(kept.get("left_out", ())) or None


_WORDS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "Exited": lambda end: f"its exit with status {end['code']}",
    "Signalled": lambda end: f"signal {end['signum']}" + _named(end["signum"]),
    "TimedOut": lambda end: f"{'silence' if end['idle'] else 'the wall limit'} of {span(end['limit_s'])}",
    "Lingered": lambda end: f"the limit of {span(end['limit_s'])} after its result",
    "LogFull": lambda end: f"the limit of its output, {end['limit_bytes']:,} bytes",
    "OverBudget": lambda end: f"its budget, {_estimated(end)}{end['used']:,} of {end['limit']:,} {end['unit']}",
    "NotAfforded": lambda _: "a ceiling that had no room for it",
    "Cancelled": lambda end: "a request to stop" + (f": {end['reason']}" if end["reason"] else ""),
    "SetupFailed": lambda _: "its preparation",
    "SpawnFailed": lambda _: "its spawn",
    "Lost": lambda _: "the loss of its supervisor",
}


def _ending(shape: Mapping[str, Any] | None) -> str | None:
    """An ending in words. Its error is not among them: it is the sentence that `why` begins with."""
    if shape is None:
        return None
    kind = str(shape["is"])
    try:
        return _WORDS[kind](shape)
    except KeyError:  # of a newer version
        return kind


def _estimated(end: Mapping[str, Any]) -> str:
    return "an estimated " if end.get("estimated") else ""


def _named(signum: int) -> str:
    try:
        return f", {signal.Signals(signum).name}"
    except ValueError:  # a real-time signal has a number only
        return ""


def _said(said: Mapping[str, Any] | None) -> str | None:
    if said is None:
        return None
    return ("success" if said["succeeded"] else "failure") + (f": {said['text']}" if said.get("text") else "")


def _sandbox(kept: Mapping[str, Any]) -> str | None:
    if "sandbox" not in kept:
        return None  # of a version that did not say
    given = kept["sandbox"]
    if given is None:
        return "none; none was asked for"
    if given["absent"] is not None:
        return f"none, though {given['asked']} was asked for: {given['absent']}"
    parts = [given["mode"], "a process namespace", "the network" if given["network"] else "no network"]
    if "worktree_writable" in given:
        parts += [f"{name} {'writable' if given[key] else 'read-only'}" for name, key in _WRITABLE]
    return ", ".join(parts)


_WRITABLE = (("worktree", "worktree_writable"), ("board", "board_writable"))


def _cut(kept: Mapping[str, Any]) -> str | None:
    """What was not kept of a log that was over its limit when the engine had ended by itself."""
    if not (cut_bytes := kept.get("log_cut_bytes")):
        return None
    return f"cut at {kept['timers']['log_limit_bytes']:,} bytes; {cut_bytes:,} more were not kept"


def _timers(timers: Mapping[str, Any] | None) -> str | None:
    if timers is None:
        return None
    named = (("wall", "wall_s"), ("idle", "idle_s"), ("after result", "after_result_s"), ("grace", "grace_s"))
    limits = ", ".join(f"{name} {span(timers[key])}" for name, key in named if timers.get(key) is not None)
    return f"{span(timers['elapsed_s'])} of {limits}"


def _output(output: Mapping[str, Any]) -> str:
    if not output["found"]:
        return f"{output['name']}: {output['reason']} ({output['path']}{', required' if output['required'] else ''})"
    return f"{output['name']}: {output['path']}, {how_many(output['size'], 'byte')}, sha256 {output['sha256']}"
