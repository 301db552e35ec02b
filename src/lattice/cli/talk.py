"""Commands on what is said of a task: threads, edits, deletions, reactions."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from lattice.cli.arguments import Answer, Command, Context, Parser, add_task
from lattice.cli.render import Terminal, line
from lattice.cli.runs import snapshot
from lattice.commands import talk
from lattice.core.actors import actor_text
from lattice.core.comments import Comment, comments, threads, to_json
from lattice.core.task import Task
from lattice.core.text import visible_prose
from lattice.ledger import Written


class Comments(Command):
    description = "Oldest first, replies below what they answer. A deleted comment keeps its place, without its text."
    examples = ("lattice comments LAT-1", "lattice comments LAT-1 --json")

    def arguments(self, parser: Parser) -> None:
        add_task(parser)

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        board = context.board
        task, events = board.store.history(board.resolve(args.task))
        found = threads(comments(events))
        return Answer(
            data=lambda: [to_json(top, replies) for top, replies in found],
            text=lambda terminal: "\n".join(_page(task, found, terminal)),
            quiet="\n".join(top.id for top, _ in found),
            beside={"task_context": {"id": task.name, "title": task.title, "status": task.status}},
        )


class CommentEdit(Command):
    writes = True
    description = "The earlier text stays in the history."
    examples = (
        'lattice comment-edit LAT-1 ev_01JD0000000000000000000000 "Looks right now" --actor human:ann',
        'lattice comment-edit LAT-1 ev_01JD0000000000000000000000 "Reviewed" --role review --actor human:ann',
    )

    def arguments(self, parser: Parser) -> None:
        _add_comment(parser)
        parser.add_argument("text", metavar="TEXT", help="what it says from now on")
        parser.add_argument("--role", help="what the comment counts as from now on, such as review")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        written = _say(args, context, talk.EditComment(args.comment, args.text, args.role))
        return _answer(args, context, written, "Comment edited" if written.events else "Comment says so already")


class CommentDelete(Command):
    writes = True
    description = "It keeps its place in its thread, and its text stays in the history."
    examples = ("lattice comment-delete LAT-1 ev_01JD0000000000000000000000 --actor human:ann",)

    def arguments(self, parser: Parser) -> None:
        _add_comment(parser)

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        written = _say(args, context, talk.DeleteComment(args.comment))
        return _answer(args, context, written, "Comment deleted")


class React(Command):
    writes = True
    description = f"A reaction is a word, or one of {' '.join(talk.EMOJI)}. Giving it twice changes nothing."
    examples = ("lattice react LAT-1 ev_01JD0000000000000000000000 thumbsup --actor human:ann",)

    def arguments(self, parser: Parser) -> None:
        _add_comment(parser)
        _add_emoji(parser)

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        written = _say(args, context, talk.React(args.comment, args.emoji))
        done = "Reaction added" if written.events else "Reaction given already"
        return _answer(args, context, written, f":{talk.parse_emoji(args.emoji)}: {done}")


class Unreact(Command):
    writes = True
    description = "Only who gave a reaction takes it back."
    examples = ("lattice unreact LAT-1 ev_01JD0000000000000000000000 thumbsup --actor human:ann",)

    def arguments(self, parser: Parser) -> None:
        _add_comment(parser)
        _add_emoji(parser)

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        written = _say(args, context, talk.Unreact(args.comment, args.emoji))
        return _answer(args, context, written, f":{talk.parse_emoji(args.emoji)}: Reaction taken back")


def _add_comment(parser: Parser) -> None:
    add_task(parser)
    parser.add_argument("comment", metavar="COMMENT", help="the comment's id, as lattice comments shows it")


def _add_emoji(parser: Parser) -> None:
    parser.add_argument("emoji", metavar="EMOJI", help="a word such as thumbsup")


def _say(args: argparse.Namespace, context: Context, request: talk.TalkRequest) -> Written:
    return talk.say(context.board, args.task, request, context.sign(args))


def _answer(args: argparse.Namespace, context: Context, written: Written, done: str) -> Answer:
    task = written.task
    return Answer(
        data=lambda: snapshot(context.board, task),
        text=lambda _: f"{done} on {task.name} ({line(args.comment)})",
        quiet=args.comment,
    )


def _page(task: Task, found: list[tuple[Comment, list[Comment]]], terminal: Terminal) -> Iterator[str]:
    yield terminal.styled(f'{task.name} "{line(task.title)}" ({line(task.status)})', "heading")
    if not found:
        yield "No comments."
    for top, replies in found:
        yield ""
        yield from _lines(top, "", terminal)
        for reply in replies:
            yield from _lines(reply, "    ", terminal)


def _lines(comment: Comment, indent: str, terminal: Terminal) -> Iterator[str]:
    marks = [f"role: {comment.role}"] if comment.role else []
    marks += [f"edited {terminal.when(comment.edits[-1].edited_at)}"] if comment.edits else []
    marks += [f"deleted by {actor_text(comment.deleted_by)}"] if comment.deleted else []
    said = "".join(f"  [{line(mark)}]" for mark in marks)
    head = f"{line(actor_text(comment.author))}  {line(terminal.when(comment.created_at))}{said}"
    yield f"{indent}{head}  {terminal.styled(comment.id, 'faint')}"
    if not comment.deleted:
        yield from (f"{indent}  {text}" for text in visible_prose(comment.body).split("\n"))
    for emoji in dict.fromkeys(emoji for emoji, _ in comment.reactions):
        who = ", ".join(actor_text(actor) for given, actor in comment.reactions if given == emoji)
        yield f"{indent}  :{line(emoji)}: {line(who)}"
