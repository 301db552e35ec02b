"""`worker stop` and `worker gc`: end a run, and clear away what was left."""

from __future__ import annotations

import argparse

from lattice.cli.arguments import Answer, Command, Context, Parser
from lattice.cli.render import line
from lattice.cli.worker_wait import add_run
from lattice.workers import control


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
            data=run.fields,
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
