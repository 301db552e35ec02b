"""The commands of `lattice worker`: definitions, runs and their ends."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Any

from lattice.cli.arguments import Answer, Command, Context, Parser, add_task, positive
from lattice.cli.render import Terminal, cut, line, table, write
from lattice.core.text import visible_prose
from lattice.errors import Interrupted, LatticeError, RunFailed, UsageError
from lattice.workers import catalogue, control, launch, liveness, overview
from lattice.workers.definition import Definition
from lattice.workers.git import Repository
from lattice.workers.overview import RunView
from lattice.workers.runs import RunFolder

FOLLOW_S = 0.2  # how often a growing log, or a line of progress, is looked at while the end is waited for
CHUNK = 64 << 10


class WorkerList(Command):
    description = "Those of workers/*.json in this repository, and the built-in ones."
    examples = ("lattice worker list", "lattice worker list --json")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        top = _top(context)
        everyone = catalogue.load_all(top)
        rows = [_row(found, _problem_of(found, top, context)) for found in everyone.definitions]
        broken = tuple(f"{problem.path.name}: {problem.error.message}" for problem in everyone.problems)
        return Answer(
            data=lambda: rows,
            text=lambda terminal: table(
                [[r["name"], r["engine"], "ok" if r["problem"] is None else "broken", r["description"]] for r in rows],
                terminal,
                flexible=3,
                heads=("NAME", "ENGINE", "STATE", "DESCRIPTION"),
            ),
            quiet="\n".join(str(row["name"]) for row in rows),
            warnings=broken,
        )


class WorkerCheck(Command):
    description = "Whether each worker, or the one named, could run from here. Exits with 1 where one could not."
    examples = ("lattice worker check", "lattice worker check DiffCheck --json")

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("name", nargs="?", metavar="NAME", help="one worker; without it, all")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        top = _top(context)
        if args.name is not None:
            found = catalogue.find(args.name, top)
            catalogue.check(found, top, context.environ)
            checked: list[tuple[str, LatticeError | None]] = [(found.name, None)]
        else:
            everyone = catalogue.load_all(top)
            checked = [(found.name, _problem_of(found, top, context)) for found in everyone.definitions]
            checked += [(problem.name or problem.path.name, problem.error) for problem in everyone.problems]
        return Answer(
            data=lambda: [{"name": name, "ok": off is None, "error": off and off.as_dict()} for name, off in checked],
            text=lambda terminal: "\n".join(
                f"{terminal.styled('ok', 'done')}      {line(name)}"
                if off is None
                else f"{terminal.styled('broken', 'lost')}  {line(name)}: {line(off.message)}"
                + (f"\n        {line(off.hint)}" if off.hint else "")
                for name, off in checked
            ),
            quiet="\n".join(name for name, off in checked if off is not None),
            exit_status=1 if any(off is not None for _, off in checked) else 0,
        )


class WorkerRun(Command):
    description = (
        "The worker runs in a git worktree of its own, supervised to a certain end. The commit is --commit,\n"
        "else the task's linked branch, else HEAD; the base is --base, else where the commit left the\n"
        "definition's base branch, else its parent. The answer comes as soon as the run is supervised."
    )
    examples = (
        "lattice worker run DiffCheck LAT-1",
        "lattice worker run DiffCheck LAT-1 --wait",
        "lattice worker run DiffCheck LAT-1 --commit feature --base main",
        "lattice worker run DiffCheck LAT-1 --dry-run --json",
    )
    writes = True

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("worker", metavar="WORKER", help="its name, in any case: lattice worker list")
        add_task(parser)
        parser.add_argument("--commit", metavar="REF", help="what to work on")
        parser.add_argument("--base", metavar="REF", help="what to compare with")
        parser.add_argument("--wait", action="store_true", help="wait for the end; exit with 1 if it fails")
        parser.add_argument("--dry-run", action="store_true", help="check everything, show what would run, run nothing")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        board = context.board
        by = context.sign(args)
        request = launch.Request(args.worker, args.task, args.commit, args.base)
        prepared = launch.plan(board, request, context.environ)
        if args.dry_run:
            shape = prepared.described()
            return Answer(
                data=lambda: shape,
                text=lambda _: "\n".join(f"{key}: {line(value)}" for key, value in shape.items()),
                quiet="",
            )
        task = launch.start(board, prepared, by)
        run_id = prepared.spec.run_id
        if args.wait:
            return _waited(context, run_id, quiet=args.quiet or args.json)
        _, events = board.store.history(task.id)
        run = overview.view(board, board.store.task(task.id), events, run_id)
        return Answer(
            data=lambda: _data(run),
            text=lambda _: (
                f"Started {run.worker} on {line(run.task)}: {run_id}\n"
                f"  follow it: lattice worker logs {run_id} --follow"
            ),
            quiet=run_id,
        )


class WorkerPs(Command):
    description = "What runs now, by what the kernel knows: a run whose supervisor died is never shown as running."
    examples = ("lattice worker ps", "lattice worker ps --all", "lattice worker ps --json")

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("--all", action="store_true", help="the runs of this machine that have ended, too")
        parser.add_argument("--limit", type=positive, metavar="N", help="the newest N of them")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        board = context.board
        liveness.refresh(board)
        runs = overview.active(board)
        if args.all:
            runs = list({run.run_id: run for run in [*overview.on_this_machine(board), *runs]}.values())
        shown = runs[-args.limit :] if args.limit else runs
        return Answer(
            data=lambda: [_data(run) for run in shown],
            text=lambda terminal: _ps(shown, terminal, everything=args.all),
            quiet="\n".join(run.run_id for run in shown),
        )


class WorkerShow(Command):
    examples = ("lattice worker show RUN", "lattice worker show RUN --json")
    description = "RUN is a run's id, or the end of it as far as it is its own."

    def arguments(self, parser: Parser) -> None:
        _add_run(parser)

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        liveness.refresh(context.board)
        run = overview.find(context.board, args.run)
        return Answer(data=lambda: _data(run), text=lambda terminal: _page(run, terminal), quiet=run.run_id)


class WorkerLogs(Command):
    description = "What the worker wrote to its output and error streams. Control characters are shown, not sent."
    examples = (
        "lattice worker logs RUN",
        "lattice worker logs RUN --follow",
        "lattice worker logs RUN --tail 20",
        "lattice worker logs RUN --raw > run.log",
    )

    def arguments(self, parser: Parser) -> None:
        _add_run(parser)
        parser.add_argument("-f", "--follow", action="store_true", help="go on until the run ends")
        parser.add_argument("--tail", type=positive, metavar="N", help="the last N lines")
        parser.add_argument("--raw", action="store_true", help="the bytes as they are: a terminal will act on them")
        parser.add_argument("--guard", action="store_true", help="what the supervisor said of itself instead")

    def run(self, args: argparse.Namespace, context: Context) -> Answer | int:
        board = context.board
        run = overview.find(board, args.run)
        folder = RunFolder(board.folder, run.run_id)
        path = folder.guard_log if args.guard else folder.output_log
        if args.follow and args.json:
            raise UsageError("--follow and --json exclude each other.", hint="Follow without --json.")
        if args.follow:
            return _follow(path, folder, raw=args.raw, tail=args.tail)
        data = _last_lines(path.read_bytes() if path.exists() else b"", args.tail)
        if args.raw and not args.json:
            sys.stdout.flush()
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            return 0
        text = data.decode("utf-8", "replace")
        return Answer(
            data=lambda: {"run_id": run.run_id, "path": str(path), "text": text},
            text=lambda _: visible_prose(text).rstrip("\n"),
            quiet=run.run_id,
        )


class WorkerWait(Command):
    description = "Waits until nothing is left of it: its end is on the board and its worktree is gone."
    examples = ("lattice worker wait RUN", "lattice worker wait RUN --timeout 60")

    def arguments(self, parser: Parser) -> None:
        _add_run(parser)
        parser.add_argument("--timeout", type=positive, metavar="SECONDS", help="give up after so long, exit with 1")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        run = overview.find(context.board, args.run)
        return _waited(context, run.run_id, quiet=args.quiet or args.json, timeout_s=args.timeout)


class WorkerStop(Command):
    description = "Asks for its end: SIGINT, SIGTERM, SIGKILL, within the definition's grace."
    examples = ("lattice worker stop RUN", "lattice worker stop RUN --reason 'wrong commit' --wait")
    writes = True

    def arguments(self, parser: Parser) -> None:
        _add_run(parser)
        parser.add_argument("--wait", action="store_true", help="until nothing is left of it")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        board = context.board
        run, asked = control.stop(board, args.run, args.reason, context.sign(args))
        if asked and args.wait:
            control.Ended(RunFolder(board.folder, run.run_id)).wait()
            run = control.finish(board, run.run_id)
        said = f"Asked {run.run_id} to stop" if asked else f"{run.run_id} has ended already: {run.state}"
        return Answer(
            data=lambda: _data(run),
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
            *(f"removed  {path}" for path in (*cleared.worktrees, *cleared.folders)),
            *(f"problem  {problem}" for problem in cleared.problems),
        ]
        return Answer(
            data=cleared.fields,
            text=lambda _: "\n".join(map(line, lines)) or "Nothing to clear away.",
            quiet="\n".join(cleared.finished),
            exit_status=1 if cleared.problems else 0,
        )


def _add_run(parser: Parser) -> None:
    parser.add_argument("run", metavar="RUN", help="a run's id, or its end: lattice worker ps --all")


def _top(context: Context) -> Any:
    """The main checkout whose workers/ counts: the repository's, else the board's folder."""
    root = context.board.root
    try:
        return Repository.discover(root).top
    except LatticeError:
        return root


def _problem_of(found: Definition, top: Any, context: Context) -> LatticeError | None:
    try:
        catalogue.check(found, top, context.environ)
    except LatticeError as off:
        return off
    return None


def _row(found: Definition, problem: LatticeError | None) -> dict[str, Any]:
    return {
        "name": found.name,
        "engine": found.engine,
        "actor": found.actor,
        "description": found.description,
        "builtin": found.builtin,
        "source": str(found.source) if found.source else None,
        "timeout_minutes": found.timeout_minutes,
        "worktree": found.worktree,
        "problem": problem.as_dict() if problem else None,
    }


def _data(run: RunView) -> dict[str, Any]:
    return run.fields()


def _waited(context: Context, run_id: str, *, quiet: bool, timeout_s: float | None = None) -> Answer:
    """Wait for the run's last step, and answer with its end. Raises RunFailed where it did not succeed."""
    board = context.board
    ended = control.Ended(RunFolder(board.folder, run_id))
    give_up_at = time.monotonic() + timeout_s if timeout_s is not None else None
    progress = _Progress(context, run_id) if not quiet and sys.stderr.isatty() else None
    try:
        while not ended.wait(FOLLOW_S if progress or give_up_at else None):
            if progress:
                progress.show()
            if give_up_at is not None and time.monotonic() > give_up_at:
                raise RunFailed(f"{run_id} has not ended within {timeout_s:g} s.", hint=f"lattice worker logs {run_id}")
    except KeyboardInterrupt:
        raise Interrupted(
            f"{run_id} goes on without you.", hint=f"lattice worker stop {run_id}", run_id=run_id
        ) from None
    finally:
        if progress:
            progress.clear()
    run = control.finish(board, run_id)
    if run.state != "succeeded":
        raise RunFailed(
            f"{run.worker} on {run.task} {_WORDS.get(run.state, run.state)}: {run.error or 'no reason is known'}",
            hint=f"lattice worker logs {run_id}",
            run=_data(run),
        )
    return Answer(
        data=lambda: _data(run),
        text=lambda terminal: (
            f"{run.worker} on {line(run.task)} {terminal.styled('succeeded', 'done')}"
            f" in {_span(run.duration_s)}: {run_id}"
            + (f"\n  attached to the task: lattice show {line(run.task)}" if run.artifact_ids else "")
        ),
        quiet=run_id,
    )


_WORDS = {"failed": "failed", "timed_out": "timed out", "cancelled": "was cancelled", "lost": "was lost"}


class _Progress:
    """One line on the terminal's error stream: how long, and the last thing the worker said."""

    def __init__(self, context: Context, run_id: str) -> None:
        self._log = RunFolder(context.board.folder, run_id).output_log
        self._columns = context.terminal.columns or 80
        self._began = time.monotonic()

    def show(self) -> None:
        last = ""
        if self._log.exists():
            last = _last_lines(self._log.read_bytes()[-4096:], 1).decode("utf-8", "replace").strip()
        text = cut(line(f"{_span(time.monotonic() - self._began):>6}  {last or 'starting'}"), self._columns - 1)
        write(sys.stderr, f"\r\x1b[K{text}")

    def clear(self) -> None:
        write(sys.stderr, "\r\x1b[K")


def _follow(path: Any, folder: RunFolder, *, raw: bool, tail: int | None) -> int:
    """Print the log as it grows, until the run has ended and all was printed."""
    ended = control.Ended(folder)
    done = False
    shown = 0
    if tail is not None and path.exists():
        data = path.read_bytes()
        shown = len(data) - len(_last_lines(data, tail))
    while True:
        shown = _print_from(path, shown, raw=raw)
        if done:
            return 0
        done = ended.wait(FOLLOW_S)


def _print_from(path: Any, shown: int, *, raw: bool) -> int:
    if not path.exists():
        return shown
    with path.open("rb") as log:
        log.seek(shown)
        while chunk := log.read(CHUNK):
            shown += len(chunk)
            if raw:
                sys.stdout.buffer.write(chunk)
                sys.stdout.buffer.flush()
            else:
                write(sys.stdout, visible_prose(chunk.decode("utf-8", "replace")))
    return shown


def _last_lines(data: bytes, count: int | None) -> bytes:
    if count is None:
        return data
    return b"".join(data.splitlines(keepends=True)[-count:])


def _ps(runs: Sequence[RunView], terminal: Terminal, *, everything: bool) -> str:
    if not runs:
        return "No runs on this machine yet." if everything else "Nothing is running."
    rows = [
        [
            run.run_id,
            run.worker,
            line(run.task),
            run.state,
            _span(run.duration_s),
            "" if run.silent_s is None or run.ended else f"silent {_span(run.silent_s)}",
            line(run.error or run.requested_by),
        ]
        for run in runs
    ]
    return table(rows, terminal, flexible=6, heads=("RUN", "WORKER", "TASK", "STATE", "TIME", "OUTPUT", "BY / WHY"))


def _page(run: RunView, terminal: Terminal) -> str:
    facts = [
        ("task", f"{run.task} ({run.task_id})"),
        ("state", terminal.styled(run.state)),
        ("why", run.error),
        ("commit", run.commit_sha),
        ("base", run.base_sha),
        ("requested", f"{run.requested_at} by {run.requested_by} on {run.host}"),
        ("started", run.started_at),
        ("ended", run.ended_at),
        ("time", _span(run.duration_s) + (f" of {_span(run.timeout_s)}" if run.timeout_s else "")),
        ("executed", " ".join(run.argv) if run.argv else None),
        ("exit status", run.exit),
        ("killed", ", ".join(map(str, run.killed)) or None),
        ("worktree", run.worktree if not run.ended else None),
        ("kept", run.salvage_ref),
        ("artifacts", ", ".join(run.artifact_ids) or None),
        ("log", f"lattice worker logs {run.run_id}"),
    ]
    shown = [f"  {name:<12} {value if name == 'state' else line(value)}" for name, value in facts if value is not None]
    return "\n".join([terminal.styled(f"{run.worker}  {run.run_id}", "heading"), *shown])


def _span(seconds: float | None) -> str:
    """A length of time in two units at most."""
    if seconds is None:
        return "-"
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
