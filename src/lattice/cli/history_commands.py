"""`log`, `since` and `undo`: the board in time."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from lattice.cli.arguments import Answer, Command, Context, Parser, add_task, positive
from lattice.cli.history import described, summary
from lattice.cli.progress import progress
from lattice.cli.render import Terminal, line
from lattice.cli.runs import snapshot
from lattice.commands import history
from lattice.commands.history import Change, Entry
from lattice.core.actors import actor_text, parse_actor
from lattice.core.codec import encode, parse
from lattice.core.events import Event, StatusChanged, every_kind
from lattice.core.task import compact
from lattice.core.text import how_many
from lattice.store.protocol import Unread

MOMENTS = "2h, 3d or 1w ago; today; yesterday; a date, or a date and time in UTC"


class Log(Command):
    description = (
        "Newest first. Filters narrow each other down; several --task, --actor or --type are alternatives.\n"
        f"A moment is one of: {MOMENTS}."
    )
    examples = (
        "lattice log",
        "lattice log --since 2d --actor agent:claude",
        "lattice log --task LAT-1 --type status_changed --type comment_added --json",
    )

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("--task", action="append", default=[], metavar="TASK", help="events of this task")
        parser.add_argument("--actor", action="append", default=[], help="events of this actor")
        parser.add_argument("--type", action="append", default=[], help="events of this type, as status_changed")
        parser.add_argument("--since", metavar="MOMENT", help="events from this moment on")
        parser.add_argument("--limit", type=positive, metavar="N", help=f"at most so many (default: {history.LIMIT})")
        parser.add_argument("--all", action="store_true", help="without a limit")
        parser.add_argument("--full", action="store_true", help="each event with all of its data")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        history.check_types(args.type, sorted(every_kind()))
        actors = tuple(parse_actor(name) if ":" in name else name for name in args.actor)
        limit = args.limit or (None if args.all else history.LIMIT)
        log, unread = history.Log(tuple(args.task), actors, tuple(args.type), args.since, limit), Unread()
        with progress(args, "tasks") as tell:
            found = log.run(context.board, tell, unread)
        return Answer(
            data=lambda: [_entry(entry) for entry in found],
            text=lambda terminal: _log(found, terminal, full=args.full),
            quiet="\n".join(entry.event.id for entry in found),
            warnings=context.board.left_out(unread),
        )


class Since(Command):
    description = (
        "For each task that something happened to: how it was, how it is, and what happened.\n"
        f"MOMENT is one of: {MOMENTS}."
    )
    examples = ("lattice since 8h", "lattice since yesterday --without human:ann", "lattice since 2026-11-01 --json")

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("moment", metavar="MOMENT", help="when you left")
        parser.add_argument(
            "--without", action="append", default=[], metavar="ACTOR", help="leave out what this actor did, as yourself"
        )

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        after, unread = history.moment(context.board, args.moment), Unread()
        with progress(args, "tasks") as tell:
            changes = history.since(context.board, after, without=tuple(args.without), progress=tell, unread=unread)
        return Answer(
            data=lambda: {"since": after, "tasks": [_change(change) for change in changes]},
            text=lambda terminal: _since(after, changes, terminal),
            quiet="\n".join(change.task.name for change in changes),
            warnings=context.board.left_out(unread),
        )


class Undo(Command):
    writes = True
    description = (
        "Says what would be done; --yes does it. Without EVENT it is about the last act, an undo included; events\n"
        "that were written as one act are taken back as one. History is not rewritten: a new event compensates\n"
        "the old one. What cannot be taken back, or was changed again since, is refused with the reason."
    )
    examples = (
        "lattice undo LAT-1",
        "lattice undo LAT-1 --yes --actor human:ann",
        "lattice undo LAT-1 ev_01JD0000000000000000000000 --yes --actor human:ann",
    )

    def arguments(self, parser: Parser) -> None:
        add_task(parser)
        parser.add_argument("event", metavar="EVENT", nargs="?", help="an event's id (default: the last)")
        parser.add_argument("--yes", action="store_true", help="do it")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        board, request = context.board, history.Undo(args.event)
        if args.yes:
            written = request.run(board, args.task, context.sign(args))
            return Answer(
                data=lambda: snapshot(board, written.task),
                text=lambda terminal: "\n".join([f"Undone on {written.task.name}:", *_told(written.events, terminal)]),
                quiet=written.task.name,
            )
        task, act, bodies = request.plan(board, args.task)
        would = [f"{body.kind}  {line(summary(body))}" for body in bodies]
        command = f"lattice undo {task.name} {act[-1].id} --yes"
        lines = ["by:", *(f"  {text}" for text in would), f"Nothing is done yet. To do it: {command}"]
        return Answer(
            data=lambda: {
                "done": False,
                "task_id": task.id,
                "undoes": [_raw(event) for event in act],
                "would_write": [{"type": body.kind, "data": _data_of(body, act[-1])} for body in bodies],
            },
            text=lambda terminal: "\n".join(["This would be taken back:", *_told(act, terminal), *lines]),
            quiet=act[-1].id,
        )


def _told(events: Sequence[Event], terminal: Terminal) -> list[str]:
    return [f"  {described(event, terminal, full=False)}" for event in events]


def _raw(event: Event) -> dict[str, Any]:
    return dict(event.raw) if event.raw is not None else parse(encode(event))


def _data_of(body: Any, like: Event) -> Any:
    return parse(encode(Event(like.id, like.ts, like.task_id, like.actor, body)))["data"]


def _entry(entry: Entry) -> dict[str, Any]:
    return _raw(entry.event) | {"short_id": entry.task.short_id, "title": entry.task.title}


def _log(found: Sequence[Entry], terminal: Terminal, *, full: bool) -> str:
    if not found:
        return "No events."
    width = max(len(entry.task.name) for entry in found)
    names = [terminal.styled(line(entry.task.name).ljust(width), "heading") for entry in found]
    told = [described(entry.event, terminal, full=full) for entry in found]
    return "\n".join(f"{name}  {text}" for name, text in zip(names, told, strict=True))


def _change(change: Change) -> dict[str, Any]:
    return {
        "kind": change.kind,
        "before": compact(change.before) if change.before is not None else None,
        "task": compact(change.task),
        "events": [_raw(event) for event in change.events],
    }


def _since(after: str, changes: Sequence[Change], terminal: Terminal) -> str:
    if not changes:
        return f"Nothing happened since {terminal.when(after)}."
    began = sum(change.before is None for change in changes)
    events = how_many(sum(len(change.events) for change in changes), "event")
    tasks = how_many(len(changes), "task")
    lines = [f"Since {terminal.when(after)}: {events} on {tasks}, {began} of them new."]
    for change in changes:
        lines += ["", terminal.styled(f"{line(change.task.name)}  {line(change.task.title)}", "heading")]
        lines.append(f"  {_moved(change, terminal)}  by {line(', '.join(_actors(change)))}")
        lines += _told([event for event in change.events if not isinstance(event.body, StatusChanged)], terminal)
    return "\n".join(lines)


def _moved(change: Change, terminal: Terminal) -> str:
    now = terminal.styled(line(change.task.status))
    if change.before is None:
        return f"created, {now} now"
    word = "" if change.kind == "changed" else f"{change.kind}, "
    if change.before.status == change.task.status:
        return f"{word}still {now}"
    return f"{word}{line(change.before.status)} -> {now}"


def _actors(change: Change) -> list[str]:
    return list(dict.fromkeys(actor_text(event.actor) for event in change.events))
