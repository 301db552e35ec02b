"""`worker logs`: what a run said, whole, its end, from a moment on, or as it comes."""

from __future__ import annotations

import argparse
import codecs
import re
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

from lattice.cli.arguments import Answer, Command, Context, Parser, positive
from lattice.cli.render import write, write_parts
from lattice.cli.worker_wait import FOLLOW_S, add_run
from lattice.core.text import visible_prose
from lattice.errors import NotFound, UsageError
from lattice.workers import control, overview
from lattice.workers.runs import RunFolder
from lattice.workers.transcript import (
    END_BYTES,
    Transcript,
    chunks,
    end_begin,
    line_begin,
    lines_begin,
    near_end,
    size_of,
)

LINE_BYTES_MAX = 1 << 20
"""As much of a line without an end is held back for `--grep`, and no more."""


class WorkerLogs(Command):
    description = (
        "What the worker wrote to its output and error streams. Control characters are shown, not sent.\n"
        "Of an agent it is what its stream says, as text; lines of its error stream begin with '! ', and stand about\n"
        "where they came. --raw gives the stream itself, one JSON object a line.\n"
        "The supervisor notes once a second how long the log is: --since is exact to a second or two, and\n"
        "shows rather more than less."
    )
    examples = (
        "lattice worker logs RUN",
        "lattice worker logs RUN --follow --grep 'error|warning'",
        "lattice worker logs RUN --since 2m",
        "lattice worker logs RUN --tail 20",
        "lattice worker logs RUN --raw > run.log",
    )

    def arguments(self, parser: Parser) -> None:
        add_run(parser)
        parser.add_argument("-f", "--follow", action="store_true", help="go on until the run ends")
        parser.add_argument("--since", metavar="MOMENT", help="what came from then on: 2m (ago), 2026-11-01T09:30")
        parser.add_argument("--grep", metavar="REGEX", help="the lines that it is found in")
        parser.add_argument("--tail", type=positive, metavar="N", help="the last N lines")
        parser.add_argument("--raw", action="store_true", help="the bytes as they are: a terminal will act on them")
        parser.add_argument("--errors", action="store_true", help="of an agent: what it wrote to its error stream")
        parser.add_argument("--guard", action="store_true", help="what the supervisor said of itself instead")

    def run(self, args: argparse.Namespace, context: Context) -> Answer | int:
        board = context.board
        run = overview.find(board, args.run)
        folder = RunFolder(board.folder, run.run_id)
        if not folder.exists():
            why = "was not started by Lattice, which has no log of it" if run.external else "has no log on this machine"
            raise NotFound(f"Run {run.run_id} {why}.", hint=f"lattice worker show {run.run_id}")
        if args.follow and args.json:
            raise UsageError("--follow and --json exclude each other.", hint="Follow without --json.")
        if args.guard and (args.since is not None or args.errors):
            other = "--errors" if args.errors else "--since"
            raise UsageError(f"--guard and {other} exclude each other.", hint="Only the worker's log has times.")
        spec = folder.spec()
        agent = spec is not None and spec.agent is not None
        if args.errors and not agent:
            raise UsageError(
                f"{run.run_id} is no agent's run: what it said and its errors are one log.",
                hint=f"lattice worker logs {run.run_id}",
            )
        wanted = _pattern(args.grep)
        begin = _begin(folder, args.since, board.ledger.source.now_ms()) if args.since is not None else (0, 0)
        if agent and spec is not None and not (args.guard or args.raw or args.errors):
            if args.tail is not None and wanted is None:
                begin = end_begin(folder, spec.engine, begin, args.tail)
            told = Transcript(folder, spec.engine, begin)
            if args.follow:
                return _follow_agent(told, folder, wanted, args.tail)
            lines = deque((each for each in told.end() if wanted is None or wanted.search(each)), args.tail)
            return _answer(run.run_id, folder.stream, "\n".join(lines))
        if run.queued and not args.follow:
            waits = f"{run.run_id} waits in the queue and has said nothing yet: lattice worker show {run.run_id}"
            return _answer(run.run_id, folder.output_log, "", waits)
        path = folder.guard_log if args.guard else folder.stream if agent and not args.errors else folder.output_log
        start = begin[1] if args.errors else begin[0]
        return _of_bytes(args, run.run_id, path, folder, wanted, line_begin(path, start) if agent else start)


def _of_bytes(
    args: argparse.Namespace, run_id: str, path: Path, folder: RunFolder, wanted: re.Pattern[str] | None, begin: int
) -> Answer | int:
    """A log as it was written."""
    if args.tail is not None and (wanted is None or args.follow):
        begin = lines_begin(path, begin, args.tail)
    if args.follow:
        return _follow(path, folder, _Shown(wanted, raw=args.raw), begin)
    pieces = chunks(path, begin) if wanted is None else _found(path, begin, wanted)
    if args.tail is not None:
        pieces = iter(deque((each for piece in pieces for each in piece.splitlines(keepends=True)), args.tail))
    if args.raw and not args.json:
        write_parts(sys.stdout, pieces)
        return 0
    return _answer(run_id, path, b"".join(pieces).decode("utf-8", "replace"))


def _answer(run_id: str, path: Path, text: str, *warnings: str) -> Answer:
    return Answer(
        data=lambda: {"run_id": run_id, "path": str(path), "text": text},
        text=lambda _: visible_prose(text).rstrip("\n"),
        quiet=run_id,
        warnings=warnings,
    )


class _Shown:
    """Bytes of a log on their way to the screen: filtered by whole lines, decoded across the reads."""

    def __init__(self, wanted: re.Pattern[str] | None, *, raw: bool) -> None:
        self._filter = _Filter(wanted) if wanted is not None else None
        self._raw = raw
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes, *, last: bool = False) -> None:
        """Show what can be shown by now; with `last`, all of it."""
        if self._filter is not None:
            data = self._filter.feed(data, last=last)
        if self._raw:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        elif text := self._decoder.decode(data, last):
            write(sys.stdout, visible_prose(text))


class _Filter:
    """Of bytes as they come, the whole lines that a pattern is found in."""

    def __init__(self, wanted: re.Pattern[str]) -> None:
        self._wanted = wanted
        self._held = b""

    def feed(self, data: bytes, *, last: bool = False) -> bytes:
        """Those that end in `data`; with `last`, the one without an end too."""
        lines = (self._held + data).splitlines(keepends=True)
        whole = last or not lines or lines[-1].endswith(b"\n") or len(lines[-1]) > LINE_BYTES_MAX
        self._held = b"" if whole else lines.pop()
        return b"".join(each for each in lines if self._wanted.search(_text(each)))


def _found(path: Path, begin: int, wanted: re.Pattern[str]) -> Iterator[bytes]:
    """What the pattern is found in, from `begin` on."""
    lines = _Filter(wanted)
    for chunk in chunks(path, begin):
        yield lines.feed(chunk)
    yield lines.feed(b"", last=True)


def _follow(path: Path, folder: RunFolder, shown: _Shown, begin: int) -> int:
    """Print the log as it grows, until the run has ended and all was printed."""
    for last in _looks(folder):
        for chunk in chunks(path, begin):
            begin += len(chunk)
            shown.feed(chunk)
        if last:
            shown.feed(b"", last=True)
    return 0


def _follow_agent(told: Transcript, folder: RunFolder, wanted: re.Pattern[str] | None, tail: int | None) -> int:
    """As `_follow`, of what an agent says."""
    first = True
    for last in _looks(folder):
        lines = (each for each in (told.end() if last else told.more()) if wanted is None or wanted.search(each))
        for each in deque(lines, tail) if first and tail is not None else lines:
            write(sys.stdout, f"{visible_prose(each)}\n")
        first = False
    return 0


def _looks(folder: RunFolder) -> Iterator[bool]:
    """A look at the log now and then: whether it is the last, since the run has ended."""
    ended, done = control.Ended(folder), False
    while not done:
        yield False
        done = ended.wait(FOLLOW_S)
    yield True


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace").rstrip("\r\n")


def _pattern(text: str | None) -> re.Pattern[str] | None:
    if text is None:
        return None
    try:
        return re.compile(text)
    except (re.error, RecursionError, OverflowError) as off:
        raise UsageError(f"--grep {text[:80]!r} is not a regular expression: {off}.", hint=_ESCAPE) from None


_ESCAPE = "Put a backslash before each of . * + ? ( ) [ ] { } | ^ $ that means itself."


def _begin(folder: RunFolder, since: str, now_ms: int) -> tuple[int, int]:
    """Where in the log what came from then on begins; of an agent in its stream, and in its errors."""
    from calendar import timegm  # only --since needs the calendar
    from time import strptime

    from lattice.core.moments import parse_moment
    from lattice.workers.ends import steps

    moment = parse_moment(since, now_ms)
    return steps.sizes_at(folder, timegm(strptime(moment, "%Y-%m-%dT%H:%M:%SZ")) * 1000)


def tail_of(folder: RunFolder, count: int) -> Sequence[str]:
    """The log's last lines, harmless, without reading all of it."""
    spec = folder.spec()
    if spec is not None and spec.agent is not None:
        lines = near_end(folder, spec.engine)
    else:
        begin = max(0, size_of(folder.output_log) - END_BYTES)
        lines = _text(b"".join(chunks(folder.output_log, begin))).splitlines()
    return [visible_prose(each).replace("\t", "    ") for each in lines[-count:]]
