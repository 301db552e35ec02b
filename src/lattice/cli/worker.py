"""The commands of `lattice worker` that begin a run, end it, and clear away what was left."""

from __future__ import annotations

import argparse
import shlex

from lattice.cli.arguments import Answer, Command, Context, Parser, add_task
from lattice.cli.render import line, span
from lattice.cli.worker_wait import add_run, data_of, waited
from lattice.workers import control, launch, preflight, run_view
from lattice.workers.queueing import queue


class WorkerRun(Command):
    description = (
        "The worker runs in a git worktree of its own, supervised to a certain end. The commit is --commit,\n"
        "else the task's linked branch, else HEAD; the base is --base, else where the commit left the\n"
        "definition's base branch, else its parent. The answer comes as soon as the run is supervised, or\n"
        "waits in the queue where as many run as may. With --resume its agent goes on with the session of an\n"
        "earlier run of the same engine on the task; its cost is what is new."
    )
    examples = (
        "lattice worker run DiffCheck LAT-1",
        "lattice worker run DiffCheck LAT-1 --wait",
        "lattice worker run DiffCheck LAT-1 --commit feature --base main",
        "lattice worker run DiffCheck LAT-1 --dry-run --json",
        "lattice worker run CodeReviewLite LAT-1 --resume RUN",
    )
    writes = True

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("worker", metavar="WORKER", help="its name, in capitals or not: lattice worker list")
        add_task(parser)
        parser.add_argument("--commit", metavar="REF", help="what to work on")
        parser.add_argument("--base", metavar="REF", help="what to compare with")
        parser.add_argument("--resume", metavar="RUN", help="go on with the session of this run's agent")
        parser.add_argument("--wait", action="store_true", help="wait for the end; exit with 1 if it fails")
        parser.add_argument("--no-queue", action="store_true", help="refuse where it would have to wait its turn")
        parser.add_argument("--dry-run", action="store_true", help="check everything, show what would run, run nothing")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        board = context.board
        by = context.sign(args)
        request = preflight.Request(args.worker, args.task, args.commit, args.base, args.resume)
        prepared = preflight.plan(board, request, context.environ)
        if args.dry_run:
            shape = prepared.described()
            return Answer(
                data=lambda: shape,
                text=lambda _: "\n".join(f"{key}: {line(_told(key, value))}" for key, value in shape.items() if value),
                quiet="",
            )
        task = launch.start(board, prepared, by, wait=not args.no_queue)
        run_id = prepared.spec.run_id
        if args.wait:
            return waited(context, run_id, quiet=args.quiet or args.json)
        _, events = board.store.history(task.id)
        run = run_view.view(board, board.store.task(task.id), events, run_id)
        place = queue.place(board, run_id) if run.queued else None
        if place is not None:
            return Answer(
                data=lambda: data_of(run) | {"place": place},
                text=lambda _: (
                    f"Queued {run.worker} on {line(run.task)}, at place {place}: {run_id}\n"
                    f"  see what it waits for: lattice worker queue"
                ),
                quiet=run_id,
            )
        return Answer(
            data=lambda: data_of(run) | {"place": None},
            text=lambda _: (
                f"Started {run.worker} on {line(run.task)}: {run_id}\n"
                f"  follow it: lattice worker logs {run_id} --follow"
            ),
            quiet=run_id,
        )


def _told(key: str, value: object) -> str:
    """A member of a plan, for people."""
    if isinstance(value, (list, tuple)):
        return shlex.join(value) if key == "argv" else " ".join(value)
    return span(value) if key == "timeout_s" and isinstance(value, (int, float)) else str(value)


class WorkerStop(Command):
    description = "It is sent SIGINT, then SIGTERM, and SIGKILL in the end, all within grace_seconds of its definition."
    examples = ("lattice worker stop RUN", "lattice worker stop RUN --reason 'wrong commit' --wait")
    writes = True

    def arguments(self, parser: Parser) -> None:
        add_run(parser)
        parser.add_argument("--wait", action="store_true", help="until nothing is left of it")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        board = context.board
        run, asked = control.stop(board, args.run, args.reason, context.sign(args))
        if asked and args.wait:
            control.ended(board, run.run_id).wait()
            run = control.finish(board, run.run_id)
        said = f"Asked {run.run_id} to stop" if asked else f"{run.run_id} has ended already: {run.state}"
        return Answer(
            data=lambda: data_of(run),
            text=lambda _: f"{said}; it is {run.state}." if asked else f"{said}.",
            quiet=run.run_id,
        )


class WorkerGc(Command):
    description = (
        "Compares the log, git's list of worktrees and the disk. Ends the runs of dead supervisors, and removes\n"
        "what no live run owns; changes in a worktree are kept under refs/lattice/salvage/ first."
    )
    examples = ("lattice worker gc", "lattice worker gc --json")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        cleared = control.gc(context.board, context.environ)
        lines = [
            *(f"ended    {run_id}" for run_id in cleared.finished),
            *(f"removed  {path}" for path in (*cleared.worktrees, *cleared.folders, *cleared.caches)),
            *(f"problem  {problem}" for problem in cleared.problems),
        ]
        return Answer(
            data=cleared.fields,
            text=lambda _: "\n".join(map(line, lines)) or "Nothing to clear away.",
            quiet="\n".join(cleared.finished),
            exit_status=1 if cleared.problems else 0,
        )
