"""`worker wait`, and what every command that waits for a run or names one needs."""

from __future__ import annotations

import argparse
import sys
import time

from lattice.cli.arguments import Answer, Command, Context, Parser, positive
from lattice.cli.render import cut, line, span, write
from lattice.errors import Interrupted, RunFailed
from lattice.workers import control, overview, run_view
from lattice.workers.external.lapse import seconds_of
from lattice.workers.run_view import RunView
from lattice.workers.runs import RunFolder

TYPE_CHECKING = False

FOLLOW_S = 0.2  # how often a growing log, or a line of progress, is looked at while the end is waited for

LINE_BYTES = 4096  # of the last line of a log, as much is looked at for a line of progress


class WorkerWait(Command):
    description = "Waits until nothing is left of it: its end is on the board and its worktree is gone."
    examples = ("lattice worker wait RUN", "lattice worker wait RUN --timeout 60")

    def arguments(self, parser: Parser) -> None:
        add_run(parser)
        parser.add_argument("--timeout", type=positive, metavar="SECONDS", help="give up after so long, exit with 1")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        run = overview.find(context.board, args.run)
        return waited(context, run.run_id, quiet=args.quiet or args.json, timeout_s=args.timeout)


def add_run(parser: Parser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run's id, or its end: lattice worker ps --all")


def waited(context: Context, run_id: str, *, quiet: bool, timeout_s: float | None = None) -> Answer:
    """Wait for the run's last step, and answer with its end. Raises RunFailed where it did not succeed."""
    board = context.board
    try:
        _wait_for_end(context, run_id, quiet=quiet, timeout_s=timeout_s)
    except KeyboardInterrupt:
        raise Interrupted(
            f"{run_id} goes on without you.", hint=f"lattice worker stop {run_id}", run_id=run_id
        ) from None
    run = control.finish(board, run_id)
    if run.state != "succeeded":
        retry = overview.find(board, run.retried_as) if run.retried_as is not None else None
        follows = f" {_followed(retry)}" if retry is not None else ""
        raise RunFailed(
            f"{run.worker} on {run.task} {_WORDS.get(run.state, run.state)}: "
            f"{run.error or 'no reason is known.'}{follows}",
            hint=f"lattice worker {'show' if run.external else 'logs'} {run_id}"
            + (f"; for what follows: lattice worker wait {retry.run_id}" if retry is not None else ""),
            run=run.fields(),
            retry=retry.fields() if retry is not None else None,
        )
    from lattice.cli.worker_code import left_by, told  # git: the others here do without

    left = left_by(board, run)
    return Answer(
        data=lambda: run.fields() | left,
        text=lambda terminal: (
            f"{run.worker} on {line(run.task)} {terminal.styled('succeeded', 'done')}"
            f" in {span(run.duration_s)}: {run_id}"
            + (f"\n  attached to the task: lattice show {line(run.task)}" if run.artifact_ids else "")
            + "".join(f"\n{said}" for said in told(left, run))
        ),
        quiet=run_id,
        warnings=tuple(f"Its supervisor noted: {note}" for note in RunFolder(board.folder, run_id).noted()),
    )


def _wait_for_end(context: Context, run_id: str, *, quiet: bool, timeout_s: float | None) -> None:
    ended = control.ended(context.board, run_id)
    give_up_at = time.monotonic() + timeout_s if timeout_s is not None else None
    progress = _Progress(context, run_id) if not quiet and sys.stderr.isatty() else None
    try:
        while not ended.wait(FOLLOW_S if progress or give_up_at else None):
            if progress:
                progress.show()
            if give_up_at is not None and time.monotonic() > give_up_at:
                raise RunFailed(f"{run_id} has not ended within {timeout_s:g} s.", hint=f"lattice worker logs {run_id}")
    finally:
        if progress:
            progress.clear()


def _followed(retry: RunView) -> str:
    """What is said of the run that tries again what failed."""
    named = f"{retry.run_id}, attempt {retry.attempt}"
    if retry.ended:
        return f"It was tried again, which {_WORDS.get(retry.state, retry.state)}: {named}."
    wait_s = seconds_of(retry.not_before) - time.time() if retry.queued and retry.not_before else 0.0
    return f"It is tried again{f' in {span(wait_s)}' if wait_s > 0 else ''}: {named}."


_WORDS = {"failed": "failed", "timed_out": "timed out", "cancelled": "was cancelled", "lost": "was lost"}


class _Progress:
    """One line on the terminal's error stream: how long, and what its agent does, or its worker said last."""

    def __init__(self, context: Context, run_id: str) -> None:
        self._folder = RunFolder(context.board.folder, run_id)
        self._log = self._folder.output_log
        self._columns = context.terminal.columns or 80
        self._began = time.monotonic()

    def show(self) -> None:
        last = run_view.activity_of(self._folder) or ""
        if not last:
            from lattice.workers.transcript import chunks, size_of  # a wait without a terminal does without

            said = b"".join(chunks(self._log, max(0, size_of(self._log) - LINE_BYTES)))
            last = b"".join(said.splitlines()[-1:]).decode("utf-8", "replace").strip()
        text = cut(line(f"{span(time.monotonic() - self._began):>6}  {last or 'starting'}"), self._columns - 1)
        write(sys.stderr, f"\r\x1b[K{text}")

    def clear(self) -> None:
        write(sys.stderr, "\r\x1b[K")
