"""The commands of `lattice worker` that look at runs as they are: `ps` and `show`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

from lattice.cli.agent_cells import model_cell, names, runs_table, tokens_cell, turns_cell
from lattice.cli.arguments import Answer, Command, Context, Parser, positive
from lattice.cli.cost_words import budget_words, cost_data, short_cost, told_cost, usage_words
from lattice.cli.render import Terminal, line, span
from lattice.cli.worker_wait import add_run
from lattice.commands.board import Board
from lattice.core.costs import Cost, Prices
from lattice.core.text import how_many, visible_prose
from lattice.store.protocol import Unread
from lattice.workers import agent_runs, control, costs, liveness, overview
from lattice.workers.agent_runs import CHANGED, GONE, SAME, AgentRun
from lattice.workers.ends import steps
from lattice.workers.ends.steps import Step
from lattice.workers.processes import usage
from lattice.workers.processes.usage import Usage
from lattice.workers.queueing import queue
from lattice.workers.run_view import RunView
from lattice.workers.runs import RunFolder

HEADS = (
    *("RUN", "WORKER", "TASK", "STATE", "PLACE", "AGE", "OUTPUT", "CPU", "MEMORY"),
    *("MODEL", "TURNS", "TOKENS", "COST", "DOES / WHY / BY"),
)
NOTHING: Mapping[str, Any] = {}
FLEXIBLE = "DOES / WHY / BY"
OF_AGENTS = ("MODEL", "TURNS", "TOKENS", "COST")
FIRST_TO_GO = (
    *("CPU", "MEMORY", "OUTPUT", "MODEL", "TURNS", "TOKENS", "AGE", "PLACE", "COST"),
    *(FLEXIBLE, "WORKER", "TASK"),
)


class WorkerPs(Command):
    description = (
        "What runs now, by what the kernel knows: a run whose supervisor died is never shown as running. CPU is of\n"
        "one processor over the run's life; MEMORY is the proportional set size of all its processes. PLACE is\n"
        "that of a run that waits, in the queue. Of agents there are the model, its turns, the tokens and dollars\n"
        "that it says it has used so far, and what it does now. The members of a team stand below it."
    )
    examples = ("lattice worker ps", "lattice worker ps --all", "lattice worker ps --json")

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("--all", action="store_true", help="the runs of this machine that have ended, too")
        parser.add_argument("--limit", type=positive, metavar="N", help="the newest N of them")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        board = context.board
        liveness.refresh_all(board)
        unread: Unread = {}
        runs = overview.active(board, unread)
        if args.all:
            here = overview.on_this_machine(board, unread)
            runs = list({run.run_id: run for run in [*here, *runs]}.values())
        shown = overview.families(runs[-args.limit :] if args.limit else runs)
        used = usage.look(run.run_id for run in shown if not run.ended)
        places = places_of(board, shown)
        return Answer(
            data=lambda: [listed_data(run, used.get(run.run_id), places) for run in shown],
            text=lambda terminal: (
                listing(shown, used, places, costs.prices_of(board), terminal)
                or ("No runs on this machine yet." if args.all else "Nothing is running.")
            ),
            quiet="\n".join(run.run_id for run in shown),
            warnings=board.left_out(unread),
        )


class WorkerShow(Command):
    examples = ("lattice worker show RUN", "lattice worker show RUN --json", "lattice worker show RUN --prompt")
    description = (
        "RUN is a run's id, or the end of it as far as it is its own. The steps are those that this machine saw,\n"
        "each with the time since the one before it. Of an agent's run there are its session, its prompt and whether\n"
        "the prompt's file is still the same; of a team's, its members."
    )

    def arguments(self, parser: Parser) -> None:
        add_run(parser)
        parser.add_argument("--prompt", action="store_true", help="print the prompt that its agent was given")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        board = context.board
        run = control.refreshed(board, args.run)
        if args.prompt:
            return _prompt(board, run)
        done = steps_of(board, run)
        cost = costs.of_run(run, costs.prices_of(board))
        used = usage.look(() if run.ended else (run.run_id,)).get(run.run_id)
        from lattice.cli.worker_code import left_by, told  # git: `ps` does without

        left = left_by(board, run)
        waits_for = _waits_for(board, run)
        agent, members = agent_runs.of(board, run.run_id), overview.members(board, run)
        return Answer(
            data=lambda: (
                run.fields()
                | usage_data(used)
                | waits_for
                | {"cost": cost_data(cost), "steps": [step.fields() for step in done]}
                | {"agent": agent and agent.fields(), "members": [member.fields() for member in members]}
                | left
            ),
            text=lambda terminal: "\n".join(
                [page(run, done, used, cost, terminal, agent, members, waits_for), *told(left, run)]
            ),
            quiet=run.run_id,
        )


def _prompt(board: Board, run: RunView) -> Answer:
    path, text = agent_runs.prompt_of(board, run)
    return Answer(
        data=lambda: {"run_id": run.run_id, "path": str(path), "prompt_sha256": run.prompt_sha256, "text": text},
        text=lambda _: visible_prose(text).rstrip("\n"),
        quiet=str(path),
    )


def _waits_for(board: Board, run: RunView) -> dict[str, Any]:
    """Of a run in the queue, its place there and what it waits for."""
    if not run.queued:
        return {}
    for place, (waiting, reasons) in enumerate(queue.listed(board), start=1):
        if waiting.run_id == run.run_id:
            return {"place": place, "waits_for": list(reasons)}
    return {}


def _time(run: RunView) -> str:
    """How long it took, of how much; the limit counts from the start, which a run that waits has before it."""
    if run.timeout_s and (run.started_at or not (run.queued or run.ended)):
        return f"{span(run.duration_s)} of {span(run.timeout_s)}"
    return f"{span(run.duration_s)} in the queue" if run.queued else span(run.duration_s)


def steps_of(board: Board, run: RunView) -> list[Step]:
    """The run's timeline, as far as its folder is here."""
    folder = RunFolder(board.folder, run.run_id)
    return steps.of(folder, folder.spec())


def places_of(board: Board, runs: Sequence[RunView]) -> Mapping[str, int]:
    """The place in the queue of those of the runs that wait there. The queue is not looked at where none does."""
    return queue.places(board) if any(run.queued for run in runs) else {}


def listed_data(run: RunView, used: Usage | None, places: Mapping[str, int]) -> dict[str, Any]:
    """A run in a list, for programs."""
    return run.fields() | usage_data(used) | {"place": places.get(run.run_id)}


def usage_data(used: Usage | None, before: Usage | None = None) -> dict[str, Any]:
    """What a run uses, for programs; null where nothing of it runs here."""
    return {
        "processes": used.processes if used else None,
        "cpu_percent": round(used.cpu_percent(before), 1) if used else None,
        "cpu_s": round(used.cpu_s, 2) if used else None,
        "memory_bytes": used.memory_bytes if used else None,
    }


def listing(
    runs: Sequence[RunView],
    used: Mapping[str, Usage],
    places: Mapping[str, int],
    prices: Prices,
    terminal: Terminal,
    before: Mapping[str, Usage] | None = None,
) -> str:
    """The runs as a table, a line each, in their order; nothing where there is none."""
    rows = [
        [
            name,
            run.worker,
            line(run.task),
            run.state,
            str(places.get(run.run_id, "")),
            span(run.duration_s),
            "" if run.silent_s is None or run.ended else f"silent {span(run.silent_s)}",
            *_cells(used.get(run.run_id), (before or {}).get(run.run_id)),
            model_cell(run),
            turns_cell(run),
            tokens_cell(run),
            short_cost(costs.of_run(run, prices)),
            line(run.error or run.activity or run.requested_by),
        ]
        for name, run in zip(names(runs), runs, strict=True)
    ]
    return runs_table(rows, terminal, HEADS, FLEXIBLE, FIRST_TO_GO, OF_AGENTS) if rows else ""


def _cells(used: Usage | None, before: Usage | None) -> tuple[str, str]:
    return (f"{used.cpu_percent(before):.0f}%", mebibytes(used.memory_bytes)) if used else ("", "")


def _used(used: Usage) -> str:
    count = how_many(used.processes, "process", "processes")
    return f"{count}, {used.cpu_s:.1f} s of CPU, {mebibytes(used.memory_bytes)}"


def mebibytes(size: int | None) -> str:
    """A size in MiB, for people."""
    return "" if size is None else f"{size / (1 << 20):.1f} MiB"


def page(
    run: RunView,
    done: Sequence[Step],
    used: Usage | None,
    cost: Cost | None,
    terminal: Terminal,
    agent: AgentRun | None = None,
    members: Sequence[RunView] = (),
    waits_for: Mapping[str, Any] = NOTHING,
) -> str:
    """All that is known of a run, for people."""
    facts = [
        ("task", f"{run.task} ({run.task_id})"),
        ("state", terminal.styled(run.state)),
        ("why", run.error),
        ("result", run.result if run.result != run.state else None),
        ("commit", run.commit_sha),
        ("base", run.base_sha),
        ("requested", f"{terminal.when(run.requested_at)} by {run.requested_by} on {run.host}"),
        ("because", run.because),
        ("retry of", run.retry_of and run.retry_of + (f", attempt {run.attempt}" if run.attempt > 1 else "")),
        ("started", terminal.when(run.started_at) if run.started_at else None),
        ("ended", terminal.when(run.ended_at) if run.ended_at else None),
        ("place", waits_for.get("place")),
        ("waits for", " and ".join(waits_for.get("waits_for", ())) or None),
        ("time", _time(run)),
        ("deadline", run.deadline if run.external else None),
        ("heard of", f"{span(run.silent_s)} ago" if run.external and run.silent_s is not None else None),
        ("executed", " ".join(run.argv) if run.argv else None),
        ("sandbox", run.sandbox),
        ("uses", _used(used) if used else None),
        ("exit status", run.exit),
        ("killed", ", ".join(map(str, run.killed)) or None),
        ("worktree", run.worktree if not run.ended else None),
        ("kept", kept_words(run)),
        ("merged", f"into {run.merged_into}, {str(run.merged_sha)[:12]}" if run.merged_into else None),
        ("discarded", "its branch" if run.discarded else None),
        ("retried", run.retried_as and f"as {run.retried_as}"),
        ("artifacts", ", ".join(run.artifact_ids) or None),
        ("team", run.parent),
        ("model", model_cell(run) or None),
        *_agent_facts(agent),
        ("does", run.activity if not run.ended else None),
        ("turns", turns_cell(run) or None),
        ("budget", budget_words(run)),
        ("tokens", usage_words(run.used)),
        ("cost", told_cost(run, cost)),
        ("log", None if run.external else f"lattice worker logs {run.run_id}"),
    ]  # fmt: skip
    shown = [f"  {name:<12} {value if name == 'state' else line(value)}" for name, value in facts if value is not None]
    team = [
        f"  {member.worker:<12} {terminal.styled(member.state)}  {member.run_id}"
        + (f"  {line(member.error or member.activity)}" if member.error or member.activity else "")
        for member in members
    ]
    if team:
        team.insert(0, terminal.styled("Members", "heading"))
    timeline = [f"  {step.name:<12} {_took(step):>10}  {steps.MEANING[step.name]}" for step in done]
    if timeline:
        timeline.insert(0, terminal.styled("Steps", "heading"))
    return "\n".join([terminal.styled(f"{run.worker}  {run.run_id}", "heading"), *shown, *team, *timeline])


def kept_words(run: RunView) -> str | None:
    """Where what it left in its worktree was kept, and whether it still is."""
    return run.salvage_ref and run.salvage_ref + (", dropped since" if run.salvage_dropped else "")


def _agent_facts(agent: AgentRun | None) -> list[tuple[str, str | None]]:
    if agent is None:
        return []
    return [
        ("session", agent.session_id and agent.session_id + (", gone on with" if agent.resumed else "")),
        ("prompt", agent.prompt),
        ("made from", f"{agent.template}, {_TEMPLATE[agent.template_state]}"),
    ]


_TEMPLATE = {SAME: "the same since", CHANGED: "changed since", GONE: "which is gone"}


def _took(step: Step) -> str:
    if step.took_s is None:
        return ""
    return f"+{step.took_s * 1000:.0f} ms" if step.took_s < 1 else f"+{span(step.took_s)}"
