"""Commands that ask which tasks: `list`, `search`, `ready` and `blocked`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from lattice.cli.arguments import Answer, Command, Context, Parser, positive
from lattice.cli.render import JsonTexts, Terminal, line, table
from lattice.cli.runs import refreshed, refreshed_documents, state, with_states
from lattice.commands.board import Board
from lattice.commands.queries import Listing, Match, Search, saved_queries
from lattice.core.actors import actor_text
from lattice.core.query import (
    CUSTOM,
    FIELDS,
    Query,
    field_name,
    read_field,
    warnings,
)
from lattice.core.summary import Summary
from lattice.core.task import compact_shape
from lattice.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from lattice.store.protocol import Unread


class List(Command):
    description = (
        "Oldest first. A filter may be given again: one of its values has to fit. Different filters narrow each "
        "other\ndown. The query says the same in one text:\n\n"
        "  FIELD:VALUE          status:review, tag:web,api (one of them), assigned:none, assigned:me\n"
        "  -TERM or !TERM       what does not fit: -tag:wip\n"
        "  FIELD:<VALUE         < <= > >= for grades, numbers and times: priority:>=high updated:<2d\n"
        '  "some words"         in the title or the description\n'
        "  @NAME                a query saved with lattice query save"
    )
    examples = (
        "lattice list --status review --status planned --not-tag wip",
        "lattice list 'status:review priority:>=high -tag:wip assigned:me updated:<2d \"text\"'",
        "lattice list --sort priority,updated:desc --limit 20 --columns id,priority,title",
        "lattice list @mine --json",
        "lattice list --at 2026-11-01",
    )

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("query", nargs="*", metavar="QUERY", help="which tasks, in the query language")
        parser.add_argument("--query", dest="also", action="append", metavar="QUERY", help="the same, as an option")
        parser.add_argument("--include-archived", action="store_true", help="archived tasks too")
        parser.add_argument("--sort", metavar="FIELD[:desc]", help="the order; several with commas between them")
        parser.add_argument("--limit", type=positive, metavar="N", help="at most so many")
        parser.add_argument("--at", metavar="MOMENT", help="as it was: 2h ago, yesterday, or a date in UTC")
        parser.add_argument("--columns", metavar="FIELD,…", help="what to show of each task")
        parser.add_argument("--compact", action="store_true", help="with --json: the short form of each task")
        group = parser.add_argument_group("filters, each also as --not-…")
        for name, field in FIELDS.items():
            group.add_argument(f"--{name}", dest=f"is_{name}", action="append", metavar="VALUE", help=field.help)
            group.add_argument(f"--not-{name}", dest=f"not_{name}", action="append", help=argparse.SUPPRESS)
        group.add_argument("--field", action="append", metavar="NAME=VALUE", help="a custom field")
        group.add_argument("--not-field", action="append", metavar="NAME=VALUE", help=argparse.SUPPRESS)

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        board = context.board
        columns = _columns(args.columns)
        query = _query(args, board)
        at = _moment(board, args.at) if args.at is not None else None
        listing = Listing(query, args.sort, args.limit, args.include_archived, at=at)
        me = context.environ.get("LATTICE_ACTOR")
        said = tuple(warnings(query, board.config))
        unread: Unread = {}
        if args.json:
            documents = refreshed_documents(board, lambda: listing.documents(board, me, unread))
            texts = [with_states(board, document) for document in documents]
            data = [compact_shape(json.loads(text)) for text in texts] if args.compact else JsonTexts(texts)
            return Answer(data=lambda: data, text=lambda _: "", quiet="", warnings=said + board.left_out(unread))
        rows = refreshed(board, lambda: listing.run(board, me, unread))
        return Answer(
            data=list,
            text=lambda terminal: _table(board, rows, terminal, columns),
            quiet="\n".join(row.name for row in rows),
            warnings=said + board.left_out(unread),
        )


class Find(Command):
    description = (
        "Looks in titles, descriptions, comments and the titles of artifacts, without regard to case and accents.\n"
        "All words have to be there; the beginning of a word is enough. The best fit comes first."
    )
    examples = (
        "lattice search login crash",
        'lattice search "\\"null pointer\\" parser" --limit 5',
        "lattice search auth --json",
    )

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("text", nargs="+", metavar="TEXT", help='words; "several words" in quotes as a phrase')
        parser.add_argument("--include-archived", action="store_true", help="archived tasks too")
        parser.add_argument("--limit", type=positive, metavar="N", default=20, help="at most so many (20)")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        unread: Unread = {}
        found = Search(" ".join(args.text), args.limit, args.include_archived).run(context.board, unread)
        return Answer(
            data=lambda: [short(match.row) | {"snippet": match.snippet} for match in found],
            text=lambda terminal: _matches(found, terminal),
            quiet="\n".join(match.row.name for match in found),
            warnings=context.board.left_out(unread),
        )


class Ready(Command):
    description = (
        "Tasks in the backlog or planned whose dependencies are all finished: what `depends_on` points at, and\n"
        "what `blocks` them. The most important first, then the oldest."
    )
    examples = ("lattice ready", "lattice ready --limit 1 --quiet", "lattice ready --status planned --json")

    def arguments(self, parser: Parser) -> None:
        parser.add_argument("--status", action="append", help="in this status instead; may be given again")
        parser.add_argument("--limit", type=positive, metavar="N", help="at most so many")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        from lattice.commands.graph import ready  # a listing without the graph does without

        board = context.board
        unread: Unread = {}
        rows = ready(board, args.status or (), args.limit, unread)
        return Answer(
            data=lambda: [short(row) for row in rows],
            text=lambda terminal: _table(board, rows, terminal, ()) if rows else "Nothing is ready to begin.",
            quiet="\n".join(row.name for row in rows),
            warnings=board.left_out(unread),
        )


class Waits(Command):
    description = "Unfinished tasks that wait for others, or whose status is blocked; and those that wait in a circle."
    examples = ("lattice blocked", "lattice blocked --json")

    def run(self, args: argparse.Namespace, context: Context) -> Answer:
        from lattice.commands.graph import blocked  # as above

        unread: Unread = {}
        found = blocked(context.board, unread)
        cells = [
            [row.name, row.status, row.title, choices_of(waiting.blockers)]
            for waiting in found.waiting
            for row in (waiting.row,)
        ]
        heads = ("TASK", "STATUS", "TITLE", "WAITS FOR")
        return Answer(
            data=lambda: {
                "tasks": [
                    short(waiting.row) | {"blocked_by": [short(row) for row in waiting.blockers]}
                    for waiting in found.waiting
                ],
                "cycles": [[row.id for row in cycle] for cycle in found.cycles],
            },
            text=lambda terminal: (
                table([[line(cell) for cell in row] for row in cells], terminal, 2, heads) or "Nothing waits."
            ),
            quiet="\n".join(waiting.row.name for waiting in found.waiting),
            warnings=(*found.warnings(), *context.board.left_out(unread)),
        )


def _moment(board: Board, text: str) -> str:
    from lattice.commands.history import moment  # the present does without

    return moment(board, text)


def short(row: Summary) -> dict[str, Any]:
    """A task in an answer that is about more than tasks."""
    names = ("id", "short_id", "title", "status", "priority", "type", "assigned_to", "updated_at")
    return {name: getattr(row, name) for name in names} | ({"archived": True} if row.archived else {})


def choices_of(rows: Sequence[Summary]) -> str:
    """The names of tasks, in one cell."""
    return ", ".join(row.name for row in rows)


def _query(args: argparse.Namespace, board: Board) -> Query:
    texts = [text for text in (" ".join(args.query), *(args.also or ())) if text]
    saved = saved_queries(board.config)
    flags = [
        (name, values, negated)
        for name in FIELDS
        for prefix, negated in (("is_", False), ("not_", True))
        if (values := getattr(args, prefix + name))
    ]
    pairs = [(pair, False) for pair in args.field or ()] + [(pair, True) for pair in args.not_field or ()]
    query = Query()
    if not (texts or flags or pairs):
        return query
    from lattice.core.query_language import any_of, condition, parse_query  # a list of all tasks does without

    for text in texts:
        query = query.and_also(parse_query(text, saved))
    for name, values, negated in flags:
        query = query.and_also(Query(tuple(any_of([condition(name, value, negated=negated) for value in values]))))
    for pair, negated in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise UsageError(f"Cannot read {pair[:60]!r}.", hint="Write --field NAME=VALUE.")
        query = query.and_also(Query((condition(CUSTOM + name, value, negated=negated),)))
    return query


def _columns(text: str | None) -> tuple[str, ...]:
    names = [name.strip() for name in text.split(",")] if text else []
    return tuple("id" if name.lower() == "task" else field_name(name) for name in names if name)


def _table(board: Board, rows: Sequence[Summary], terminal: Terminal, columns: Sequence[str]) -> str:
    if columns:
        cells = [[line(_cell(name, row, terminal)) for name in columns] for row in rows]
        flexible = columns.index("title") if "title" in columns else len(columns) - 1
        return table(cells, terminal, flexible, [line(name.upper()) for name in columns]) if rows else "No tasks."
    heads = ("TASK", "STATUS", "PRIORITY", "TYPE", "TITLE", "ASSIGNED", "RUNS")
    shown = len(heads) if any(row.active_processes for row in rows) else len(heads) - 1
    table_rows = [_row(board, row)[:shown] for row in rows]
    if not rows:
        return "No tasks."
    first_to_go = [heads.index(name) for name in ("TYPE", "ASSIGNED", "PRIORITY", "RUNS", "STATUS")]
    return table(table_rows, terminal, heads.index("TITLE"), heads[:shown], first_to_go)


def _cell(name: str, row: Summary, terminal: Terminal) -> str:
    if name == "id":
        return row.name
    text = read_field(name, row)
    return terminal.when(text) if name in FIELDS and FIELDS[name].kind == "time" else text


def _row(board: Board, row: Summary) -> list[str]:
    runs = ", ".join(f"{run.process_type} {state(board, run)}" for run in row.active_processes)
    assigned = actor_text(row.assigned_to) + (" [archived]" if row.archived else "")
    cells = (row.name, row.status, row.priority, row.type, row.title, assigned, runs)
    return [line(cell) for cell in cells]


def _matches(found: Sequence[Match], terminal: Terminal) -> str:
    if not found:
        return "Nothing was found."
    rows = [[line(cell) for cell in (match.row.name, match.row.status, match.row.title)] for match in found]
    lines = []
    for match, head in zip(found, table(rows, terminal, 2).split("\n"), strict=True):
        lines.append(head)
        if match.snippet:
            lines.append(f"    {terminal.styled(line(match.snippet), 'faint')}")
    return "\n".join(lines)
