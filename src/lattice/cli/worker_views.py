"""The commands of `lattice worker` that look at runs as they are: `ps` and `show`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from lattice.cli.arguments import Answer, Command, Context, Parser, positive
from lattice.cli.cost_words import cost_data, told_cost, usage_words
from lattice.cli.render import Terminal, line, span, table
from lattice.cli.worker_wait import add_run, data_of
from lattice.commands.board import Board
from lattice.core.costs import Cost
from lattice.workers import control, costs, liveness, overview
from lattice.workers.ends import steps
from lattice.workers.ends.steps import Step
from lattice.workers.overview import RunView
from lattice.workers.processes import usage
from lattice.workers.processes.usage import Usage
from lattice.workers.queueing import queue
from lattice.workers.runs import RunFolder

HEADS = ("RUN", "WORKER", "TASK", "STATE", "PLACE", "AGE", "OUTPUT", "CPU", "MEMORY", "BY / WHY")
FLEXIBLE = HEADS.index("BY / WHY")
FIRST_TO_GO = [HEADS.index(name) for name in ("CPU", "MEMORY", "OUTPUT", "AGE", "PLACE", "BY / WHY", "WORKER", "TASK")]


class WorkerPs(Command):
    description = (
        "What runs now, by what the kernel knows: a run whose supervisor died is never shown as running. CPU is of\n"
        "one processor over the run's life; MEMORY is the proportional set size of all its processes. PLACE is\n"
        "that of a run that waits, in the queue."
    )
    examples = ("lattice worker ps", "lattice worker ps --all", "lattice worker ps --json")

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("--all", action="store_true", help="the runs of this machine that have ended, too")
        parser.add_argument("--limit", type=positive, metavar="N", help="the newest N of them")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        board = context.board
        liveness.refresh_all(board)
        runs = overview.active(board)
        if args.all:
            runs = list({run.run_id: run for run in [*overview.on_this_machine(board), *runs]}.values())
        shown = runs[-args.limit :] if args.limit else runs
        used = usage.look(run.run_id for run in shown if not run.ended)
        places = places_of(board, shown)
        return Answer(
            data=lambda: [listed_data(run, used.get(run.run_id), places) for run in shown],
            text=lambda terminal: _ps(shown, used, places, terminal, everything=args.all),
            quiet="\n".join(run.run_id for run in shown),
        )


class WorkerShow(Command):
    examples = ("lattice worker show RUN", "lattice worker show RUN --json")
    description = (
        "RUN is a run's id, or the end of it as far as it is its own. The steps are those that this machine saw,\n"
        "each with the time since the one before it."
    )

    def arguments(self, parser: Parser) -> None:
        add_run(parser)

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        board = context.board
        run = control.refreshed(board, args.run)
        done = steps_of(board, run)
        cost = costs.of_run(run, costs.prices_of(board))
        used = usage.look(() if run.ended else (run.run_id,)).get(run.run_id)
        from lattice.cli.worker_code import left_by, told  # git: `ps` does without

        left = left_by(board, run)
        return Answer(
            data=lambda: (
                data_of(run)
                | usage_data(used)
                | {"cost": cost_data(cost), "steps": [step.fields() for step in done]}
                | left
            ),
            text=lambda terminal: "\n".join([page(run, done, used, cost, terminal), *told(left, run.run_id)]),
            quiet=run.run_id,
        )


def steps_of(board: Board, run: RunView) -> list[Step]:
    """The run's timeline, as far as its folder is here."""
    folder = RunFolder(board.folder, run.run_id)
    return steps.of(folder, folder.spec())


def places_of(board: Board, runs: Sequence[RunView]) -> Mapping[str, int]:
    """The place in the queue of those of the runs that wait there. The queue is not looked at where none does."""
    return queue.places(board) if any(run.queued for run in runs) else {}


def listed_data(run: RunView, used: Usage | None, places: Mapping[str, int]) -> dict[str, Any]:
    """A run in a list, for programs."""
    return data_of(run) | usage_data(used) | {"place": places.get(run.run_id)}


def usage_data(used: Usage | None, before: Usage | None = None) -> dict[str, Any]:
    """What a run uses, for programs; null where nothing of it runs here."""
    return {
        "processes": used.processes if used else None,
        "cpu_percent": round(used.cpu_percent(before), 1) if used else None,
        "cpu_s": round(used.cpu_s, 2) if used else None,
        "memory_bytes": used.memory_bytes if used else None,
    }


def row(run: RunView, used: Usage | None, place: int | None, before: Usage | None = None) -> list[str]:
    """A run as a row under `HEADS`."""
    return [
        run.run_id,
        run.worker,
        line(run.task),
        run.state,
        "" if place is None else str(place),
        span(run.duration_s),
        "" if run.silent_s is None or run.ended else f"silent {span(run.silent_s)}",
        f"{used.cpu_percent(before):.0f}%" if used else "",
        mebibytes(used.memory_bytes) if used else "",
        line(run.error or run.requested_by),
    ]


def mebibytes(size: int | None) -> str:
    """A size in MiB, for people."""
    return "" if size is None else f"{size / (1 << 20):.1f} MiB"


def _ps(
    runs: Sequence[RunView],
    used: Mapping[str, Usage],
    places: Mapping[str, int],
    terminal: Terminal,
    *,
    everything: bool,
) -> str:
    if not runs:
        return "No runs on this machine yet." if everything else "Nothing is running."
    rows = [row(run, used.get(run.run_id), places.get(run.run_id)) for run in runs]
    return table(rows, terminal, FLEXIBLE, HEADS, FIRST_TO_GO)


def page(run: RunView, done: Sequence[Step], used: Usage | None, cost: Cost | None, terminal: Terminal) -> str:
    """All that is known of a run, for people."""
    facts = [
        ("task", f"{run.task} ({run.task_id})"),
        ("state", terminal.styled(run.state)),
        ("why", run.error),
        ("result", run.result if run.result != run.state else None),
        ("commit", run.commit_sha),
        ("base", run.base_sha),
        ("requested", f"{terminal.when(run.requested_at)} by {run.requested_by} on {run.host}"),
        ("started", terminal.when(run.started_at) if run.started_at else None),
        ("ended", terminal.when(run.ended_at) if run.ended_at else None),
        ("time", span(run.duration_s) + (f" of {span(run.timeout_s)}" if run.timeout_s else "")),
        ("deadline", run.deadline if run.external else None),
        ("heard of", f"{span(run.silent_s)} ago" if run.external and run.silent_s is not None else None),
        ("executed", " ".join(run.argv) if run.argv else None),
        ("sandbox", run.sandbox),
        ("uses", f"{used.processes} processes, {used.cpu_s:.1f} s of CPU, {mebibytes(used.memory_bytes)}"
            if used else None),
        ("exit status", run.exit),
        ("killed", ", ".join(map(str, run.killed)) or None),
        ("worktree", run.worktree if not run.ended else None),
        ("kept", run.salvage_ref),
        ("artifacts", ", ".join(run.artifact_ids) or None),
        ("tokens", usage_words(run.usage)),
        ("cost", told_cost(run, cost)),
        ("log", None if run.external else f"lattice worker logs {run.run_id}"),
    ]  # fmt: skip
    shown = [f"  {name:<12} {value if name == 'state' else line(value)}" for name, value in facts if value is not None]
    timeline = [f"  {step.name:<12} {_took(step):>10}  {steps.MEANING[step.name]}" for step in done]
    if timeline:
        timeline.insert(0, terminal.styled("Steps", "heading"))
    return "\n".join([terminal.styled(f"{run.worker}  {run.run_id}", "heading"), *shown, *timeline])


def _took(step: Step) -> str:
    if step.took_s is None:
        return ""
    return f"+{step.took_s * 1000:.0f} ms" if step.took_s < 1 else f"+{span(step.took_s)}"
