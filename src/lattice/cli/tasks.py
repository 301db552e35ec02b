"""Commands that change a task: each parses its flags into a request, asks it of the board, and says what came of it."""

from __future__ import annotations

import argparse

from lattice.cli.arguments import Answer, Command, Context, Parser, add_task, read_stdin
from lattice.cli.render import line
from lattice.cli.runs import snapshot
from lattice.commands import tasks
from lattice.commands.board import Board, read_text_file
from lattice.core.actors import UNASSIGNED, actor_text
from lattice.core.codec import encode, parse
from lattice.core.config import COMPLEXITIES, PRIORITIES, URGENCIES
from lattice.core.events import UPDATABLE, AssignmentChanged, FieldUpdated, StatusChanged
from lattice.core.task import Task
from lattice.errors import UsageError, choices
from lattice.ledger import Written

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Create(Command):
    writes = True
    description = "A title that begins with a dash goes after --."
    examples = (
        'lattice create "Fix the parser" --type bug --priority high --actor human:ann',
        'lattice create "Ship it" --tags release,web --assigned-to agent:claude --actor human:ann --quiet',
        "lattice create --actor human:ann -- --help does not mention --tags",
    )

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("title", metavar="TITLE", help="one line that says what is to be done")
        parser.add_argument("--type", help="task, bug, spike, chore, or what the board names (default: its first)")
        parser.add_argument("--priority", help=f"{choices(PRIORITIES)} (default: the board's)")
        parser.add_argument("--urgency", help=choices(URGENCIES))
        parser.add_argument("--complexity", help=choices(COMPLEXITIES))
        parser.add_argument("--status", help="where it begins (default: the board's)")
        parser.add_argument("--description", help="what there is to know, in any number of lines")
        parser.add_argument("--tags", help="separated by commas")
        parser.add_argument("--assigned-to", metavar="ACTOR", help="whose task it is")
        parser.add_argument("--id", help="a task id of your own, task_ and a ULID: a retry then makes no second task")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        request = tasks.CreateTask(**{name: getattr(args, name) for name in tasks.CreateTask._fields})
        written = request.run(context.board, context.sign(args))
        task = written.task
        text = (
            f"Task {_named(task)} already exists (idempotent)"
            if written.repeated
            else f'Created task {_named(task)} "{line(task.title)}"\n'
            f"  status: {line(task.status)}  priority: {line(task.priority)}  type: {line(task.type)}"
        )
        return _answer(context.board, task, text)


class Status(Command):
    writes = True
    description = "Which statuses may follow, `lattice show TASK` says. --force with --reason passes over the rules."
    examples = (
        "lattice status LAT-1 in_progress --actor agent:claude",
        'lattice status LAT-1 done --force --reason "delivered by hand" --actor human:ann',
    )

    def arguments(self, parser: Parser) -> None:
        add_task(parser)
        parser.add_argument("status", metavar="STATUS", help="the new status")
        parser.add_argument("--force", action="store_true", help="pass over the workflow's rules; needs --reason")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        written = _change(args, context, tasks.ChangeStatus(args.status, args.force, args.reason))
        task, event = written.task, _first(written)
        if not isinstance(event, StatusChanged):
            return _unchanged(task, f"Already at status {task.status}")
        forced = " (forced)" if event.force else ""
        return _answer(context.board, task, f"Status: {line(event.from_)} -> {line(event.to)}{forced} ({task.name})")


class Assign(Command):
    writes = True
    description = f"For nobody, say one of: {choices(UNASSIGNED)}."
    examples = (
        "lattice assign LAT-1 agent:claude --actor human:ann",
        "lattice assign LAT-1 none --actor human:ann",
    )

    def arguments(self, parser: Parser) -> None:
        add_task(parser)
        parser.add_argument("to", metavar="ACTOR", help="whose task it is from now on")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        written = _change(args, context, tasks.Assign(args.to))
        task, event = written.task, _first(written)
        if not isinstance(event, AssignmentChanged):
            who = actor_text(task.assigned_to)
            return _unchanged(task, "Already unassigned" if task.assigned_to is None else f"Already assigned to {who}")
        from_, to = line(actor_text(event.from_)), line(actor_text(event.to))
        return _answer(context.board, task, f"Assigned: {from_} -> {to} ({task.name})")


class AddComment(Command):
    writes = True
    description = "The text is TEXT, or what is in a file; `--file -` reads standard input."
    examples = (
        'lattice comment LAT-1 "Looks right to me" --role review --actor human:ann',
        "git log -1 | lattice comment LAT-1 --file - --actor agent:claude",
    )

    def arguments(self, parser: Parser) -> None:
        add_task(parser)
        parser.add_argument("text", metavar="TEXT", nargs="?", help="the comment")
        parser.add_argument("--file", help="read the comment from this file; - is standard input")
        parser.add_argument("--reply-to", metavar="ID", help="the id of the comment that this answers")
        parser.add_argument("--role", help="what the comment counts as, such as review")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        if (args.text is None) == (args.file is None):
            raise UsageError("Give the comment's TEXT, or --file FILE; one of the two.", hint="lattice comment --help")
        body = args.text if args.file is None else _from_file(args.file, context)
        if args.reply_to is None:
            written = _change(args, context, tasks.Comment(body, args.role))
        else:
            from lattice.commands import talk  # most comments answer none

            request = talk.Reply(args.reply_to, body, args.role)
            written = talk.say(context.board, args.task, request, context.sign(args))
        task = written.task
        return _answer(context.board, task, f"Comment added to {task.name} ({task.last_event_id})")


class Update(Command):
    writes = True
    description = (
        f"Fields: {choices(UPDATABLE)}, and custom_fields.NAME for data of your own.\n"
        "All pairs are written together, or none is."
    )
    examples = (
        'lattice update LAT-1 title="Fix the parser" priority=high --actor human:ann',
        "lattice update LAT-1 tags=web,release custom_fields.ticket=4711 --actor human:ann",
    )

    def arguments(self, parser: Parser) -> None:
        add_task(parser)
        parser.add_argument("pairs", metavar="FIELD=VALUE", nargs="*", help="a field and its new value")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        written = _change(args, context, tasks.Update(tuple(args.pairs)))
        task = written.task
        names = [event.body.field for event in written.events if isinstance(event.body, FieldUpdated)]
        if not names:
            return _unchanged(task, "No changes")
        return _answer(context.board, task, f"Updated {task.name}: {line(', '.join(names))}")


class Attach(Command):
    writes = True
    description = "SOURCE is a file, which is copied, or a URL, which is noted. --inline keeps a short text instead."
    examples = (
        'lattice attach LAT-1 report.md --role review --title "First review" --actor agent:claude',
        "lattice attach LAT-1 https://example.org/spec --actor human:ann",
        'lattice attach LAT-1 --inline "Seen on staging only" --actor human:ann',
    )

    def arguments(self, parser: Parser) -> None:
        add_task(parser)
        parser.add_argument("source", metavar="SOURCE", nargs="?", help="a file or a URL")
        parser.add_argument("--inline", metavar="TEXT", help="a text, in place of SOURCE")
        parser.add_argument("--type", help="conversation, file, log, note, prompt or reference")
        parser.add_argument("--title", help="what it is called (default: the file's name)")
        parser.add_argument("--summary", help="what is in it")
        parser.add_argument("--role", help="what it counts as, such as review")
        parser.add_argument("--sensitive", action="store_true", help="keep the file out of git")
        parser.add_argument(
            "--id", help="an artifact id of your own, art_ and a ULID: a retry then attaches nothing twice"
        )

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        from lattice.commands import artifacts  # no other writer of this module keeps files

        request = artifacts.Attach(**{name: getattr(args, name) for name in artifacts.Attach._fields})
        attached = request.run(context.board, args.task, context.sign(args))
        meta, name = attached.meta, attached.task.name
        text = (
            f"Artifact {meta['id']} already exists (idempotent)"
            if attached.repeated
            else f'Attached {meta["id"]} "{line(meta["title"])}" to {name}\n'
            f"  type: {line(meta['type'])}  sensitive: {'yes' if meta['sensitive'] else 'no'}"
        )
        return Answer(data=lambda: meta, text=lambda _: text, quiet=meta["id"])


class Record(Command):
    writes = True
    description = "The type begins with x_; the others are Lattice's own."
    examples = (
        """lattice event LAT-1 x_deployed --data '{"to": "staging"}' --actor agent:ci""",
        "lattice event LAT-1 x_seen --id ev_01JD0000000000000000000000 --actor agent:ci",
    )

    def arguments(self, parser: Parser) -> None:
        add_task(parser)
        parser.add_argument("type", metavar="TYPE", help="the event's name, such as x_deployed")
        parser.add_argument("--data", metavar="JSON", help="a JSON object")
        parser.add_argument("--id", help="an event id of your own, ev_ and a ULID: a retry then records nothing twice")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        written = _change(args, context, tasks.RecordEvent(args.type, args.data), event_id=args.id)
        event, name = written.events[0], written.task.name
        text = (
            f"Event {event.id} already exists (idempotent)"
            if written.repeated
            else f"Recorded {line(event.type)} on {name} ({event.id})"
        )
        return Answer(data=lambda: event.raw or _as_logged(written), text=lambda _: text, quiet=event.id)


def _change(
    args: argparse.Namespace, context: Context, request: tasks.TaskRequest, *, event_id: str | None = None
) -> Written:
    return tasks.change(context.board, args.task, request, context.sign(args), event_id=event_id)


def _first(written: Written) -> object:
    return written.events[0].body if written.events else None


def _answer(board: Board, task: Task, text: str) -> Answer:
    return Answer(data=lambda: snapshot(board, task), text=lambda _: text, quiet=task.name)


def _unchanged(task: Task, message: str) -> Answer:
    return Answer(data=lambda: {"message": message}, text=lambda _: line(message), quiet=task.name)


def _named(task: Task) -> str:
    return f"{task.short_id} ({task.id})" if task.short_id else task.id


def _as_logged(written: Written) -> dict[str, Any]:
    return parse(encode(written.events[0]))


def _from_file(name: str, context: Context) -> str:
    return read_stdin("comment") if name == "-" else read_text_file(context.folder / name, "comment")
