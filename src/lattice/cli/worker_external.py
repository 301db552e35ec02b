"""`worker start`, `heartbeat`, `complete` and `fail`: how an agent that Lattice did not start tells of its run."""

from __future__ import annotations

import argparse
from pathlib import Path

from lattice.cli.arguments import Answer, Command, Context, Parser, add_task
from lattice.cli.render import line
from lattice.errors import UsageError
from lattice.workers.external import agent as external
from lattice.workers.external import end as external_end
from lattice.workers.external.agent import Said
from lattice.workers.processes.marks import RUN_MARK


class WorkerStart(Command):
    description = (
        "For an agent that Lattice does not start: it says that it works as WORKER on TASK, and gets the id of\n"
        "its run. WORKER need not be defined. One of a name works on a task at a time. A run that is not\n"
        "completed before its deadline, nor kept by a heartbeat, is lost."
    )
    examples = (
        "lattice worker start Reviewer LAT-1 --deadline 90 --actor agent:reviewer",
        "RUN=$(lattice worker start Reviewer LAT-1 --heartbeat 10 --quiet --actor agent:reviewer)",
    )
    writes = True

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("worker", metavar="WORKER", help="a defined worker, or a name of its own")
        add_task(parser)
        parser.add_argument(
            "--deadline", type=_minutes, default=external.DEADLINE_MINUTES, metavar="MINUTES",
            help=f"in how many it will have ended (default: {external.DEADLINE_MINUTES:g})",
        )  # fmt: skip
        parser.add_argument("--heartbeat", type=_minutes, metavar="MINUTES", help="for how long a heartbeat keeps it")
        parser.add_argument("--commit", metavar="REF", help="what it works on")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        begin = external.Begin(args.worker, args.task, args.deadline, args.heartbeat, args.commit)
        run = external.start(context.board, begin, context.sign(args))
        return Answer(
            data=run.fields,
            text=lambda _: (
                f"{run.worker} works on {line(run.task)}: {run.run_id}, until {run.deadline}\n"
                f"  when it ends: lattice worker complete {run.run_id} --result TEXT"
            ),
            quiet=run.run_id,
        )


class WorkerHeartbeat(Command):
    description = (
        "Keeps an external run for as long again as its --heartbeat said; send it as often as you like. The answer\n"
        "says whether the run was asked to stop. A run that has ended is refused."
    )
    examples = ("lattice worker heartbeat RUN --actor agent:reviewer", "lattice worker heartbeat RUN --json")
    writes = True

    def arguments(self, parser: Parser) -> None:
        _add_own_run(parser)

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        said = external.heartbeat(context.board, _own_run(args, context), context.sign(args), context.environ)
        asked = said.stop_requested
        text = f"{said.run.run_id} is kept until {said.run.deadline}."
        if said.claim:
            text = f"{said.run.run_id} is supervised: it needs no heartbeat."
        if asked is not None:
            text += f"\nIt is asked to stop{f': {line(asked)}' if asked else ''}."
        return Answer(
            data=lambda: said.run.fields() | {"stop_requested": asked is not None, "stop_reason": asked or None},
            text=lambda _: text,
            quiet=said.run.run_id,
        )


class WorkerComplete(Command):
    description = (
        "Ends an external run: it succeeded. Once the run has an end, as when it was lost, this is refused, and\n"
        "the artifacts stay attached to the task. Inside a run that Lattice supervises, it is a claim: the\n"
        "supervisor weighs it with the exit and the outputs. Said twice, it is recorded once."
    )
    examples = (
        'lattice worker complete RUN --result "No findings" --artifact review.md --actor agent:reviewer',
        """lattice worker complete RUN --usage '{"tokens_in": 900, "cost_usd": 0.2}'""",
    )
    writes = True

    def arguments(self, parser: Parser) -> None:
        _add_own_run(parser)
        parser.add_argument("--result", metavar="TEXT", help="what came of it")
        parser.add_argument("--artifact", action="append", metavar="FILE", help="a file to attach; may be repeated")
        parser.add_argument("--usage", metavar="JSON", help="what it used: an object of numbers")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        usage = external_end.parse_usage(args.usage) if args.usage is not None else None
        paths = tuple(Path(path) for path in args.artifact or ())
        finish = external_end.Finish(result=args.result, artifacts=paths, usage=usage)
        return _finished(args, context, finish)


class WorkerFail(Command):
    description = (
        "Ends an external run: it failed, or, where it was asked to stop, was cancelled. Inside a run that Lattice\n"
        "supervises, it is a claim, and the run fails by it."
    )
    examples = ('lattice worker fail RUN --error "the tests need a database" --actor agent:reviewer',)
    writes = True

    def arguments(self, parser: Parser) -> None:
        _add_own_run(parser)
        parser.add_argument("--error", required=True, metavar="TEXT", help="why")
        parser.add_argument("--artifact", action="append", metavar="FILE", help="a file to attach; may be repeated")
        parser.add_argument("--usage", metavar="JSON", help="what it used: an object of numbers")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        usage = external_end.parse_usage(args.usage) if args.usage is not None else None
        paths = tuple(Path(path) for path in args.artifact or ())
        return _finished(args, context, external_end.Finish(error=args.error, artifacts=paths, usage=usage))


def _finished(args: argparse.Namespace, context: Context, finish: external_end.Finish) -> Answer:
    ref = _own_run(args, context)
    said = external_end.finish(context.board, ref, finish, context.sign(args), context.environ)
    return Answer(
        data=lambda: said.run.fields() | {"claim": said.claim, "repeated": said.repeated},
        text=lambda _: _text(said),
        quiet=said.run.run_id,
    )


def _text(said: Said) -> str:
    run = said.run
    if said.claim:
        return f"Noted for {run.run_id}: its supervisor weighs it when the run has ended."
    if said.repeated:
        return f"{run.run_id} had ended so already: {run.state}."
    attached = f"\n  attached to {line(run.task)}: {', '.join(run.artifact_ids)}" if run.artifact_ids else ""
    return f"{run.worker} on {line(run.task)}: {run.state}.{attached}"


def _add_own_run(parser: Parser) -> None:
    parser.add_argument("run", nargs="?", metavar="RUN", help=f"a run's id, or its end; inside a run ${RUN_MARK}")


def _own_run(args: argparse.Namespace, context: Context) -> str:
    run: str | None = args.run or context.environ.get(RUN_MARK)
    if not run:
        raise UsageError("Which run? Outside of one its id is needed.", hint="lattice worker ps")
    return run


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not 0 < minutes <= external.MINUTES_MAX:
        raise argparse.ArgumentTypeError(
            f"{text[:40]!r} is not a number of minutes above 0, and at most {external.MINUTES_MAX:g}"
        )
    return minutes
