"""`worker top`: the runs, live on the whole screen, with keys to look into one and to stop it."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Mapping, Sequence

from lattice.cli.arguments import Answer, Command, Context
from lattice.cli.render import Terminal, line
from lattice.cli.screen import Left, Screen, fitted
from lattice.cli.worker_logs import tail_of
from lattice.cli.worker_views import listed_data, listing, page, places_of, steps_of
from lattice.commands.board import Board
from lattice.core.text import how_many
from lattice.errors import LatticeError, NotFound, UsageError
from lattice.store.protocol import Unread
from lattice.workers import agent_runs, control, costs, liveness, overview
from lattice.workers.processes import usage
from lattice.workers.processes.usage import Usage
from lattice.workers.run_view import RunView
from lattice.workers.runs import RunFolder

REDRAW_S = 1.0
LOOK_S = 0.2  # how often it is looked whether something changed: a handful of stat(2)
HELP = "q quit   up/down select   enter show   l logs   k stop"


class WorkerTop(Command):
    description = (
        "Redrawn once a second, and as soon as a run begins, ends or is told something. CPU is of the last second.\n"
        "Keys: up and down select, enter shows the run, l its log, k stops it when you confirm with y, q quits.\n"
        "With --json, one look, as worker ps --json gives it."
    )
    examples = ("lattice worker top", "lattice worker top --actor human:ann")
    writes = True

    def run(self, args: argparse.Namespace, context: Context) -> Answer | int:
        top = Top(context.board)
        if args.json or args.quiet:
            top.look()
            return Answer(
                data=lambda: [listed_data(run, top.used.get(run.run_id), top.places) for run in top.runs],
                text=lambda _: "",
                quiet="\n".join(run.run_id for run in top.runs),
                warnings=context.board.left_out(top.unread),
            )
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise UsageError("worker top needs a terminal.", hint="lattice worker ps, or lattice worker top --json")
        try:
            with Screen() as screen:
                _live(top, screen, context, args)
        except KeyboardInterrupt:
            return 0  # Control-C is one of the ways to quit it.
        except Left as left:
            signal.signal(left.signum, signal.SIG_DFL)
            os.kill(os.getpid(), left.signum)  # Whoever sent it sees that it was obeyed.
        return 0


class Top:
    """What is on the screen, and what the keys did to it. It draws lines of text, and knows no terminal."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.runs: list[RunView] = []
        self.unread: Unread = {}
        self.used: dict[str, Usage] = {}
        self.places: Mapping[str, int] = {}
        self.mode = "list"  # list, show, logs, confirm
        self.selected: str | None = None
        self.message = ""
        self._before: dict[str, Usage] = {}

    def look(self) -> None:
        """Take in what runs now."""
        liveness.refresh_all(self.board)
        self.unread = {}
        self.runs = overview.families(overview.active(self.board, self.unread))
        self.places = places_of(self.board, self.runs)
        self._before, self.used = self.used, usage.look(run.run_id for run in self.runs)
        ids = [run.run_id for run in self.runs]
        if self.mode == "list" and self.selected not in ids:
            self.selected = ids[0] if ids else None

    def press(self, key: str) -> str | None:
        """Act on a key. Returns the id of a run that is to be stopped, or `quit`."""
        if self.mode == "confirm":
            self.mode, self.message = "list", "" if key == "y" else "It was not stopped."
            return self.selected if key == "y" else None
        if self.mode in ("show", "logs"):
            if key in ("q", "escape", "enter", "l"):
                self.mode = "list"
            return None
        self.message = ""
        if key == "q":
            return "quit"
        if key in ("up", "down"):
            self._move(-1 if key == "up" else 1)
        elif self.selected is not None and key in _MODES:
            self.mode = _MODES[key]
        return None

    def draw(self, columns: int, rows: int, terminal: Terminal) -> list[str]:
        """The screen's lines, at most `rows`."""
        if self.mode in ("show", "logs") and self.selected is not None:
            body = self._page(columns, terminal) if self.mode == "show" else self._log(rows - 1)
            lines = [fitted(each, columns) for each in body[: rows - 1]]
            return [*lines, _inverse("q back", columns)]
        count = how_many(len(self.runs), "run")
        if self.unread:
            count += f", and {how_many(len(self.unread), 'task')} that cannot be read: lattice doctor"
        head = fitted(f"lattice worker top   {line(self.board.root.name)}   {count}", columns)
        lines = [head, *self._rows(columns, terminal)]
        last = f"Stop {self.selected}? y/n" if self.mode == "confirm" else self.message or HELP
        return [*lines[: max(0, rows - 1)], _inverse(last, columns)]

    def _rows(self, columns: int, terminal: Terminal) -> list[str]:
        if not self.runs:
            return ["Nothing is running."]
        plain = Terminal(columns=columns, now_ms=terminal.now_ms)
        head, *lines = listing(
            self.runs, self.used, self.places, costs.prices_of(self.board), plain, self._before
        ).split("\n")
        shown = [head]
        for run, text in zip(self.runs, lines, strict=True):
            shown.append(_inverse(text, columns) if run.run_id == self.selected else text)
        return shown

    def _page(self, columns: int, terminal: Terminal) -> list[str]:
        try:
            run = overview.find(self.board, self.selected or "")
        except NotFound as gone:
            return [line(gone.message)]
        plain = Terminal(columns=columns, now_ms=terminal.now_ms)
        agent, members = agent_runs.of(self.board, run.run_id), overview.members(self.board, run)
        cost, used = costs.of_run(run, costs.prices_of(self.board)), self.used.get(run.run_id)
        return page(run, steps_of(self.board, run), used, cost, plain, agent, members).split("\n")

    def _log(self, rows: int) -> Sequence[str]:
        return tail_of(RunFolder(self.board.folder, self.selected or ""), max(rows, 1)) or ["It has said nothing yet."]

    def _move(self, by: int) -> None:
        ids = [run.run_id for run in self.runs]
        if self.selected in ids:
            self.selected = ids[max(0, min(len(ids) - 1, ids.index(self.selected) + by))]

    def mark(self) -> object:
        """Something that differs when what is shown may have changed."""
        watched = [self.board.path("runs", "open"), self.board.path("runs")]
        watched += [self.board.path("events", f"{run.task_id}.jsonl") for run in self.runs]
        if self.mode == "logs" and self.selected is not None:
            folder = RunFolder(self.board.folder, self.selected)
            watched += [str(folder.output_log), str(folder.stream)]
        return [_changed(path) for path in watched]


_MODES = {"k": "confirm", "enter": "show", "l": "logs"}


def _live(top: Top, screen: Screen, context: Context, args: argparse.Namespace) -> None:
    """Draw, and act on keys, until somebody quits."""
    while True:
        top.look()
        mark = top.mark()
        _draw(top, screen)
        left_s = REDRAW_S
        while left_s > 0 and mark == top.mark():
            size = screen.size()
            keys = screen.wait(min(LOOK_S, left_s))
            left_s -= LOOK_S
            for key in keys:
                wanted = top.press(key)
                if wanted == "quit":
                    return
                if wanted is not None:
                    _stop(top, wanted, context, args)
            if keys or size != screen.size():
                _draw(top, screen)
                mark = top.mark()


def _draw(top: Top, screen: Screen) -> None:
    columns, rows = screen.size()
    now_ms = top.board.ledger.source.now_ms()
    screen.show(top.draw(columns, rows, Terminal(columns=columns, now_ms=now_ms)), rows)


def _stop(top: Top, run_id: str, context: Context, args: argparse.Namespace) -> None:
    """Ask for the run's end; what is wrong with that is said on the screen."""
    try:
        run, asked = control.stop(top.board, run_id, args.reason, context.sign(args))
        top.message = f"Asked {run.run_id} to stop." if asked else f"{run.run_id} has ended already: {run.state}."
    except LatticeError as off:
        top.message = line(off.message)


def _inverse(text: str, columns: int) -> str:
    return f"\x1b[7m{fitted(text, columns)}\x1b[0m"


def _changed(path: str) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
